//! A cluster's worth of local machines with a shell script for an agent, ended also on failure.

use cerebro_machines::{
    CreateMachine, Isolation, LocalConfig, LocalProvider, MachineProvider, Network, Piece, purge,
};
use cerebro_model::{Capacity, Cores, MachineId, Megabytes};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Writes down how it was called and does what the test wants, in the machine.
const AGENT: &str = r#"#!/bin/sh
before=
for argument; do
  case "$before" in --data) data=$argument;; --root) root=$argument;; esac
  before=$argument
done
# Beside where it goes: in /tmp, where that is shared, the pids of two namespaces meet.
printf '%s\n' "$@" > "$data/arguments.new"
mv "$data/arguments.new" "$data/arguments"
export data root
echo $$ >> "$data/starts"
sh -c "$TEST_DO"
echo done > "$data/done"
while :; do sleep 600; done
"#;

/// The variable by which every process of a fixture is known, whatever it did to get away.
const TAG: &str = "CEREBRO_TEST_MACHINE";

pub struct Fixture {
    pub provider: Option<LocalProvider>,
    pub data: PathBuf,
    pub isolation: Isolation,
    /// Removes the files at last.
    directory: TempDir,
}

/// The ways of running machines that this user can have, the best first.
pub fn isolations() -> Vec<Isolation> {
    let fixture = Fixture::of(Isolation::none("switched off"), Network::Host);
    let detected = Isolation::detect(&fixture.bin(), &fixture.data).unwrap();
    let mut all = vec![detected.clone()];
    if detected.processes.is_there() {
        let files = Piece::Missing("switched off".to_owned());
        all.push(Isolation { files, ..detected });
        all.push(fixture.isolation.clone());
    }
    all
}

/// All that this host can keep apart, if that is what the test is about: processes and files.
pub fn full_isolation() -> Option<Isolation> {
    let isolation = isolations().swap_remove(0);
    let full = isolation.processes.is_there() && isolation.files.is_there();
    if !full {
        eprintln!("not tested here: {}", isolation.sentence().unwrap_or_default());
    }
    full.then_some(isolation)
}

impl Fixture {
    pub fn new(isolation: Isolation) -> Self {
        Self::of(isolation, Network::Host)
    }

