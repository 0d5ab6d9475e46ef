//! An agent that stands alone: a directory and nothing else. Nothing of it is left when it is
//! dropped.

use crate::http::{self, Answer};
use crate::machine::bin_dir;
use cerebro_api::machine::MachineTask;
use cerebro_api::paths::machine_task;
use cerebro_linux::process::kill_tree;
use cerebro_model::Phase;
use cerebro_tasksitter::protocol::TaskState;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Alone {
    dir: TempDir,
    address: SocketAddr,
    agent: Option<Child>,
}

impl Alone {
    pub fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut alone = Self { dir: TempDir::new().unwrap(), address, agent: None };
        alone.start_agent();
        alone
    }

    pub fn start_agent(&mut self) {
        let agent = Command::new(env!("CARGO_BIN_EXE_machinesitter"))
            .arg("--data")
            .arg(self.data())
            .arg("--bin")
            .arg(bin_dir())
            .args(["--port", &self.address.port().to_string()])
            .spawn()
            .unwrap();
        self.agent = Some(agent);
        let end = Instant::now() + Duration::from_secs(30);
        while http::ask(self.address, "GET", "/healthz", &[], "").is_err() {
            assert!(Instant::now() < end, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        http::ask(self.address, method, path, &[], body).unwrap()
    }

    pub fn ask_as(&self, header: (&str, &str), method: &str, path: &str) -> Answer {
        http::ask(self.address, method, path, &[header], "").unwrap()
    }

    /// What must succeed.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub fn define(&self, name: &str, command: &str, keys: Value) {
        let mut task = json!({ "name": name, "command": command, "stop_grace": 1 });
        task.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let answer = self.ask("POST", "/v1/tasks", &task.to_string());
        assert_eq!(answer.status, 201, "{name}: {}", answer.body);
    }

    pub fn act(&self, name: &str, verb: &str) -> MachineTask {
        let answer = self.ask("POST", &format!("{}/{verb}", machine_task(name)), "");
        assert_eq!(answer.status, 200, "{verb} {name}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub fn task(&self, name: &str) -> MachineTask {
        serde_json::from_value(self.get(&machine_task(name))).unwrap()
    }

    pub fn wait(&self, name: &str, what: &str, ok: impl Fn(&MachineTask) -> bool) -> MachineTask {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let task = self.task(name);
            if ok(&task) {
                return task;
            }
            assert!(Instant::now() < end, "not within a minute: {what}; {task:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn wait_healthy(&self, name: &str) -> MachineTask {
        self.wait(name, "it is healthy", |task| task.phase == Phase::Healthy)
    }

    /// Waits for the last line of a task's log: it is healthy before it has said anything.
    pub fn wait_said(&self, name: &str, line: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let log = self.ask("GET", &format!("{}/logs?tail=1", machine_task(name)), "").body;
            if log == format!("{line}\n") {
                return;
            }
            assert!(Instant::now() < end, "not said within a minute: {line}; but {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for an event whose message holds all of these.
    pub fn wait_event(&self, words: &[&str]) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let events = self.get("/v1/events");
            let messages = events.as_array().unwrap().iter();
            let mut messages = messages.map(|event| event["message"].as_str().unwrap());
            if let Some(found) = messages.find(|m| words.iter().all(|word| m.contains(word))) {
                return found.to_owned();
            }
            assert!(Instant::now() < end, "not told within a minute: {words:?}; {events}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The directories of all tasks.
    pub fn task_dirs(&self) -> Vec<PathBuf> {
        let dirs = std::fs::read_dir(self.data().join("own")).into_iter().flatten().flatten();
        dirs.map(|entry| entry.path()).collect()
    }

    /// Ends every task as a user would.
    fn remove_all(&self) -> Option<()> {
        let tasks = http::ask(self.address, "GET", "/v1/tasks", &[], "").ok()?;
        let tasks: Vec<MachineTask> = serde_json::from_str(&tasks.body).ok()?;
        for task in tasks {
            let path = machine_task(&task.name);
            http::ask(self.address, "DELETE", &path, &[], "").ok()?;
        }
        Some(())
    }
}

pub fn kill_hard(pid: Option<u32>) {
    kill(Pid::from_raw(pid.unwrap().cast_signed()), Signal::SIGKILL).unwrap();
}

pub fn state(dir: &Path) -> Option<TaskState> {
    serde_json::from_slice(&std::fs::read(dir.join("state.json")).ok()?).ok()
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.remove_all();
        self.kill_agent();
        // Whatever is left after a failure.
        for dir in self.task_dirs() {
            end_by_force(&dir);
        }
    }
}

/// Ends a task and its sitters, also those that say nothing of themselves.
pub fn end_by_force(dir: &Path) {
    let task = state(dir).and_then(|state| state.pid);
    let is_of_dir = |path: &Path| {
        let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|word| word == dir.as_os_str().as_encoded_bytes())
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter(|process| is_of_dir(&process.path())) {
        if let Some(pid) = process.file_name().to_str().and_then(|pid| pid.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let marker = format!("CEREBRO_TASK_DIR={}", dir.display());
    kill_tree(task, &marker, Duration::from_secs(5));
}

impl Alone {
    /// How often a thread of the agent went to sleep of its own accord.
    pub fn switches(&self) -> u64 {
        let pid = self.agent.as_ref().unwrap().id();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let of = |path: PathBuf| -> u64 {
            let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
            line.map_or(0, |number| number.trim().parse().unwrap())
        };
        threads.map(|thread| of(thread.path())).sum()
    }
}
