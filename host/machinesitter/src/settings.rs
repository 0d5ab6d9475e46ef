//! What the agent is told when it is started.

use cerebro_model::{MachineId, ZoneName};
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The agent of one machine: of a cluster's with `--controller`, stand-alone without.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "machinesitter", version)]
pub struct Arguments {
    /// The directory for all that the agent keeps.
    #[arg(long)]
    data: PathBuf,
    /// The machine's address: where the agent listens, and the tasks. By default, with a controller, the one that
    /// the machine has on its way there; without one, this machine's own.
    #[arg(long)]
    address: Option<IpAddr>,
    /// Names of what runs here lead to the machine's global IPv6 address as well, where it has one. What runs here
    /// has to listen there, too.
    #[arg(long, requires = "controller")]
    ipv6: bool,
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
    /// The file with a token that is good for joining once: with that, the agent makes a token of its own, and keeps
    /// it in `--token-file`. The file is removed once it has joined, and need not be there then.
    #[arg(long, requires = "token_file", requires = "controller")]
    join_token_file: Option<PathBuf>,
    /// The same token itself. As an argument everyone on the machine can see it.
    #[arg(long, env = "CEREBRO_MACHINE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// What an agent joins with that has not joined yet.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The token.
    pub token: String,
    /// Where it is kept, until it was used.
    pub file: PathBuf,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("file", &self.file).finish_non_exhaustive()
    }
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
    /// A token of its own cannot be made or kept.
    #[error("cannot keep a token of its own in `{}`", .path.display())]
    OwnToken {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its own address cannot be found out.
    #[error(
        "cannot find out this machine's address on the way to {controller}: give it by --address, or correct --controller"
    )]
    Address {
        /// The controller.
        controller: String,
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
    /// Whether names lead to its global IPv6 address as well.
    pub ipv6: bool,
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
    /// What it joins with, if it has not joined yet.
    pub join_token: Option<JoinToken>,
    /// The control group below which each task has its own.
    pub cgroup: Option<String>,
    /// The machine has a file system of its own.
    pub isolated: bool,
}

impl Arguments {
    /// What they come to.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        let join_token = self.join_token_file.map(join_token).transpose()?.flatten();
        let token = match self.token_file {
            Some(path) if join_token.is_some() && !path.exists() => {
                let made = make_token(&path);
                Some(made.map_err(|source| SettingsError::OwnToken { path, source })?)
            }
            Some(path) => Some(read_token(path)?),
            None => self.token,
        };
        let address = match (self.address, &self.controller) {
            (Some(address), _) => address,
            (None, None) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            (None, Some(controller)) => toward(controller).map_err(|source| {
                SettingsError::Address { controller: controller.clone(), source }
            })?,
        };
        let token = token.filter(|token| !token.is_empty());
        if token.is_none() {
            if self.controller.is_some() {
                return Err(SettingsError::NoToken("with a controller"));
            }
            // Whoever reaches it could run anything, as whoever it runs as.
            if !address.is_loopback() {
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
            address,
            ipv6: self.ipv6,
            port: self.port,
            data: self.data,
            root: self.root,
            bin,
            cpu: self.cpu,
            mem: self.mem,
            token,
            join_token,
            cgroup: self.cgroup,
            isolated: self.isolated,
        })
    }
}

fn read_token(path: PathBuf) -> Result<String, SettingsError> {
    let text = std::fs::read_to_string(&path);
    Ok(text.map_err(|source| SettingsError::Token { path, source })?.trim().to_owned())
}

/// None once the agent has joined with it.
fn join_token(file: PathBuf) -> Result<Option<JoinToken>, SettingsError> {
    match std::fs::read_to_string(&file) {
        Ok(token) => Ok(Some(JoinToken { token, file })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SettingsError::Token { path: file, source }),
    }
}

/// Makes a token, and keeps it for good before anybody is shown it.
fn make_token(path: &Path) -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    std::fs::File::open(directory)?.sync_all()?;
    Ok(token)
}

