//! A machine in memory, for the tests of recipes and health checks.

mod host;
mod managers;
mod programs;
mod release;
mod tree;

pub use tree::Tree;

use crate::component::{self, HealthCheck, Recipe};
use crate::host::command::Spec;
use crate::host::context::{Instance, Port};
use crate::host::facts::{Mount, OperatingSystem};
use crate::host::health::Report;
use crate::host::log::Level;
use crate::host::net::{HttpAnswer, HttpProbe, TcpAnswer, TcpProbe};
use crate::host::notify::Action;
use crate::host::task;
use crate::host::types::{Change, Error};
use managers::Managers;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a program does: it is told how it is run, and may change files.
type Program = Rc<dyn Fn(&Spec, &mut Tree) -> Answer>;
/// What answers a probe.
type Probe<P, A> = Rc<dyn Fn(&P) -> Result<A, Error>>;

/// A machine in memory: files, programs that answer as the test says, packages, services, users,
/// secrets, and what is remembered. It grants everything.
///
/// ```
/// use cerebro_recipe::{FakeHost, File, Host, Recipe};
///
/// struct Motd;
/// impl Recipe for Motd {
///     type Options = std::collections::BTreeMap<String, String>;
///     fn deploy(host: &impl Host, options: Self::Options) -> Result<(), String> {
///         File::new("/etc/motd").write(host, &options["text"]).map(drop)
///     }
///     fn undeploy(host: &impl Host, _: Self::Options) -> Result<(), String> {
///         host.remove("/etc/motd")?;
///         Ok(())
///     }
/// }
///
/// let host = FakeHost::new().with_directory("/etc").with_options(r#"{"text": "hello"}"#);
/// host.deploy::<Motd>().unwrap();
/// assert_eq!(host.text("/etc/motd"), "hello");
/// // To deploy again changes nothing.
/// host.deploy::<Motd>().unwrap();
/// assert_eq!(host.calls(), ["write /etc/motd"]);
/// ```
pub struct FakeHost(RefCell<State>);

struct State {
    instance: Instance,
    options: String,
    system: OperatingSystem,
    facts: BTreeMap<String, String>,
    mounts: Vec<Mount>,
    files: Tree,
    programs: BTreeMap<String, Program>,
    managers: Managers,
    artifacts: BTreeMap<String, Vec<(String, String)>>,
    releases: release::Releases,
    task: Option<(task::Status, Option<task::Usage>)>,
    tcp: Probe<TcpProbe, TcpAnswer>,
    http: Probe<HttpProbe, HttpAnswer>,
    secrets: BTreeMap<String, String>,
    memory: BTreeMap<String, Vec<u8>>,
    pending: Vec<Action>,
    failures: BTreeMap<String, Error>,
    calls: Vec<String>,
    log: Vec<(Level, String)>,
}

/// What a program answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code.
    pub exit_code: i32,
    /// What it writes to stdout.
    pub stdout: Vec<u8>,
    /// What it writes to stderr.
    pub stderr: Vec<u8>,
}

impl Answer {
    /// It ends well, and writes this to stdout.
    pub fn ok(stdout: impl Into<Vec<u8>>) -> Self {
        Self { stdout: stdout.into(), ..Self::default() }
    }

    /// It ends with this code, and writes this to stderr.
    pub fn failed(exit_code: i32, stderr: impl Into<Vec<u8>>) -> Self {
        Self { exit_code, stderr: stderr.into(), ..Self::default() }
    }
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// A machine with nothing on it: a Debian with systemd, on which instance 0 of the job
    /// `app.example.com` is deployed in version `1`, at 10.0.0.5 and without ports and options.
    pub fn new() -> Self {
        let refused = || Error::Failed("connection refused".to_owned());
        Self(RefCell::new(State {
            instance: Instance {
                job: "app.example.com".to_owned(),
                id: "0.zone-a.app.example.com".to_owned(),
                number: 0,
                zone: "zone-a".to_owned(),
                machine: "m-1".to_owned(),
                version: "1".to_owned(),
                previous_version: None,
                address: "10.0.0.5".to_owned(),
                ports: Vec::new(),
                root: String::new(),
            },
            options: "{}".to_owned(),
            system: OperatingSystem {
                id: "debian".to_owned(),
                version: "13".to_owned(),
                like: Vec::new(),
                kernel: "6.12.9".to_owned(),
                architecture: "x86_64".to_owned(),
                hostname: "m-1".to_owned(),
                package_manager: "apt".to_owned(),
                service_manager: "systemd".to_owned(),
            },
            facts: BTreeMap::new(),
            mounts: Vec::new(),
            files: Tree::default(),
            programs: BTreeMap::new(),
            managers: Managers::default(),
            artifacts: BTreeMap::new(),
            releases: release::Releases::default(),
            task: None,
            tcp: Rc::new(move |_| Err(refused())),
            http: Rc::new(move |_| Err(refused())),
            secrets: BTreeMap::new(),
            memory: BTreeMap::new(),
            pending: Vec::new(),
            failures: BTreeMap::new(),
            calls: Vec::new(),
            log: Vec::new(),
        }))
    }

    fn with(mut self, set: impl FnOnce(&mut State)) -> Self {
        set(self.0.get_mut());
        self
    }

    /// The job gives these options, as JSON.
    pub fn with_options(self, json: impl Into<String>) -> Self {
        self.with(|state| state.options = json.into())
    }

    /// This version is deployed next, and the one before it is the previous one.
    pub fn with_version(self, version: &str) -> Self {
        self.with(|state| {
            let previous = std::mem::replace(&mut state.instance.version, version.to_owned());
            state.instance.previous_version = Some(previous);
        })
    }

