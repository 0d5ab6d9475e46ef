//! The tree against real files. Owners need root; what depends on them is left out without it.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Attributes, Content, Layout, Node, Owner, Shared, Tree, Unpack};
use crate::bindings::interfaces::files::Kind;
use crate::bindings::interfaces::types::{Change, Error};
use crate::journal::Ledger;
use cerebro_model::{Allowed, Digest, Grants};
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
    let allowed = Allowed::new(Arc::new(grants), None);
    let tree = Tree::new(dir.path(), allowed, Arc::default(), Arc::new(Ledger::off()));
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
    assert!(denied(m.tree.write("/etc/motd", b"x", Vec::new(), PLAIN)).contains("grants.write"));
    assert!(
        denied(m.tree.write("/opt/application", b"x", Vec::new(), PLAIN)).contains("grants.write")
    );
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
    let write =
        |text: &[u8], attributes| m.tree.write("/opt/app/f", text, Vec::new(), attributes).unwrap();
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
    assert!(matches!(m.tree.write("/opt/app", b"x", Vec::new(), PLAIN), Err(Error::Invalid(_))));
    assert!(matches!(
        m.tree.write("/opt/app/none/f", b"x", Vec::new(), PLAIN),
        Err(Error::NotFound(_))
    ));
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
        denied(m.tree.write(&format!("/opt/app/{name}/key"), b"x", Vec::new(), PLAIN));
        denied(m.tree.list(&format!("/opt/app/{name}")));
    }
    symlink("/secret/key", m.path("/opt/app/file")).unwrap();
    denied(m.tree.read("/opt/app/file", 100));
    // A granted target is reached; for writing it must be granted for writing.
    symlink("/etc", m.path("/opt/app/etc")).unwrap();
    assert_eq!(m.tree.read("/opt/app/etc/motd", 100).unwrap(), b"hello");
    denied(m.tree.write("/opt/app/etc/motd", b"x", Vec::new(), PLAIN));
    // The last part is not followed when changing.
    assert!(matches!(
        m.tree.write("/opt/app/file", b"x", Vec::new(), PLAIN),
        Err(Error::Invalid(_))
    ));
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
    m.tree.write("/opt/app/f", b"x", Vec::new(), Attributes { mode: None, owner }).unwrap();
    let archive = tar(&[("d/f", Regular, "1"), ("l", Symlink, "d")]);
    m.unpack(&archive, |unpack| unpack.owner = owner).unwrap();
    for path in ["f", "r", "r/d", "r/d/f", "r/l"] {
        let found = fs::symlink_metadata(m.path("/opt/app").join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (4242, 4243), "{path}");
    }
    // What is left out stays.
    m.tree.write("/opt/app/f", b"y", Vec::new(), PLAIN).unwrap();
    assert_eq!(fs::metadata(m.path("/opt/app/f")).unwrap().uid(), 4242);
    let mode = fs::metadata(m.path("/opt/app/r")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

fn node(path: &str, content: Content) -> Node {
    Node { path: path.to_owned(), content, attributes: PLAIN }
}

fn names_of(changes: &[(String, Change)]) -> Vec<&str> {
    changes.iter().map(|(path, _)| path.as_str()).collect()
}

#[test]
fn a_tree_is_held_in_one_call_and_purged_of_the_rest() {
    let machine = machine();
    let nodes = |text: &str| {
        vec![
            node("conf.d/one.conf", Content::File(text.into(), Vec::new())),
            node("conf.d", Content::Directory),
            node("deep/er/x", Content::File(b"x".to_vec(), Vec::new())),
            node("link", Content::Link("conf.d/one.conf".to_owned())),
        ]
    };
    let hold = |text: &str, purge| machine.tree.hold("/opt/app/tree", nodes(text), purge).unwrap();
    let made = hold("1", false);
    assert_eq!(names_of(&made), ["", "conf.d", "conf.d/one.conf", "deep/er", "deep/er/x", "link"]);
    assert!(hold("1", true).is_empty());
    for path in ["stray", "conf.d/stray", "deep/stray"] {
        fs::write(machine.path("/opt/app/tree").join(path), "").unwrap();
    }
    fs::create_dir(machine.path("/opt/app/tree/empty")).unwrap();
    assert!(hold("1", false).is_empty(), "what is not asked for stays");
    let mut purged = hold("2", true);
    purged.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = ["conf.d/one.conf", "conf.d/stray", "deep/stray", "empty", "stray"];
    assert_eq!(names_of(&purged), expected);
    assert_eq!(machine.text("/opt/app/tree/link"), "2");
    for bad in ["", "/abs", "../out", "a/../b"] {
        let nodes = vec![node(bad, Content::Directory)];
        assert!(machine.tree.hold("/opt/app/tree", nodes, false).is_err(), "{bad}");
    }
}

#[test]
fn names_copies_and_digests() {
    let machine = machine();
    let tree = &machine.tree;
    assert!(matches!(tree.rename("/opt/app/a", "/opt/app/b"), Ok(Change::Updated)));
    assert!(matches!(tree.rename("/opt/app/a", "/opt/app/b"), Ok(Change::Unchanged)));
    assert!(matches!(tree.rename("/opt/app/a", "/opt/app/c"), Err(Error::NotFound(_))));
    denied(tree.rename("/opt/app/b", "/etc/b"));
    denied(tree.rename("/etc/motd", "/opt/app/motd"));
    assert!(matches!(tree.copy("/etc/motd", "/opt/app/motd", PLAIN), Ok(Change::Created)));
    assert!(matches!(tree.copy("/etc/motd", "/opt/app/motd", PLAIN), Ok(Change::Unchanged)));
    assert!(matches!(tree.rename("/opt/app/b", "/opt/app/motd"), Err(Error::Invalid(_))));
    assert_eq!(tree.digest("/etc/motd").unwrap(), Digest::of(b"hello").to_string());
    let mode = Attributes { mode: Some(0o600), owner: None };
    assert!(matches!(tree.set_attributes("/opt/app/motd", mode), Ok(Change::Updated)));
    assert!(matches!(tree.set_attributes("/opt/app/motd", mode), Ok(Change::Unchanged)));
    assert_eq!(fs::metadata(machine.path("/opt/app/motd")).unwrap().mode() & 0o777, 0o600);
    assert!(matches!(tree.set_attributes("/opt/app/none", mode), Err(Error::NotFound(_))));
}

#[test]
fn a_name_for_somebody_elses_file_lends_nothing() {
    let machine = machine();
    // What a task's user can make of a file that it may not even read.
    fs::hard_link(machine.path("/secret/key"), machine.path("/opt/app/mine")).unwrap();
    let before = fs::metadata(machine.path("/secret/key")).unwrap();
    let mode = Attributes { mode: Some(0o666), owner: None };
    let refused = machine.tree.set_attributes("/opt/app/mine", mode);
    assert!(matches!(refused, Err(Error::Invalid(why)) if why.contains("hard links")));
    machine.tree.write("/opt/app/mine", b"new", Vec::new(), mode).unwrap();
    let after = fs::metadata(machine.path("/secret/key")).unwrap();
    assert_eq!((after.mode(), machine.text("/secret/key")), (before.mode(), "xyzzy".to_owned()));
}

#[test]
fn releases_are_staged_activated_pruned_and_left() {
    let machine = machine();
    let tree = &machine.tree;
    let base = "/opt/app/portal";
    let shared = |path: &str, directory| Shared { path: path.to_owned(), directory };
    let layout = Layout {
        base: base.to_owned(),
        owner: None,
        shared: vec![shared("log", true), shared("config/local.yaml", false)],
    };
    let stage = |version: &str, instance: &str| tree.stage(&layout, version, instance, None);
    assert!(matches!(tree.activate(base, "1.0"), Err(Error::NotFound(_))));
    assert!(matches!(stage("1.0", "0.z.portal"), Ok(Change::Created)));
    assert!(matches!(stage("1.0", "0.z.portal"), Ok(Change::Unchanged)));
    assert!(matches!(tree.activate(base, "1.0"), Ok(Change::Created)));
    assert!(matches!(tree.activate(base, "1.0"), Ok(Change::Unchanged)));
    // What is shared is one for all releases.
    fs::write(machine.path("/opt/app/portal/current/log/app.log"), "line").unwrap();
    fs::create_dir_all(machine.path("/opt/app/portal/shared/config")).unwrap();
    fs::write(machine.path("/opt/app/portal/shared/config/local.yaml"), "mine").unwrap();
    for version in ["1.1", "1.2", "1.3"] {
        stage(version, "0.z.portal").unwrap();
        tree.activate(base, version).unwrap();
    }
    assert_eq!(machine.text("/opt/app/portal/current/log/app.log"), "line");
    assert_eq!(machine.text("/opt/app/portal/releases/1.2/config/local.yaml"), "mine");
    stage("1.1", "1.z.portal").unwrap();
    let all = tree.releases(base).unwrap();
    let state: Vec<_> = all.iter().map(|r| (r.version.as_str(), r.current, r.needed)).collect();
    let expected =
        [("1.0", false, false), ("1.1", false, true), ("1.2", false, true), ("1.3", true, true)];
    assert_eq!(state, expected);
    assert_eq!(tree.prune(base, 0).unwrap(), ["1.0"]);
    assert!(matches!(tree.leave(base, "0.z.portal"), Ok(Change::Updated)));
    assert_eq!(tree.prune(base, 0).unwrap(), ["1.2"], "current stays, and what another needs");
    assert!(matches!(tree.leave(base, "1.z.portal"), Ok(Change::Removed)));
    assert_eq!(machine.names("/opt/app/portal"), ["shared"]);
    assert!(matches!(tree.leave(base, "1.z.portal"), Ok(Change::Removed | Change::Unchanged)));
    for bad in ["", "..", ".x", "a/b", "current/../x"] {
        assert!(stage(bad, "0.z.portal").is_err(), "{bad}");
    }
    let out =
        Layout { shared: vec![shared("../../etc", true)], base: base.to_owned(), owner: None };
    assert!(tree.stage(&out, "2.0", "0.z.portal", None).is_err());
}
