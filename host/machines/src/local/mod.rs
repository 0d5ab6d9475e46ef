//! Machines on this host.

mod address;
mod end;
mod launch;
mod network;
mod reboot;
mod record;
mod restart;

pub(crate) use record::{Init, MachineDir, MachineSpec, make_directory};

use crate::intent::Intent;
use crate::isolation::Isolation;
use crate::provider::{CreateMachine, MachineProvider, Made, Presence, ProviderError};
use async_trait::async_trait;
use cerebro_linux::cgroup::Cgroups;
use cerebro_linux::net;
use cerebro_model::{Digest, MachineId};
use network::ClusterNetwork;
use record::{OwnNetwork, present};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The port that a machine's agent listens on.
pub const AGENT_PORT: u16 = 40000;

/// How machines are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// By the host's network, each with an address of its own in `127.77.0.0/16`.
    Host,
    /// Each by a network of its own, which can be cut; all on one bridge, without a way further.
    Own,
}

/// What a [`LocalProvider`] needs to know.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Where all of the cluster's files are; machines below `machines`.
    pub data_dir: PathBuf,
    /// Where `localmachine`, `machinesitter` and the others are.
    pub bin_dir: PathBuf,
    /// The cluster's name, a DNS label: part of the names of control groups.
    pub cluster: String,
    /// What is kept apart between the machines.
    pub isolation: Isolation,
    /// How the machines are connected.
    pub network: Network,
}

/// Makes machines on this host.
#[derive(Debug, Clone)]
pub struct LocalProvider(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: LocalConfig,
    machines: PathBuf,
    hint: u64,
    network: Option<ClusterNetwork>,
}

impl LocalProvider {
    /// Opens the provider over a data directory, which is made if it is not there. Machines of an
    /// earlier life are known again.
    pub fn open(config: LocalConfig) -> Result<Self, ProviderError> {
        let mut config = config;
        let machines = config.data_dir.join("machines");
        make_directory(&machines).map_err(at("make", &machines))?;
        for directory in [&mut config.data_dir, &mut config.bin_dir] {
            *directory = fs::canonicalize(&directory).map_err(at("find", directory))?;
        }
        let machines = config.data_dir.join("machines");
        let hint = address::hint(&config.data_dir);
        let network = match config.network {
            Network::Host => None,
            Network::Own if config.isolation.network.is_there() => {
                let _lock = lock(&machines)?;
                Some(ClusterNetwork::open(&machines, hint)?)
            }
            Network::Own => {
                return Err(ProviderError::Unavailable {
                    doing: "give the machines networks of their own".to_owned(),
                    why: config.isolation.sentence().unwrap_or_default(),
                });
            }
        };
        Ok(Self(Arc::new(Inner { config, machines, hint, network })))
    }

    /// The host's address, as the machines reach it: where the controller has to listen.
    pub fn controller_host(&self) -> IpAddr {
        match &self.0.network {
            Some(network) => network.gateway.into(),
            None => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Ends a machine as a loss of power would: all of it, at once. Its record stays.
    pub async fn kill(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.with(machine, |inner, id| {
            let (directory, spec) = inner.known(id)?;
            end::end(&directory, &spec)
        })
        .await
    }

    /// Cuts a machine off from its network.
    pub async fn cut(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.with(machine, |inner, id| inner.set_network(id, false)).await
    }

    /// Undoes [`Self::cut`].
    pub async fn mend(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.with(machine, |inner, id| inner.set_network(id, true)).await
    }

    /// Ends every machine of this cluster and removes what they have on the host, as [`purge`].
    pub async fn destroy_all(&self) -> Result<(), ProviderError> {
        let inner = Arc::clone(&self.0);
        blocking(move || purge(&inner.config.data_dir)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        machine: &MachineId,
        act: impl FnOnce(&Inner, &MachineId) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (inner, machine) = (Arc::clone(&self.0), machine.clone());
        blocking(move || act(&inner, &machine)).await
    }
}

/// Processes and files of this host make callers wait: that is no work for an async thread.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        Err(error) => Err(ProviderError::Unavailable {
            doing: "act on this host".to_owned(),
            why: format!("the task was ended: {error}"),
        }),
    }
}

