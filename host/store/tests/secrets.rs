//! Secrets in the store: there for who has the key, and in no file without it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use cerebro_model::Secret;
use cerebro_store::{Batch, CommitError, KeyError, SqliteStore, Store, StoreError};
use std::path::Path;

const VALUE: &[u8] = b"correct horse battery staple";

fn secret(bytes: &[u8]) -> Option<Secret> {
    Some(Secret::try_from(bytes.to_vec()).unwrap())
}

/// The names of all files below `dir` that hold `bytes`.
fn holding(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|part| part == bytes) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_secret_comes_back_after_reopening_and_lies_in_no_file_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let fence = store.take_term().unwrap();
    assert!(!dir.path().join("secrets.key").exists(), "made on first use");
    // What is not secret is found, so the search is one.
    let batch = Batch::new().put("a", b"not so secret".to_vec()).secret("a", secret(VALUE));
    store.commit(fence, batch).unwrap();
    assert_ne!(holding(dir.path(), b"not so secret"), Vec::<String>::new());
    assert_eq!(holding(dir.path(), VALUE), Vec::<String>::new());
    drop(store);

    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.secret("a").unwrap(), secret(VALUE));
    assert_eq!(store.get("a").unwrap().unwrap().value, b"not so secret", "another key than that");
    assert_eq!(store.secret("b").unwrap(), None);
    let fence = store.take_term().unwrap();
    store.commit(fence, Batch::new().secret("a", secret(b"other"))).unwrap();
    assert_eq!(store.secret("a").unwrap(), secret(b"other"));
    store.commit(fence, Batch::new().secret("a", None)).unwrap();
    assert_eq!(store.secret("a").unwrap(), None);
    assert_eq!(holding(dir.path(), VALUE), Vec::<String>::new());
}

#[test]
fn a_commit_that_does_not_happen_keeps_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let fence = store.take_term().unwrap();
    let raced = Batch::new().secret("a", secret(VALUE)).expect("a", Some(7));
    assert!(matches!(store.commit(fence, raced), Err(CommitError::Conflict { .. })));
    assert_eq!(store.secret("a").unwrap(), None);
    let large = (0..17)
        .fold(Batch::new(), |batch, n| batch.secret(n.to_string(), secret(&[0; Secret::LARGEST])));
    assert!(matches!(store.commit(fence, large), Err(CommitError::TooLarge { .. })));
}

#[test]
fn a_backup_is_worth_nothing_without_the_key() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = SqliteStore::open(dir.path()).unwrap();
    let fence = store.take_term().unwrap();
    store.commit(fence, Batch::new().secret("a", secret(VALUE)).put("b", vec![1])).unwrap();
    store.backup(&copy.path().join("state.db")).unwrap();
    assert_eq!(holding(copy.path(), VALUE), Vec::<String>::new());

    // Without its key, and with that of another: the rest is there, the secret is not, and none is
    // taken that would later need a second key.
    let restored = SqliteStore::open(copy.path()).unwrap();
    let fence = restored.take_term().unwrap();
    assert_eq!(restored.get("b").unwrap().unwrap().value, [1]);
    let another = || restored.commit(fence, Batch::new().secret("c", secret(VALUE)));
    assert!(matches!(restored.secret("a"), Err(StoreError::Key(KeyError::Missing { .. }))));
    let refused = another();
    assert!(
        matches!(
            &refused,
            Err(CommitError::Unavailable(StoreError::Key(KeyError::Missing { .. })))
        ),
        "{refused:?}"
    );
    assert!(!copy.path().join("secrets.key").exists());
    let foreign = tempfile::tempdir().unwrap();
    let other = SqliteStore::open(foreign.path()).unwrap();
    other.commit(other.take_term().unwrap(), Batch::new().secret("x", secret(b"x"))).unwrap();
    let key = copy.path().join("secrets.key");
    std::fs::copy(foreign.path().join("secrets.key"), &key).unwrap();
    assert!(matches!(restored.secret("a"), Err(StoreError::Key(KeyError::Wrong { .. }))));
    assert!(another().is_err());

    // With its key, all is well; and without any secret a new key would be, too.
    std::fs::copy(dir.path().join("secrets.key"), &key).unwrap();
    assert_eq!(restored.secret("a").unwrap(), secret(VALUE));
    another().unwrap();
}

#[test]
fn where_the_key_is_lost_secrets_can_be_removed_and_set_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(store.take_term().unwrap(), Batch::new().secret("a", secret(VALUE))).unwrap();
    drop(store);
    std::fs::remove_file(dir.path().join("secrets.key")).unwrap();

    let store = SqliteStore::open(dir.path()).unwrap();
    let fence = store.take_term().unwrap();
    assert!(store.commit(fence, Batch::new().secret("a", secret(VALUE))).is_err());
    store.commit(fence, Batch::new().secret("a", None)).unwrap();
    store.commit(fence, Batch::new().secret("a", secret(b"new"))).unwrap();
    assert_eq!(store.secret("a").unwrap(), secret(b"new"));
}
