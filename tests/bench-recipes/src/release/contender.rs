//! Who makes the release.

use super::setting::Setting;
use anyhow::{Context, Result, bail, ensure};
use cerebro_bench::cgroup::Group;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// A tool, and how it is told to make the release.
pub struct Contender {
    /// Its name in the tables.
    pub name: &'static str,
    /// How much slower than others it is: it is measured so many times less.
    pub slowness: usize,
    way: Way,
}

enum Way {
    /// Started for each release.
    Program(Vec<String>, Vec<(String, String)>),
    /// There already.
    Resident(Resident),
}

struct Resident {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Contender {
    /// A program, with what it needs in its environment.
    pub fn program(
        name: &'static str,
        slowness: usize,
        argv: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        Self { name, slowness, way: Way::Program(argv, environment.to_vec()) }
    }

    /// A process of this program's that runs `component` when it is told to.
    pub fn resident(
        name: &'static str,
        component: &Path,
        environment: &[(String, String)],
        log: &Path,
        group: &Group,
    ) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("resident").arg(component).envs(environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut child = within(group, &mut command)?.spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the resident process has no pipes");
        };
        let mut resident = Resident { child, stdin, stdout: BufReader::new(stdout) };
        let is_ready = resident.line()? == "ready";
        ensure!(is_ready, "{name}: {}", fs::read_to_string(log).unwrap_or_default());
        Ok(Self { name, slowness: 1, way: Way::Resident(resident) })
    }

    /// Whether its program is on this machine.
    pub fn is_there(&self) -> bool {
        match &self.way {
            Way::Program(argv, _) => Path::new(&argv[0]).exists(),
            Way::Resident(_) => true,
        }
    }

    /// Makes the release; how long that took, and the CPU time of all that took part, in ms.
    pub fn make(&mut self, group: &Group, log: &Path) -> Result<(f64, f64)> {
        let (cpu, begun) = (group.cpu_seconds(), Instant::now());
        match &mut self.way {
            Way::Program(argv, environment) => {
                let log = File::create(log)?;
                let mut command = Command::new(&argv[0]);
                command.args(&argv[1..]).envs(environment.iter().cloned());
                command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
                let status = within(group, &mut command)?.status()?;
                // Puppet's 2 stands for changes.
                let is_fine =
                    status.success() || (argv[0].ends_with("puppet") && status.code() == Some(2));
                ensure!(is_fine, "{}: {status}", self.name);
            }
            Way::Resident(resident) => {
                writeln!(resident.stdin, "release")?;
                let answer = resident.line()?;
                ensure!(answer == "ok", "{}: {answer}", self.name);
            }
        }
        let wall = begun.elapsed().as_secs_f64() * 1e3;
        Ok((wall, (group.cpu_seconds() - cpu) * 1e3))
    }
}

impl Resident {
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has a command begin in a group, by which its whole tree is accounted.
pub fn within<'a>(group: &Group, command: &'a mut Command) -> Result<&'a mut Command> {
    let door = File::options().write(true).open(group.door())?;
    // SAFETY: between fork and exec it only writes to a descriptor that was opened before.
    Ok(unsafe { command.pre_exec(move || (&door).write_all(b"0")) })
}

/// This machine as one that is reached by SSH.
pub struct Ssh {
    server: Child,
    config: PathBuf,
}

impl Ssh {
    /// A server on loopback with keys of its own, which nobody else has.
    pub fn start(setting: &Setting, group: &Group) -> Result<Self> {
        let dir = setting.state().join("ssh");
        fs::create_dir(&dir)?;
        for name in ["host", "key"] {
            let mut keygen = Command::new("ssh-keygen");
            let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name));
            ensure!(made.status().context("ssh-keygen")?.success(), "ssh-keygen failed");
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let at = dir.display();
        fs::write(
            dir.join("server"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\n\
                 AuthorizedKeysFile {at}/key.pub\nStrictModes no\nPermitRootLogin prohibit-password\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\n\
                 PrintMotd no\nSubsystem sftp internal-sftp\n"
            ),
        )?;
        let host = fs::read_to_string(dir.join("host.pub"))?;
        fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {host}"))?;
        let config = dir.join("config");
        fs::write(
            &config,
            format!(
                "Host target\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {at}/key\n  \
                 IdentitiesOnly yes\n  UserKnownHostsFile {at}/known\n  StrictHostKeyChecking yes\n  \
                 LogLevel ERROR\n"
            ),
        )?;
        fs::create_dir_all("/run/sshd")?;
        let mut server = Command::new("/usr/sbin/sshd");
        server.args(["-D", "-e", "-f"]).arg(dir.join("server"));
        server.stdin(Stdio::null()).stderr(File::create(dir.join("log"))?);
        let ssh = Self { server: within(group, &mut server)?.spawn().context("sshd")?, config };
        let reached = || {
            let mut client = Command::new("ssh");
            client.arg("-F").arg(&ssh.config).args(["target", "true"]).stderr(Stdio::null());
            client.status().is_ok_and(|status| status.success())
        };
        let within = std::time::Duration::from_secs(10);
        ensure!(cerebro_bench::clock::until_regardless(within, reached), "sshd does not answer");
        Ok(ssh)
    }

    /// The client's configuration, with host `target`.
    pub fn config(&self) -> String {
        self.config.display().to_string()
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
