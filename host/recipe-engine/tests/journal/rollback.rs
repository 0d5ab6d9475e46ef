//! What was done is taken back to the last bit, wherever it ended.

use crate::manifest::{assert_same, manifest};
use crate::media::{Fault, Faulty};
use crate::scenario::Scenario;
use crate::support::{Machine, engine};
use cerebro_model::Kept;
use cerebro_recipe_engine::forget_call;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// All that outlives a call: the machine's files, and what the component remembers.
fn state(scenario: &Scenario) -> [std::collections::BTreeMap<String, String>; 2] {
    let memory = scenario.machine.dir.path().join("memory");
    // When a directory of the agent's own was changed is nobody's business.
    let mut memory = manifest(&memory);
    memory.retain(|_, line| !line.starts_with('4'));
    memory.values_mut().for_each(|line| *line = line.split(' ').skip(5).collect());
    [manifest(&scenario.root()), memory]
}

#[track_caller]
fn assert_restored(
    before: &[std::collections::BTreeMap<String, String>; 2],
    now: &Scenario,
    what: &str,
) {
    let after = state(now);
    assert_same(&before[0], &after[0], what);
    assert_eq!(before[1].keys().collect::<Vec<_>>(), after[1].keys().collect::<Vec<_>>(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_call_is_taken_back_to_the_last_bit_and_may_be_again() {
    let scenario = Scenario::new().fill().await;
    let before = state(&scenario);
    let component = scenario.component().await;
    engine().deploy(&component, scenario.call(&scenario.options)).await.unwrap();
    assert!(scenario.machine.logged("/opt/app/current/app holds new"));
    let journal = scenario.journal().unwrap();
    assert!(journal.is_closed() && !journal.is_rolled_back());
    let effects = journal.effects().len();
    for _ in 0..2 {
        let report = scenario.roll_back().await;
        assert!(report.is_complete(), "{report}");
        assert_eq!(report.undone, effects);
        assert_restored(&before, &scenario, "after a whole call");
    }
    forget_call(&scenario.root(), &scenario.directory()).unwrap();
    assert!(!scenario.directory().exists());
    // Deployed again, all is as it was the first time.
    engine().deploy(&component, scenario.call(&scenario.options)).await.unwrap();
    assert_eq!(scenario.machine.text("/opt/app/current/app"), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_taken_back_when_the_disk_is_full_at_each_record_in_turn() {
    let mut tried = 0;
    for at in 0.. {
        let scenario = Scenario::new().fill().await;
        let before = state(&scenario);
        let written = Arc::new(AtomicUsize::new(0));
        let mut call = scenario.call(&scenario.options);
        let full = Faulty::opening(Fault::Full, at, written.clone());
        call.journal = Some(scenario.journaling().with_medium(full));
        let deployed = engine().deploy(&scenario.component().await, call).await;
        if written.load(SeqCst) <= at {
            deployed.unwrap();
            break;
        }
        // Only the records of the end come behind the last effect.
        if let Err(error) = deployed {
            assert!(error.to_string().contains("journal"), "{error}");
        }
        let report = scenario.roll_back().await;
        assert!(report.is_complete(), "record {at}: {report}");
        assert_restored(&before, &scenario, &format!("the disk was full at record {at}"));
        tried += 1;
    }
    assert!(tried > 60, "{tried}");
    println!("{tried} records");
}

/// A file system of its own that is small, gone at the end.
struct Small(tempfile::TempDir);

impl Small {
    /// None if this process may not mount.
    fn mount(bytes: usize) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        let (none, flags) = (None::<&str>, nix::mount::MsFlags::empty());
        let mounted =
            nix::mount::mount(none, dir.path(), Some("tmpfs"), flags, Some(options.as_str()));
        mounted.ok().map(|()| Self(dir))
    }

    /// Leaves so many pages free, and no more.
    fn fill(&self, pages: usize) {
        let ballast = fs::File::create(self.0.path().join("ballast")).unwrap();
        let free = nix::sys::statvfs::statvfs(self.0.path()).unwrap();
        let free = usize::try_from(free.blocks_available()).unwrap();
        let length = i64::try_from(free.saturating_sub(pages) * 4096).unwrap();
        let whole = nix::fcntl::FallocateFlags::empty();
        nix::fcntl::fallocate(&ballast, whole, 0, length).unwrap();
    }

    fn free_up(&self) {
        let ballast = self.0.path().join("ballast");
        // A process that another test has just begun may hold it open for a moment.
        fs::File::options().write(true).open(&ballast).unwrap().set_len(0).unwrap();
        fs::remove_file(ballast).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

/// A disk that really has no room left, for the files, for what is kept, and for the journal, with
/// each number of free pages from none to enough. Nobody frees anything before all is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_taken_back_when_a_real_disk_is_full_at_any_point() {
    let mut failed = 0;
    for pages in 0.. {
        let Some(disk) = Small::mount(32 << 20) else {
            eprintln!("skipped: it needs to mount a file system");
            return;
        };
        let scenario = Scenario::on(Machine::in_dir(disk.0.path())).fill().await;
        let before = state(&scenario);
        disk.fill(pages);
        let component = scenario.component().await;
        let deployed = engine().deploy(&component, scenario.call(&scenario.options)).await;
        if deployed.is_ok() {
            break;
        }
        failed += 1;
        let report = scenario.roll_back().await;
        assert!(report.is_complete(), "{pages} pages: {report}");
        assert_restored(&before, &scenario, &format!("there were {pages} free pages"));
        disk.free_up();
        engine().deploy(&component, scenario.call(&scenario.options)).await.unwrap();
    }
    assert!(failed > 10, "{failed}");
    println!("{failed} sizes");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_taken_back_when_the_recipe_fails_behind_each_of_its_steps() {
    let whole = Scenario::new().fill().await.steps();
    for at in 0..=whole.as_array().unwrap().len() {
        let scenario = Scenario::new().fill().await;
        let before = state(&scenario);
        let mut steps = scenario.steps().as_array().unwrap()[..at].to_vec();
        let ends = [
            serde_json::json!({"fail": "no more"}),
            serde_json::json!({"panic": "no more"}),
            // What the host refuses fails in the middle of a step of its own.
            serde_json::json!({"tree": ["/srv/half", [["a", "a"], ["b", "b"], ["a/c", "c"]], false]}),
        ];
        steps.push(ends[at % ends.len()].clone());
        let options = serde_json::json!({ "steps": steps }).to_string();
        let deployed = engine().deploy(&scenario.component().await, scenario.call(&options)).await;
        let error = deployed.unwrap_err().to_string();
        assert!(error.contains("no more") || error.contains("Not a directory"), "{error}");
        let report = scenario.roll_back().await;
        assert!(report.is_complete(), "step {at}: {report}");
        assert_restored(&before, &scenario, &format!("it failed behind step {at}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changed_meanwhile_stays_and_is_told() {
    let scenario = Scenario::new().fill().await;
    engine().deploy(&scenario.component().await, scenario.call(&scenario.options)).await.unwrap();
    let m = &scenario.machine;
    fs::write(m.path("/etc/app/conf"), "theirs\n").unwrap();
    fs::write(m.path("/srv/a/b/c/theirs"), "theirs\n").unwrap();
    fs::write(m.path("/var/fresh/one/lib/theirs"), "theirs\n").unwrap();
    fs::create_dir(m.path("/srv/gone")).unwrap();
    fs::remove_file(m.path("/etc/app/link2")).unwrap();
    let report = scenario.roll_back().await;
    let told = report.to_string();
    for words in [
        "rolled back except: #2 write /etc/app/conf (`/etc/app/conf` was changed since)",
        "directory /srv/a/b/c (`/srv/a/b/c` holds `theirs` since)",
        "in `/var/fresh/one`, `lib",
        "`/srv/gone` was changed since",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let conflicts = report.kept.iter().all(|(_, _, kept)| matches!(kept, Kept::Conflict(_)));
    assert!(conflicts && !report.is_complete(), "{told}");
    assert_eq!(m.text("/etc/app/conf"), "theirs\n");
    assert_eq!(m.text("/srv/a/b/c/theirs"), "theirs\n");
    assert_eq!(m.text("/var/fresh/one/lib/theirs"), "theirs\n");
    // The rest is as it was.
    assert_eq!(m.text("/opt/app/current/app"), "old");
    assert_eq!(m.text("/srv/moved"), "here\n");
    // Once the way is free, it can be asked for again.
    fs::remove_dir(m.path("/srv/gone")).unwrap();
    let again = scenario.roll_back().await;
    assert!(again.kept.len() < report.kept.len(), "{again}");
    assert_eq!(m.text("/srv/gone/deep/er/file"), "dear\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_undone_by_what_they_brought_and_barriers_hold() {
    let scenario = Scenario::new();
    let m = &scenario.machine;
    fs::create_dir_all(m.path("/srv")).unwrap();
    let (touch, remove) = (m.path("/srv/made"), m.path("/srv/made"));
    let sh = |what: String| serde_json::json!(["/bin/sh", "-c", what]);
    let make = sh(format!("touch {}", touch.display()));
    let undo = sh(format!("rm {}", remove.display()));
    let later = sh(format!("echo x >> {}", m.path("/srv/told").display()));
    let options = |steps: serde_json::Value| serde_json::json!({ "steps": steps }).to_string();

    let steps = options(serde_json::json!([
        {"write": ["/srv/a", "a", null]},
        {"run-undo": [make, undo]},
        {"run": ["/bin/true"]},
        {"at-end": later},
    ]));
    engine().deploy(&scenario.component().await, scenario.call(&steps)).await.unwrap();
    assert_eq!(m.text("/srv/told"), "x\n");
    let report = scenario.roll_back().await;
    let opaque = "run /bin/true (nobody knows what it did, and nothing was given to undo it)";
    assert!(report.to_string().contains(opaque), "{report}");
    assert!(!m.path("/srv/a").exists() && !m.path("/srv/made").exists());
    assert_eq!(m.text("/srv/told"), "x\nx\n", "who was told is told again");
    forget_call(&scenario.root(), &scenario.directory()).unwrap();

    let steps = options(serde_json::json!([
        {"write": ["/srv/b", "b", null]},
        {"run-for-good": ["/bin/true"]},
        {"write": ["/srv/c", "c", null]},
        {"at-end": later},
        {"fail": "too late"},
    ]));
    engine().deploy(&scenario.component().await, scenario.call(&steps)).await.unwrap_err();
    let report = scenario.roll_back().await;
    assert!(m.path("/srv/b").exists() && !m.path("/srv/c").exists());
    assert_eq!(report.kept.iter().filter(|(.., kept)| *kept == Kept::Barrier).count(), 2);
    // What was to be done at the end of the failed call is not done at the end of another.
    let nothing = options(serde_json::json!([]));
    engine().deploy(&scenario.component().await, m.call(&nothing)).await.unwrap();
    assert_eq!(m.text("/srv/told"), "x\nx\n");
}
