//! A DNS server of the controller's own, which needs nobody else's.
//!
//! [`Embedded::bind`] has its sockets, UDP and TCP, before anything is published; the sockets answer from one view,
//! which a step builds anew and swaps in at once: nobody ever sees half a change. What is published lives with the
//! process. A controller that starts claims and publishes what its records say, and then calls [`Embedded::open`]:
//! until then every question is answered with SERVFAIL, which nobody keeps, rather than with "there is no such name",
//! which everybody does. The epoch of a mark therefore fences off a controller's own earlier term in the same process.

mod answer;
mod serve;
#[cfg(test)]
mod tests;
mod view;

use crate::found::Claim;
use crate::{DnsError, DnsProvider, Group, Listed, Mark, Records, wire};
use async_trait::async_trait;
use cerebro_model::{JobName, ZoneName};
use hickory_proto::ProtoError;
use hickory_proto::rr::{LowerName, Name};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use view::{Asked, Held, View, Zone};

/// How many ports are tried for one that is free for UDP and TCP alike.
const PORTS_TRIED: usize = 32;

/// What the server needs to be told.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Where it listens, over UDP and TCP. With port 0, on one that is free for both.
    pub listen: SocketAddr,
    /// The host's name, by which resolvers find this server: that of the NS record by which names are delegated to it.
    pub host: String,
    /// The serial to begin with, later than those of earlier processes: the seconds since 1970 will do.
    pub serial: u32,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The host's name is none.
    #[error("`{0}` is no host's name: expected one such as `ns.startup.com`")]
    Host(String),
    /// The sockets cannot be had.
    #[error(
        "cannot listen for DNS on {address} over {way}; if another server is there, choose another address or port; for \
         a port below 1024 the capability CAP_NET_BIND_SERVICE is needed"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        way: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The server; it ends when this is dropped.
pub struct Embedded {
    address: SocketAddr,
    host: Name,
    next_serial: AtomicU32,
    begun: Instant,
    groups: Mutex<Groups>,
    shared: Arc<Shared>,
    _sockets: JoinSet<()>,
}

type Groups = BTreeMap<JobName, BTreeMap<ZoneName, (Group, Held)>>;

/// What the sockets answer from.
struct Shared(RwLock<Arc<View>>);

impl Shared {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one place where anything changes for who asks; answers what was there before.
    fn swap(&self, view: View) -> Arc<View> {
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *shared, Arc::new(view))
    }
}

/// What becomes of a group.
enum Step {
    Nothing,
    Hold(Held),
    Drop,
}

impl Embedded {
    /// Has its sockets, and answers every question with SERVFAIL until it is [`open`](Self::open)ed.
    pub async fn bind(config: &EmbeddedConfig) -> Result<Self, BindError> {
        let host = wire::name(&config.host).map_err(|_| BindError::Host(config.host.clone()))?;
        if host.is_root() {
            return Err(BindError::Host(config.host.clone()));
        }
        let (udp, tcp, address) = listen(config.listen).await?;
        let shared = Arc::new(Shared(RwLock::default()));
        let mut sockets = JoinSet::new();
        sockets.spawn(serve::udp(udp, Arc::clone(&shared)));
        sockets.spawn(serve::tcp(tcp, Arc::clone(&shared)));
        Ok(Self {
            address,
            host,
            next_serial: AtomicU32::new(config.serial),
            begun: Instant::now(),
            groups: Mutex::default(),
            shared,
            _sockets: sockets,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on: all that was published by an earlier process is published again. Safe to repeat.
    pub fn open(&self) {
        // Whoever changes the view holds this.
        let _groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.shared.swap(self.shared.view().opened()));
    }

    /// Takes one step with a group: decides by what is there, builds what is answered from then on, and only then
    /// changes anything.
    fn step(
        &self,
        group: &Group,
        doing: &str,
        decide: impl FnOnce(&Groups, &Held) -> Result<Step, DnsError>,
    ) -> Result<(), DnsError> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut zones = groups.get(&group.job).cloned().unwrap_or_default();
        let there = zones.get(&group.zone).map(|(_, held)| held.clone()).unwrap_or_default();
        match decide(&groups, &there)? {
            Step::Nothing => return Ok(()),
            Step::Hold(held) => drop(zones.insert(group.zone.clone(), (group.clone(), held))),
            Step::Drop => drop(zones.remove(&group.zone)),
        }
        let refused = |error: ProtoError| DnsError::Refused {
            doing: format!("{doing} `{group}`"),
            why: format!("its names are too long for the DNS ({error}); shorten `dns_basename`"),
        };
        let apex = LowerName::from(wire::name(group.job.as_str()).map_err(refused)?);
        let view = self.shared.view();
        let zone = if zones.is_empty() {
            None
        } else {
            let serial = self.next_serial.fetch_add(1, Ordering::Relaxed);
            let held = zones.values().map(|(group, held)| (group, held));
            let asked = view.asked(&apex).unwrap_or_else(|| Arc::new(Asked::since(self.begun)));
            Some(Zone::build(&group.job, held, &self.host, serial, asked).map_err(refused)?)
        };
        let (next, asked) = (view.with(&apex, zone), view.asked(&apex));
        drop(view);
        // Somebody may just be told what was there before.
        if Arc::into_inner(self.shared.swap(next)).is_none()
            && let Some(asked) = asked
        {
            asked.now();
        }
        if zones.is_empty() {
            groups.remove(&group.job);
        } else {
            groups.insert(group.job.clone(), zones);
        }
        Ok(())
    }
}

/// A group of another job that has the name of this one's job, or the other way round: one name cannot be both.
fn clash<'g>(groups: &'g Groups, group: &Group) -> Option<&'g Group> {
    let all = groups.values().flat_map(BTreeMap::values).map(|(other, _)| other);
    all.filter(|other| other.job != group.job)
        .find(|other| group.has(other.job.as_str()) || other.has(group.job.as_str()))
}

