//! The insides of instances. For each one that runs, its user data is carried out as cloud-init would: its files are written,
//! its script fetches the programs from the controller and compares their digests, and the agent is started. Only places are
//! others: a directory stands for the instance's root, and a namespace of processes for its kernel.

use anyhow::{Context, Result};
use cerebro_fake_aws::ec2::{Event, EventKind, Hook};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What stands in for systemd: it starts the agent, again and again.
const RUN: &str = "set -u
/bin/sh DIR/etc/cerebro/install
while :; do
  /bin/sh DIR/etc/cerebro/agent &
  wait $!
  sleep 1
done
";

/// User data, as far as ours says anything.
#[derive(Deserialize)]
struct CloudConfig {
    write_files: Vec<Written>,
    runcmd: Vec<Vec<String>>,
}

#[derive(Deserialize)]
struct Written {
    path: String,
    permissions: String,
    content: String,
}

/// What happens to an instance.
pub enum Fate {
    /// It starts, for the first time or again.
    Starts(Booted),
    /// Nothing runs on it any more.
    Ends(String),
    /// All of them end, and none starts any more.
    Over,
}

/// An instance that starts.
pub struct Booted {
    /// Its id.
    pub id: String,
    /// Its address.
    pub address: String,
    /// What it was given to start with; nothing, where it is somebody else's.
    pub user_data: Vec<u8>,
}

/// All instances that run; ended, none does.
pub struct Insides {
    fates: Sender<Fate>,
    keeper: Option<JoinHandle<()>>,
}

impl Insides {
    /// Those whose fates are told; their files are in `dir`.
    pub fn new(dir: &Path) -> Self {
        let (fates, told) = channel();
        let dir = dir.to_owned();
        let keeper = std::thread::spawn(move || keep(&dir, &told));
        Self { fates, keeper: Some(keeper) }
    }

    /// Where fates are told.
    pub fn fates(&self) -> Sender<Fate> {
        self.fates.clone()
    }

    /// Tells the fates of a service that is not real.
    pub fn hook(&self) -> Hook {
        let fates = self.fates();
        Arc::new(move |Event { kind, instance }| {
            let fate = match kind {
                EventKind::Ended => Fate::Ends(instance.id),
                EventKind::Runs | EventKind::Rebooted => Fate::Starts(Booted {
                    id: instance.id,
                    address: instance.private_address,
                    user_data: instance.user_data,
                }),
            };
            drop(fates.send(fate));
        })
    }

    /// Ends all of them.
    pub fn end(&mut self) {
        let _ = self.fates.send(Fate::Over);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// One thread starts all of them, and lives as long as any: it is their parent, with which they die.
fn keep(dir: &Path, fates: &Receiver<Fate>) {
    let mut running = Running(BTreeMap::new());
    while let Ok(fate) = fates.recv() {
        match fate {
            Fate::Over => break,
            Fate::Ends(id) => running.end(&id),
            Fate::Starts(booted) if booted.user_data.is_empty() => {}
            Fate::Starts(booted) => {
                running.end(&booted.id);
                match start(&dir.join(&booted.id), &booted) {
                    Ok(child) => drop(running.0.insert(booted.id, child)),
                    Err(error) => eprintln!("{} does not start: {error:#}", booted.id),
                }
            }
        }
    }
}

struct Running(BTreeMap<String, Child>);

impl Running {
    fn end(&mut self, id: &str) {
        if let Some(mut child) = self.0.remove(id) {
            // With it goes the first process of its namespace, and with that all others.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let all: Vec<String> = self.0.keys().cloned().collect();
        all.iter().for_each(|id| self.end(id));
    }
}

/// What user data has an agent join with.
pub fn join_token(user_data: &[u8]) -> String {
    let read: CloudConfig =
        serde_saphyr::from_str(std::str::from_utf8(user_data).unwrap()).unwrap();
    let token = read.write_files.into_iter().find(|it| it.path == "/etc/cerebro/join-token");
    token.unwrap().content
}

fn start(dir: &Path, booted: &Booted) -> Result<Child> {
    let user_data = String::from_utf8(booted.user_data.clone())?;
    let place = |path: &str| dir.join(path.trim_start_matches('/'));
    let read: CloudConfig =
        serde_saphyr::from_str(&user_data).context("its user data is no cloud-config")?;
    anyhow::ensure!(read.runcmd == [["/bin/sh", "/etc/cerebro/install"]], "{:?}", read.runcmd);
    let is_first = !dir.exists();
    for file in read.write_files {
        let path = place(&file.path);
        // cloud-init does it once: a token that was used is gone.
        if is_first {
            fs::create_dir_all(path.parent().context("a file without a directory")?)?;
            fs::write(&path, moved(&file.content, dir, &booted.address))?;
            let mode = u32::from_str_radix(&file.permissions, 8)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
    }
    let run = place("run");
    fs::create_dir_all(place("root"))?;
    fs::write(&run, RUN.replace("DIR", &dir.to_string_lossy()))?;
    let log = File::options().create(true).append(true).open(place("log"))?;
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--mount", "--fork", "--kill-child=KILL", "--mount-proc", "/bin/sh"])
        .arg(&run)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    // SAFETY: it is one system call.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
    }
    command.spawn().context("cannot run `unshare`")
}

/// A text with the places that stand for those of the instance, and with what the instance would find out by itself or have
/// from its own kernel.
fn moved(text: &str, dir: &Path, address: &str) -> String {
    let mut text = text.to_owned();
    for place in ["/opt/cerebro/bin", "/etc/cerebro", "/var/lib/cerebro"] {
        text = text.replace(place, &inside(dir, place).to_string_lossy());
    }
    let root = inside(dir, "/root");
    let own = format!(" --address {address} --root {}", root.display());
    let text = text.replace(" --cgroup cerebro", &own);
    text.split_inclusive('\n').filter(|line| !line.starts_with("systemctl ")).collect()
}

fn inside(dir: &Path, path: &str) -> PathBuf {
    dir.join(path.trim_start_matches('/'))
}
