//! The health check.

use crate::noted;
use cerebro_conformance::{Answer, Machine, Server, Table, languages};
use cerebro_recipe_engine::Component;

async fn check(machine: &mut Machine, check: &Component, table: &mut Table) {
    for (case, answer, options) in [
        ("200", Answer::Status(200), r#"{"path": "/v?a=é"}"#),
        ("500", Answer::Status(500), "{}"),
        ("500 as asked for", Answer::Status(500), r#"{"status": 500}"#),
        ("slow", Answer::Never, r#"{"timeout": 150}"#),
        ("no path", Answer::Status(200), r#"{"path": "x"}"#),
        ("path of a wrong type", Answer::Status(200), r#"{"path": 1}"#),
        ("broken timeout", Answer::Status(200), r#"{"timeout": 0.5}"#),
    ] {
        let server = Server::start(answer).await;
        machine.port = Some(server.port());
        table.enter(case, machine.check(check, options).await);
    }
    let closed = Server::start(Answer::Never).await.stop().await;
    machine.port = Some(closed);
    table.enter("refused", machine.check(check, "{}").await);
    machine.port = None;
    table.enter("no port", machine.check(check, "{}").await);
}

#[tokio::test]
async fn checks_find_alike() {
    let languages = languages();
    let mut table = Table::new("http-check", &languages);
    for language in languages {
        let component = noted(&mut table, language, "http-check").await;
        let mut machine = Machine::new();
        machine.grants = "{}";
        check(&mut machine, &component, &mut table).await;
    }
    table.print();
    let time = "[response_time some s]";
    for (case, found) in [
        ("200", format!("Passing: /v?a=é: 200 {time}")),
        ("500", format!("Critical: /: 500, expected 200 {time}")),
        ("500 as asked for", format!("Passing: /: 500 {time}")),
        ("path of a wrong type", "error: the option path is not a text".to_owned()),
        ("broken timeout", "error: the option timeout is not a whole number".to_owned()),
        ("no port", "error: the job has no port http".to_owned()),
    ] {
        assert_eq!(table.agreed(case).ended, found, "{case}");
    }
    for (case, start, part) in [
        ("slow", "Critical: ", "did not answer within"),
        ("refused", "Critical: ", "refused"),
        ("no path", "error: ", "does not start with `/`"),
    ] {
        let found = &table.agreed(case).ended;
        assert!(found.starts_with(start) && found.contains(part), "{case}: {found}");
    }
}