#[async_trait]
impl DnsProvider for Embedded {
    fn name(&self) -> &str {
        "embedded"
    }

    fn settled(&self) {
        self.open();
    }

    async fn claim(&self, group: &Group, mark: &Mark) -> Result<(), DnsError> {
        self.step(group, "claim", |groups, held| {
            if let Some(other) = clash(groups, group) {
                return Err(DnsError::Refused {
                    doing: format!("claim `{group}`"),
                    why: format!(
                        "`{other}` has a name that it needs as well: give one of the two jobs another `dns_basename`"
                    ),
                });
            }
            match held.found.claim(group, mark)? {
                Claim::Done => Ok(Step::Nothing),
                Claim::First | Claim::Over { .. } => {
                    let mut held = held.clone();
                    held.found.texts = [mark.to_string()].into();
                    Ok(Step::Hold(held))
                }
            }
        })
    }

    async fn publish(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        wanted: &Records,
    ) -> Result<(), DnsError> {
        self.step(group, "publish", |_, held| {
            let changes = held.found.publish(group, mark, expected, wanted)?;
            if changes.is_empty() && held.is_known {
                return Ok(Step::Nothing);
            }
            let mut held = Held { is_known: true, ..held.clone() };
            changes.into_iter().for_each(|change| held.found.records.apply(change));
            Ok(Step::Hold(held))
        })
    }

    async fn withdraw(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
    ) -> Result<(), DnsError> {
        self.step(group, "withdraw", |_, held| {
            let gone = held.found.withdraw(group, mark, expected)?;
            Ok(gone.map_or(Step::Nothing, |_| Step::Drop))
        })
    }

    fn last_answered(&self, group: &Group) -> Option<Duration> {
        let apex = LowerName::from(wire::name(group.job.as_str()).ok()?);
        // Of what is not there nobody is told anything.
        Some(self.shared.view().asked(&apex).map_or(Duration::MAX, |asked| asked.ago()))
    }

    async fn list(&self, group: &Group) -> Result<Listed, DnsError> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let there = groups.get(&group.job).and_then(|zones| zones.get(&group.zone));
        Ok(there.map(|(_, held)| held.found.clone()).unwrap_or_default().listed())
    }
}

/// A socket of each kind on one port.
async fn listen(at: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), BindError> {
    let failed = |address, way| move |source| BindError::Listen { address, way, source };
    let mut tries = 0;
    loop {
        tries += 1;
        let tcp = TcpListener::bind(at).await.map_err(failed(at, "TCP"))?;
        let address = tcp.local_addr().map_err(failed(at, "TCP"))?;
        match UdpSocket::bind(address).await {
            Ok(udp) => return Ok((udp, tcp, address)),
            // Another has it for UDP: any other port will do.
            Err(_) if at.port() == 0 && tries < PORTS_TRIED => {}
            Err(source) => return Err(failed(address, "UDP")(source)),
        }
    }
}
