//! `cerebro login` as a user calls it: the real `ssh`, Debian's `sshd`, and a controller that answers by heart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod controller;

use controller::controller;
use serde_json::{Value, json};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An `sshd` on several addresses of the loopback, for whoever runs this test.
struct Sshd {
    dir: TempDir,
    port: u16,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keygen(file: &Path) {
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status();
    assert!(made.unwrap().success());
}

impl Sshd {
    fn start() -> Self {
        let program = Path::new("/usr/sbin/sshd");
        assert!(program.exists(), "`sshd` is missing: `apt-get install openssh-server`");
        // It wants this directory where root runs it.
        let _ = fs::create_dir_all("/run/sshd");
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        keygen(&at("host"));
        keygen(&at("key"));
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nListenAddress 127.0.0.2\nHostKey {}\nAuthorizedKeysFile {}\n\
                 StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nMaxStartups 100\n",
                at("host").display(),
                at("key.pub").display()
            );
            fs::write(at("config"), config).unwrap();
            let public = fs::read_to_string(at("host.pub")).unwrap();
            let known = format!("[127.0.0.1]:{port} {public}[127.0.0.2]:{port} {public}");
            fs::write(at("known"), known).unwrap();
            let mut child = Command::new(program)
                .args(["-D", "-e", "-f"])
                .arg(at("config"))
                .stdin(Stdio::null())
                .stderr(fs::File::create(at("said")).unwrap())
                .spawn()
                .unwrap();
            let end = Instant::now() + Duration::from_secs(20);
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                let is_up = |address: &str| TcpStream::connect((address, port)).is_ok();
                if is_up("127.0.0.1") && is_up("127.0.0.2") {
                    return Self { dir, port, child };
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("no sshd: {}", fs::read_to_string(at("said")).unwrap());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn login(&self, server: &str, name: &str, more: &[&str]) -> Output {
        let arguments = ["--server", server, "login", name, "--port", &self.port.to_string()];
        Command::new(env!("CARGO_BIN_EXE_cerebro"))
            .args(arguments)
            .arg("--key")
            .arg(self.file("key"))
            .arg("--known-hosts")
            .arg(self.file("known"))
            .args(more)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

fn machine(id: &str, address: Option<&str>, is_local: bool) -> Value {
    json!({
        "id": id, "zone": "z-1", "capacity": { "cpu": 1, "mem": 1, "disk": 1 },
        "state": { "is": "active", "since": "2026-01-01T00:00:00Z" }, "created_at": "2026-01-01T00:00:00Z",
        "address": address, "free": { "cpu": 1, "mem": 1, "disk": 1 }, "instances": 1, "is_local": is_local,
    })
}

fn task(id: &str, machine: &str) -> Value {
    let (number, job) = (id.split('.').next().unwrap(), id.splitn(3, '.').nth(2).unwrap());
    json!({
        "id": id, "job": job, "zone": "z-1", "number": number.parse::<u32>().unwrap(), "machine": machine,
        "placement": 1, "ports": {}, "deployment": "d-1", "since": "2026-01-01T00:00:00Z",
    })
}

fn cluster() -> String {
    controller(vec![
        (
            "GET /v1/machines",
            json!([
                machine("m-1", Some("127.0.0.1"), false),
                machine("m-2", Some("127.0.0.2"), false),
                machine("m-3", Some("127.0.0.1"), true),
                machine("m-4", None, false),
            ]),
        ),
        (
            "GET /v1/tasks",
            json!([
                task("0.z-1.web.startup.com", "m-1"),
                task("1.z-1.web.startup.com", "m-2"),
                task("0.z-1.redis.startup.com", "m-2"),
                task("0.z-1.local.startup.com", "m-3"),
            ]),
        ),
    ])
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_command_runs_where_it_is_meant_to_and_its_code_is_ours() {
    let (sshd, server) = (Sshd::start(), cluster());
    let shown = "echo $SSH_CONNECTION; exit 3";
    for (name, address) in [
        ("m-1", "127.0.0.1"),
        ("m-2", "127.0.0.2"),
        ("redis", "127.0.0.2"),
        ("1.z-1.web", "127.0.0.2"),
    ] {
        let (code, out, err) = said(&sshd.login(&server, name, &["--command", shown]));
        assert_eq!(code, Some(3), "{err}");
        assert_eq!(out.split(' ').nth(2), Some(address), "{out}{err}");
    }
    let script = sshd.file("script");
    fs::write(&script, "# 'quotes' \"and\" $dollars\nset -e\necho one\necho two >&2\nexit 4\n")
        .unwrap();
    let (code, out, err) =
        said(&sshd.login(&server, "m-1", &["--command", &format!("@{}", script.display())]));
    assert_eq!((code, out.as_str()), (Some(4), "one\n"), "{err}");
    assert!(err.contains("two") && err.contains("m-1 is at 127.0.0.1"), "{err}");
    let (code, _, err) = said(&sshd.login(&server, "m-1", &["--command", "@/nonexistent"]));
    assert!(code == Some(1) && err.contains("/nonexistent"), "{err}");
    // A machine whose host key is another one is not spoken to.
    fs::write(sshd.file("known"), "").unwrap();
    let strict = ["--command", "echo no", "--all"];
    let (code, out, err) = said(&sshd.login(&server, "m-1", &strict));
    assert!(
        code == Some(255) && out.is_empty() && err.contains("[m-1] Host key verification failed"),
        "{err}"
    );
}

#[test]
fn on_all_machines_of_a_job_each_line_says_whose_it_is_and_the_worst_code_counts() {
    let (sshd, server) = (Sshd::start(), cluster());
    let command = "case $SSH_CONNECTION in *' 127.0.0.2 '*) echo second >&2; exit 5;; *) printf 'a\\nb';; esac";
    let (code, out, err) = said(&sshd.login(&server, "web", &["--all", "--command", command]));
    assert_eq!(code, Some(5), "{err}");
    assert_eq!(out, "[0.z-1.web.startup.com] a\n[0.z-1.web.startup.com] b\n");
    assert!(err.contains("[1.z-1.web.startup.com] second"), "{err}");
}

#[test]
fn who_could_be_several_or_nobody_or_has_no_door_is_told_so() {
    let (sshd, server) = (Sshd::start(), cluster());
    for (name, expected, words) in [
        (
            "web",
            4,
            vec![
                "has 2 tasks",
                "0.z-1.web.startup.com on m-1",
                "1.z-1.web.startup.com on m-2",
                "--all",
            ],
        ),
        ("m-", 4, vec!["m-1", "m-2", "m-3", "m-4"]),
        (
            "rediss.startup.com",
            3,
            vec!["no machine, job or task", "is it one of these", "redis.startup.com"],
        ),
        ("zzz", 3, vec!["no machine, job or task", "cerebro machine list"]),
        ("m-3", 4, vec!["m-3", "no SSH server", "cerebro task logs"]),
        ("local", 4, vec!["m-3", "no SSH server"]),
        ("m-4", 4, vec!["has not joined"]),
    ] {
        let (code, out, err) = said(&sshd.login(&server, name, &[]));
        assert_eq!((code, out.as_str()), (Some(expected), ""), "{name}: {err}");
        for word in words {
            assert!(err.contains(word), "{name}: `{word}` in {err}");
        }
    }
}
