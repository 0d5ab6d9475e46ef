//! The machine, as recipes and health checks ask for things: the real one, or a fake.

mod real;

pub use real::Machine;

use crate::host::archive::UnpackOptions;
use crate::host::context::Instance;
use crate::host::facts::{Load, Memory, Mount, NetworkInterface, OperatingSystem};
use crate::host::files::{Attributes, Entry, Metadata, Node};
use crate::host::log::Level;
use crate::host::net::{HttpAnswer, HttpProbe, TcpAnswer, TcpProbe};
use crate::host::types::{self, Change, Error};
use crate::host::{command, notify, packages, release, services, task, users};
use crate::template::{self, Values};
use crate::values;

/// All that a component can ask of its host: `wit/` function by function, where also the errors and
/// the grants stand.
///
/// Take it as `&impl Host`, never as `&dyn Host`: what a component imports is what its code can
/// reach, a `dyn Host` reaches everything, and each import needs its grant.
#[allow(clippy::missing_errors_doc, reason = "wit/ tells them")]
pub trait Host {
    /// The instance that this call is for.
    fn instance(&self) -> Instance;
    /// The job's options for this component: a JSON object.
    fn options(&self) -> String;

    /// Writes a line to the log.
    fn log(&self, level: Level, message: &str);
    /// Says how far a long step has come.
    fn progress(&self, step: &str, done: u64, total: Option<u64>);
    /// Writes a line to the log that tells what happens.
    fn say(&self, message: &str) {
        self.log(Level::Info, message);
    }

    /// What templates know by name.
    fn values(&self) -> Values {
        values::of(&self.instance())
    }
    /// `text` with each `{{ name }}` replaced by its value.
    fn render(&self, text: &str) -> Result<String, String> {
        template::render(text, &self.values())
    }

    /// The operating system.
    fn system(&self) -> OperatingSystem;
    /// How many processors can be used.
    fn cpus(&self) -> u32;
    /// Memory and swap space now.
    fn memory(&self) -> Memory;
    /// How much work waits now.
    fn load(&self) -> Load;
    /// Seconds since the machine booted.
    fn uptime(&self) -> f64;
    /// The file systems on disks.
    fn mounts(&self) -> Vec<Mount>;
    /// The network interfaces.
    fn interfaces(&self) -> Vec<NetworkInterface>;
    /// A fact that the machine's operator has set.
    fn fact(&self, name: &str) -> Option<String>;

    /// What a path names, or nothing if it is absent.
    fn stat(&self, path: &str) -> Result<Option<Metadata>, Error>;
    /// The SHA-256 of a file's content, in hexadecimal digits.
    fn digest(&self, path: &str) -> Result<String, Error>;
    /// The content of a file of at most `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error>;
    /// The entries of a directory, sorted by name.
    fn list(&self, path: &str) -> Result<Vec<Entry>, Error>;
    /// Makes `path` a file with this content.
    fn write(&self, path: &str, content: &[u8], how: &Attributes) -> Result<Change, Error>;
    /// Makes `path` a directory, with those above it.
    fn directory(&self, path: &str, how: &Attributes) -> Result<Change, Error>;
    /// Makes `path` a symbolic link.
    fn symlink(&self, path: &str, target: &str) -> Result<Change, Error>;
    /// Has mode and owner of `path` be so.
    fn set_attributes(&self, path: &str, how: &Attributes) -> Result<Change, Error>;
    /// Gives `path` another name.
    fn rename(&self, path: &str, to: &str) -> Result<Change, Error>;
    /// Makes `to` a file with the content of `path`.
    fn copy(&self, path: &str, to: &str, how: &Attributes) -> Result<Change, Error>;
    /// Makes `path` a directory that holds these nodes.
    fn tree(&self, path: &str, nodes: &[Node], purge: bool)
    -> Result<Vec<(String, Change)>, Error>;
    /// Removes `path` and all below it.
    fn remove(&self, path: &str) -> Result<Change, Error>;

    /// Fetches an archive, unless it is there, and makes `path` a directory with what it holds.
    fn unpack(&self, source: &Source, path: &str, how: &UnpackOptions) -> Result<Change, Error>;

    /// The directory of a release.
    fn release_path(&self, base: &str, version: &str) -> Result<String, Error>;
    /// The releases there, oldest first.
    fn releases(&self, base: &str) -> Result<Vec<release::Info>, Error>;
    /// Makes a release's directory, from an archive if there is one.
    fn stage(
        &self,
        layout: &release::Layout,
        version: &str,
        content: Option<&Source>,
        strip: u32,
    ) -> Result<Change, Error>;
    /// Has `current` lead to `version`.
    fn activate(&self, base: &str, version: &str) -> Result<Change, Error>;
    /// Removes old releases; answers which.
    fn prune(&self, base: &str, keep: u32) -> Result<Vec<String>, Error>;
    /// This instance needs no release any longer.
    fn leave(&self, base: &str) -> Result<Change, Error>;

    /// Runs a command to its end.
    fn run(&self, spec: &command::Spec) -> Result<Outcome, Error>;
    /// Runs a command that must succeed. Nothing is asked of its outcome but that, so that a plan goes
    /// on behind it.
    fn run_to_success(&self, spec: &command::Spec) -> Result<Change, Error> {
        self.run(spec)?.success
    }

