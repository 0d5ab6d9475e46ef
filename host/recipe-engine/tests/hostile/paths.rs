//! Paths that lead where nobody is to go.

use crate::ground::{Case, Ground, SECRET};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

fn read(path: &str) -> Value {
    json!({"do": "read", "path": path})
}

fn write(path: &str) -> Value {
    json!({"do": "write", "path": path})
}

/// Swaps two states of a path again and again, as the task's own user could.
struct Racer {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    fn start(mut swap: impl FnMut() + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let thread = std::thread::spawn(move || {
            while !ended.load(Relaxed) {
                swap();
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `/opt/app/d` is a directory at one moment and a link to `/etc` at the next.
fn directory_or_link(ground: &mut Ground) {
    ground.machine.limits.wall = Duration::from_secs(50);
    let (dir, link, at): (PathBuf, PathBuf, PathBuf) = (
        ground.machine.path("/opt/app/dir"),
        ground.machine.path("/opt/app/link"),
        ground.machine.path("/opt/app/d"),
    );
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("shadow"), "harmless").unwrap();
    symlink(ground.machine.path("/etc"), &link).unwrap();
    ground.keep(Racer::start(move || {
        for from in [&dir, &link] {
            // At every moment one of the two has the name.
            let _ = fs::rename(from, &at);
            std::thread::yield_now();
            let _ = fs::rename(&at, from);
        }
    }));
}

/// `/opt/app/f` is a file at one moment and a link to a secret at the next.
fn file_or_link(ground: &mut Ground) {
    ground.machine.limits.wall = Duration::from_secs(50);
    let path = |name: &str| ground.machine.path("/opt/app").join(name);
    let (f, file, link) = (path("f"), path("file"), path("link"));
    let secret = ground.machine.path("/etc/shadow");
    ground.keep(Racer::start(move || {
        let _ = fs::write(&file, "harmless");
        let _ = fs::rename(&file, &f);
        let _ = symlink(&secret, &link);
        let _ = fs::rename(&link, &f);
    }));
}

pub fn cases() -> Vec<Case> {
    let untouched: fn(&Ground) -> Option<String> = Ground::untouched;
    let all = vec![
        Case::hostile("a path that is not granted", "grants.write", |_| write("/etc/shadow")),
        Case::hostile("reading what is not granted", "grants.read", |_| read("/etc/shadow")),
        Case::hostile("the way up", "plain path", |_| read("/opt/app/../../etc/shadow")),
        Case::hostile("the way up, to write", "plain path", |_| write("/opt/app/x/../../../etc/x")),
        Case::hostile("a relative path", "plain path", |_| read("etc/shadow")),
        Case::hostile("no path", "plain path", |_| read("")),
        Case::hostile("a NUL in a path", "plain path", |_| read("/opt/app/a\u{0}/etc/shadow")),
        Case::hostile("a name of 300 bytes", "name", |_| {
            write(&format!("/opt/app/{}", "n".repeat(300)))
        }),
        Case::hostile("a path of 10,000 bytes", "too long", |_| {
            write(&format!("/opt/app{}", "/directory".repeat(1000)))
        }),
        Case::hostile("a link out of the grants", "grants.read", |ground| {
            symlink("/etc", ground.machine.path("/opt/app/out")).unwrap();
            read("/opt/app/out/shadow")
        }),
        Case::hostile("a link out of the root", "not", |ground| {
            symlink("../../../../../../../../etc/hostname", ground.machine.path("/opt/app/up"))
                .unwrap();
            read("/opt/app/up")
        }),
        Case::hostile("links in a circle", "more than 16 links", |ground| {
            symlink("b", ground.machine.path("/opt/app/a")).unwrap();
            symlink("a", ground.machine.path("/opt/app/b")).unwrap();
            read("/opt/app/a")
        }),
        Case::hostile("another name of a secret", "hard links", |ground| {
            let (secret, planted) =
                (ground.machine.path("/etc/shadow"), ground.machine.path("/opt/app/s"));
            fs::hard_link(secret, planted).unwrap();
            // As if the directory were the task's own user's.
            let (dir, theirs) = (ground.machine.path("/opt/app"), nix::unistd::Uid::from_raw(4242));
            nix::unistd::chown(&dir, Some(theirs), None).unwrap();
            read("/opt/app/s")
        }),
        Case::hostile("writing over another name of a secret", "", |ground| {
            let (secret, planted) =
                (ground.machine.path("/etc/shadow"), ground.machine.path("/opt/app/s"));
            fs::hard_link(secret, planted).unwrap();
            write("/opt/app/s")
        })
        .goes_well(),
        Case::hostile("copying a secret to where it can be read", "grants.read", |ground| {
            symlink("/etc/shadow", ground.machine.path("/opt/app/l")).unwrap();
            json!({"do": "copy", "path": "/opt/app/l", "to": "/opt/app/copy"})
        }),
        Case::hostile("a pipe in place of a file", "not a regular file", |ground| {
            let path = ground.machine.path("/opt/app/pipe");
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            read("/opt/app/pipe")
        }),
        Case::hostile("a socket in place of a file", "not a regular file", |ground| {
            let path = ground.machine.path("/opt/app/socket");
            ground.keep(std::os::unix::net::UnixListener::bind(path).unwrap());
            read("/opt/app/socket")
        }),
        Case::hostile("a directory in place of a file", "not a regular file", |_| read("/opt/app")),
        Case::hostile("a file of 10 GB", "larger", |ground| {
            let file = fs::File::create(ground.machine.path("/opt/app/big")).unwrap();
            file.set_len(10_000_000_000).unwrap();
            read("/opt/app/big")
        }),
        Case::hostile("a million nodes", "", |ground| {
            ground.machine.limits.wall = Duration::from_secs(50);
            json!({"do": "tree", "path": "/opt/app", "nodes": 1_000_000, "name": "#"})
        }),
        Case::hostile(
            "nodes that lead out",
            "not a plain path",
            |_| json!({"do": "tree", "path": "/opt/app", "nodes": 1, "name": "../../etc/x"}),
        ),
        Case::hostile(
            "two nodes of one name",
            "each its own",
            |_| json!({"do": "tree", "path": "/opt/app", "nodes": 2, "name": "same"}),
        ),
        Case::hostile(
            "removing what is not granted",
            "grants.write",
            |_| json!({"do": "remove", "path": "/etc"}),
        ),
        Case::hostile("removing behind a link", "", |ground| {
            symlink(ground.machine.path("/etc"), ground.machine.path("/opt/app/d")).unwrap();
            json!({"do": "remove", "path": "/opt/app/d"})
        })
        .goes_well(),
        Case::hostile("a directory that becomes a link, read", "", |ground| {
            directory_or_link(ground);
            let path = "/opt/app/d/shadow";
            json!({"do": "watch", "path": path, "text": SECRET, "times": 3000})
        })
        .goes_well(),
        Case::hostile("a directory that becomes a link, written", "", |ground| {
            directory_or_link(ground);
            json!({"do": "hammer", "path": "/opt/app/d/evil", "text": "evil", "times": 3000})
        })
        .goes_well(),
        Case::hostile("a file that becomes a link, read", "", |ground| {
            file_or_link(ground);
            json!({"do": "watch", "path": "/opt/app/f", "text": SECRET, "times": 3000})
        })
        .goes_well(),
        Case::hostile("a file that becomes a link, written", "", |ground| {
            file_or_link(ground);
            json!({"do": "hammer", "path": "/opt/app/f", "text": "evil", "times": 3000})
        })
        .goes_well(),
    ];
    all.into_iter().map(|case| case.then(untouched)).collect()
}
