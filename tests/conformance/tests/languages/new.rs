//! What `cerebro recipe new` writes, as it is.

use cerebro_conformance::{Answer, Machine, Server, languages, new_component};

/// What its `grants.json` says, whatever the root.
pub const GRANTS: &str = r#"{
    "write": ["/opt/my-recipe"],
    "commands": ["/bin/touch */opt/my-recipe/initialised", "/bin/rm -f */opt/my-recipe/initialised"]
}"#;

#[tokio::test]
async fn a_new_recipe_deploys_and_leaves_nothing() {
    for language in languages() {
        let recipe = new_component(language, "my-recipe").await;
        let mut machine = Machine::new();
        machine.grants = GRANTS;
        let fresh = machine.deploy(&recipe, "1.0", None, "{}").await;
        assert_eq!(fresh.ended, "ok", "{language}");
        let greeting = "/opt/my-recipe/greeting 0644 \"hello from 1.0\\n\"";
        assert!(fresh.tree.iter().any(|line| line == greeting), "{language}: {fresh:?}");
        assert_eq!(fresh.log.len(), 1, "{language}: {fresh:?}");
        let again = machine.deploy(&recipe, "1.0", Some("1.0"), "{}").await;
        assert_eq!((again.ended.as_str(), &again.tree), ("ok", &fresh.tree), "{language}");
        let left = machine.undeploy(&recipe, "1.0", "{}").await;
        assert_eq!(
            (left.ended.as_str(), left.tree.as_slice()),
            ("ok", &["/opt/ 0755".to_owned()][..])
        );

        machine.grants = r#"{"write": ["/srv"], "commands": ["/bin/true"]}"#;
        let denied = machine.deploy(&recipe, "1.0", None, "{}").await;
        assert!(denied.ended.contains("make /opt/my-recipe"), "{language}: {}", denied.ended);
        assert!(denied.ended.contains("not granted"), "{language}: {}", denied.ended);
    }
}

#[tokio::test]
async fn a_new_check_finds_what_is_there() {
    for language in languages() {
        let check = new_component(language, "my-check").await;
        let mut machine = Machine::new();
        machine.grants = "{}";
        for (answer, status) in [
            (Answer::Status(204), "Passing"),
            (Answer::Status(302), "Passing"),
            (Answer::Status(404), "Critical"),
        ] {
            let server = Server::start(answer).await;
            machine.port = Some(server.port());
            let found = machine.check(&check, "{}").await.ended;
            assert!(found.starts_with(status), "{language}: {found}");
            assert!(found.ends_with("[response_time some s]"), "{language}: {found}");
        }
        machine.port = Some(Server::start(Answer::Never).await.stop().await);
        let found = machine.check(&check, "{}").await.ended;
        assert!(found.starts_with("Critical") && found.contains("refused"), "{language}: {found}");
        machine.port = None;
        let found = machine.check(&check, "{}").await.ended;
        assert_eq!(found, "error: the job has no port", "{language}");
    }
}
