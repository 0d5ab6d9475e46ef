//! The machine loses its power: of what was written behind the last barrier anything may be missing,
//! while the files may be as they were left. Then it is taken back, or it is said what may remain.

use crate::manifest::manifest;
use crate::media::{Log, Logged, Losing};
use crate::scenario::Scenario;
use crate::support::engine;
use cerebro_recipe_engine::{End, Journal};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Some of the changes: one of each kind, some on one another, and the flip of a release among them.
fn few(scenario: &Scenario) -> String {
    let all = scenario.steps();
    let named = [
        "own",
        "write",
        "directory",
        "link",
        "attributes",
        "rename",
        "remove",
        "unpack",
        "stage",
        "activate",
    ];
    let mut taken = BTreeMap::new();
    let steps = all.as_array().unwrap().iter().filter(|step| {
        let name = step.as_object().unwrap().keys().next().unwrap().clone();
        let of_it: &mut usize = taken.entry(name.clone()).or_default();
        *of_it += 1;
        // A file that is made, then changed, then removed.
        named.contains(&name.as_str()) && *of_it <= if name == "write" { 3 } else { 1 }
    });
    let mut steps: Vec<_> = steps.cloned().collect();
    steps.push(serde_json::json!({"write": ["/etc/app/last", "last\n", null]}));
    serde_json::json!({ "steps": steps }).to_string()
}

/// Another boot than this one.
const BEFORE: &str = "the boot before";

/// What is no directory, by its path: when a directory was changed last is of no interest here.
fn things(scenario: &Scenario) -> BTreeMap<String, String> {
    let mut lines = manifest(&scenario.root());
    lines.retain(|_, line| !line.starts_with('4'));
    lines
}

/// Where writes before `at` may be missing: those behind the last barrier.
fn unsynced(log: &[Logged]) -> usize {
    log.iter().rposition(|it| *it == Logged::Synced).map_or(0, |synced| synced + 1)
}

/// The journal that is left if of `log` the first that is missing is the one at `lost`, and what was
/// written behind it is there or not. A reader stops at the first that is missing, so that these are
/// all subsets that it can tell apart.
fn image(log: &[Logged], lost: usize, behind: bool) -> Vec<u8> {
    let mut image = Vec::new();
    for (at, written) in log.iter().enumerate() {
        match written {
            Logged::Bytes(bytes) if at < lost || (behind && at > lost) => image.extend(bytes),
            Logged::Bytes(bytes) => image.resize(image.len() + bytes.len(), 0),
            Logged::Synced => {}
        }
    }
    image
}

/// The images of a journal after a loss of power: each with whether nothing is missing in it.
fn images(log: &[Logged]) -> Vec<(Vec<u8>, bool)> {
    let mut images = vec![(image(log, log.len(), false), true)];
    let bytes = |at: &usize| matches!(log[*at], Logged::Bytes(_));
    for lost in (unsynced(log)..log.len()).filter(bytes) {
        images.push((image(log, lost, false), false));
        if (lost + 1..log.len()).any(|at| bytes(&at)) {
            images.push((image(log, lost, true), false));
        }
    }
    images
}

/// A machine whose power goes when so many records of a deployment are written; none if it ends before.
async fn deployed_until(at: usize) -> Option<(Scenario, BTreeMap<String, String>, Vec<Logged>)> {
    let scenario = Scenario::new().fill().await;
    let before = things(&scenario);
    let log = Log::default();
    let mut call = scenario.call(&few(&scenario));
    let losing = Losing::opening(at, log.clone());
    call.journal = Some(scenario.journaling().with_medium(losing).in_boot(BEFORE));
    let deployed = engine().deploy(&scenario.component().await, call).await;
    let log = log.take();
    let records = log.iter().filter(|it| matches!(it, Logged::Bytes(_))).count();
    if records + 1 < at {
        deployed.unwrap();
        return None;
    }
    Some((scenario, before, log))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_deployment_lost_it_is_taken_back_or_it_is_said_what_may_remain() {
    let (mut seen, mut tried) = (BTreeSet::new(), 0);
    for at in 1.. {
        let Some((_, _, log)) = deployed_until(at).await else { break };
        for (n, (_, is_whole)) in images(&log).into_iter().enumerate() {
            // Each on a machine of its own, which has come as far.
            let Some((scenario, before, log)) = deployed_until(at).await else { break };
            let left = things(&scenario);
            let (image, _) = images(&log).swap_remove(n);
            let journal = Journal::parse(&image);
            fs::write(scenario.directory().join("journal"), &image).unwrap();
            let what = format!("at record {at}, image {n}");
            // An effect comes behind its intent, and the first of those behind a barrier.
            if journal.records.is_empty() {
                assert!(left == before, "{what}: it has no journal, and things were changed");
                continue;
            }
            let report = scenario.roll_back().await;
            assert!(report.torn.is_some() || journal.is_closed(), "{what}: {report}");
            let now = things(&scenario);
            if is_whole || journal.is_closed() {
                assert!(report.kept.is_empty() && now == before, "{what}: {report}");
            }
            // What it could not know of is as it was left, and nothing is in between.
            for (path, line) in &now {
                let is_known = before.get(path) == Some(line) || left.get(path) == Some(line);
                assert!(is_known, "{what}: {path} is {line}: {report}");
            }
            seen.insert(matches!(journal.end, End::Torn { .. }));
            tried += 1;
        }
    }
    assert!(tried > 300 && seen.len() == 2, "{tried} {seen:?}");
    println!("{tried} images");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_lost_its_power_says_so_and_is_done_again() {
    let mut tried = 0;
    for at in 1.. {
        let scenario = Scenario::new().fill().await;
        let before = things(&scenario);
        let call = scenario.call(&few(&scenario));
        engine().deploy(&scenario.component().await, call).await.unwrap();
        let log = Log::default();
        let losing = Losing::opening(at, log.clone());
        let mut call = scenario.call("{}");
        call.journal = Some(scenario.journaling().with_medium(losing).in_boot(BEFORE));
        let whole = engine().roll_back(call, "a test").await.unwrap().unwrap();
        let log = log.take();
        if log.iter().filter(|it| matches!(it, Logged::Bytes(_))).count() + 1 < at {
            assert!(whole.is_complete(), "{whole}");
            break;
        }
        let is_told_whole = scenario.journal().unwrap().is_rolled_back();
        let report = scenario.roll_back().await;
        let told = report.torn.as_deref().unwrap_or_default();
        // Before its first record is on the disk, nothing is taken back on a disk that takes it.
        let is_told = told.contains("was switched off while it was taken back");
        assert!(is_told || is_told_whole || at == 1, "record {at}: {report}");
        assert!(things(&scenario) == before, "record {at}: {report}");
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}
