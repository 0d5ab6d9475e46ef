//! What the command line takes about machines that are reached over SSH.

use cerebro_bootstrap::ssh::PublicKeyPrint;
use cerebro_model::{Cores, LabelName, LabelValue, Megabytes, Seconds, ZoneName};
use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Login {
    /// A machine, a job or a task.
    pub name: String,
    /// Run this there instead of a shell; with `@FILE`, the script in that file, by `sh`.
    #[arg(long, value_name = "COMMAND|@FILE")]
    pub command: Option<String>,
    /// Of a job with several tasks, run it on the machine of each; each line says whose it is, and the exit code is
    /// the worst.
    #[arg(long, requires = "command")]
    pub all: bool,
    /// As whom; by default as `ssh` has it.
    #[arg(short, long, env = "CEREBRO_SSH_USER", value_parser = user)]
    pub user: Option<String>,
    /// A private key, beside those that `ssh` tries by itself; repeatable.
    #[arg(short, long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// The port of its SSH server.
    #[arg(short, long)]
    pub port: Option<u16>,
    /// The file with the host keys that are known, instead of those that `ssh` looks into.
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Join {
    /// The machine's name or address.
    pub host: String,
    /// As whom; who is not root becomes it by sudo, without a password.
    #[arg(short, long, env = "CEREBRO_SSH_USER", default_value = "root", value_parser = user)]
    pub user: String,
    /// A private key; repeatable, and tried in order. By default those of the ssh-agent, then those in `~/.ssh`.
    #[arg(short, long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// The port of its SSH server.
    #[arg(short, long, default_value_t = 22)]
    pub port: u16,
    /// The fingerprint of its host key, `SHA256:…` as `ssh-keygen -lf` shows it, or the public key itself.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["known_hosts", "accept_new"])]
    pub host_key: Option<PublicKeyPrint>,
    /// The file with the host keys that are known (default: `~/.ssh/known_hosts`).
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// Take a machine that is not known there at its word, and keep its host key.
    #[arg(long)]
    pub accept_new: bool,
    /// The zone that it stands in; needed where the cluster has several.
    #[arg(long)]
    pub zone: Option<ZoneName>,
    /// A label, for the `placement` of jobs; repeatable.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(LabelName, LabelValue)>,
    /// What keeps the agent running there.
    #[arg(long, value_enum, default_value = "systemd")]
    pub init: Keeper,
    /// Cores that may be used (default: all that it has).
    #[arg(long, value_name = "N", value_parser = cores)]
    pub cpus: Option<Cores>,
    /// Memory that may be used, in MB (default: what it has, less a tenth and at least 256 MB for the system).
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    pub mem: Option<Megabytes>,
    /// Disk that jobs may reserve, in MB (default: the size of the disk under `/var/lib`).
    #[arg(long, value_name = "MB", value_parser = megabytes)]
    pub disk: Option<Megabytes>,
    /// Where its agent listens (default: the address that it has on its way to the controller).
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Have names of what runs there lead to its global IPv6 address as well.
    #[arg(long)]
    pub ipv6: bool,
    /// The controller's base URL as the machine reaches it (default: what the controller says).
    #[arg(long, value_name = "URL")]
    pub controller: Option<String>,
    /// Send the agent's programs over SSH, for a machine that cannot fetch them from the controller by itself.
    #[arg(long)]
    pub upload: bool,
    /// How long the agent may take to join once it was started: 90s, 5m.
    #[arg(long = "within", value_name = "TIME", default_value = "60s", value_parser = super::machine::time)]
    pub joins_within: Seconds,
    /// Show each step's command and all that it said.
    #[arg(short, long)]
    pub verbose: bool,
}

/// What keeps the agent running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Keeper {
    /// A unit of systemd's.
    Systemd,
    /// A process of Cerebro's own, until the machine is started again.
    None,
}

fn user(text: &str) -> Result<String, String> {
    let is_good = !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@\\".contains(&b));
    match is_good {
        true => Ok(text.to_owned()),
        false => Err("expected a user's name, such as `admin`".to_owned()),
    }
}

fn label(text: &str) -> Result<(LabelName, LabelValue), String> {
    let wrong = || "expected NAME=VALUE, such as disk=ssd".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let name = name.parse().map_err(|error| format!("{error}"))?;
    Ok((name, value.parse().map_err(|error| format!("{error}"))?))
}

fn cores(text: &str) -> Result<Cores, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number, such as 2".to_owned())?;
    Cores::try_from(number).map_err(|error| error.to_string())
}

fn megabytes(text: &str) -> Result<Megabytes, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number of MB".to_owned())?;
    Megabytes::try_from(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_labels_are_read_or_refused_with_what_was_expected() {
        assert_eq!(user("ec2-user").unwrap(), "ec2-user");
        for bad in ["", "-oProxyCommand=x", "a b", "a;b", "$(id)"] {
            assert!(user(bad).is_err(), "{bad}");
        }
        let (name, value) = label("disk=ssd").unwrap();
        assert_eq!((name.as_str(), value.as_str()), ("disk", "ssd"));
        for bad in ["", "disk", "=ssd"] {
            assert!(label(bad).is_err(), "{bad}");
        }
        assert!(cores("0.5").is_ok() && cores("x").is_err() && megabytes("-1").is_err());
    }
}
