//! A plan is what then happens, effect for effect, and changes nothing itself.

use crate::manifest::{assert_same, manifest};
use crate::scenario::Scenario;
use crate::support::{Machine, component, engine};
use cerebro_model::{Effect, Plan, PlanEnd, Sureness};
use cerebro_recipe_engine::{Call, Journaling};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::fs;

async fn plan(scenario: &Scenario, options: &str) -> Plan {
    let before = manifest(scenario.machine.dir.path());
    let plan = engine().plan(&scenario.component().await, scenario.call(options)).await.unwrap();
    assert_same(&before, &manifest(scenario.machine.dir.path()), "a plan changed something");
    plan
}

/// Makes the call; what its journal tells, and how it failed.
async fn make(scenario: &Scenario, options: &str) -> (Vec<Effect>, Option<String>) {
    let deployed = engine().deploy(&scenario.component().await, scenario.call(options)).await;
    let journal = scenario.journal();
    let effects = journal.iter().flat_map(|journal| {
        journal.effects().into_iter().map(|entry| entry.effect.clone().told()).collect::<Vec<_>>()
    });
    (effects.collect(), deployed.err().map(|error| error.to_string()))
}

fn planned(plan: &Plan) -> Vec<Effect> {
    plan.lines.iter().map(|line| line.effect.clone()).collect()
}

