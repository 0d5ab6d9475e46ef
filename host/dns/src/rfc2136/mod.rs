//! Dynamic updates of a zone that another server has, such as BIND: RFC 2136, signed by TSIG.
//!
//! Each step is one message with what must hold for it, the mark among that: the server takes it as a whole
//! or not at all, and so a controller that was superseded, or two at once, lose nothing to each other. What must hold and
//! did not is found out by a look at the whole zone, from the server itself and never through a resolver, and told as
//! [`Found`] tells it. An answer that is lost is told as such; the same step again finds that it was done.

mod check;
mod exchange;
mod key;
mod message;
mod outcome;

pub use key::{Algorithm, KeyError, TsigKey};

use crate::found::{Claim, changes_within};
use crate::{DnsError, DnsProvider, Found, Group, Listed, Mark, Records, Ttl, wire};
use async_trait::async_trait;
use exchange::Server;
use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use message::Update;
use outcome::{Asked, Trouble};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

/// What the server has to allow for updates, and for a look at what is there.
const UPDATES: &str = "`allow-update` or `update-policy` with it";
const TRANSFERS: &str = "`allow-transfer` with it";

/// Whose zone is updated, and with what.
#[derive(Debug, Clone)]
pub struct Rfc2136Config {
    /// The primary server of the zone.
    pub server: SocketAddr,
    /// The zone's apex, such as `startup.com`: all jobs' names are within it.
    pub zone: String,
    /// The key that the server lets change and read the zone.
    pub key: TsigKey,
    /// How long the server may take for an answer.
    pub patience: Duration,
}

/// Why a configuration is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rfc2136Error {
    /// The zone's name is none.
    #[error("`{0}` is no zone: expected the name of one, such as `startup.com`")]
    Zone(String),
    /// The key cannot sign.
    #[error("the key {0} cannot sign: expected hmac-sha256, hmac-sha384 or hmac-sha512")]
    Key(String),
}

/// Publishes in a zone of another's server.
pub struct Rfc2136 {
    server: Server,
    zone: String,
    apex: Name,
    key: TsigKey,
}

impl Rfc2136 {
    /// With such a server; it is not asked yet.
    pub fn new(config: Rfc2136Config) -> Result<Self, Rfc2136Error> {
        Self::with_clock(config, SystemTime::now)
    }

    /// The same, by another clock than the system's.
    pub fn with_clock(
        config: Rfc2136Config,
        clock: fn() -> SystemTime,
    ) -> Result<Self, Rfc2136Error> {
        let Rfc2136Config { server: address, zone, key, patience } = config;
        let apex = wire::name(&zone).ok().filter(|apex| !apex.is_root());
        let apex = apex.ok_or_else(|| Rfc2136Error::Zone(zone.clone()))?;
        let signer = key.signer().ok_or_else(|| Rfc2136Error::Key(key.to_string()))?;
        let zone = zone.trim_end_matches('.').to_lowercase();
        Ok(Self { server: Server { address, signer, patience, clock }, zone, apex, key })
    }

    /// Makes an update. False if something was not as it must be: then nothing was changed.
    async fn update(
        &self,
        doing: &str,
        group: &Group,
        fill: impl FnOnce(&mut Update) -> Result<(), ProtoError>,
    ) -> Result<bool, DnsError> {
        let doing = format!("{doing} `{group}`");
        self.must_hold(group, &doing)?;
        let refused = |why| DnsError::Refused { doing: doing.clone(), why };
        let mut update = Update::of(&self.apex, fastrand::u16(..));
        fill(&mut update).map_err(|error| {
            refused(format!("a name is too long for the DNS ({error}): shorten `dns_basename`"))
        })?;
        let message = update.finish().map_err(|_| {
            refused(
                "one update cannot hold so many changes: it is to be made in steps of fewer instances"
                    .to_owned(),
            )
        })?;
        match self.server.ask(message).await {
            Ok(ResponseCode::NoError) => Ok(true),
            // The codes of what must hold and did not: RFC 2136, section 3.2.
            Ok(
                ResponseCode::NXDomain
                | ResponseCode::YXDomain
                | ResponseCode::NXRRSet
                | ResponseCode::YXRRSet,
            ) => Ok(false),
            Ok(code) => Err(Trouble::Said(code).told(self.asked(), doing, UPDATES)),
            Err(trouble) => Err(trouble.told(self.asked(), doing, UPDATES)),
        }
    }

