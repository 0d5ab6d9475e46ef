//! The command line, and the environment in its place. What neither says is left to the settings file.

use super::file::{DnsListen, Network, Source};
use crate::decisions_command::DecisionsCommand;
use crate::settings_command::SettingsCommand;
use crate::store_command::StoreCommand;
use cerebro_model::{Capacity, ClusterName, Cores, Megabytes, ZoneName};
use cerebro_planner::cluster::ZonePolicy;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The cluster sitter: keeps jobs running on a fleet of machines.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// End every local machine of a data directory, and clean up after it.
    Purge {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
    },
    /// Look after the store of a data directory.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Settings: looked at and tried out, without starting anything.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Read the log of decisions of a data directory: list, explain, and plan them again.
    #[command(subcommand)]
    Decisions(DecisionsCommand),
}

/// How to serve: as this says, where it says nothing as the settings file does, and else as usual.
#[derive(Debug, Default, Clone, Args)]
pub struct Serve {
    /// The file that says all of this, and more: TOML, YAML or JSON; `clustersitter settings schema` has every key.
    #[arg(long, value_name = "FILE", env = "CEREBRO_SETTINGS")]
    pub settings: Option<PathBuf>,
    /// Where state, blobs and local machines are kept [default: cerebro-data].
    #[arg(long, env = "CEREBRO_DATA")]
    pub data: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:30000].
    #[arg(long, env = "CEREBRO_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The base URL at which other machines reach this controller: those that are joined by hand, and those at EC2. By
    /// default the one of `--listen`, except at EC2.
    #[arg(long, value_name = "URL", env = "CEREBRO_ADVERTISE")]
    pub advertise: Option<String>,
    /// This cluster's name: DNS records and machines that bear another's are not touched. By default it
    /// is made from where the data directory is, except at Amazon.
    #[arg(long, value_name = "NAME", env = "CEREBRO_CLUSTER")]
    pub cluster: Option<ClusterName>,
    /// Where machines come from [default: local].
    #[arg(long, value_enum, env = "CEREBRO_MACHINES")]
    pub machines: Option<Source>,
    /// A zone, with the number of machines that it keeps, and the most that it may have:
    /// `aws-us-west-2a=2` or `aws-us-west-2a=2..4`. Repeatable; then those of the settings file do not count.
    #[arg(long = "zone", value_name = "ZONE=MIN[..MAX]")]
    pub zones: Vec<Zone>,
    /// What each machine has to give [default: cpus=4,mem=4096,disk=10240]. A local one may have more than this host
    /// has; jobs reserve of its disk, and nothing holds them to that.
    #[arg(long, value_name = "cpus=N,mem=MB[,disk=MB]")]
    pub machine: Option<Machine>,
    /// Where the other binaries are; beside this one by default.
    #[arg(long, env = "CEREBRO_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
    /// The network of local machines: an own address on this host's, or (as root) one of its own [default: host].
    #[arg(long, value_enum, env = "CEREBRO_NETWORK")]
    pub network: Option<Network>,
    /// Give local machines no isolation, even as root.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        env = "CEREBRO_UNPRIVILEGED"
    )]
    pub unprivileged: Option<bool>,
    /// Give up and replace whatever dies at once, however much it is: for measurements. The breaker of
    /// each zone stays.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        env = "CEREBRO_NO_REPAIR_LIMITS"
    )]
    pub no_repair_limits: Option<bool>,
    /// Only propose repairs: each waits for `cerebro repair approve`. `cerebro repair observe-only
    /// on|off` says otherwise for good.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        env = "CEREBRO_OBSERVE_ONLY"
    )]
    pub observe_only: Option<bool>,
    /// Publish names, and answer for them here, over UDP and TCP; `off` publishes none [default: the address of
    /// `--listen`, 53 ports above, and none where that cannot be had].
    #[arg(long, value_name = "ADDRESS|off", env = "CEREBRO_DNS")]
    pub dns: Option<DnsListen>,
    /// The name of this host, by which resolvers find it: that of the NS record which delegates names
    /// to it [default: ns.cerebro.internal].
    #[arg(long, value_name = "NAME", env = "CEREBRO_DNS_HOST")]
    pub dns_host: Option<String>,
    /// Publish names by dynamic updates (RFC 2136) of this server, which is the primary of the zone.
    #[arg(long, value_name = "ADDRESS", env = "CEREBRO_DNS_UPDATE")]
    pub dns_update: Option<SocketAddr>,
    /// The zone that is updated, such as `startup.com`: all jobs' names lie within it.
    #[arg(long, value_name = "ZONE", env = "CEREBRO_DNS_ZONE")]
    pub dns_zone: Option<String>,
    /// The file with the key that may update it, as `tsig-keygen` writes it.
    #[arg(long, value_name = "FILE", env = "CEREBRO_DNS_KEY_FILE")]
    pub dns_key_file: Option<PathBuf>,
}

