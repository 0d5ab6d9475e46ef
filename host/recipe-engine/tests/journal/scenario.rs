//! A machine on which a recipe changes all that can be changed, in every way.

use crate::support::{Machine, component, engine};
use cerebro_model::Rollback;
use cerebro_recipe_engine::{Call, Component, Journal, Journaling};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Whatever a scenario needs to do.
const GRANTS: &str =
    r#"{"write": ["/"], "commands": ["/bin/sh -c **", "/bin/true"], "secrets": ["db"]}"#;

pub struct Scenario {
    pub machine: Machine,
    pub options: String,
    old: String,
    new: String,
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o750);
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

impl Scenario {
    /// A machine as it is before, below `dir` if one is given, and a recipe.
    pub fn new() -> Self {
        Self::on(Machine::granting(GRANTS))
    }

    pub fn on(mut machine: Machine) -> Self {
        machine.grants = serde_json::from_str(GRANTS).unwrap();
        let old = machine.upload(&archive(&[("app", "old"), ("lib/a", "1")])).to_string();
        let new = machine.upload(&archive(&[("app", "new"), ("lib/b/c", "2")])).to_string();
        Self { machine, options: String::new(), old, new }
    }

    /// Fills the machine with what is to be changed.
    pub async fn fill(mut self) -> Self {
        let m = &self.machine;
        for dir in ["etc/app", "srv/gone/deep/er", "opt/app", "var/empty", "srv/tree/sub"] {
            fs::create_dir_all(m.path(dir)).unwrap();
        }
        for (path, text) in [
            ("etc/app/conf", "before\n"),
            ("etc/app/twin", "one file, two names\n"),
            ("srv/gone/deep/er/file", "dear\n"),
            ("srv/gone/other", "dearer\n"),
            ("srv/moved", "here\n"),
            ("srv/server", "program\n"),
            ("srv/tree/kept", "kept\n"),
            ("srv/tree/sub/surplus", "surplus\n"),
        ] {
            fs::write(m.path(path), text).unwrap();
        }
        fs::hard_link(m.path("etc/app/twin"), m.path("etc/app/twin2")).unwrap();
        symlink("old", m.path("etc/app/link")).unwrap();
        fs::set_permissions(m.path("etc/app/conf"), fs::Permissions::from_mode(0o604)).unwrap();
        attribute(&m.path("etc/app/conf"), "user.origin", b"by hand");
        // cap_net_bind_service, permitted and effective: version 2 of the kernel's form.
        let capabilities = [0x0200_0001u32, 1 << 10, 0, 0, 0].map(u32::to_le_bytes).concat();
        attribute(&m.path("srv/server"), "security.capability", &capabilities);
        // Two releases, as if deployed before, without a journal.
        let (old, base) = (&self.old, "/opt/app");
        let before = serde_json::json!({"steps": [
            {"unpack": [old, "/srv/unpacked"]},
            {"stage": [base, "1", old]}, {"activate": [base, "1"]},
            {"stage": [base, "2", old]}, {"activate": [base, "2"]},
            {"stage": [base, "3", old]}, {"activate": [base, "3"]},
            {"remember": ["known", "before"]}, {"remember": ["lost", "before"]},
        ]});
        let call = m.call(&before.to_string());
        engine().deploy(&component("script").await, call).await.unwrap();
        self.options = serde_json::json!({ "steps": self.steps() }).to_string();
        self
    }

    /// A change of each kind, to what is there and to what is not.
    pub fn steps(&self) -> serde_json::Value {
        let (new, base) = (&self.new, "/opt/app");
        // A command is told real paths; what it makes is in a directory that the recipe makes.
        let made = self.machine.path("/srv/a/b/c/made");
        let sh =
            |what: &str| serde_json::json!(["/bin/sh", "-c", format!("{what} {}", made.display())]);
        // Only root may give files away.
        let user =
            if nix::unistd::geteuid().is_root() { 4242 } else { nix::unistd::geteuid().as_raw() };
        serde_json::json!([
            {"own": ["/srv/server", user.to_string()]},
            {"write": ["/etc/app/conf", "after\n", null]},
            {"write": ["/etc/app/new", "new\n", 0o640]},
            {"write": ["/etc/app/new", "newer\n", 0o640]},
            {"write": ["/etc/app/twin", "now two files\n", null]},
            {"directory": ["/srv/a/b/c", 0o700]},
            {"write": ["/srv/a/b/c/d", "d", null]},
            {"run-undo": [sh("touch"), sh("rm -f")]},
            {"at-end": sh("test -e")},
            {"link": ["/etc/app/link", "new"]},
            {"link": ["/etc/app/link2", "conf"]},
            {"attributes": ["/etc/app/conf", 0o600]},
            {"attributes": ["/etc/app", 0o750]},
            {"rename": ["/srv/moved", "/etc/app/moved"]},
            {"copy": ["/etc/app/conf", "/srv/copied"]},
            {"remove": "/etc/app/new"},
            {"remove": "/srv/gone"},
            {"tree": ["/srv/tree", [["kept", "kept\n"], ["x/y", "y"]], true]},
            {"unpack": [new, "/srv/unpacked"]},
            {"unpack": [new, "/var/empty"]},
            {"unpack": [new, "/var/fresh/one"]},
            {"remember": ["known", "after"]},
            {"remember": ["new", "after"]},
            {"forget": "lost"},
            {"stage": [base, "4", new]},
            {"activate": [base, "4"]},
            {"prune": [base, 1]},
            {"read": "/opt/app/current/app"},
        ])
    }

    /// An archive, by its digest.
    pub fn artifact(&self) -> String {
        self.new.clone()
    }

    pub fn root(&self) -> PathBuf {
        self.machine.path("/")
    }

    /// Where the call writes down what it does.
    pub fn directory(&self) -> PathBuf {
        self.machine.dir.path().join("calls/1")
    }

    pub fn journaling(&self) -> Journaling {
        Journaling::new(self.directory())
    }

    pub fn call(&self, options: &str) -> Call {
        Call { journal: Some(self.journaling()), ..self.machine.call(options) }
    }

    pub async fn component(&self) -> Component {
        component("script").await
    }

    /// Takes the call back.
    pub async fn roll_back(&self) -> Rollback {
        let rolled = engine().roll_back(self.call("{}"), "a test").await.unwrap();
        rolled.unwrap_or_default()
    }

    pub fn journal(&self) -> Option<Journal> {
        Journal::open(&self.directory()).unwrap()
    }
}

fn attribute(path: &Path, name: &str, value: &[u8]) {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: both end with a zero, and the value is as long as is said. A file system without them
    // has one attribute less to restore.
    unsafe {
        libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0);
    }
}