/// The global IPv6 address of this machine, if it has one: the one on its way to where documentation alone leads. Nothing is
/// sent.
pub fn global_ipv6() -> Option<Ipv6Addr> {
    /// Of the range that RFC 3849 keeps for documentation: routed by the default route, as all that is far away.
    const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((FAR, 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V6(own) if !(own.is_loopback() || own.is_unicast_link_local()) => Some(own),
        _ => None,
    }
}

/// The address that this machine has on its way to a controller. Nothing is sent.
fn toward(controller: &str) -> io::Result<IpAddr> {
    let (rest, port) = match controller.split_once("://") {
        Some(("https", rest)) => (rest, 443),
        Some((_, rest)) => (rest, 80),
        None => (controller, 80),
    };
    let place = rest.split('/').next().unwrap_or_default();
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let place = if has_port { place.to_owned() } else { format!("{place}:{port}") };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for there in place.to_socket_addrs()? {
        let any: SocketAddr = match there {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let found = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(there)?;
            socket.local_addr()
        });
        match found {
            Ok(own) => return Ok(own.ip()),
            Err(error) => failed = error,
        }
    }
    Err(failed)
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
        let cluster = ["--controller", "http://127.0.0.1", "--machine", "m-1", "--zone", "z-1"];
        assert!(settings(&cluster).unwrap_err().contains("--token-file"));
        assert!(settings(&cluster[..2]).unwrap_err().contains("--machine"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "secret\n").unwrap();
        let with_file = [&cluster[..], &["--token-file", file.to_str().unwrap()]].concat();
        assert_eq!(settings(&with_file).unwrap().token.as_deref(), Some("secret"));
    }

    #[test]
    fn who_is_to_join_makes_a_token_of_its_own_once() {
        let dir = tempfile::tempdir().unwrap();
        let (own, once) = (dir.path().join("data/token"), dir.path().join("join-token"));
        let arguments = [
            ["--controller", "http://127.0.0.1", "--machine", "m-1", "--zone", "z-1"].as_slice(),
            &["--token-file", own.to_str().unwrap(), "--join-token-file", once.to_str().unwrap()],
        ]
        .concat();
        let error = settings(&arguments).unwrap_err();
        assert!(error.contains("data/token"), "{error}");
        std::fs::write(&once, "it's $(one)").unwrap();
        let first = settings(&arguments).unwrap();
        let token = first.token.unwrap();
        assert_eq!(token.len(), 32);
        let expected = JoinToken { token: "it's $(one)".to_owned(), file: once.clone() };
        assert_eq!(first.join_token, Some(expected));
        assert!(!format!("{:?}", first.join_token).contains("$(one)"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&own).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        // Not another one, whether the first was used or not.
        assert_eq!(settings(&arguments).unwrap().token, Some(token.clone()));
        std::fs::remove_file(&once).unwrap();
        let again = settings(&arguments).unwrap();
        assert_eq!((again.token, again.join_token), (Some(token), None));
    }

    #[test]
    fn its_address_is_the_one_on_its_way_to_the_controller() {
        for (controller, own) in [
            ("http://127.0.0.1:30000", "127.0.0.1"),
            ("http://127.0.0.1/", "127.0.0.1"),
            ("https://127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(toward(controller).unwrap().to_string(), own, "{controller}");
        }
        // Where there is no IPv6, that is said, and nothing else is taken for it.
        if let Ok(own) = toward("http://[::1]:30000") {
            assert_eq!(own.to_string(), "::1");
        }
        assert!(toward("http://no-such-host.invalid").is_err());
    }

    #[test]
    fn a_global_ipv6_address_is_none_of_the_link_or_the_host() {
        if let Some(own) = global_ipv6() {
            assert!(!own.is_loopback() && !own.is_unicast_link_local(), "{own}");
        }
        let alone = Arguments::try_parse_from(["machinesitter", "--data", "/d", "--ipv6"]);
        assert!(alone.is_err(), "nobody asks it for names");
    }
}
