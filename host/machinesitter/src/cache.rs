//! How much room the cache of components and artifacts takes: the files that were used longest ago
//! make room, but for those that what runs here is made of.

use crate::agent::Agent;
use cerebro_model::{Assignment, Digest};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What the cache may take, in bytes: some releases of some jobs.
const LIMIT: u64 = 4 << 30;
/// How long a file that came in part is of use.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    path: PathBuf,
    digest: Digest,
    size: u64,
    used: SystemTime,
}

/// Remembers that a file was used just now.
pub fn touch(file: &Path) -> io::Result<()> {
    File::options().write(true).open(file)?.set_modified(SystemTime::now())
}

/// Brings the cache below its limit, as far as it can be. Blocks for as long as the disk takes.
pub fn prune(agent: &Agent) {
    let directory = agent.blobs.directory();
    let needed = needed(agent);
    for path in abandoned(directory) {
        let _ = fs::remove_file(path);
    }
    for file in surplus(list(directory), &needed, LIMIT) {
        match fs::remove_file(&file.path) {
            Ok(()) => tracing::info!(digest = %file.digest, "removed from the cache"),
            Err(error) => tracing::warn!(%error, path = %file.path.display(), "not removed"),
        }
    }
}

/// What came in part, and nobody went on with for a day.
fn abandoned(directory: &Path) -> Vec<PathBuf> {
    let is_old = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|about| about.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.filter(is_old).map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "part")).collect()
}

fn list(directory: &Path) -> Vec<Kept> {
    let kept = |entry: fs::DirEntry| {
        let about = entry.metadata().ok()?;
        let digest = entry.file_name().to_str()?.parse().ok()?;
        Some(Kept { path: entry.path(), digest, size: about.len(), used: about.modified().ok()? })
    };
    fs::read_dir(directory).into_iter().flatten().flatten().filter_map(kept).collect()
}

/// Which of them must go for the rest to take at most `limit`.
fn surplus(mut files: Vec<Kept>, needed: &BTreeSet<Digest>, limit: u64) -> Vec<Kept> {
    let mut size: u64 = files.iter().map(|file| file.size).sum();
    files.sort_by_key(|file| file.used);
    files.retain(|file| {
        let goes = size > limit && !needed.contains(&file.digest);
        if goes {
            size -= file.size;
        }
        goes
    });
    files
}

/// What the instances that are here, or are to be, are made of.
fn needed(agent: &Agent) -> BTreeSet<Digest> {
    let mut needed = BTreeSet::new();
    for record in agent.table.map(|entry| entry.record.clone()) {
        add(&record.assignment, &mut needed);
        record.task.iter().for_each(|task| add(task, &mut needed));
    }
    let (desired, _) = agent.desired();
    desired.iter().flat_map(|desired| &desired.assignments).for_each(|a| add(a, &mut needed));
    needed
}

fn add(assignment: &Assignment, needed: &mut BTreeSet<Digest>) {
    let deployment = &assignment.deployment;
    needed.insert(deployment.recipe);
    needed.extend(deployment.checks.values());
    needed.extend(deployment.held_to.map(|held| held.plans));
    // A recipe is told of its artifacts by their digests.
    deployment.job.recipe_options.values().for_each(|value| digests(value, needed));
}

fn digests(value: &serde_json::Value, found: &mut BTreeSet<Digest>) {
    match value {
        serde_json::Value::String(text) => found.extend(text.parse::<Digest>().ok()),
        serde_json::Value::Array(all) => all.iter().for_each(|value| digests(value, found)),
        serde_json::Value::Object(all) => all.values().for_each(|value| digests(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64, used: u64) -> Kept {
        let digest = Digest::of(name.as_bytes());
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(used);
        Kept { path: name.into(), digest, size, used }
    }

    #[test]
    fn what_was_used_longest_ago_goes_but_for_what_is_needed() {
        let files = vec![file("new", 40, 9), file("needed", 40, 1), file("old", 40, 2)];
        let needed = BTreeSet::from([Digest::of(b"needed")]);
        assert_eq!(surplus(files.clone(), &needed, 120), []);
        assert_eq!(surplus(files.clone(), &needed, 100), [file("old", 40, 2)]);
        let gone = surplus(files, &needed, 10);
        assert_eq!(gone, [file("old", 40, 2), file("new", 40, 9)]);
    }

    #[test]
    fn artifacts_are_found_wherever_options_name_them() {
        let digest = Digest::of(b"release");
        let options = serde_json::json!({ "a": [{ "artifact": digest.to_string() }, 7, "text"] });
        let mut found = BTreeSet::new();
        digests(&options, &mut found);
        assert_eq!(found, BTreeSet::from([digest]));
    }

    #[test]
    fn what_nobody_went_on_with_goes() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["old.part", "new.part", "old"].map(|name| dir.path().join(name));
        for path in &paths {
            let file = File::create(path).unwrap();
            if !path.ends_with("new.part") {
                file.set_modified(SystemTime::now() - ABANDONED * 2).unwrap();
            }
        }
        assert_eq!(abandoned(dir.path()), [paths[0].clone()]);
    }

    #[test]
    fn a_file_that_is_used_becomes_young() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(Digest::of(b"x").to_string());
        let old = File::create(&path).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        touch(&path).unwrap();
        let [found] = &list(dir.path())[..] else { panic!("not one file") };
        assert!(found.used > SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    }
}