    pub fn of(isolation: Isolation, network: Network) -> Self {
        let directory = tempfile::Builder::new().prefix("cerebro-machines-").tempdir().unwrap();
        let (bin, data) = (directory.path().join("bin"), directory.path().join("data"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&data).unwrap();
        install(&localmachine(), &bin.join("localmachine"));
        let mut fixture = Self { provider: None, data, isolation, directory };
        fixture.install_agent();
        fixture.open(network);
        fixture
    }

    /// Opens the provider, as a controller does when it starts.
    pub fn open(&mut self, network: Network) {
        let config = LocalConfig {
            data_dir: self.data.clone(),
            bin_dir: self.bin(),
            cluster: "test".to_owned(),
            isolation: self.isolation.clone(),
            network,
        };
        self.provider = Some(LocalProvider::open(config).unwrap());
    }

    pub fn bin(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    pub fn install_agent(&self) {
        let script = self.directory.path().join("agent");
        fs::write(&script, AGENT).unwrap();
        install(&script, &self.bin().join("machinesitter"));
    }

    pub fn provider(&self) -> &LocalProvider {
        self.provider.as_ref().unwrap()
    }

    /// A machine whose agent runs `script` once it is up.
    pub fn machine(&self, id: &str, script: &str) -> CreateMachine {
        let environment = [("TEST_DO", script.to_owned()), (TAG, self.tag(id))];
        CreateMachine {
            id: id.parse().unwrap(),
            zone: "aws-us-west-2a".parse().unwrap(),
            capacity: Capacity {
                cpu: Cores::from_millis(1500),
                mem: Megabytes::new(512),
                disk: Megabytes::ZERO,
            },
            controller: "http://127.0.0.1:30000".to_owned(),
            join_token: "let-me-in".to_owned(),
            term: 1,
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Creates a machine and waits until its agent has run `script`.
    pub async fn create(&self, id: &str, script: &str) -> MachineId {
        let machine = self.machine(id, script);
        self.provider().create(&machine).await.unwrap();
        wait(&format!("the script on {id}"), || self.file(id, "data/done").exists());
        machine.id
    }

    pub fn file(&self, id: &str, path: &str) -> PathBuf {
        self.data.join("machines").join(id).join(path)
    }

    pub fn read(&self, id: &str, path: &str) -> String {
        let path = self.file(id, path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What the agent was given for a flag.
    pub fn argument(&self, id: &str, flag: &str) -> Option<String> {
        let arguments = self.read(id, "data/arguments");
        let mut lines = arguments.lines();
        lines.find(|line| *line == flag)?;
        lines.next().map(str::to_owned)
    }

    /// The pid of a machine's init.
    pub fn init(&self, id: &str) -> i32 {
        let record: serde_json::Value = serde_json::from_str(&self.read(id, "init.json")).unwrap();
        i32::try_from(record["pid"].as_i64().unwrap()).unwrap()
    }

    fn tag(&self, id: &str) -> String {
        format!("{}/{id}", self.data.display())
    }

    /// The living processes of a machine, without its init: pid and command line.
    pub fn processes(&self, id: &str) -> BTreeMap<i32, String> {
        tagged(&format!("{TAG}={}", self.tag(id)))
    }

    /// What the host has of machines of this fixture: mounts, control groups, processes.
    pub fn traces(&self) -> Vec<String> {
        let mut traces = Vec::new();
        let own = self.directory.path();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let below = |line: &&str| line.contains(&own.display().to_string());
        traces.extend(mounts.lines().filter(below).map(str::to_owned));
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let is_ours = |path: &PathBuf| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                name == self.cgroup()
            };
            let groups = fs::read_dir(hierarchy.path()).into_iter().flatten().flatten();
            let groups = groups.map(|group| group.path()).chain([hierarchy.path()]);
            traces.extend(groups.filter(is_ours).map(|group| group.display().to_string()));
        }
        let prefix = format!("{TAG}={}/", self.data.display());
        traces.extend(tagged_by(|entry| entry.starts_with(&prefix)).into_values());
        let inits = tagged_by_command(&own.display().to_string());
        traces.extend(inits.into_values());
        traces
    }

    /// The cluster's control group, as its machines' agents know it; a name that is not there
    /// where they have none.
    fn cgroup(&self) -> String {
        let path = self.data.join("cgroup");
        fs::read_to_string(path).unwrap_or_else(|_| "none".to_owned())
    }

    /// Remembers the cluster's control group for [`Self::traces`].
    pub fn note_cgroup(&self, id: &str) {
        if let Some(path) = self.argument(id, "--cgroup") {
            let (cluster, _) = path.split_once('/').unwrap();
            fs::write(self.data.join("cgroup"), cluster).unwrap();
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Err(error) = purge(&self.data) {
            eprintln!("left behind in {}: {error}", self.data.display());
        }
    }
}

/// Where the init is: beside a copy of this test that runs as another user, else as cargo says.
pub fn localmachine() -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name("localmachine");
    if beside.exists() { beside } else { PathBuf::from(env!("CARGO_BIN_EXE_localmachine")) }
}

/// Copies a program by another process: were it open for writing in this one, a child that another
/// test forks meanwhile would hold it open too, and the kernel would not run it.
pub fn install(program: &Path, to: &Path) {
    let mut command = Command::new("install");
    let status = command.args(["-m", "755"]).arg(program).arg(to).status().unwrap();
    assert!(status.success(), "cannot copy {} to {}", program.display(), to.display());
}

pub fn wait(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn tagged(entry: &str) -> BTreeMap<i32, String> {
    tagged_by(|found| found == entry)
}

fn tagged_by(is_tag: impl Fn(&str) -> bool) -> BTreeMap<i32, String> {
    processes(|process| {
        let environ = fs::read(process.join("environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| is_tag(&String::from_utf8_lossy(entry)))
    })
}

fn tagged_by_command(part: &str) -> BTreeMap<i32, String> {
    processes(|process| command_line(process).contains(part))
}

/// Remains of processes have neither environment nor command line, so they do not count.
fn processes(is_wanted: impl Fn(&Path) -> bool) -> BTreeMap<i32, String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, path)| is_wanted(path))
        .map(|(pid, path)| (pid, command_line(&path)))
        .collect()
}

fn command_line(process: &Path) -> String {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}
