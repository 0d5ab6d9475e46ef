//! What counts after all that was said.

use super::file::{
    DnsListen, DnsSection, LocalSection, MachineSection, Network, Rfc2136Section, SettingsFile,
    Source, ZoneSection,
};
use super::{Serve, SettingsError};
use cerebro_dns_route53::Route53Settings;
use cerebro_machines_ec2::Ec2Settings;
use cerebro_model::{Capacity, ClusterName, Cores, Megabytes, ZoneName};
use cerebro_planner::cluster::ZonePolicy;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where state, blobs and local machines are kept.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The base URL at which other machines reach this controller.
    pub advertise: Option<String>,
    /// The cluster's name.
    pub cluster: Option<ClusterName>,
    /// Where the other binaries are.
    pub bin_dir: Option<PathBuf>,
    /// Whether repairs are only proposed.
    pub observe_only: bool,
    /// Whether repairs know no limits.
    pub no_repair_limits: bool,
    /// What each machine has to give.
    pub machine: Capacity,
    /// The zones.
    pub zones: BTreeMap<ZoneName, ZonePolicy>,
    /// Where machines come from.
    pub machines: Machines,
    /// Where names are published.
    pub names: Names,
}

/// Where machines come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Machines {
    /// This host.
    Local {
        /// The network of each.
        network: Network,
        /// Whether they get no isolation.
        unprivileged: bool,
    },
    /// Amazon EC2.
    Ec2(Ec2Settings),
}

/// Where names are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Nowhere.
    Nowhere,
    /// By the controller's own server, for want of another word; nowhere, if it cannot answer there.
    Usual(Own),
    /// By the controller's own server.
    Embedded(Own),
    /// By dynamic updates of another's.
    Rfc2136 {
        /// The server.
        server: SocketAddr,
        /// The zone.
        zone: String,
        /// The file with the key.
        key_file: PathBuf,
    },
    /// At Amazon Route 53.
    Route53(Route53Settings),
}

/// The controller's own server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Where it answers.
    pub listen: SocketAddr,
    /// The host's name in the delegation.
    pub host: String,
}

/// How far above the controller's port its server answers for names, if nothing is said.
const DNS_ABOVE: u16 = 53;

impl Settings {
    /// The same, with the file that is named, if one is.
    pub fn read(said: Serve) -> Result<Self, SettingsError> {
        let file = said.settings.as_deref().map(SettingsFile::read).transpose()?;
        Self::resolve(said, file.unwrap_or_default())
    }

