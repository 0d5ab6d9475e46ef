//! The tree against real files. Owners need root; what depends on them is left out without it.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Attributes, Owner, Tree, Unpack};
use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::{Change, Error};
use cerebro_model::{Digest, Grants};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PLAIN: Attributes = Attributes { mode: None, owner: None };

struct Machine {
    dir: tempfile::TempDir,
    tree: Tree,
}

/// A root with `/opt/app` (may be written), `/etc` (may be read) and `/secret` (neither).
fn machine() -> Machine {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [("etc/motd", "hello"), ("secret/key", "xyzzy"), ("opt/app/a", "a")] {
        fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        fs::write(dir.path().join(path), text).unwrap();
    }
    let pattern = |path: &str| path.to_owned().try_into().unwrap();
    let grants = Grants {
        read: vec![pattern("/etc")],
        write: vec![pattern("/opt/app"), pattern("/srv/deep/data")],
        ..Grants::default()
    };
    let tree = Tree::open(dir.path(), grants, Arc::default()).unwrap();
    Machine { dir, tree }
}

impl Machine {
    fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn denied<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Denied(why)) => why,
        other => panic!("{other:?} was not denied"),
    }
}

#[test]
fn grants_decide_what_is_read_and_written() {
    let m = machine();
    assert_eq!(m.tree.read("/etc/motd", 100).unwrap(), b"hello");
    assert_eq!(m.tree.read("/opt/app/a", 100).unwrap(), b"a");
    assert!(denied(m.tree.read("/secret/key", 100)).contains("grants.read"));
    assert!(denied(m.tree.stat("/secret/key")).contains("grants.read"));
    assert!(denied(m.tree.write("/etc/motd", b"x", PLAIN)).contains("grants.write"));
    assert!(denied(m.tree.write("/opt/application", b"x", PLAIN)).contains("grants.write"));
    assert!(denied(m.tree.remove("/etc")).contains("grants.write"));
    assert!(matches!(m.tree.read("/opt/app/../../secret/key", 9), Err(Error::Invalid(_))));
    assert!(matches!(m.tree.read("/etc/motd", 4), Err(Error::TooLarge(_))));
    assert!(matches!(m.tree.read("/etc/none", 4), Err(Error::NotFound(_))));
    assert_eq!(m.tree.stat("/etc/none").unwrap().map(|m| m.size), None);
}

#[test]
fn writing_says_what_changed_and_leaves_nothing_beside() {
    let m = machine();
    let mode = |mode| Attributes { mode: Some(mode), owner: None };
    let write = |text: &[u8], attributes| m.tree.write("/opt/app/f", text, attributes).unwrap();
    assert!(matches!(write(b"one", mode(0o640)), Change::Created));
    assert!(matches!(write(b"one", PLAIN), Change::Unchanged));
    assert!(matches!(write(b"two", PLAIN), Change::Updated));
    assert_eq!(fs::metadata(m.path("/opt/app/f")).unwrap().mode() & 0o7777, 0o640);
    assert!(matches!(write(b"two", mode(0o600)), Change::Updated));
    assert_eq!(
        (m.text("/opt/app/f").as_str(), m.names("/opt/app")),
        ("two", vec!["a".to_owned(), "f".to_owned()])
    );
    // What a crash left beside is no hindrance.
    fs::write(m.path("/opt/app/.f.cerebro-new"), "half").unwrap();
    assert!(matches!(write(b"three", PLAIN), Change::Updated));
    assert_eq!(m.names("/opt/app"), ["a", "f"]);
    assert!(matches!(m.tree.write("/opt/app", b"x", PLAIN), Err(Error::Invalid(_))));
    assert!(matches!(m.tree.write("/opt/app/none/f", b"x", PLAIN), Err(Error::NotFound(_))));
}

#[test]
fn directories_are_made_with_those_above() {
    let m = machine();
    assert!(matches!(m.tree.directory("/srv/deep/data/x", PLAIN).unwrap(), Change::Created));
    assert!(matches!(m.tree.directory("/srv/deep/data/x", PLAIN).unwrap(), Change::Unchanged));
    assert!(m.path("/srv/deep/data/x").is_dir());
    let closed = Attributes { mode: Some(0o700), owner: None };
    assert!(matches!(m.tree.directory("/srv/deep/data/x", closed).unwrap(), Change::Updated));
    assert!(matches!(m.tree.directory("/opt/app/a", PLAIN), Err(Error::Invalid(_))));
    denied(m.tree.directory("/srv/deep/other", PLAIN));
    assert!(!m.path("/srv/deep/other").exists());
}

