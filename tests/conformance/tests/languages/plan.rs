//! What a release would do, and that it then does just that.

use crate::release::{filled, options};
use cerebro_conformance::{Machine, component, languages, new_component, planned};
use cerebro_manifest::{assert_same, manifest};
use cerebro_model::{Plan, PlanEnd};
use std::fs;
use std::os::unix::fs::symlink;

fn text(plan: &Plan) -> String {
    serde_json::to_string(plan).unwrap()
}

#[tokio::test]
async fn releases_are_planned_alike_and_do_what_was_planned() {
    let table = filled(async |table, language| {
        let (recipe, ..) = component(language, "release").await;
        let machine = Machine::new();
        for (version, previous, is_held, cases) in [
            ("1.0", None, false, ["plan on nothing", "made", "planned again"]),
            ("2.0", Some("1.0"), true, ["plan over 1.0", "made as planned", "2.0 again"]),
            ("3.0", Some("2.0"), true, ["plan with pruning", "made and pruned", "3.0 again"]),
        ] {
            let options = options(&machine, version);
            let (plan, seen) = machine.plan(&recipe, version, previous, &options).await;
            let (same, _) = machine.plan(&recipe, version, previous, &options).await;
            assert_eq!(text(&plan), text(&same), "{language}: two plans of one state differ");
            table.enter(cases[0], seen);

            let held = is_held.then_some(&plan);
            let made = machine.deploy_journaled(&recipe, version, previous, &options, held).await;
            assert_eq!(made.effects(), planned(&plan), "{language}: {version}");
            table.enter(cases[1], made.seen);

            let (nothing, seen) = machine.plan(&recipe, version, Some(version), &options).await;
            assert_eq!(planned(&nothing), [], "{language}: {version}");
            table.enter(cases[2], seen);
        }
    })
    .await;
    for (case, ended) in [
        // The command: nobody knows what it does.
        ("plan on nothing", "whole, exit code 11"),
        // It is done already.
        ("plan over 1.0", "whole, exit code 10"),
        ("plan with pruning", "whole, exit code 10"),
        ("planned again", "whole, exit code 0"),
        ("2.0 again", "whole, exit code 0"),
        ("3.0 again", "whole, exit code 0"),
        ("made", "ok"),
        ("made as planned", "ok"),
        ("made and pruned", "ok"),
    ] {
        assert_eq!(table.agreed(case).ended, ended, "{case}");
    }
    let foresees = |case: &str, word: &str| {
        let log = &table.agreed(case).log;
        assert!(log.iter().any(|line| line.contains(word)), "{case}: no {word} in {log:#?}");
    };
    foresees("plan on nothing", "undone by /usr/bin/rm -f ROOT/opt/portal/shared/initialised");
    foresees("plan on nothing", "/opt/portal/releases/1.0/app.conf");
    foresees("plan over 1.0", r#""do":"link","path":"/opt/portal/current""#);
    foresees("plan with pruning", r#""do":"remove","path":"/opt/portal/releases/1.0""#);
    // A plan says what the release itself would.
    foresees("plan on nothing", "activate 1.0: created");
}

#[tokio::test]
async fn releases_held_to_a_plan_stop_alike_where_the_machine_has_drifted() {
    let table = filled(async |table, language| {
        let (recipe, ..) = component(language, "release").await;
        let machine = Machine::new();
        let (first, second) = (options(&machine, "1.0"), options(&machine, "2.0"));
        let made = machine.deploy_journaled(&recipe, "1.0", None, &first, None).await;
        assert_eq!(made.seen.ended, "ok", "{language}");
        let (plan, _) = machine.plan(&recipe, "2.0", Some("1.0"), &second).await;

        // Somebody has it lead elsewhere meanwhile.
        let current = machine.root().join("opt/portal/current");
        fs::remove_file(&current).unwrap();
        symlink("releases/by-hand", &current).unwrap();
        let before = manifest(&machine.root());
        let held = Some(&plan);
        let stopped = machine.deploy_journaled(&recipe, "2.0", Some("1.0"), &second, held).await;
        let done = stopped.effects();
        assert_eq!(done, planned(&plan)[..done.len()], "{language}");
        assert!(!done.is_empty() && done.len() < plan.lines.len(), "{language}: {done:#?}");
        table.enter("drifted", stopped.seen.clone());
        let (report, seen) = machine.roll_back(&stopped).await;
        assert!(report.is_complete(), "{language}: {report}");
        assert_same(&before, &manifest(&machine.root()), &format!("{language}, rolled back"));
        table.enter("rolled back", seen);

        fs::remove_file(&current).unwrap();
        symlink("releases/1.0", &current).unwrap();
        // A recipe that does something else than was planned is stopped too.
        let other = second.replace("grüß", "hello");
        let stopped = machine.deploy_journaled(&recipe, "2.0", Some("1.0"), &other, held).await;
        table.enter("another greeting", stopped.seen.clone());
        assert!(machine.roll_back(&stopped).await.0.is_complete(), "{language}");
        let made = machine.deploy_journaled(&recipe, "2.0", Some("1.0"), &second, held).await;
        assert_eq!(made.effects(), planned(&plan), "{language}");
        table.enter("as it was", made.seen);
    })
    .await;
    let drifted = table.agreed("drifted");
    assert!(drifted.ended.starts_with("error: activate 2.0: #"), "{}", drifted.ended);
    let why = "`/opt/portal/current` is not as the plan found it, a link to releases/1.0, but a link to \
               releases/by-hand: plan again";
    assert!(drifted.ended.ends_with(why), "{}", drifted.ended);
    let link = "/opt/portal/current -> releases/by-hand".to_owned();
    assert!(drifted.tree.contains(&link), "{:#?}", drifted.tree);
    let other = &table.agreed("another greeting").ended;
    let words = "`write /opt/portal/releases/2.0/app.conf` was planned to leave a file of";
    assert!(other.starts_with("error: write app.conf: #") && other.contains(words), "{other}");
    table.agreed("rolled back");
    assert_eq!(table.agreed("as it was").ended, "ok");
}

#[tokio::test]
async fn a_new_recipe_is_planned_to_its_end_and_taken_back() {
    for language in languages() {
        let recipe = new_component(language, "my-recipe").await;
        let mut machine = Machine::new();
        machine.grants = crate::new::GRANTS;
        let before = manifest(&machine.root());
        let (plan, _) = machine.plan(&recipe, "1.0", None, "{}").await;
        assert_eq!((&plan.end, plan.exit_code()), (&PlanEnd::Whole, 11), "{language}");
        let held = Some(&plan);
        let made = machine.deploy_journaled(&recipe, "1.0", None, "{}", held).await;
        assert_eq!(made.seen.ended, "ok", "{language}");
        assert_eq!(made.effects(), planned(&plan), "{language}");
        let (report, _) = machine.roll_back(&made).await;
        assert!(report.is_complete(), "{language}: {report}");
        assert_same(&before, &manifest(&machine.root()), &language.to_string());
    }
}