fn steps(steps: Value) -> String {
    json!({ "steps": steps }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_what_happens_effect_for_effect() {
    let scenario = Scenario::new().fill().await;
    let first = plan(&scenario, &scenario.options).await;
    let second = plan(&scenario, &scenario.options).await;
    let text = |plan: &Plan| serde_json::to_string(plan).unwrap();
    assert_eq!(text(&first), text(&second));
    // A command is among it.
    assert_eq!((first.exit_code(), &first.end), (11, &PlanEnd::Whole));
    // What is planned is read again.
    assert!(scenario.machine.logged("/opt/app/current/app holds new"));
    let (made, failed) = make(&scenario, &scenario.options).await;
    assert_eq!((failed, made.len()), (None, first.lines.len()));
    for (made, planned) in made.iter().zip(planned(&first)) {
        assert_eq!(*made, planned);
    }
    let conf = first.lines.iter().find(|line| line.effect.action.to_string().ends_with("conf"));
    let diff = conf.unwrap().diff.as_deref().unwrap();
    assert!(diff.ends_with("-before\n+after\n"), "{diff}");
}

/// The release of the benchmark, on a machine that has nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_on_an_empty_machine_is_planned_exactly_and_then_there_is_nothing_to_do() {
    let mut machine = Machine::new();
    // Its command is told real paths.
    let (files, app) = (machine.path("/files"), machine.path("/opt/shop"));
    fs::create_dir_all(&files).unwrap();
    fs::create_dir_all(machine.path("/opt")).unwrap();
    for n in 0..20 {
        fs::write(files.join(format!("{n}.conf")), format!("file {n}\n")).unwrap();
    }
    fs::write(files.join("migrate.sh"), "touch \"$1/.migrated\"\n").unwrap();
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for n in 0..50 {
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("app/{n}/f"), &b"text"[..]).unwrap();
    }
    let digest = machine.upload(&archive.into_inner().unwrap().finish().unwrap());
    let (files, app) = (files.to_str().unwrap(), app.to_str().unwrap());
    let release = format!("{app}/releases/1");
    machine.grants = serde_json::from_value(json!({
        "read": [files], "write": [app], "commands": ["/bin/sh **"], "urls": ["http://127.0.0.1:9/"],
    }))
    .unwrap();
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid()).unwrap().unwrap().name;
    let options = json!({
        "app": app, "release": release, "version": "1", "owner": user, "group": group,
        "files": files, "archive_url": "http://127.0.0.1:9/app.tar.gz",
        "archive_sha256": digest.to_string(), "name": "shop", "port": "8080", "workers": "4",
        "database": "db",
    })
    .to_string();
    let ship = component("ship").await;
    let call = |n: u32| Call {
        root: "/".into(),
        journal: Some(Journaling::new(machine.dir.path().join(format!("calls/{n}")))),
        ..machine.call(&options)
    };
    let before = manifest(machine.dir.path());
    let plan = engine().plan(&ship, call(0)).await.unwrap();
    assert_same(&before, &manifest(machine.dir.path()), "a plan changed something");
    assert_eq!(plan.end, PlanEnd::Whole, "{plan:#?}");
    engine().deploy(&ship, call(1)).await.unwrap();
    let journal = cerebro_recipe_engine::Journal::open(&machine.dir.path().join("calls/1"));
    let journal = journal.unwrap().unwrap();
    let made: Vec<Effect> =
        journal.effects().iter().map(|entry| entry.effect.clone().told()).collect();
    assert_eq!(made, planned(&plan));
    let again = engine().plan(&ship, call(2)).await.unwrap();
    assert_eq!((again.exit_code(), again.lines.len()), (0, 0), "{again:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_ends_where_it_would_have_to_guess() {
    let scenario = Scenario::new();
    fs::create_dir_all(scenario.machine.path("/srv")).unwrap();
    let write = json!({"write": ["/srv/a", "a", null]});

    let nothing = plan(&scenario, &steps(json!([]))).await;
    assert_eq!((nothing.exit_code(), nothing.lines.len()), (0, 0));

    // A command that must succeed is assumed to.
    let goes_on = plan(&scenario, &steps(json!([{"run": ["/bin/true"]}, write]))).await;
    assert_eq!(goes_on.exit_code(), 11);
    assert_eq!(goes_on.lines[0].sure, Sureness::Unbounded);
    assert!(goes_on.lines[0].notes.contains(&"cannot be undone".to_owned()));
    assert!(goes_on.lines[1].notes[0].starts_with("assuming that #1 ends with 0"));

    // One whose words are asked for ends the plan.
    let ask = json!({"ask": ["/bin/true"]});
    let cut = plan(&scenario, &steps(json!([write, ask, write]))).await;
    assert_eq!((cut.exit_code(), cut.lines.len()), (12, 2));
    let PlanEnd::Cut(why) = &cut.end else { panic!("{cut:?}") };
    assert!(why.contains("depends on the outcome of #2"), "{why}");

    // Unless the recipe says what to go on with.
    let assume = json!({"ask-assuming": [["/bin/true"], "42"]});
    let assumed = plan(&scenario, &steps(json!([assume, write]))).await;
    assert_eq!((assumed.exit_code(), assumed.lines.len()), (11, 2));
    assert!(scenario.machine.logged("answered 42"));

    // A guard is asked as long as the plan has changed nothing.
    let unless = json!({"run-unless": [["/bin/true"], ["/bin/true"]]});
    let skipped = plan(&scenario, &steps(json!([unless]))).await;
    assert_eq!((skipped.exit_code(), skipped.lines.len()), (0, 0));
    let open = plan(&scenario, &steps(json!([write, unless]))).await;
    assert_eq!(open.exit_code(), 11);
    let note = &open.lines[1].notes[0];
    assert_eq!(note, "unless `/bin/true` ends with code 0 then");

    // What a recipe says of itself is part of its plan.
    let fails = plan(&scenario, &steps(json!([write, {"fail": "no disk"}]))).await;
    assert_eq!((fails.exit_code(), &fails.end), (1, &PlanEnd::Fails("no disk".to_owned())));
    let denied = plan(&scenario, &steps(json!([{"run": ["/bin/false"]}]))).await;
    let PlanEnd::Fails(why) = &denied.end else { panic!("{denied:?}") };
    assert!(why.contains("is not granted"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_command_leaves_what_is_beyond_its_bound_known() {
    let mut scenario = Scenario::new();
    scenario.machine.grants = serde_json::from_value(json!({
        "write": ["/srv"], "secrets": ["db"],
        "commands": [{"argv": ["/bin/true"], "writes": ["/srv/data"], "network": false}],
    }))
    .unwrap();
    fs::create_dir_all(scenario.machine.path("/srv/data")).unwrap();
    fs::write(scenario.machine.path("/srv/data/a"), "a").unwrap();
    fs::write(scenario.machine.path("/srv/b"), "b").unwrap();
    let run = json!({"run": ["/bin/true"]});
    let known = plan(&scenario, &steps(json!([run, {"read": "/srv/b"}]))).await;
    assert_eq!((known.exit_code(), known.lines[0].sure), (11, Sureness::Bounded));
    let notes = known.lines[0].notes.join("; ");
    assert_eq!(notes, "writes within /srv/data; has no network; cannot be undone");
    let cut = plan(&scenario, &steps(json!([run, {"read": "/srv/data/a"}]))).await;
    let PlanEnd::Cut(why) = &cut.end else { panic!("{cut:?}") };
    assert!(why.ends_with("`/srv/data/a` is not known: #1 may have written there"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_whole_is_known_whatever_was_there() {
    let mut scenario = Scenario::new();
    scenario.machine.grants = serde_json::from_value(json!({
        "write": ["/srv"], "secrets": ["db"],
        "commands": [{"argv": ["/bin/true"], "writes": ["/srv/data"], "network": false}],
    }))
    .unwrap();
    fs::create_dir_all(scenario.machine.path("/srv/data")).unwrap();
    fs::write(scenario.machine.path("/srv/data/just-so"), "a").unwrap();
    let options = steps(json!([
        {"run": ["/bin/true"]},
        {"write": ["/srv/data/just-so", "a", null]},
        {"write": ["/srv/data/other", "b", 0o600]},
        {"directory": ["/srv/data/in/it", null]},
        {"link": ["/srv/data/in/it/link", "there"]},
        {"remove": "/srv/data/gone"},
        {"read": "/srv/data/just-so"},
        {"write": ["/srv/known", "c", null]},
    ]));
    let plan = plan(&scenario, &options).await;
    assert_eq!((&plan.end, plan.exit_code()), (&PlanEnd::Whole, 11));
    assert!(scenario.machine.logged("/srv/data/just-so holds a"));
    let marks: String = plan.lines.iter().map(cerebro_model::PlanLine::mark).collect();
    assert_eq!(marks, "?~~~~~-+", "{plan}");
    let note = "nobody can know what is there before: #1 may have written there";
    assert!(plan.lines[1].notes.contains(&note.to_owned()), "{plan}");
    // Two of them turn out to be just so, and the way to a third was not there.
    let call = Call {
        journal: Some(scenario.journaling().held_to(plan, false)),
        ..scenario.machine.call(&options)
    };
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: a command is held to its bound by root only");
        return;
    }
    engine().deploy(&scenario.component().await, call).await.unwrap();
    assert_eq!(scenario.journal().unwrap().effects().len(), 6);
    // What is looked for below a place that nobody knows is not made up.
    let list = json!([{"run": ["/bin/true"]}, {"list": "/srv/data"}]);
    let cut = self::plan(&scenario, &steps(list)).await;
    assert_eq!(cut.exit_code(), 12, "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_held_to_a_plan_stops_where_the_machine_has_drifted() {
    let scenario = Scenario::new().fill().await;
    let options = steps(json!([
        {"write": ["/etc/app/new", "new\n", null]}, {"write": ["/etc/app/conf", "after\n", null]},
    ]));
    let plan = plan(&scenario, &options).await;
    let script = scenario.component().await;
    let held = |options: &str| Call {
        journal: Some(scenario.journaling().held_to(plan.clone(), false)),
        ..scenario.machine.call(options)
    };
    fs::write(scenario.machine.path("/etc/app/conf"), "theirs\n").unwrap();
    let drifted = engine().deploy(&script, held(&options)).await.unwrap_err().to_string();
    let words =
        "#2 `write /etc/app/conf`: `/etc/app/conf` is not as the plan found it, a file of 7 bytes";
    assert!(drifted.starts_with(words), "{drifted}");
    assert!(drifted.contains(", but a file of 7 bytes (") && drifted.ends_with(": plan again"));
    assert_eq!(scenario.machine.text("/etc/app/conf"), "theirs\n");
    assert!(scenario.roll_back().await.is_complete());

    fs::write(scenario.machine.path("/etc/app/conf"), "before\n").unwrap();
    let other = options.replace("/etc/app/new", "/etc/app/other");
    let error = engine().deploy(&script, held(&other)).await.unwrap_err().to_string();
    assert!(error.contains("was planned as `write /etc/app/new`"), "{error}");
    engine().deploy(&script, held(&options)).await.unwrap();
    assert_eq!(scenario.machine.text("/etc/app/conf"), "after\n");
    // What somebody did just so need not be done; what comes behind it is.
    fs::write(scenario.machine.path("/etc/app/conf"), "before\n").unwrap();
    engine().deploy(&script, held(&options)).await.unwrap();
    assert_eq!(scenario.machine.text("/etc/app/conf"), "after\n");
    fs::write(scenario.machine.path("/etc/app/conf"), "before\n").unwrap();
    fs::write(scenario.machine.path("/etc/app/new"), "else\n").unwrap();
    let error = engine().deploy(&script, held(&options)).await.unwrap_err().to_string();
    assert!(error.contains("#1 `write /etc/app/new`: `/etc/app/new` is not as"), "{error}");
    // Beyond its end nothing happens either.
    let more = steps(json!([{"write": ["/etc/app/more", "x", null]}]));
    let empty = engine().plan(&script, scenario.call(&steps(json!([])))).await.unwrap();
    let call = Call {
        journal: Some(scenario.journaling().held_to(empty, false)),
        ..scenario.machine.call(&more)
    };
    let error = engine().deploy(&script, call).await.unwrap_err().to_string();
    assert!(error.contains("is not in the plan, which has ended"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_no_secret() {
    let scenario = Scenario::new();
    let store = scenario.machine.dir.path().join("store");
    fs::write(store.join("secret-db"), "correct horse").unwrap();
    fs::create_dir_all(scenario.machine.path("/srv")).unwrap();
    let options = steps(json!([{"secret": ["db", "/srv/conf"]}]));
    let told = serde_json::to_string(&plan(&scenario, &options).await).unwrap();
    assert!(told.contains(r#""secrets":["db"]"#) && !told.contains("correct"), "{told}");
    assert!(!told.contains("digest") && !told.contains("size"), "{told}");
    make(&scenario, &options).await;
    assert_eq!(scenario.machine.text("/srv/conf"), "password = correct horse\n");
    for entry in fs::read_dir(scenario.directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read(&path).unwrap();
            let found = text.windows(7).any(|window| window == b"correct");
            assert!(!found, "{} holds the secret", path.display());
        }
    }
}

/// Paths that random recipes work on: few, so that they meet.
fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![Just("a"), Just("b"), Just("c")];
    prop::collection::vec(part, 1..4).prop_map(|parts| format!("/srv/{}", parts.join("/")))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[xyz]{1,3}\n"]
}

fn step() -> impl Strategy<Value = Value> {
    let mode = prop_oneof![Just(None), Just(Some(0o600)), Just(Some(0o755))];
    let target = prop_oneof![Just("a".to_owned()), Just("../b".to_owned()), path()];
    let names = prop::collection::vec((prop_oneof![Just("a"), Just("b/c")], text()), 0..3);
    prop_oneof![
        4 => (path(), text(), mode.clone()).prop_map(|(p, t, m)| json!({"write": [p, t, m]})),
        3 => (path(), mode).prop_map(|(p, m)| json!({"directory": [p, m]})),
        2 => (path(), target).prop_map(|(p, t)| json!({"link": [p, t]})),
        2 => path().prop_map(|p| json!({"remove": p})),
        2 => (path(), path()).prop_map(|(p, t)| json!({"rename": [p, t]})),
        1 => (path(), path()).prop_map(|(p, t)| json!({"copy": [p, t]})),
        1 => path().prop_map(|p| json!({"attributes": [p, 0o711]})),
        1 => path().prop_map(|p| json!({"read": p})),
        1 => path().prop_map(|p| json!({"list": p})),
        1 => (path(), names, any::<bool>()).prop_map(|(p, n, b)| json!({"tree": [p, n, b]})),
        1 => path().prop_map(|p| json!({"unpack": ["ARTIFACT", p]})),
        1 => (text(), text()).prop_map(|(k, v)| json!({"remember": [format!("k{k}"), v]})),
        1 => text().prop_map(|k| json!({"forget": format!("k{k}")})),
        1 => prop_oneof![Just("1"), Just("2")]
            .prop_map(|v| json!({"stage": ["/srv/a", v, Value::Null]})),
        1 => prop_oneof![Just("1"), Just("2")].prop_map(|v| json!({"activate": ["/srv/a", v]})),
    ]
}

/// What is there before, and what is done then.
fn recipe() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    (prop::collection::vec(step(), 0..8), prop::collection::vec(step(), 1..8))
}

/// What the test below has found.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_itself_is_in_the_way_in_the_same_words() {
    let link = json!({"link": ["/srv/c", "/srv/c"]});
    one(vec![link], vec![json!({"tree": ["/srv/c/a/a", [], false]})]).await.unwrap();
}

#[test]
fn any_recipe_over_any_tree_does_what_is_planned_and_is_taken_back() {
    let cases = std::env::var("CEREBRO_PLAN_CASES").ok().and_then(|n| n.parse().ok());
    let cases = cases.unwrap_or(400);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    TestRunner::new(config)
        .run(&recipe(), |(before, then)| runtime.block_on(one(before, then)))
        .unwrap();
}

async fn one(before: Vec<Value>, then: Vec<Value>) -> Result<(), TestCaseError> {
    let scenario = Scenario::new();
    fs::create_dir_all(scenario.machine.path("/srv")).unwrap();
    let artifact = scenario.artifact();
    let options =
        |steps: &[Value]| json!({ "steps": steps }).to_string().replace("ARTIFACT", &artifact);
    let component = scenario.component().await;
    for step in before {
        // What makes no sense is left out.
        let _ = engine().deploy(&component, scenario.machine.call(&options(&[step]))).await;
    }
    let tree = manifest(&scenario.root());
    let options = options(&then);
    let plan = plan(&scenario, &options).await;
    let (made, failed) = make(&scenario, &options).await;
    let ended = match &plan.end {
        PlanEnd::Whole => None,
        PlanEnd::Fails(why) => Some(why.clone()),
        PlanEnd::Cut(why) => Some(format!("cut: {why}")),
    };
    prop_assert_eq!(ended, failed);
    prop_assert_eq!(planned(&plan), made);
    let report = scenario.roll_back().await;
    prop_assert!(report.is_complete(), "{}", report);
    prop_assert_eq!(tree, manifest(&scenario.root()));
    Ok(())
}