#[test]
fn links_flip_and_only_links() {
    let m = machine();
    let link = |target| m.tree.symlink("/opt/app/current", target);
    assert!(matches!(link("1").unwrap(), Change::Created));
    assert!(matches!(link("1").unwrap(), Change::Unchanged));
    assert!(matches!(link("2").unwrap(), Change::Updated));
    assert_eq!(fs::read_link(m.path("/opt/app/current")).unwrap(), Path::new("2"));
    assert!(matches!(m.tree.symlink("/opt/app/a", "2"), Err(Error::Invalid(_))));
    let found = m.tree.stat("/opt/app/current").unwrap().unwrap();
    assert_eq!((found.kind, found.target.as_deref()), (Kind::Symlink, Some("2")));
}

#[test]
fn links_lead_nowhere_that_is_not_granted() {
    let m = machine();
    // The target is looked up below the root, whatever the host has at `/secret`.
    for (name, target) in
        [("abs", "/secret"), ("rel", "../../secret"), ("up", "../../../../secret")]
    {
        symlink(target, m.path(&format!("/opt/app/{name}"))).unwrap();
        let why = denied(m.tree.read(&format!("/opt/app/{name}/key"), 100));
        assert!(why.contains("leads to `/secret/key`"), "{why}");
        denied(m.tree.write(&format!("/opt/app/{name}/key"), b"x", PLAIN));
        denied(m.tree.list(&format!("/opt/app/{name}")));
    }
    symlink("/secret/key", m.path("/opt/app/file")).unwrap();
    denied(m.tree.read("/opt/app/file", 100));
    // A granted target is reached; for writing it must be granted for writing.
    symlink("/etc", m.path("/opt/app/etc")).unwrap();
    assert_eq!(m.tree.read("/opt/app/etc/motd", 100).unwrap(), b"hello");
    denied(m.tree.write("/opt/app/etc/motd", b"x", PLAIN));
    // The last part is not followed when changing.
    assert!(matches!(m.tree.write("/opt/app/file", b"x", PLAIN), Err(Error::Invalid(_))));
    assert!(matches!(m.tree.remove("/opt/app/abs").unwrap(), Change::Removed));
    assert_eq!(m.text("/secret/key"), "xyzzy");
    // Round and round.
    symlink("loop", m.path("/opt/app/loop")).unwrap();
    assert!(matches!(m.tree.read("/opt/app/loop/x", 9), Err(Error::Invalid(_))));
}

#[test]
fn links_of_other_users_are_not_followed() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("left out: only root can make another user's link");
        return;
    }
    let m = machine();
    symlink("/etc", m.path("/opt/app/planted")).unwrap();
    lchown(m.path("/opt/app/planted"), Some(4242), Some(4242)).unwrap();
    let why = denied(m.tree.read("/opt/app/planted/motd", 100));
    assert!(why.contains("user 4242"), "{why}");
}

#[test]
fn removing_follows_no_link_and_is_idempotent() {
    let m = machine();
    fs::create_dir_all(m.path("/opt/app/tree/deep/er")).unwrap();
    fs::write(m.path("/opt/app/tree/deep/er/f"), "").unwrap();
    symlink("/secret", m.path("/opt/app/tree/deep/link")).unwrap();
    symlink(m.path("/secret"), m.path("/opt/app/tree/out")).unwrap();
    assert!(matches!(m.tree.remove("/opt/app/tree").unwrap(), Change::Removed));
    assert!(matches!(m.tree.remove("/opt/app/tree").unwrap(), Change::Unchanged));
    assert_eq!(
        (m.names("/opt/app"), m.names("/secret")),
        (vec!["a".to_owned()], vec!["key".to_owned()])
    );
}

/// A tar of these entries: name, kind, content or target. Names are written as they are.
fn tar(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        // `set_path` would refuse what these tests are about.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o6755);
        let body = match kind {
            tar::EntryType::Regular => content.as_bytes(),
            _ => {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
                b""
            }
        };
        header.set_size(body.len() as u64);
        header.set_cksum();
        builder.append(&header, body).unwrap();
    }
    builder.into_inner().unwrap()
}

