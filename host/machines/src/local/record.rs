//! What is written down about a local machine, and where.
//!
//! ```text
//! <data>/machines/lock             held while an address is given out
//! <data>/machines/network.json     the cluster's own network, if it has one
//! <data>/machines/<id>/machine.json  what the machine is to be: written before anything is made
//!                      init.json     who its init is: written by its starter
//!                      reboot.json   which init is ended for it to be started again, while it is
//!                      lock          held by starter and init for as long as they live
//!                      init.log      what init and agent say
//!                      upper/ work/ merged/   its changes to the host's files, where it has its own
//!                      root/                  what stands for `/`, where it has not
//!                      data/                  the agent's data
//! ```

use cerebro_linux::process::{Identity, boot_id};
use cerebro_model::{Capacity, MachineId, ZoneName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A machine to be, with all that was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineSpec {
    pub id: MachineId,
    pub zone: ZoneName,
    pub capacity: Capacity,
    pub controller: String,
    pub join_token: String,
    #[serde(default)]
    pub term: u64,
    pub environment: BTreeMap<String, String>,
    /// The address that is the machine's alone.
    pub address: Ipv4Addr,
    /// Where this host keeps the binaries.
    pub bin_dir: PathBuf,
    /// Whether the machine sees its own processes only.
    pub processes: bool,
    /// Whether the machine has its own view of the files.
    pub files: bool,
    /// The machine's control group, if it has one.
    pub cgroup: Option<String>,
    /// The machine's own network, if it has one.
    pub network: Option<OwnNetwork>,
}

impl MachineSpec {
    /// The group below a machine's own for its init and agent: where version 2 of control groups
    /// hands controllers down, processes may only be in leaves.
    pub fn init_cgroup(cgroup: &str) -> String {
        format!("{cgroup}/system")
    }
}

/// How a machine is connected where it has a network of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnNetwork {
    /// The host's end of the machine's cable.
    pub interface: String,
    /// The bridge that it is plugged into.
    pub bridge: String,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
}

/// Who a machine's init is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// Its pid, as the host sees it.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// The boot in which it started.
    pub boot: String,
    /// Whether the machine came to life; before, its init gives up as soon as its starter dies.
    pub ready: bool,
}

impl Init {
    /// The init that has `pid` now, not ready yet.
    pub fn of(pid: i32) -> io::Result<Self> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("process {pid} has ended"));
        let identity = Identity::of(pid).ok_or_else(gone)?;
        Ok(Self { pid, started: identity.started, boot: boot_id()?, ready: false })
    }

    /// The process, while it lives.
    pub fn alive(&self) -> io::Result<Option<Identity>> {
        let identity = Identity { pid: self.pid, started: self.started };
        Ok((self.boot == boot_id()? && identity.is_alive()).then_some(identity))
    }
}

/// A machine's directory.
#[derive(Debug, Clone)]
pub struct MachineDir(PathBuf);

impl MachineDir {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn spec_file(&self) -> PathBuf {
        self.0.join("machine.json")
    }

    pub fn init_file(&self) -> PathBuf {
        self.0.join("init.json")
    }

    pub fn reboot_file(&self) -> PathBuf {
        self.0.join("reboot.json")
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("init.log")
    }

    pub fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub fn merged(&self) -> PathBuf {
        self.0.join("merged")
    }

    pub fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The variable that processes of a machine without a pid namespace carry.
    pub fn marker(&self) -> (&'static str, PathBuf) {
        ("CEREBRO_ROOT", self.root())
    }

    /// Holds the machine's lock until the file is closed; none if another process holds it.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(self.0.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub fn spec(&self) -> io::Result<MachineSpec> {
        read(&self.spec_file())
    }

    pub fn write_spec(&self, spec: &MachineSpec) -> io::Result<()> {
        write(&self.spec_file(), spec)
    }

    /// None if no init was ever started.
    pub fn init(&self) -> io::Result<Option<Init>> {
        present(read(&self.init_file()))
    }

    pub fn write_init(&self, init: &Init) -> io::Result<()> {
        write(&self.init_file(), init)
    }
}

/// Takes a file that is not there for none.
pub fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Makes a directory, with its parents, that others cannot list; but a task that runs as another
/// user gets through it to its own.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o711).create(directory)
}

/// Reads a record.
pub fn read<T: DeserializeOwned>(file: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// Writes a record so that a reader, also after a crash, finds the old or the new one.
pub fn write(file: &Path, record: &impl Serialize) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut out =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    out.write_all(&serde_json::to_vec_pretty(record)?)?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()
}
