//! What the agent is told when it is started.

use cerebro_model::{MachineId, ZoneName};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// The agent of one machine: of a cluster's with `--controller`, stand-alone without.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "machinesitter", version)]
pub struct Arguments {
    /// The directory for all that the agent keeps.
    #[arg(long)]
    data: PathBuf,
    /// The machine's address: where the agent listens, and the tasks.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The port that the agent listens on.
    #[arg(long, default_value_t = cerebro_api::MACHINE_PORT)]
    port: u16,
    /// The directory of the other programs; by default that of this one.
    #[arg(long)]
    bin: Option<PathBuf>,
    /// The directory that stands for `/` in the eyes of recipes.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// The control group below which each task has its own.
    #[arg(long)]
    cgroup: Option<String>,
    /// The machine has a file system of its own.
    #[arg(long)]
    isolated: bool,
    /// The controller's base URL; without it the agent serves the tasks that it is given itself.
    #[arg(long, requires = "machine", requires = "zone")]
    controller: Option<String>,
    /// The machine's id.
    #[arg(long)]
    machine: Option<MachineId>,
    /// The zone that it stands in.
    #[arg(long)]
    zone: Option<ZoneName>,
    /// Cores that the machine has.
    #[arg(long)]
    cpu: Option<f64>,
    /// Megabytes that the machine has.
    #[arg(long)]
    mem: Option<u64>,
    /// The file with the token that shows the controller that this is the machine's agent, and
    /// that whoever changes tasks over HTTP must show.
    #[arg(long, conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The same token itself. As an argument everyone on the machine can see it.
    #[arg(long, env = "CEREBRO_MACHINE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Why the agent cannot be what it is told to be.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The token cannot be read.
    #[error("cannot read the token from `{}`", .path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is none.
    #[error("an agent {0} needs a token: give it by --token-file")]
    NoToken(&'static str),
    /// Where the other programs are cannot be found out.
    #[error("cannot find this program's own directory: give it by --bin")]
    Bin(#[source] io::Error),
}

/// What the agent goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The machine's id; `local` where nobody gave it one.
    pub machine: MachineId,
    /// The zone that it stands in, in a cluster.
    pub zone: Option<ZoneName>,
    /// The controller's base URL, in a cluster.
    pub controller: Option<String>,
    /// The machine's address: where the agent listens, and the tasks.
    pub address: IpAddr,
    /// The port that the agent listens on.
    pub port: u16,
    /// The directory for all that the agent keeps.
    pub data: PathBuf,
    /// The directory that stands for `/` in the eyes of recipes.
    pub root: PathBuf,
    /// The directory of the other programs.
    pub bin: PathBuf,
    /// Cores that the machine has, as far as it was told.
    pub cpu: Option<f64>,
    /// Megabytes that the machine has, as far as it was told.
    pub mem: Option<u64>,
    /// Shown to the controller, and asked of whoever changes tasks over HTTP.
    pub token: Option<String>,
    /// The control group below which each task has its own.
    pub cgroup: Option<String>,
    /// The machine has a file system of its own.
    pub isolated: bool,
}

impl Arguments {
    /// What they come to.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        let token = match self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|source| SettingsError::Token { path, source })?;
                Some(text.trim().to_owned())
            }
            None => self.token,
        };
        let token = token.filter(|token| !token.is_empty());
        if token.is_none() {
            if self.controller.is_some() {
                return Err(SettingsError::NoToken("with a controller"));
            }
            // Whoever reaches it could run anything, as whoever it runs as.
            if !self.address.is_loopback() {
                return Err(SettingsError::NoToken("that others than this machine can reach"));
            }
        }
        let bin = match self.bin {
            Some(bin) => bin,
            None => {
                let own = std::env::current_exe().map_err(SettingsError::Bin)?;
                own.parent().unwrap_or(Path::new("/")).to_owned()
            }
        };
        let local = || MachineId::try_from("local".to_owned()).ok();
        // `local` is a label.
        let machine = self.machine.or_else(local).unwrap_or_else(|| MachineId::nth(0));
        Ok(Settings {
            machine,
            zone: self.zone,
            controller: self.controller,
            address: self.address,
            port: self.port,
            data: self.data,
            root: self.root,
            bin,
            cpu: self.cpu,
            mem: self.mem,
            token,
            cgroup: self.cgroup,
            isolated: self.isolated,
        })
    }
}

impl Settings {
    /// The program that watches a task.
    pub(crate) fn task_sitter(&self) -> PathBuf {
        self.bin.join("tasksitter")
    }

    /// The directory that stands for `/`, where that is not `/` itself.
    pub(crate) fn foreign_root(&self) -> Option<&Path> {
        (!self.isolated && self.root != Path::new("/")).then_some(self.root.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn settings(arguments: &[&str]) -> Result<Settings, String> {
        let all = ["machinesitter", "--data", "/d"].iter().chain(arguments);
        let parsed = Arguments::try_parse_from(all).map_err(|error| error.to_string())?;
        parsed.settings().map_err(|error| error.to_string())
    }

    #[test]
    fn a_directory_is_all_that_a_stand_alone_agent_needs() {
        let settings = settings(&[]).unwrap();
        assert_eq!((settings.machine.as_str(), settings.port), ("local", 40000));
        assert!(settings.controller.is_none() && settings.address.is_loopback());
    }

    #[test]
    fn who_can_be_reached_or_has_a_controller_needs_a_token() {
        let error = settings(&["--address", "0.0.0.0"]).unwrap_err();
        assert!(error.contains("--token-file"), "{error}");
        let cluster = ["--controller", "http://c", "--machine", "m-1", "--zone", "z-1"];
        assert!(settings(&cluster).unwrap_err().contains("--token-file"));
        assert!(settings(&cluster[..2]).unwrap_err().contains("--machine"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "secret\n").unwrap();
        let with_file = [&cluster[..], &["--token-file", file.to_str().unwrap()]].concat();
        assert_eq!(settings(&with_file).unwrap().token.as_deref(), Some("secret"));
    }
}
