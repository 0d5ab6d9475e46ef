//! A release that fails, and one that is no longer wanted, are taken back to the last bit.

use crate::release::{bare, filled, options};
use cerebro_conformance::{Machine, Made, Table, component};
use cerebro_manifest::{assert_same, manifest};
use std::collections::BTreeMap;
use std::fs;

/// Takes a call back, and looks whether all is as it was.
async fn take_back(
    table: &mut Table,
    machine: &Machine,
    before: &BTreeMap<String, String>,
    (case, back): (&'static str, &'static str),
    made: Made,
) {
    let what = format!("{case}: {}", made.seen.ended);
    assert!(!made.effects().is_empty(), "{what}: there is nothing to take back");
    assert!(*before != manifest(&machine.root()), "{what}: nothing has changed");
    table.enter(case, made.seen.clone());
    // Once more, as after a crash: it comes to the same.
    for _ in 0..2 {
        let (report, _) = machine.roll_back(&made).await;
        assert!(report.is_complete(), "{what}: {report}");
        assert_eq!(report.undone, made.effects().len(), "{what}: {report}");
        assert_same(before, &manifest(&machine.root()), &what);
    }
    let (_, seen) = machine.roll_back(&made).await;
    table.enter(back, seen);
}

#[tokio::test]
async fn what_fails_is_taken_back_to_the_last_bit() {
    let table = filled(async |table, language| {
        let (recipe, ..) = component(language, "release").await;

        // Over a good version: what was staged goes, what was in use stays in use.
        let machine = Machine::new();
        let (first, second) = (options(&machine, "1.0"), bare(&machine));
        let good = machine.deploy_journaled(&recipe, "1.0", None, &first, None).await;
        assert_eq!(good.seen.ended, "ok", "{language}");
        let before = manifest(&machine.root());
        let failed = machine.deploy_journaled(&recipe, "2.0", Some("1.0"), &second, None).await;
        let cases = ("no template", "no template, back");
        take_back(table, &machine, &before, cases, failed).await;

        // On a machine without anything, as late as it can be: the command has run by then.
        let machine = Machine::new();
        let own = machine.root().join("opt/portal/current");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("by-hand"), "dear\n").unwrap();
        let (first, before) = (options(&machine, "1.0"), manifest(&machine.root()));
        let failed = machine.deploy_journaled(&recipe, "1.0", None, &first, None).await;
        let ran =
            failed.effects().iter().any(|effect| effect.action.to_string().starts_with("run"));
        assert!(ran, "{language}: {:#?}", failed.effects());
        let cases = ("in its way", "in its way, back");
        take_back(table, &machine, &before, cases, failed).await;
        // Once the way is free, it goes through.
        fs::remove_dir_all(&own).unwrap();
        let good = machine.deploy_journaled(&recipe, "1.0", None, &first, None).await;
        table.enter("out of its way", good.seen);

        // Its command is refused.
        let mut machine = Machine::new();
        machine.grants = r#"{"write": ["/opt"], "commands": ["/bin/true"]}"#;
        let (first, before) = (options(&machine, "1.0"), manifest(&machine.root()));
        let failed = machine.deploy_journaled(&recipe, "1.0", None, &first, None).await;
        let cases = ("command not granted", "not granted, back");
        take_back(table, &machine, &before, cases, failed).await;
    })
    .await;
    for (case, words) in [
        ("no template", "error: read app.conf.tmpl: "),
        ("in its way", "error: activate 1.0: "),
        ("command not granted", "error: touch initialised: "),
        ("out of its way", "ok"),
    ] {
        let ended = &table.agreed(case).ended;
        assert!(ended.starts_with(words), "{case}: {ended}");
    }
    for case in ["no template, back", "in its way, back", "not granted, back"] {
        let ended = &table.agreed(case).ended;
        assert!(ended.ends_with(" effects: rolled back"), "{case}: {ended}");
    }
    let left = &table.agreed("in its way, back").tree;
    assert_eq!(left.last().unwrap(), "/opt/portal/current/by-hand 0644 \"dear\\n\"");
}

#[tokio::test]
async fn what_succeeded_is_taken_back_too() {
    let table = filled(async |table, language| {
        let (recipe, ..) = component(language, "release").await;
        let machine = Machine::new();
        let all = ["1.0", "2.0", "3.0"].map(|version| options(&machine, version));
        let [first, second, third] = &all;
        let before = manifest(&machine.root());
        let fresh = machine.deploy_journaled(&recipe, "1.0", None, first, None).await;
        take_back(table, &machine, &before, ("fresh", "fresh, back"), fresh).await;

        for (version, previous, options) in [("1.0", None, first), ("2.0", Some("1.0"), second)] {
            let made = machine.deploy_journaled(&recipe, version, previous, options, None).await;
            assert_eq!(made.seen.ended, "ok", "{language}");
        }
        // It removes the first release, which comes back.
        let before = manifest(&machine.root());
        let pruned = machine.deploy_journaled(&recipe, "3.0", Some("2.0"), third, None).await;
        take_back(table, &machine, &before, ("pruned", "pruned, back"), pruned).await;

        let left = machine.undeploy_journaled(&recipe, "2.0", second).await;
        take_back(table, &machine, &before, ("undeployed", "undeployed, back"), left).await;
    })
    .await;
    for case in ["fresh", "pruned", "undeployed"] {
        assert_eq!(table.agreed(case).ended, "ok", "{case}");
    }
    assert_eq!(table.agreed("pruned").log.last().unwrap(), "prune 1.0");
    assert_eq!(table.agreed("fresh, back").tree, [""; 0]);
    assert_eq!(table.agreed("pruned, back").tree, table.agreed("undeployed, back").tree);
}