impl Machine {
    fn unpack(&self, bytes: &[u8], change: impl FnOnce(&mut Unpack<'_>)) -> Result<Change, Error> {
        let archive = self.path("/archive");
        fs::write(&archive, bytes).unwrap();
        let mut unpack = Unpack {
            archive: &archive,
            digest: Digest::of(bytes),
            strip: 0,
            owner: None,
            most_bytes: 1 << 20,
            most_entries: 100,
            deadline: Instant::now() + Duration::from_secs(60),
        };
        change(&mut unpack);
        self.tree.unpack("/opt/app/r", &unpack)
    }
}

use tar::EntryType::{Char, Directory, Link, Regular, Symlink};

#[test]
fn an_archive_appears_whole_once_and_is_replaced_by_another() {
    let m = machine();
    let one = tar(&[
        ("top/bin/", Directory, ""),
        ("top/bin/run", Regular, "#!"),
        ("top/bin/alias", Symlink, "run"),
        ("top/same", Link, "top/bin/run"),
    ]);
    let strip = |unpack: &mut Unpack<'_>| unpack.strip = 1;
    assert!(matches!(m.unpack(&one, strip).unwrap(), Change::Created));
    assert!(matches!(m.unpack(&one, strip).unwrap(), Change::Unchanged));
    assert_eq!(
        (m.text("/opt/app/r/bin/alias"), m.text("/opt/app/r/same")),
        ("#!".to_owned(), "#!".to_owned())
    );
    // Bits that lend privileges are not taken over.
    let mode = fs::metadata(m.path("/opt/app/r/bin/run")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &tar(&[("two", Regular, "2")])).unwrap();
    assert!(matches!(m.unpack(&packed.finish().unwrap(), |_| ()).unwrap(), Change::Updated));
    assert_eq!(m.names("/opt/app/r"), [".cerebro-artifact", "two"]);
    assert_eq!(m.names("/opt/app"), ["a", "r"]);
}

#[test]
fn tricks_and_damage_are_refused_and_leave_nothing() {
    let m = machine();
    let outside = m.path("/secret").to_str().unwrap().to_owned();
    let tricks: [&[(&str, tar::EntryType, &str)]; 8] = [
        &[("../evil", Regular, "x")],
        &[("/evil", Regular, "x")],
        &[("a/../../evil", Regular, "x")],
        &[("out", Symlink, "../../secret")],
        &[("out", Symlink, &outside)],
        &[("in", Symlink, "."), ("in/evil", Regular, "x")],
        &[("hard", Link, "../../../secret/key")],
        &[("device", Char, "")],
    ];
    for trick in tricks {
        let result = m.unpack(&tar(trick), |_| ());
        assert!(matches!(result, Err(Error::Invalid(_))), "{trick:?}: {result:?}");
        assert_eq!(m.names("/opt/app"), ["a"], "{trick:?}");
    }
    let good = tar(&[("a", Regular, &"x".repeat(2000)), ("b", Regular, "y")]);
    assert!(matches!(m.unpack(&good[..1000], |_| ()), Err(Error::Invalid(_))));
    assert!(matches!(m.unpack(b"not a tar at all", |_| ()), Err(Error::Invalid(_))));
    assert!(matches!(m.unpack(&good, |u| u.most_bytes = 1500), Err(Error::TooLarge(_))));
    assert!(matches!(m.unpack(&good, |u| u.most_entries = 1), Err(Error::TooLarge(_))));
    let late = |u: &mut Unpack<'_>| u.deadline = Instant::now();
    assert!(matches!(m.unpack(&good, late), Err(Error::TimedOut(_))));
    assert_eq!(
        (m.names("/opt/app"), m.names("/secret")),
        (vec!["a".to_owned()], vec!["key".to_owned()])
    );
}

#[test]
fn what_someone_else_put_there_is_not_replaced() {
    let m = machine();
    fs::create_dir(m.path("/opt/app/r")).unwrap();
    let archive = tar(&[("f", Regular, "1")]);
    fs::write(m.path("/opt/app/r/mine"), "").unwrap();
    assert!(matches!(m.unpack(&archive, |_| ()), Err(Error::Invalid(_))));
    assert_eq!(m.names("/opt/app/r"), ["mine"]);
    fs::remove_file(m.path("/opt/app/r/mine")).unwrap();
    assert!(matches!(m.unpack(&archive, |_| ()).unwrap(), Change::Updated));
}

#[test]
fn owners_are_set() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("left out: only root can give files away");
        return;
    }
    let m = machine();
    let owner = Some(Owner { uid: 4242, gid: 4243 });
    m.tree.write("/opt/app/f", b"x", Attributes { mode: None, owner }).unwrap();
    let archive = tar(&[("d/f", Regular, "1"), ("l", Symlink, "d")]);
    m.unpack(&archive, |unpack| unpack.owner = owner).unwrap();
    for path in ["f", "r", "r/d", "r/d/f", "r/l"] {
        let found = fs::symlink_metadata(m.path("/opt/app").join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (4242, 4243), "{path}");
    }
    // What is left out stays.
    m.tree.write("/opt/app/f", b"y", PLAIN).unwrap();
    assert_eq!(fs::metadata(m.path("/opt/app/f")).unwrap().uid(), 4242);
    let mode = fs::metadata(m.path("/opt/app/r")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}