    /// The version of a package that is installed.
    fn package(&self, name: &str) -> Result<Option<String>, Error>;
    /// Has packages be as they should.
    fn ensure_packages(&self, specs: &[packages::Spec]) -> Result<Effect, Error>;
    /// Fetches the lists of packages anew, unless that was done within `age` seconds.
    fn refresh_packages(&self, age: u32) -> Result<Effect, Error>;

    /// How a service is.
    fn service(&self, name: &str) -> Result<Option<services::Status>, Error>;
    /// Has a service be as it should.
    fn ensure_service(&self, spec: &services::Spec) -> Result<Effect, Error>;
    /// Stops a service if it runs, and starts it.
    fn restart_service(&self, name: &str) -> Result<Effect, Error>;
    /// Has a service read its configuration anew.
    fn reload_service(&self, name: &str) -> Result<Effect, Error>;
    /// Has the service manager read its definitions anew.
    fn reload_definitions(&self) -> Result<Effect, Error>;

    /// A user of the machine.
    fn user(&self, name: &str) -> Result<Option<users::User>, Error>;
    /// The number of a group.
    fn group(&self, name: &str) -> Result<Option<u32>, Error>;
    /// Has a user be as it should.
    fn ensure_user(&self, spec: &users::Spec) -> Result<Effect, Error>;
    /// Has a group be there.
    fn ensure_group(&self, name: &str, gid: Option<u32>, system: bool) -> Result<Effect, Error>;
    /// Has a user not be there.
    fn remove_user(&self, name: &str) -> Result<Effect, Error>;
    /// Has a group not be there.
    fn remove_group(&self, name: &str) -> Result<Effect, Error>;

    /// How a task is: the instance's own unless another is named.
    fn task(&self, name: Option<&str>) -> Result<Option<task::Status>, Error>;
    /// What a task uses.
    fn task_usage(&self, name: Option<&str>) -> Result<Option<task::Usage>, Error>;
    /// The last lines that a task wrote.
    fn task_output(
        &self,
        name: Option<&str>,
        stderr: bool,
        lines: u32,
    ) -> Result<Vec<String>, Error>;
    /// Sends a signal to a task, by its name without `SIG`.
    fn signal_task(&self, name: Option<&str>, signal: &str) -> Result<Effect, Error>;
    /// Ends a task and starts it again.
    fn restart_task(&self, name: Option<&str>) -> Result<Effect, Error>;

    /// Has this be done once, after the component has returned without an error.
    fn at_end(&self, action: &notify::Action) -> Result<(), Error>;

    /// What stands for a secret in what is written, and in a command's environment and stdin.
    fn secret(&self, name: &str) -> Result<String, Error>;
    /// A secret itself: best not known, see [`Host::secret`].
    fn reveal(&self, name: &str) -> Result<Vec<u8>, Error>;

    /// The addresses of a host.
    fn resolve(&self, host: &str) -> Result<Vec<String>, Error>;
    /// Connects, sends, and waits for what is expected.
    fn tcp(&self, probe: &TcpProbe) -> Result<TcpAnswer, Error>;
    /// Asks for a page.
    fn http(&self, probe: &HttpProbe) -> Result<HttpAnswer, Error>;

    /// What is remembered under `key`.
    fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// The keys under which something is remembered, sorted.
    fn keys(&self) -> Result<Vec<String>, Error>;
    /// Remembers `value` under `key`.
    fn remember(&self, key: &str, value: &[u8]) -> Result<Change, Error>;
    /// Forgets what is remembered under `key`.
    fn forget(&self, key: &str) -> Result<Change, Error>;
}

/// Where an archive comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The cluster's store, by its SHA-256 in hexadecimal digits.
    Artifact(String),
    /// A URL, which must give what has this SHA-256.
    Url {
        /// The URL.
        url: String,
        /// The SHA-256 in hexadecimal digits.
        sha256: String,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why it was not run, if a guard held.
    pub skipped: Option<String>,
    /// Its exit code, 0 if it was not run.
    pub exit_code: i32,
    /// The beginning of what it wrote to stdout.
    pub stdout: Vec<u8>,
    /// The beginning of what it wrote to stderr.
    pub stderr: Vec<u8>,
    /// Whether it wrote more than was kept.
    pub truncated: bool,
    /// What it changed, or that it failed, with the end of its stderr.
    pub success: Result<Change, Error>,
}

impl Outcome {
    /// What it wrote to stdout, as text without blanks around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

/// What came of something that one of the machine's own managers did.
#[derive(Debug)]
pub struct Effect(pub(crate) Done);

#[derive(Debug)]
pub(crate) enum Done {
    Real(types::Effect),
    #[cfg(not(target_family = "wasm"))]
    Fake(Change),
}

impl Effect {
    /// What it changed. In a plan nobody knows, so a plan ends where this is asked.
    pub fn change(&self) -> Change {
        match &self.0 {
            Done::Real(effect) => effect.change(),
            #[cfg(not(target_family = "wasm"))]
            Done::Fake(change) => change.clone(),
        }
    }
}
