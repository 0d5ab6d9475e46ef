//! The store, looked after from beside: `clustersitter store`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use cerebro_model::Secret;
use cerebro_store::{Batch, Blobs, SqliteStore, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

struct Controller {
    dir: TempDir,
    /// Open, as by a cluster sitter that runs.
    store: SqliteStore,
}

impl Controller {
    /// With a record, an event, a secret and an artifact.
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(&dir.path().join("data/store")).unwrap();
        let fence = store.take_term().unwrap();
        let counters = br#"{"machine":5,"deployment":3,"placement":9}"#.to_vec();
        let secret = Secret::try_from(b"hunter2".to_vec()).unwrap();
        let batch = Batch::new().put("counters", counters).event(b"{}".to_vec());
        store.commit(fence, batch.secret("password", Some(secret))).unwrap();
        let blobs = Blobs::open(&dir.path().join("data/blobs")).unwrap();
        let mut blob = blobs.writer(100).unwrap();
        blob.write(b"an artifact").unwrap();
        blob.finish().unwrap();
        Self { dir, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn back_up(&self, name: &str, more: &[&str]) -> PathBuf {
        let target = self.path(name);
        succeeds("backup", &self.path("data"), &[&[target.to_str().unwrap()], more].concat());
        target
    }

    fn artifact(&self, of: &str) -> PathBuf {
        let blobs = self.path(of).join("blobs");
        let all = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path());
        all.into_iter().find(|path| path.is_file()).unwrap()
    }
}

fn store(word: &str, data: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clustersitter"));
    command.args(["store", word, "--data"]).arg(data).args(more).output().unwrap()
}

fn succeeds(word: &str, data: &Path, more: &[&str]) -> String {
    let output = store(word, data, more);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn fails(word: &str, data: &Path, more: &[&str]) -> String {
    let output = store(word, data, more);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn a_store_is_backed_up_beside_its_controller_and_restored_behind_all_that_was_lost() {
    let controller = Controller::start();
    let said = succeeds("check", &controller.path("data"), &[]);
    assert!(said.contains("1 records, 1 events, 1 secrets, 1 components"), "{said}");
    let backup = controller.back_up("backup", &["--with-key"]);
    // What comes behind the backup is not in it.
    let fence = controller.store.take_term().unwrap();
    controller.store.commit(fence, Batch::new().put("job/later", b"{}".to_vec())).unwrap();

    let again = controller.path("again");
    succeeds("restore", &again, &[backup.to_str().unwrap()]);
    succeeds("check", &again, &[]);
    let restored = SqliteStore::open(&again.join("store")).unwrap();
    assert!(restored.get("job/later").unwrap().is_none());
    assert_eq!(restored.secret("password").unwrap().unwrap().reveal(), b"hunter2");
    assert_eq!(fs::read(controller.artifact("again")).unwrap(), b"an artifact");
    // Agents have seen this term, and the provider machines of these numbers.
    assert!(restored.take_term().unwrap().term() > fence.term());
    let counters = restored.get("counters").unwrap().unwrap().value;
    let counters: serde_json::Value = serde_json::from_slice(&counters).unwrap();
    assert_eq!(counters["machine"], 1_000_005);
    let told = restored.events(0, 10).unwrap().pop().unwrap().value;
    assert!(String::from_utf8(told).unwrap().contains("restored from"));
}

#[test]
fn a_backup_without_the_key_is_without_the_secrets_and_says_so() {
    let controller = Controller::start();
    let backup = controller.back_up("backup", &[]);
    assert!(!backup.join("store/secrets.key").exists());
    let again = controller.path("again");
    let said = succeeds("restore", &again, &[backup.to_str().unwrap()]);
    assert!(said.contains("note: ") && said.contains("the key of the cluster's secrets"), "{said}");
    let restored = SqliteStore::open(&again.join("store")).unwrap();
    assert!(restored.secret("password").is_err() && restored.get("counters").unwrap().is_some());
}

#[test]
fn what_is_damaged_is_told_and_nothing_is_made_of_it() {
    let controller = Controller::start();
    let backup = controller.back_up("backup", &["--with-key"]);
    let (state, again) = (backup.join("store/state.db"), controller.path("again"));
    let whole = fs::read(&state).unwrap();
    // Every page but the first, one by one, which holds the schema.
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..][..64].fill(0xa5);
        fs::write(&state, damaged).unwrap();
        let said = fails("restore", &again, &[backup.to_str().unwrap()]);
        assert!(said.contains("wrong: ") && !again.exists(), "page {page}: {said}");
    }
    fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    fails("restore", &again, &[backup.to_str().unwrap()]);
    fs::write(&state, whole).unwrap();

    fs::write(controller.artifact("backup"), "another").unwrap();
    let said = fails("restore", &again, &[backup.to_str().unwrap()]);
    assert!(said.contains("was changed") && !again.exists(), "{said}");
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let controller = Controller::start();
    let data = controller.path("data");
    let backup = controller.back_up("backup", &[]);
    let backup = backup.to_str().unwrap();
    assert!(fails("backup", &data, &[backup]).contains("is there already"));
    assert!(fails("restore", &data, &[backup]).contains("is there already"));
    let absent = controller.path("absent");
    for word in ["check", "backup", "sql"] {
        let said = fails(word, &absent, &["x"][..usize::from(word != "check")]);
        assert!(said.contains("there is no store in"), "{said}");
    }
}

#[test]
fn it_answers_queries_and_takes_no_orders() {
    let controller = Controller::start();
    let data = controller.path("data");
    let said = succeeds("sql", &data, &["SELECT key, value, revision FROM entry"]);
    let json = r#"{"machine":5,"deployment":3,"placement":9}"#;
    assert_eq!(said, format!("key\tvalue\trevision\ncounters\t{json}\t1\n"));
    let said = succeeds("sql", &data, &["--json", "SELECT value FROM entry"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["value"]["machine"], 5);
    for order in ["DELETE FROM entry", "PRAGMA user_version = 9", "SELEC"] {
        let said = fails("sql", &data, &[order]);
        assert!(said.contains("answer the query"), "{order}: {said}");
    }
    assert!(controller.store.get("counters").unwrap().is_some());
}

#[test]
fn a_store_that_takes_a_lost_ones_place_goes_on_behind_all_its_numbers() {
    let controller = Controller::start();
    let words = succeeds("begin", &controller.path("new"), &[]);
    assert!(words.contains("cerebro machine adopt"), "{words}");
    let checked = succeeds("check", &controller.path("new"), &[]);
    assert!(checked.contains("term 1000001"), "{checked}");
    let sql = succeeds(
        "sql",
        &controller.path("new"),
        &["SELECT value FROM entry WHERE key = 'counters'"],
    );
    assert!(sql.contains("1000001"), "{sql}");
    let again = store("begin", &controller.path("data"), &[]);
    let words = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && words.contains("is there already"), "{words}");
}
