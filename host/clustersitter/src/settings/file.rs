//! The settings file: everything that the command line says, and what is too much for that.

use super::SettingsError;
use cerebro_api::jobfile;
use cerebro_dns_route53::Route53Settings;
use cerebro_machines_ec2::Ec2Settings;
use cerebro_model::{ClusterName, Cores, Megabytes, ZoneName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The settings of a cluster sitter. Whatever is not said is as usual.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    /// Where state, blobs and local machines are kept: `cerebro-data` by default. Paths that are not absolute start where
    /// the cluster sitter was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub data: Option<PathBuf>,
    /// Where to listen: `127.0.0.1:30000` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub listen: Option<SocketAddr>,
    /// The base URL at which other machines reach this controller. Machines at EC2 need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// This cluster's name: DNS records and machines that bear another's are not touched. By default it is made from where the
    /// data directory is; whatever is at Amazon needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub cluster: Option<ClusterName>,
    /// Where machines come from: `local` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<Source>,
    /// Where the other binaries are: beside the cluster sitter by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub bin_dir: Option<PathBuf>,
    /// Whether repairs are only proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe_only: Option<bool>,
    /// Whether whatever dies is given up and replaced at once, however much it is: for measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_repair_limits: Option<bool>,
    /// What each machine has to give: 4 CPUs, 4096 MB and 10240 MB of disk by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineSection>,
    /// The zones in which machines are kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, ZoneSection>)]
    pub zones: BTreeMap<ZoneName, ZoneSection>,
    /// How machines of this host are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalSection>,
    /// Machines at Amazon EC2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2: Option<Ec2Settings>,
    /// Names are published, and answered for by the cluster sitter itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsSection>,
    /// Names are published by dynamic updates of another's server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc2136: Option<Rfc2136Section>,
    /// Names are published at Amazon Route 53.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route53: Option<Route53Settings>,
}

/// Where machines come from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// This host.
    Local,
    /// Amazon EC2.
    Ec2,
}

/// The network of local machines.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// This host's, with an address of 127.0.0.0/8 each.
    Host,
    /// A network namespace each.
    Own,
}

/// The section `[machine]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineSection {
    /// CPUs.
    #[schema(value_type = f64)]
    pub cpus: Cores,
    /// Memory, in MB.
    #[schema(value_type = f64)]
    pub mem: Megabytes,
    /// Disk, in MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub disk: Option<Megabytes>,
}

/// A section `[zones.<zone>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneSection {
    /// Machines that are kept, with work or without.
    pub min: u32,
    /// Machines that there may be: four more than are kept by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// How many without work are kept beyond `min`: as many as there are by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<u32>,
    /// How many seconds a machine has been without work before it is one too many: 600 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_for: Option<u32>,
}

/// The section `[local]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalSection {
    /// The network of each: `host` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Whether they get no isolation, even as root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unprivileged: Option<bool>,
}

/// Whether the controller's own server answers for names, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DnsListen {
    /// It does not, and nothing is published.
    Off,
    /// There.
    At(SocketAddr),
}

impl FromStr for DnsListen {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let wrong = |_| format!("`{text}` is neither `off` nor an address such as 127.0.0.1:30053");
        text.parse().map(Self::At).map_err(wrong)
    }
}

impl TryFrom<String> for DnsListen {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DnsListen> for String {
    fn from(listen: DnsListen) -> Self {
        match listen {
            DnsListen::Off => "off".to_owned(),
            DnsListen::At(address) => address.to_string(),
        }
    }
}

/// The section `[dns]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsSection {
    /// Where to answer, over UDP and TCP, such as `127.0.0.1:30053`; `off` publishes no names. By default at the controller's
    /// own address, 53 ports above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub listen: Option<DnsListen>,
    /// The name of this host in the NS record that delegates names to it: `ns.cerebro.internal` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The section `[rfc2136]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rfc2136Section {
    /// The primary server of the zone.
    #[schema(value_type = String)]
    pub server: SocketAddr,
    /// The zone, such as `startup.com`: all jobs' names lie within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The file with the key that may update it, as `tsig-keygen` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key_file: Option<PathBuf>,
}

impl SettingsFile {
    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Reads this text; the name of its file says what it is written in.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        match path.extension().and_then(|it| it.to_str()) {
            Some("toml" | "yaml" | "yml" | "json") => {
                Ok(jobfile::read(&path.to_string_lossy(), text)?)
            }
            _ => Err(SettingsError::Format(path.to_owned())),
        }
    }
}
