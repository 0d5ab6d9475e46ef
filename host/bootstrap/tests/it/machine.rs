//! A machine to be joined: an overlay of this one's files, processes of its own, and Debian's `sshd` on a port of the
//! loopback. It leaves nothing behind: its files are in memory, and its processes end with the first of them.

use crate::need;
use cerebro_bootstrap::ssh::{HostKey, Key, Target};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a machine is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Like {
    /// The size of `/opt`, in MB; that of the memory if nothing is said.
    pub opt_mb: Option<u32>,
    /// Whether Debian's systemd runs it. Else `sshd` is its first process.
    pub systemd: bool,
}

pub struct Machine {
    pub dir: TempDir,
    pub port: u16,
    child: Child,
    said: Arc<Mutex<String>>,
    group: Option<String>,
}

/// A control group for systemd, in which it sees itself at the root.
const GROUP: &str = r#"
set -e
mount --make-rprivate /
groups=/sys/fs/cgroup
if ! [ -e $groups/cgroup.controllers ]; then
  groups=$DIR/groups
  mkdir -p "$groups"
  mount -t cgroup -o none,name=systemd,xattr cgroup "$groups"
fi
mkdir "$groups/$GROUP"
echo $$ >"$groups/$GROUP/cgroup.procs"
exec unshare --pid --cgroup --fork --kill-child sh -c "$INNER"
"#;

/// Removes that, once nothing is left in it.
const GROUP_GONE: &str = r#"
mount --make-rprivate /
groups=/sys/fs/cgroup
if ! [ -e $groups/cgroup.controllers ]; then
  groups=$DIR/groups
  mount -t cgroup -o none,name=systemd,xattr cgroup "$groups"
fi
tries=0
while [ -d "$groups/$GROUP" ] && [ $tries -lt 100 ]; do
  find "$groups/$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
  tries=$((tries + 1))
done
"#;

/// The machine's files. `plain` may do nothing, `ops` may become root.
const FILES: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$DIR/fs"
mkdir "$DIR/fs/upper" "$DIR/fs/work" "$DIR/fs/root"
mount -t overlay -o "lowerdir=/,upperdir=$DIR/fs/upper,workdir=$DIR/fs/work" overlay "$DIR/fs/root"
cd "$DIR/fs/root"
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/sshd etc/sudoers.d home/plain home/ops
rm -rf etc/cerebro opt/cerebro var/lib/cerebro var/lib/cloud
if [ -n "$OPT_MB" ]; then mount -t tmpfs -o "size=${OPT_MB}m" tmpfs opt; fi
echo 'plain:x:2001:2001::/home/plain:/bin/sh' >>etc/passwd
echo 'ops:x:2002:2002::/home/ops:/bin/sh' >>etc/passwd
echo 'plain:*:19000::::::' >>etc/shadow
echo 'ops:*:19000::::::' >>etc/shadow
echo 'ops ALL=(ALL) NOPASSWD: ALL' >etc/sudoers.d/ops
chmod 440 etc/sudoers.d/ops
cp "$DIR/host_key" "$DIR/host_rsa" "$DIR/authorized_keys" "$DIR/sshd_config" etc/ssh/
chown root etc/ssh/host_key etc/ssh/host_rsa
"#;

const BY_SSHD: &str = "exec chroot . /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config";

/// Of Debian's own units only the journal is started: nothing that would reach out of the machine.
const BY_SYSTEMD: &str = r#"
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mount -t cgroup2 cgroup2 sys/fs/cgroup; else
  mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
  # So that systemd finds no place for the hierarchies that have controllers: those are this host's.
  mount -o remount,ro sys/fs/cgroup
