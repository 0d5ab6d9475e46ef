//! The store on a real disk: what it promises about crashes, rivals and limits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use cerebro_store::{Batch, BlobError, Blobs, CommitError, SqliteStore, Store, StoreError};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn what_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let first = SqliteStore::open(dir.path()).unwrap();
    let fence = first.take_term().unwrap();
    let batch = Batch::new().expect("job/a", None).put("job/a", b"1".to_vec()).event(b"e".to_vec());
    let committed = first.commit(fence, batch).unwrap();
    drop(first);

    let again = SqliteStore::open(dir.path()).unwrap();
    let entry = again.get("job/a").unwrap().unwrap();
    assert_eq!((entry.value.as_slice(), entry.revision), (b"1".as_slice(), committed.revision));
    assert_eq!(again.events(0, 10).unwrap().len(), 1);
    assert!(again.take_term().unwrap().term() > fence.term());
}

#[test]
fn a_stale_leader_commits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let stale = store.take_term().unwrap();
    let current = store.take_term().unwrap();
    let write = || Batch::new().put("a", b"1".to_vec()).event(b"e".to_vec());
    assert!(matches!(
        store.commit(stale, write()),
        Err(CommitError::Fenced { ours: 1, current: 2 })
    ));
    assert_eq!((store.get("a").unwrap(), store.last_event().unwrap()), (None, 0));
    store.commit(current, write()).unwrap();
}

#[test]
fn a_conflict_leaves_nothing_of_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let fence = store.take_term().unwrap();
    store.commit(fence, Batch::new().put("a", b"1".to_vec())).unwrap();
    let raced = Batch::new().put("b", b"2".to_vec()).expect("a", None).event(b"e".to_vec());
    assert!(matches!(store.commit(fence, raced), Err(CommitError::Conflict { key }) if key == "a"));
    assert_eq!((store.get("b").unwrap(), store.last_event().unwrap()), (None, 0));
}

#[test]
fn scan_takes_what_starts_with_the_prefix_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let fence = store.take_term().unwrap();
    let keys = ["job", "job/", "job/a", "job/\u{10ffff}", "job0", "machine/a"];
    let batch = keys.iter().fold(Batch::new(), |batch, key| batch.put(*key, Vec::new()));
    store.commit(fence, batch).unwrap();
    let found: Vec<_> = store.scan("job/").unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(found, ["job/", "job/a"]);
}

#[test]
fn a_second_controller_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = SqliteStore::open(dir.path()).unwrap();
    assert!(matches!(SqliteStore::open(dir.path()), Err(StoreError::InUse { .. })));
}

#[test]
fn a_backup_opens_as_a_store() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = SqliteStore::open(dir.path()).unwrap();
    let fence = store.take_term().unwrap();
    store.commit(fence, Batch::new().put("a", b"1".to_vec())).unwrap();
    store.backup(&copy.path().join("state.db")).unwrap();
    let restored = SqliteStore::open(copy.path()).unwrap();
    assert_eq!(restored.get("a").unwrap().unwrap().value, b"1");
}

const WRITER: &str = "CEREBRO_TEST_STORE_WRITER";

/// Not a test of its own: the process that the next one kills.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(WRITER) else { return };
    let store = SqliteStore::open(dir.as_ref()).unwrap();
    let fence = store.take_term().unwrap();
    for number in 0u32.. {
        store.commit(fence, Batch::new().put(format!("k/{number:08}"), b"x".to_vec())).unwrap();
        println!("acknowledged {number}");
    }
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["writer", "--exact", "--nocapture"])
        .env(WRITER, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let acknowledged = lines.filter(|line| line.contains("acknowledged")).take(40).count();
    child.kill().unwrap();
    child.wait().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    assert!(store.scan("k/").unwrap().len() >= acknowledged);
    assert_eq!(acknowledged, 40);
}

#[test]
fn a_blob_over_the_limit_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let mut writer = blobs.writer(4).unwrap();
    writer.write(b"1234").unwrap();
    assert!(matches!(writer.write(b"5"), Err(BlobError::TooLarge { limit: 4 })));
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);

    let mut writer = blobs.writer(4).unwrap();
    writer.write(b"1234").unwrap();
    let (digest, size) = writer.finish().unwrap();
    assert_eq!((digest, size), (cerebro_model::Digest::of(b"1234"), 4));
    assert!(blobs.contains(&digest));
}