#[async_trait]
impl MachineProvider for LocalProvider {
    fn name(&self) -> &str {
        "local"
    }

    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        let (inner, machine) = (Arc::clone(&self.0), machine.clone());
        blocking(move || inner.create(&machine)).await
    }

    async fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError> {
        self.with(machine, Inner::describe).await
    }

    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let machines = recorded(&inner.machines)?;
            Ok(machines.into_iter().map(|(_, spec)| spec.id).collect())
        })
        .await
    }

    async fn made(&self, machine: &MachineId) -> Result<Made, ProviderError> {
        self.with(machine, |inner, id| {
            let MachineSpec { zone, capacity, join_token, term, .. } = inner.known(id)?.1;
            // An agent here keeps the token that it joined with.
            let token = Digest::of(join_token.as_bytes());
            Ok(Made { zone, capacity, term, intent: Intent::of(&join_token), token })
        })
        .await
    }

    async fn restart_agent(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.with(machine, |inner, id| {
            let (directory, spec) = inner.known(id)?;
            restart::end_agent(&directory, &spec)
        })
        .await
    }

    async fn reboot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.with(machine, |inner, id| {
            let (directory, spec) = inner.known(id)?;
            reboot::reboot(&inner.config.bin_dir, &directory, &spec)
        })
        .await
    }

    async fn destroy(
        &self,
        machine: &MachineId,
        intent: Option<&Intent>,
    ) -> Result<(), ProviderError> {
        let meant = intent.cloned();
        self.with(machine, move |inner, id| {
            let directory = inner.directory(id);
            let Some(spec) = spec_of(&directory)? else {
                end::remove_empty(&directory);
                return Ok(());
            };
            if meant.is_some_and(|meant| meant != Intent::of(&spec.join_token)) {
                return Ok(());
            }
            end::end(&directory, &spec)?;
            let _lock = lock(&inner.machines)?;
            end::release(&directory, &spec)?;
            end::remove_machine(&directory)
        })
        .await
    }
}

impl Inner {
    fn directory(&self, machine: &MachineId) -> MachineDir {
        MachineDir::new(&self.machines.join(machine.as_str()))
    }

    fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        let directory = self.directory(&machine.id);
        let spec = match spec_of(&directory)? {
            Some(spec) => spec,
            None => self.record(machine, &directory)?,
        };
        if launch::was_born(&directory)? {
            return Ok(());
        }
        if let Some(cgroup) = &spec.cgroup {
            limit(cgroup, &spec)?;
        }
        launch::launch(&self.config.bin_dir, &directory, &spec)
    }

    /// Decides and writes down all about a new machine, before anything of it is made.
    fn record(
        &self,
        machine: &CreateMachine,
        directory: &MachineDir,
    ) -> Result<MachineSpec, ProviderError> {
        let _lock = lock(&self.machines)?;
        if let Some(spec) = spec_of(directory)? {
            // The token is part of the intent: with another one, this is another machine's name.
            return match spec.join_token == machine.join_token {
                true => Ok(spec),
                false => Err(ProviderError::Taken { machine: machine.id.clone() }),
            };
        }
        // What a purged machine of the same name left is not this one's.
        for left in [directory.upper(), directory.work(), directory.root(), directory.data()] {
            end::remove_all(&left)?;
        }
        let others = recorded(&self.machines)?;
        let address = self.address(&machine.id, &others)?;
        let isolation = &self.config.isolation;
        let spec = MachineSpec {
            id: machine.id.clone(),
            zone: machine.zone.clone(),
            capacity: machine.capacity,
            controller: machine.controller.clone(),
            join_token: machine.join_token.clone(),
            term: machine.term,
            environment: machine.environment.clone(),
            address,
            bin_dir: self.config.bin_dir.clone(),
            processes: isolation.processes.is_there(),
            files: isolation.processes.is_there() && isolation.files.is_there(),
            cgroup: isolation.limits.is_there().then(|| {
                // Two clusters may have one name, but not one data directory.
                let cluster = format!("cerebro-{}-{:08x}", self.config.cluster, self.hint as u32);
                format!("{cluster}/{}", machine.id)
            }),
            network: self.network.as_ref().map(|network| OwnNetwork {
                interface: ClusterNetwork::interface(address),
                bridge: network.bridge.clone(),
                gateway: network.gateway,
            }),
        };
        make_directory(directory.path()).map_err(at("make", directory.path()))?;
        directory.write_spec(&spec).map_err(at("write", &directory.spec_file()))?;
        Ok(spec)
    }

    fn address(
        &self,
        machine: &MachineId,
        others: &[(MachineDir, MachineSpec)],
    ) -> Result<Ipv4Addr, ProviderError> {
        let taken: BTreeSet<Ipv4Addr> = others.iter().map(|(_, spec)| spec.address).collect();
        let chosen = match &self.network {
            Some(network) => {
                address::choose(address::behind(network.gateway, machine), &taken, |_| true)
            }
            None => address::choose(address::on_loopback(self.hint, machine), &taken, |address| {
                address::is_free(address, AGENT_PORT)
            }),
        };
        chosen.ok_or_else(|| ProviderError::Unavailable {
            doing: format!("find an address for machine `{machine}`"),
            why: "none is free; destroy machines that are not needed".to_owned(),
        })
    }

    fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError> {
        let directory = self.directory(machine);
        let gone = |why: String| Ok(Presence::Gone { why });
        // That this can be read shows that a missing record is not a missing disk.
        fs::read_dir(&self.machines).map_err(at("read", &self.machines))?;
        if spec_of(&directory)?.is_none() {
            return gone(
                "this host has no record of it: it was never made, or destroyed".to_owned(),
            );
        }
        let file = directory.init_file();
        let init = directory.init().map_err(at("read", &file))?;
        let lives = init.as_ref().map_or(Ok(None), Init::alive);
        if lives.map_err(at("read", Path::new("/proc")))?.is_some()
            || reboot::is_under_way(&directory)?
        {
            return Ok(Presence::Running);
        }
        let Some(init) = init else {
            return if directory.lock().map_err(at("lock", directory.path()))?.is_none() {
                Ok(Presence::Running)
            } else {
                gone("its creation was recorded but not completed".to_owned())
            };
        };
        gone(format!("its init, process {}, has ended", init.pid))
    }

    fn set_network(&self, machine: &MachineId, up: bool) -> Result<(), ProviderError> {
        let (_, spec) = self.known(machine)?;
        let Some(own) = &spec.network else {
            return Err(ProviderError::Unavailable {
                doing: format!("cut or mend the network of machine `{machine}`"),
                why: "it shares the host's; make machines with a network of their own".to_owned(),
            });
        };
        net::set_up(&own.interface, up).map_err(|source| ProviderError::Host {
            doing: if up { "mend the network" } else { "cut the network" },
            machine: machine.to_string(),
            source: source.into(),
        })
    }

    fn known(&self, machine: &MachineId) -> Result<(MachineDir, MachineSpec), ProviderError> {
        let directory = self.directory(machine);
        if let Some(spec) = spec_of(&directory)? {
            return Ok((directory, spec));
        }
        let known: Vec<String> =
            recorded(&self.machines)?.into_iter().map(|(_, spec)| spec.id.to_string()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(ProviderError::Unknown { machine: machine.clone(), known })
    }
}