fi
rm -rf lib/systemd/system-generators etc/fstab
for wants in etc/systemd/system/*.wants lib/systemd/system/*.wants; do rm -rf "$wants"; done
mkdir -p var/log/journal
cat >etc/systemd/system/test.target <<'UNIT'
[Unit]
DefaultDependencies=no
AllowIsolate=yes
Wants=systemd-journald.service sshd-test.service
UNIT
cat >etc/systemd/system/sshd-test.service <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
UNIT
export container=cerebro
exec chroot . /lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=no
"#;

impl Machine {
    pub fn start(like: Like) -> Self {
        need("/usr/sbin/sshd", "openssh-server");
        need("/usr/bin/ssh-keygen", "openssh-client");
        need("/usr/bin/sudo", "sudo");
        need("/usr/bin/curl", "curl");
        if like.systemd {
            need("/lib/systemd/systemd", "systemd");
        }
        assert!(
            nix::unistd::geteuid().is_root(),
            "machines with files of their own need root: run this as root"
        );
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("fs")).unwrap();
        for (name, kind) in [("host_key", "ed25519"), ("host_rsa", "rsa")] {
            keygen(&dir.path().join(name), kind, "");
        }
        keygen(&dir.path().join("right"), "ed25519", "");
        fs::copy(dir.path().join("right.pub"), dir.path().join("authorized_keys")).unwrap();
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let group = like.systemd.then(|| format!("cerebro-test-{}-{port}", std::process::id()));
            if let Some((child, said)) = Self::listening(&dir, port, like, group.as_deref()) {
                return Self { dir, port, child, said, group };
            }
        }
        panic!("no port was free for long enough");
    }

    /// None if somebody else was faster to have the port.
    fn listening(
        dir: &TempDir,
        port: u16,
        like: Like,
        group: Option<&str>,
    ) -> Option<(Child, Arc<Mutex<String>>)> {
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey /etc/ssh/host_key\nHostKey /etc/ssh/host_rsa\n\
             AuthorizedKeysFile /etc/ssh/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\nUseDNS no\n\
             MaxStartups 100\nMaxSessions 100\n"
        );
        fs::write(dir.path().join("sshd_config"), config).unwrap();
        // Whoever ends this process ends the machine too.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--mount"]);
        match group {
            Some(group) => command
                .args(["sh", "-c", GROUP])
                .env("GROUP", group)
                .env("INNER", format!("{FILES}{BY_SYSTEMD}")),
            None => command
                .args(["--pid", "--fork", "--kill-child", "sh", "-c"])
                .arg(format!("{FILES}{BY_SSHD}")),
        };
        let mut child = command
            .env("DIR", dir.path())
            .env("OPT_MB", like.opt_mb.map_or_else(String::new, |mb| mb.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said: Arc<Mutex<String>> = Arc::default();
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), said.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let words = said.lock().unwrap().clone();
            let is_up = like.systemd || words.contains("Server listening");
            if is_up && TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some((child, said));
            }
            if words.contains("Cannot bind") {
                let _ = child.wait();
                return None;
            }
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "no machine: {ended:?} {words}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A file of the test's own for this machine.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Another key, which the machine does not know.
    pub fn wrong_key(&self, name: &str, passphrase: &str) -> Key {
        keygen(&self.file(name), "ed25519", passphrase);
        Key::File(self.file(name))
    }

    pub fn right_key(&self) -> Key {
        Key::File(self.file("right"))
    }

    /// What the machine's host key is.
    pub fn host_key(&self) -> HostKey {
        HostKey::Pinned(fs::read_to_string(self.file("host_key.pub")).unwrap().parse().unwrap())
    }

    /// The way in that works.
    pub fn target(&self, user: &str) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: user.to_owned(),
            keys: vec![self.right_key()],
            host_key: self.host_key(),
            answers_within: Target::ANSWERS_WITHIN,
        }
    }

    /// What Debian's `ssh` says of a command there, as root.
    pub fn run(&self, command: &str) -> String {
        let output = Command::new("ssh")
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"])
            .args(["-o", "IdentitiesOnly=yes", "-p", &self.port.to_string(), "-i"])
            .arg(self.file("right"))
            .args(["root@127.0.0.1", command])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "`{command}`: {said}");
        said
    }

    /// Writes a file there, with the directory that it lies in.
    pub fn put(&self, path: &str, content: &str) {
        let directory = std::path::Path::new(path).parent().unwrap().display();
        let escaped = content.replace('\'', r"'\''");
        self.run(&format!("mkdir -p {directory}; printf %s '{escaped}' >{path}"));
    }

    /// What `sshd` has said, where it is the first process.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The first process of the machine goes with it, and all others with that.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(group) = &self.group {
            let mut gone = Command::new("unshare");
            gone.args(["--mount", "sh", "-c", GROUP_GONE]);
            let _ = gone.env("DIR", self.dir.path()).env("GROUP", group).status();
        }
    }
}

fn keygen(file: &std::path::Path, kind: &str, passphrase: &str) {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
