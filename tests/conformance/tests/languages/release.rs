//! The recipe.

use crate::noted;
use cerebro_conformance::{Language, Machine, Table, languages, release};
use cerebro_recipe_engine::Component;
use serde_json::json;

const TEMPLATE: &str = "{{version}} at {{address}}:{{port}} says {{greeting}}\n{{other}} é\n";

/// Options for a release of `version`.
pub fn options(machine: &Machine, version: &str) -> String {
    let artifact = machine.upload(&release(&[("app.conf.tmpl", TEMPLATE), ("app", version)]));
    // What needs an escape in JSON, more than one byte in UTF-8, or would be a value itself.
    let greeting = "\"grüß\" \\ 😀\t{{port}}";
    json!({ "base": "/opt/portal", "artifact": artifact, "greeting": greeting, "keep": 1.0 })
        .to_string()
}

/// Options for a release that has no template.
pub fn bare(machine: &Machine) -> String {
    let artifact = machine.upload(&release(&[("app", "2.0")]));
    json!({ "base": "/opt/portal", "artifact": artifact }).to_string()
}

/// Goes through the life of an instance.
async fn live(table: &mut Table, machine: &Machine, recipe: &Component) {
    let all = ["1.0", "2.0", "3.0"].map(|version| options(machine, version));
    let [first, second, third] = &all;
    table.enter("fresh", machine.deploy(recipe, "1.0", None, first).await);
    table.enter("again", machine.deploy(recipe, "1.0", None, first).await);
    table.enter("new version", machine.deploy(recipe, "2.0", Some("1.0"), second).await);
    table.enter("a third", machine.deploy(recipe, "3.0", Some("2.0"), third).await);
    table.enter("rollback", machine.deploy(recipe, "2.0", Some("3.0"), second).await);
    table.enter("undeploy", machine.undeploy(recipe, "2.0", second).await);
    table.enter("undeploy again", machine.undeploy(recipe, "2.0", second).await);
}

