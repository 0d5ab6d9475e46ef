//! A machine: a directory and an agent. Nothing of it is left when it is dropped.

use crate::alone::end_by_force;
use crate::controller::Controller;
use crate::http;
use cerebro_api::machine::MachineTask;
use cerebro_linux::process::Identity;
use cerebro_model::InstanceStatus;
use cerebro_tasksitter::protocol::TaskState;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What shows that the controller asks.
const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

pub struct Machine {
    dir: TempDir,
    address: SocketAddr,
    controller: String,
    agent: Option<Child>,
}

pub fn bin_dir() -> PathBuf {
    let agent = Path::new(env!("CARGO_BIN_EXE_machinesitter"));
    let bin = agent.parent().unwrap().to_owned();
    assert!(bin.join("tasksitter").exists(), "no task sitter: run `cargo xtask build` first");
    bin
}

impl Machine {
    pub fn start(controller: &Controller) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (dir, controller) = (TempDir::new().unwrap(), controller.base());
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let mut machine = Self { dir, address: free, controller, agent: None };
        machine.start_agent();
        machine
    }

    pub fn start_agent(&mut self) {
        let agent = Command::new(env!("CARGO_BIN_EXE_machinesitter"))
            .args(["--machine", "m-1", "--zone", "z-1", "--cpu", "1", "--mem", "100"])
            .args(["--controller", &self.controller])
            .env("CEREBRO_MACHINE_TOKEN", "secret")
            .args(["--address", "127.0.0.1", "--port", &self.address.port().to_string()])
            .arg("--data")
            .arg(self.dir.path().join("data"))
            .arg("--root")
            .arg(self.dir.path().join("root"))
            .arg("--bin")
            .arg(bin_dir())
            .spawn()
            .unwrap();
        self.agent = Some(agent);
    }

    pub fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    pub fn kill(&self, pid: Option<u32>) {
        kill(Pid::from_raw(pid.unwrap().cast_signed()), Signal::SIGKILL).unwrap();
    }

    pub fn is_alive(&self, pid: Option<u32>) -> bool {
        Identity::of(pid.unwrap().cast_signed()).is_some()
    }

    /// What the agent says of its only instance.
    pub fn status(&self) -> Option<InstanceStatus> {
        let answer = self.get("/v1/tasks")?;
        let tasks: Vec<MachineTask> = serde_json::from_str(&answer).ok()?;
        tasks.into_iter().next()?.instance
    }

    pub fn log(&self, stream: &str) -> String {
        let id = self.status().unwrap().id;
        self.get(&format!("/v1/tasks/{id}/logs?stream={stream}&tail=20")).unwrap()
    }

    /// Waits for the last line of a stream: a task is healthy before it has said anything.
    pub fn wait_said(&self, stream: &str, line: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.log(stream).ends_with(line) {
            assert!(
                Instant::now() < end,
                "not said within a minute: {line}; but {}",
                self.log(stream)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn sitter(&self) -> u32 {
        self.state().unwrap().sitter.cast_unsigned()
    }

    fn state(&self) -> Option<TaskState> {
        let file = self.task_dir()?.join("state.json");
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }

    pub fn task_dir(&self) -> Option<PathBuf> {
        let tasks = self.dir.path().join("data/tasks");
        Some(std::fs::read_dir(tasks).ok()?.next()?.ok()?.path())
    }

    pub fn wait(&self, what: &str, ok: impl Fn(&InstanceStatus) -> bool) -> InstanceStatus {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.status();
            match status {
                Some(status) if ok(&status) => return status,
                _ => assert!(Instant::now() < end, "not within a minute: {what}; {status:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the agent knows no instance, and keeps nothing of one.
    pub fn wait_gone(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.get("/v1/tasks").as_deref() != Some("[]") || self.task_dir().is_some() {
            assert!(Instant::now() < end, "still there: {:?}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the agent tells whoever shows the machine's token.
    pub fn ask(&self, path: &str) -> String {
        http::ask(self.address, "GET", path, &[TOKEN], "").unwrap().body
    }

    /// The same, of what is sent to it.
    pub fn post(&self, path: &str, body: &str) -> String {
        http::ask(self.address, "POST", path, &[TOKEN], body).unwrap().body
    }

    /// The status of an answer to one who shows this.
    pub fn ask_as(&self, path: &str, token: Option<&str>) -> u16 {
        let shown = token.map(|token| format!("Bearer {token}"));
        let shown = shown.as_deref().map(|shown| ("Authorization", shown));
        let headers: Vec<_> = shown.into_iter().collect();
        http::ask(self.address, "GET", path, &headers, "").unwrap().status
    }

    /// The same, of what is sent to it.
    pub fn post_as(&self, path: &str, token: Option<&str>, body: &str) -> u16 {
        let shown = token.map(|token| format!("Bearer {token}"));
        let shown = shown.as_deref().map(|shown| ("Authorization", shown));
        let headers: Vec<_> = shown.into_iter().collect();
        http::ask(self.address, "POST", path, &headers, body).unwrap().status
    }

    /// Where its agent listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A file below the machine's root; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join("root").join(name)).unwrap_or_default()
    }

    /// Where a link below the machine's root leads.
    pub fn link(&self, name: &str) -> String {
        let target = std::fs::read_link(self.dir.path().join("root").join(name)).unwrap();
        target.into_os_string().into_string().unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.dir.path().join("root").join(name).exists()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join("root").join(name), text).unwrap();
    }

    /// The same, with the time at which it was changed last set back.
    pub fn write_unseen(&self, name: &str, text: &str) {
        let path = self.dir.path().join("root").join(name);
        let before = path.metadata().unwrap().modified().unwrap();
        self.write(name, text);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
    }

    pub fn wait_for(&self, what: &str, ok: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !ok() {
            assert!(Instant::now() < end, "not within a minute: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn get(&self, path: &str) -> Option<String> {
        let answer = http::ask(self.address, "GET", path, &[], "").ok()?;
        Some(answer.body)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill_agent();
        if let Some(dir) = self.task_dir() {
            end_by_force(&dir);
        }
    }
}