    /// The instance is otherwise.
    pub fn with_instance(self, change: impl FnOnce(&mut Instance)) -> Self {
        self.with(|state| change(&mut state.instance))
    }

    /// The instance has this port.
    pub fn with_port(self, name: &str, number: u16) -> Self {
        self.with(|state| {
            state.instance.ports.push(Port { name: name.to_owned(), number });
            state.instance.ports.sort_by(|a, b| a.name.cmp(&b.name));
        })
    }

    /// The system is another.
    pub fn with_system(self, change: impl FnOnce(&mut OperatingSystem)) -> Self {
        self.with(|state| change(&mut state.system))
    }

    /// The machine's operator has set this fact.
    pub fn with_fact(self, name: &str, text: &str) -> Self {
        self.with(|state| drop(state.facts.insert(name.to_owned(), text.to_owned())))
    }

    /// This is mounted.
    pub fn with_mount(self, mount: Mount) -> Self {
        self.with(|state| state.mounts.push(mount))
    }

    /// This file is there, with the directories above it.
    pub fn with_file(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with(|state| state.files.put(path, content))
    }

    /// This directory is there, with those above it.
    pub fn with_directory(self, path: &str) -> Self {
        self.with(|state| state.files.make(path))
    }

    /// This program is there. It is told how it is run, with secrets filled in, and may change
    /// files.
    pub fn with_program(
        self,
        path: &str,
        run: impl Fn(&Spec, &mut Tree) -> Answer + 'static,
    ) -> Self {
        self.with(|state| drop(state.programs.insert(path.to_owned(), Rc::new(run))))
    }

    /// The package manager knows this package, which brings these files.
    pub fn with_package(self, name: &str, version: &str, files: &[(&str, &str)]) -> Self {
        self.with(|state| state.managers.offer(name, version, files))
    }

    /// This service is there. It does not run.
    pub fn with_service(self, name: &str) -> Self {
        self.with(|state| state.managers.define(name))
    }

    /// This user is there, with a group of the same name and number.
    pub fn with_user(self, name: &str, uid: u32) -> Self {
        self.with(|state| state.managers.know(name, uid))
    }

    /// The cluster's store holds an archive with these files; a URL gives it too.
    pub fn with_artifact(self, sha256: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        self.with(|state| drop(state.artifacts.insert(sha256.to_owned(), files.collect())))
    }

    /// The instance's task is so.
    pub fn with_task(self, status: task::Status, usage: Option<task::Usage>) -> Self {
        self.with(|state| state.task = Some((status, usage)))
    }

    /// What answers TCP probes; nothing does by default.
    pub fn with_tcp(
        self,
        answer: impl Fn(&TcpProbe) -> Result<TcpAnswer, Error> + 'static,
    ) -> Self {
        self.with(|state| state.tcp = Rc::new(answer))
    }

    /// What answers HTTP probes; nothing does by default.
    pub fn with_http(
        self,
        answer: impl Fn(&HttpProbe) -> Result<HttpAnswer, Error> + 'static,
    ) -> Self {
        self.with(|state| state.http = Rc::new(answer))
    }

    /// This secret is there.
    pub fn with_secret(self, name: &str, value: &str) -> Self {
        self.with(|state| drop(state.secrets.insert(name.to_owned(), value.to_owned())))
    }

    /// This call, as [`FakeHost::calls`] names it, fails.
    pub fn with_failure(self, call: &str, error: Error) -> Self {
        self.with(|state| drop(state.failures.insert(call.to_owned(), error)))
    }

    /// Deploys, and does what is to be done at the end.
    pub fn deploy<R: Recipe>(&self) -> Result<(), String> {
        component::deploy::<R>(self)?;
        self.end()
    }

    /// Undeploys, and does what is to be done at the end.
    pub fn undeploy<R: Recipe>(&self) -> Result<(), String> {
        component::undeploy::<R>(self)?;
        self.end()
    }

    /// Checks.
    pub fn check<C: HealthCheck>(&self) -> Result<Report, String> {
        component::check::<C>(self)
    }

    /// What changed the machine, in order: the commands that ran, such as `run /bin/true -x`, and
    /// the effects that changed something, such as `write /etc/motd`, `package nginx` or
    /// `reload service nginx`.
    pub fn calls(&self) -> Vec<String> {
        self.0.borrow().calls.clone()
    }

    /// The same, and forgets them.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }

    /// The lines of the log.
    pub fn lines(&self) -> Vec<String> {
        self.0.borrow().log.iter().map(|(_, line)| line.clone()).collect()
    }

    /// Whether something is there.
    pub fn has(&self, path: &str) -> bool {
        self.0.borrow().files.has(path)
    }

    /// The text of a file, which must be there.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        let content = self.0.borrow().files.read(path);
        match content.map(String::from_utf8) {
            Ok(Ok(text)) => text,
            other => panic!("no text in `{path}`: {other:?}"),
        }
    }

    /// The permission bits of what must be there.
    #[track_caller]
    pub fn mode(&self, path: &str) -> u32 {
        match self.0.borrow().files.attributes(path) {
            Ok((mode, _)) => mode,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// The owner of what must be there, as `user` or `user:group`.
    #[track_caller]
    pub fn owner(&self, path: &str) -> String {
        match self.0.borrow().files.attributes(path) {
            Ok((_, owner)) => owner,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Does something that changes the machine, and notes it if it did.
    fn effect(
        &self,
        call: String,
        work: impl FnOnce(&mut State) -> Result<Change, Error>,
    ) -> Result<Change, Error> {
        let state = &mut *self.0.borrow_mut();
        if let Some(error) = state.failures.get(&call) {
            return Err(error.clone());
        }
        let change = work(state)?;
        if change != Change::Unchanged {
            state.calls.push(call);
        }
        Ok(change)
    }
}