/// Goes through what can go wrong, on a machine that runs a good version.
async fn fail(table: &mut Table, machine: &mut Machine, recipe: &Component) {
    let good = options(machine, "1.0");
    table.enter("good", machine.deploy(recipe, "1.0", None, &good).await);
    let missing = json!({ "base": "/opt/portal", "artifact": "0".repeat(64) }).to_string();
    let bare = bare(machine);
    let elsewhere = good.replace("/opt/portal", "/srv/portal");
    for (case, options) in [
        ("missing artifact", missing.as_str()),
        ("missing template", &bare),
        ("ungranted path", &elsewhere),
        ("missing option", r#"{"base": "/opt/portal", "keep": "x"}"#),
        ("option of a wrong type", r#"{"base": ["/opt"], "artifact": "0"}"#),
        ("no text after all", r#"{"base": "/a", "artifact": "0", "greeting": null}"#),
        ("no number", r#"{"base": "/a", "artifact": "0", "keep": "2"}"#),
        ("negative number", r#"{"base": "/a", "artifact": "0", "keep": -1}"#),
        ("broken number", r#"{"base": "/a", "artifact": "0", "keep": 1.5}"#),
        ("too large a number", r#"{"base": "/a", "artifact": "0", "keep": 4294967296}"#),
        ("a truth value", r#"{"base": "/a", "artifact": "0", "keep": true}"#),
        ("nested options", r#"{"a": {"base": [1, "}"]}, "base": "/b\u00e9\ud83d\ude00"}"#),
    ] {
        table.enter(case, machine.deploy(recipe, "2.0", Some("1.0"), options).await);
    }
    let granted =
        std::mem::replace(&mut machine.grants, r#"{"write": ["/opt"], "commands": ["/bin/true"]}"#);
    let fresh = good.replace("/opt/portal", "/opt/other");
    table.enter("ungranted command", machine.deploy(recipe, "1.0", None, &fresh).await);
    machine.grants = granted;
    machine.port = None;
    table.enter("no port", machine.deploy(recipe, "1.0", None, &good).await);
}

pub async fn filled(run: impl AsyncFn(&mut Table, Language)) -> Table {
    let languages = languages();
    let mut table = Table::new("release", &languages);
    for language in languages {
        run(&mut table, language).await;
    }
    table.print();
    table
}

#[tokio::test]
async fn releases_live_alike() {
    let table = filled(async |table, language| {
        let recipe = noted(table, language, "release").await;
        live(table, &Machine::new(), &recipe).await;
    })
    .await;
    let log = |case: &str| {
        let seen = table.agreed(case);
        assert_eq!(seen.ended, "ok", "{case}");
        seen.log.iter().map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(
        log("fresh"),
        [
            "deploy portal.startup.com 1.0 to /opt/portal",
            "stage 1.0: created",
            "write app.conf: created",
            "touch initialised: done",
            "activate 1.0: created",
        ]
    );
    assert_eq!(
        log("again"),
        [
            "deploy portal.startup.com 1.0 to /opt/portal",
            "stage 1.0: unchanged",
            "write app.conf: unchanged",
            "touch initialised: unchanged",
            "activate 1.0: unchanged",
        ]
    );
    assert_eq!(table.agreed("again").tree, table.agreed("fresh").tree);
    assert_eq!(
        log("new version")[1..],
        [
            "stage 2.0: created",
            "write app.conf: created",
            "touch initialised: unchanged",
            "activate 2.0: updated",
        ]
    );
    assert_eq!(log("a third").last(), Some(&"prune 1.0"));
    assert_eq!(log("rollback").last(), Some(&"activate 2.0: updated"));
    assert_eq!(
        log("undeploy"),
        [
            "undeploy portal.startup.com from /opt/portal",
            "remove initialised: removed",
            "leave /opt/portal: removed",
        ]
    );
    assert_eq!(log("undeploy again")[1], "remove initialised: unchanged");

    let holds = |case: &str, line: &str| {
        let tree = &table.agreed(case).tree;
        assert!(tree.iter().any(|found| found == line), "{case}: no {line} in {tree:#?}");
    };
    let conf = "1.0 at 127.0.0.1:8080 says \"grüß\" \\ 😀\t{{port}}\n{{other}} é\n";
    holds("fresh", &format!("/opt/portal/releases/1.0/app.conf 0640 {conf:?}"));
    holds("fresh", "/opt/portal/current -> releases/1.0");
    holds("fresh", "/opt/portal/releases/1.0/log -> ../../shared/log");
    holds("fresh", "/opt/portal/shared/initialised 0644 \"\"");
    holds("rollback", "/opt/portal/current -> releases/2.0");
    let left = &table.agreed("undeploy").tree;
    assert!(left.iter().all(|line| !line.contains("releases")), "{left:#?}");
}

#[tokio::test]
async fn releases_fail_alike() {
    let table = filled(async |table, language| {
        let recipe = noted(table, language, "release").await;
        fail(table, &mut Machine::new(), &recipe).await;
    })
    .await;
    let before = &table.agreed("good").tree;
    for (case, words) in [
        ("missing artifact", "error: fetch the artifact: "),
        ("missing template", "error: read app.conf.tmpl: "),
        ("ungranted path", "error: stage 2.0: "),
        ("missing option", "error: the option artifact is missing"),
        ("option of a wrong type", "error: the option base is not a text"),
        ("no text after all", "error: the option greeting is not a text"),
        ("no number", "error: the option keep is not a whole number"),
        ("negative number", "error: the option keep is not a whole number"),
        ("broken number", "error: the option keep is not a whole number"),
        ("too large a number", "error: the option keep is not a whole number"),
        ("a truth value", "error: the option keep is not a whole number"),
        ("nested options", "error: the option artifact is missing"),
        ("ungranted command", "error: touch initialised: "),
        ("no port", "error: the job has no port http"),
    ] {
        let seen = table.agreed(case);
        assert!(seen.ended.starts_with(words), "{case}: {}", seen.ended);
        let current =
            |tree: &[String]| tree.iter().find(|line| line.contains("current ->")).cloned();
        assert_eq!(current(&seen.tree), current(before), "{case}");
    }
    assert!(table.agreed("ungranted path").ended.contains("`grants.write`"));
}

#[tokio::test]
async fn what_is_not_granted_does_not_start() {
    for language in languages() {
        let (recipe, ..) = cerebro_conformance::component(language, "release").await;
        let mut machine = Machine::new();
        machine.grants = "{}";
        let seen = machine.deploy(&recipe, "1.0", None, "{}").await;
        assert!(seen.ended.contains("is not granted"), "{language}: {}", seen.ended);
        assert!(seen.log.is_empty() && seen.tree.is_empty(), "{language}: {seen:?}");
    }
}