    /// What the command line or the environment says, over what the file says, over what is usual.
    pub fn resolve(said: Serve, file: SettingsFile) -> Result<Self, SettingsError> {
        let listen = said
            .listen
            .or(file.listen)
            .unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), cerebro_api::CLUSTER_PORT));
        let names = Names::resolve(&said, &file, listen)?;
        let zones = match said.zones.as_slice() {
            [] => file.zones.iter().map(|(zone, it)| (zone.clone(), it.policy())).collect(),
            said => said.iter().map(|it| (it.name.clone(), it.policy)).collect(),
        };
        let machines = said.machines.or(file.machines);
        if machines.is_none() && file.ec2.is_some() {
            return Err(SettingsError::NoSource);
        }
        let local = file.local.unwrap_or_default();
        let machines = match machines.unwrap_or(Source::Local) {
            Source::Local => Machines::Local {
                network: said.network.or(local.network).unwrap_or(Network::Host),
                unprivileged: said.unprivileged.or(local.unprivileged).unwrap_or_default(),
            },
            Source::Ec2 => Machines::Ec2(file.ec2.ok_or(SettingsError::NoEc2)?),
        };
        let settings = Self {
            data: said.data.or(file.data).unwrap_or_else(|| PathBuf::from("cerebro-data")),
            listen,
            advertise: said.advertise.or(file.advertise),
            cluster: said.cluster.or(file.cluster),
            bin_dir: said.bin_dir.or(file.bin_dir),
            observe_only: said.observe_only.or(file.observe_only).unwrap_or_default(),
            no_repair_limits: said.no_repair_limits.or(file.no_repair_limits).unwrap_or_default(),
            machine: match (said.machine, file.machine) {
                (Some(machine), _) => machine.0,
                (None, Some(machine)) => machine.capacity(),
                (None, None) => usual_machine(),
            },
            zones,
            machines,
            names,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Whether it is sound as a whole.
    fn check(&self) -> Result<(), SettingsError> {
        for (zone, ZonePolicy { min, max, .. }) in &self.zones {
            if max < min {
                let (zone, min, max) = (zone.clone(), *min, *max);
                return Err(SettingsError::Zone { zone, min, max });
            }
        }
        if let Some(url) = self.advertise.as_ref().filter(|url| !is_base_url(url)) {
            return Err(SettingsError::Advertise(url.clone()));
        }
        if let Machines::Ec2(ec2) = &self.machines {
            ec2.places()?;
            // One that makes no machines by itself has those that are joined by hand.
            let mut made = self.zones.iter().filter(|(_, policy)| policy.max > 0);
            if let Some((zone, _)) = made.find(|(zone, _)| !ec2.zones.contains_key(*zone)) {
                return Err(SettingsError::NoEc2Zone(zone.clone()));
            }
            if self.cluster.is_none() {
                return Err(SettingsError::NoCluster("EC2"));
            }
            if self.advertise.is_none() {
                return Err(SettingsError::NoAdvertise);
            }
        }
        if let Names::Route53(route53) = &self.names {
            route53.check()?;
            if self.cluster.is_none() {
                return Err(SettingsError::NoCluster("Route 53"));
            }
        }
        Ok(())
    }

    /// A file that says all of this.
    pub fn file(&self) -> SettingsFile {
        let (mut dns, mut rfc2136, mut route53) = (None, None, None);
        match self.names.clone() {
            Names::Nowhere => dns = Some(DnsSection { listen: Some(DnsListen::Off), host: None }),
            Names::Usual(own) => dns = Some(DnsSection { listen: None, host: Some(own.host) }),
            Names::Embedded(Own { listen, host }) => {
                let listen = Some(DnsListen::At(listen));
                dns = Some(DnsSection { listen, host: Some(host) });
            }
            Names::Rfc2136 { server, zone, key_file } => {
                let (zone, key_file) = (Some(zone), Some(key_file));
                rfc2136 = Some(Rfc2136Section { server, zone, key_file });
            }
            Names::Route53(settings) => route53 = Some(settings),
        }
        let (machines, local, ec2) = match self.machines.clone() {
            Machines::Local { network, unprivileged } => {
                let (network, unprivileged) = (Some(network), Some(unprivileged));
                (Source::Local, Some(LocalSection { network, unprivileged }), None)
            }
            Machines::Ec2(ec2) => (Source::Ec2, None, Some(ec2)),
        };
        let Capacity { cpu: cpus, mem, disk } = self.machine;
        SettingsFile {
            data: Some(self.data.clone()),
            listen: Some(self.listen),
            advertise: self.advertise.clone(),
            cluster: self.cluster.clone(),
            machines: Some(machines),
            bin_dir: self.bin_dir.clone(),
            observe_only: Some(self.observe_only),
            no_repair_limits: Some(self.no_repair_limits),
            machine: Some(MachineSection {
                cpus,
                mem,
                disk: (disk != Megabytes::ZERO).then_some(disk),
            }),
            zones: self.zones.iter().map(|(zone, it)| (zone.clone(), section(it))).collect(),
            local,
            ec2,
            dns,
            rfc2136,
            route53,
        }
    }
}