/// Ends every machine that is recorded below a data directory, whether its controller lives or
/// not, and removes all that they have on the host. Their logs and data stay.
pub fn purge(data_dir: &Path) -> Result<(), ProviderError> {
    let machines = data_dir.join("machines");
    let Some(machines) = present(fs::canonicalize(&machines)).map_err(at("find", &machines))?
    else {
        return Ok(());
    };
    let _lock = lock(&machines)?;
    for (directory, spec) in recorded(&machines)? {
        end::end(&directory, &spec)?;
        end::release(&directory, &spec)?;
        for left in [directory.upper(), directory.work(), directory.merged(), directory.root()] {
            end::remove_all(&left)?;
        }
        // Last, so that a purge that was interrupted goes on with this machine.
        end::remove_all(&directory.init_file())?;
        end::remove_all(&directory.reboot_file())?;
        end::remove_all(&directory.spec_file())?;
    }
    ClusterNetwork::recorded(&machines)?.map_or(Ok(()), |network| network.remove(&machines))
}

fn limit(cgroup: &str, spec: &MachineSpec) -> Result<(), ProviderError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ProviderError::Host {
        doing: "limit CPU and memory",
        machine: spec.id.to_string(),
        source,
    };
    let cgroups = Cgroups::detect().map_err(|error| failed(error.into()))?;
    let made = cgroups.create(&MachineSpec::init_cgroup(cgroup));
    let group = cgroups.group(cgroup);
    made.and_then(|_| group.set_cpu(Some(spec.capacity.cpu.millis())))
        .and_then(|()| group.set_memory(Some(spec.capacity.mem.bytes()), 0))
        .map_err(|error| failed(error.into()))
}

/// Every machine recorded below `machines`, each by a record that is its own.
fn recorded(machines: &Path) -> Result<Vec<(MachineDir, MachineSpec)>, ProviderError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(machines).map_err(at("read", machines))? {
        let directory = MachineDir::new(&entry.map_err(at("read", machines))?.path());
        if directory.path().is_dir()
            && let Some(spec) = spec_of(&directory)?
        {
            found.push((directory, spec));
        }
    }
    found.sort_by(|(_, one), (_, other)| one.id.cmp(&other.id));
    Ok(found)
}

/// None if the machine is not recorded.
fn spec_of(directory: &MachineDir) -> Result<Option<MachineSpec>, ProviderError> {
    let path = directory.spec_file();
    let Some(spec) = present(directory.spec()).map_err(at("read", &path))? else {
        return Ok(None);
    };
    if directory.path().file_name().is_some_and(|name| name == spec.id.as_str()) {
        return Ok(Some(spec));
    }
    Err(ProviderError::Foreign { path, found: format!("machine {}", spec.id) })
}

/// Held while machines are recorded or removed, so that no two get one address.
fn lock(machines: &Path) -> Result<File, ProviderError> {
    let path = machines.join("lock");
    let file = File::create(&path).map_err(at("open", &path))?;
    file.lock().map_err(at("lock", &path))?;
    Ok(file)
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProviderError {
    let path = path.to_owned();
    move |source| ProviderError::File { doing, path, source }
}