/// A zone and how many machines it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: ZoneName,
    /// How many machines it has.
    pub policy: ZonePolicy,
}

impl FromStr for Zone {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a zone: expected ZONE=MIN or ZONE=MIN..MAX, such as aws-us-west-2a=2"
            )
        };
        let (name, numbers) = text.split_once('=').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let policy = match numbers.split_once("..") {
            Some((min, max)) => ZonePolicy::new(number(min)?, number(max)?),
            // Room to replace one before it is known to be gone for good, and to grow.
            None => ZonePolicy::new(number(numbers)?, number(numbers)?.saturating_add(4)),
        };
        if policy.max < policy.min {
            return Err(format!("`{text}` allows fewer machines than it keeps"));
        }
        let name = name.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { name, policy })
    }
}

/// What a machine has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine(pub Capacity);

impl FromStr for Machine {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut cpu, mut mem, mut disk) = (None, None, Megabytes::ZERO);
        let megabytes = |given: f64| Megabytes::try_from(given).map_err(|error| error.to_string());
        for part in text.split(',') {
            let value =
                |text: &str| text.parse::<f64>().map_err(|_| format!("`{part}` is not a number"));
            match part.split_once('=') {
                Some(("cpus", cpus)) => {
                    cpu = Some(Cores::try_from(value(cpus)?).map_err(|error| error.to_string())?);
                }
                Some(("mem", given)) => {
                    mem = Some(megabytes(value(given)?)?);
                }
                Some(("disk", given)) => disk = megabytes(value(given)?)?,
                _ => {
                    return Err(format!(
                        "`{part}` is not known here: expected cpus=N,mem=MB[,disk=MB]"
                    ));
                }
            }
        }
        match (cpu, mem) {
            (Some(cpu), Some(mem)) => Ok(Self(Capacity { cpu, mem, disk })),
            _ => Err(format!(
                "`{text}` lacks one of `cpus` and `mem`: expected cpus=N,mem=MB[,disk=MB]"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_machines_are_read_or_refused_with_what_was_expected() {
        let zone: Zone = "aws-us-west-2a=1..3".parse().unwrap();
        assert_eq!(zone.policy, ZonePolicy::new(1, 3));
        for bad in ["", "a", "a=", "a=x", "A=1", "a=3..1"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
        let machine: Machine = "cpus=0.5,mem=100".parse().unwrap();
        assert_eq!((machine.0.cpu.millis(), machine.0.mem.get()), (500, 100));
        assert_eq!(machine.0.disk.get(), 0);
        let machine: Machine = "cpus=1,mem=100,disk=200".parse().unwrap();
        assert_eq!(machine.0.disk.get(), 200);
        for bad in ["", "cpus=1", "cpus=x,mem=1", "cpus=1,mem=-1", "cpus=1,mem=1,disk=0", "gpus=1"]
        {
            assert!(bad.parse::<Machine>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