    /// All that is at a group's names, from the server itself.
    async fn find(&self, group: &Group) -> Result<Found, DnsError> {
        let doing = format!("look at `{group}`");
        self.must_hold(group, &doing)?;
        let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
        message.add_query(Query::query(self.apex.clone(), RecordType::AXFR));
        let mut found = Found::default();
        let mark = group.mark_name();
        let seen = self.server.transfer(message, |record| see(record, group, &mark, &mut found));
        seen.await.map_err(|trouble| trouble.told(self.asked(), doing, TRANSFERS))?;
        Ok(found)
    }

    fn must_hold(&self, group: &Group, doing: &str) -> Result<(), DnsError> {
        let below = group.job.as_str().strip_suffix(self.zone.as_str());
        match below.is_some_and(|below| below.is_empty() || below.ends_with('.')) {
            true => Ok(()),
            false => Err(DnsError::Refused {
                doing: doing.to_owned(),
                why: format!(
                    "it is not within the zone `{}`: give the job a `dns_basename` that is",
                    self.zone
                ),
            }),
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { server: self.server.address, zone: &self.zone, key: &self.key }
    }
}

/// Takes a record of the zone for what it is to a group, if anything.
fn see(record: &Record, group: &Group, mark: &str, found: &mut Found) {
    let name = record.name.to_lowercase().to_ascii();
    let name = name.trim_end_matches('.');
    if name == mark {
        if let RData::TXT(text) = &record.data {
            let text = text.txt_data.concat();
            found.texts.insert(String::from_utf8_lossy(&text).into_owned());
        }
        return;
    }
    if !group.has(name) {
        return;
    }
    let ttl = Ttl::at_most(record.ttl);
    match &record.data {
        RData::A(address) => found.records.add(name, ttl, IpAddr::V4(address.0)),
        RData::AAAA(address) => found.records.add(name, ttl, IpAddr::V6(address.0)),
        // A signed zone has those for all names that it has.
        data if data.record_type().is_dnssec() => {}
        data => drop(found.others.insert((name.to_owned(), data.record_type().to_string()))),
    }
}

fn at_once(group: &Group) -> DnsError {
    let why = "another has changed it at the same moment".to_owned();
    DnsError::Changed { group: group.clone(), why }
}

#[async_trait]
impl DnsProvider for Rfc2136 {
    fn name(&self) -> &str {
        "rfc2136"
    }

    async fn claim(&self, group: &Group, mark: &Mark) -> Result<(), DnsError> {
        let (mark_name, text) = (group.mark_name(), mark.to_string());
        let earlier = match self.find(group).await?.claim(group, mark)? {
            Claim::Done => return Ok(()),
            Claim::First => None,
            Claim::Over { text } => Some(text),
        };
        let made = self.update("claim", group, |update| {
            update.demand_mark(&mark_name, earlier.as_deref())?;
            if earlier.is_none() {
                update.demand_unused(&group.name())?;
            }
            update.set_mark(&mark_name, Some(&text))
        });
        if made.await? {
            return Ok(());
        }
        match self.find(group).await?.claim(group, mark)? {
            Claim::Done => Ok(()),
            Claim::First | Claim::Over { .. } => Err(at_once(group)),
        }
    }

    async fn publish(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        wanted: &Records,
    ) -> Result<(), DnsError> {
        let changes = changes_within(group, expected, wanted)?;
        let made = self.update("publish", group, |update| {
            update.demand_mark(&group.mark_name(), Some(&mark.to_string()))?;
            changes.iter().try_for_each(|change| update.change(change))
        });
        if made.await? {
            return Ok(());
        }
        match self.find(group).await?.publish(group, mark, expected, wanted)?.is_empty() {
            true => Ok(()),
            false => Err(at_once(group)),
        }
    }

    async fn withdraw(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
    ) -> Result<(), DnsError> {
        let Some(changes) = self.find(group).await?.withdraw(group, mark, expected)? else {
            return Ok(());
        };
        let made = self.update("withdraw", group, |update| {
            update.demand_mark(&group.mark_name(), Some(&mark.to_string()))?;
            changes.iter().try_for_each(|change| update.change(change))?;
            update.set_mark(&group.mark_name(), None)
        });
        if made.await? {
            return Ok(());
        }
        match self.find(group).await?.withdraw(group, mark, expected)? {
            None => Ok(()),
            Some(_) => Err(at_once(group)),
        }
    }

    async fn list(&self, group: &Group) -> Result<Listed, DnsError> {
        Ok(self.find(group).await?.listed())
    }
}