impl Names {
    /// Where the command line says where, that counts; the file may still say the rest of it.
    fn resolve(
        said: &Serve,
        file: &SettingsFile,
        controller: SocketAddr,
    ) -> Result<Self, SettingsError> {
        let flags = [("--dns", said.dns.is_some()), ("--dns-update", said.dns_update.is_some())];
        let sections = [
            ("`[dns]`", file.dns.is_some()),
            ("`[rfc2136]`", file.rfc2136.is_some()),
            ("`[route53]`", file.route53.is_some()),
        ];
        only(&flags)?;
        let is_flagged = flags.iter().any(|(_, is_there)| *is_there);
        if !is_flagged {
            only(&sections)?;
        }
        let dns = file.dns.as_ref().filter(|_| said.dns_update.is_none());
        let update = file.rfc2136.as_ref().filter(|_| said.dns.is_none());
        let host = || {
            let host = said.dns_host.clone().or(dns.and_then(|it| it.host.clone()));
            host.unwrap_or_else(|| "ns.cerebro.internal".to_owned())
        };
        let usual = || Self::Usual(Own { listen: above(controller), host: host() });
        match said.dns.or(dns.and_then(|it| it.listen)) {
            Some(DnsListen::Off) => return Ok(Self::Nowhere),
            Some(DnsListen::At(listen)) => return Ok(Self::Embedded(Own { listen, host: host() })),
            None if dns.is_some() => return Ok(usual()),
            None => {}
        }
        if let Some(server) = said.dns_update.or(update.map(|it| it.server)) {
            let lacks = |key, flag| SettingsError::NoUpdate { key, flag };
            let zone = said.dns_zone.clone().or(update.and_then(|it| it.zone.clone()));
            let key = said.dns_key_file.clone().or(update.and_then(|it| it.key_file.clone()));
            return Ok(Self::Rfc2136 {
                server,
                zone: zone.ok_or(lacks("zone", "--dns-zone"))?,
                key_file: key.ok_or(lacks("key_file", "--dns-key-file"))?,
            });
        }
        let is_elsewhere = file.route53.is_some();
        let rest = [
            (said.dns_host.is_some() && is_elsewhere, "--dns-host", "--dns"),
            (said.dns_zone.is_some(), "--dns-zone", "--dns-update"),
            (said.dns_key_file.is_some(), "--dns-key-file", "--dns-update"),
        ];
        if let Some((_, flag, lacks)) = rest.into_iter().find(|(is_there, ..)| *is_there) {
            return Err(SettingsError::NoNames(flag, lacks));
        }
        Ok(file.route53.clone().map_or_else(usual, Self::Route53))
    }
}

/// Where names are answered of a controller that listens there; on any port, if it does.
fn above(controller: SocketAddr) -> SocketAddr {
    let port = match controller.port() {
        0 => 0,
        port => port.checked_add(DNS_ABOVE).unwrap_or_else(|| port - DNS_ABOVE),
    };
    SocketAddr::new(controller.ip(), port)
}

fn only(places: &[(&'static str, bool)]) -> Result<(), SettingsError> {
    let there: Vec<_> = places.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    match there.len() {
        0 | 1 => Ok(()),
        _ => Err(SettingsError::SeveralNames(there)),
    }
}

impl ZoneSection {
    fn policy(&self) -> ZonePolicy {
        let Self { min, max, idle, idle_for } = *self;
        // Room to replace one before it is known to be gone for good, and to grow.
        let usual = ZonePolicy::new(min, max.unwrap_or(min.saturating_add(4)));
        let idle_for = idle_for.map_or(usual.idle_for, |it| Duration::from_secs(it.into()));
        ZonePolicy { idle, idle_for, ..usual }
    }
}

fn section(policy: &ZonePolicy) -> ZoneSection {
    let ZonePolicy { min, max, idle, idle_for } = *policy;
    let idle_for = u32::try_from(idle_for.as_secs()).unwrap_or(u32::MAX);
    ZoneSection { min, max: Some(max), idle, idle_for: Some(idle_for) }
}

impl MachineSection {
    fn capacity(self) -> Capacity {
        let Self { cpus: cpu, mem, disk } = self;
        Capacity { cpu, mem, disk: disk.unwrap_or(Megabytes::ZERO) }
    }
}

fn usual_machine() -> Capacity {
    let (mem, disk) = (Megabytes::new(4096), Megabytes::new(10_240));
    Capacity { cpu: Cores::from_millis(4000), mem, disk }
}

/// Whether a text is a URL to which paths can be added, without what nobody should read.
fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|b| b.is_ascii_graphic() && !b"@?#".contains(&b))
    })
}

#[cfg(test)]
mod tests;
