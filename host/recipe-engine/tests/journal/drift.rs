//! What has changed since it was written is told, and what we changed ourselves is not.

use crate::scenario::Scenario;
use crate::support::engine;
use cerebro_recipe_engine::{Drift, Journal};
use serde_json::json;
use std::fs;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn what_came_into_what_was_unpacked_by_a_later_effect_is_no_drift() {
    let scenario = Scenario::new();
    fs::create_dir_all(scenario.machine.path("/srv")).unwrap();
    let steps = json!([
        {"unpack": [scenario.artifact(), "/srv/app"]},
        {"write": ["/srv/app/lib/conf", "ours\n", null]},
    ]);
    let options = json!({ "steps": steps }).to_string();
    engine().deploy(&scenario.component().await, scenario.call(&options)).await.unwrap();
    let journal: Journal = scenario.journal().unwrap();
    let drift = Drift::new(&scenario.root());
    let is_ours = |path: &str| Path::new("/srv/app/lib/conf").starts_with(path);
    let differs = |n: usize| {
        let entry = &journal.effects()[n];
        drift.of(&journal, &scenario.directory(), entry, is_ours).unwrap()
    };
    assert_eq!((differs(0), differs(1)), (None, None));
    // Its content is looked at where it is another file, and only counts then.
    let (m, conf) = (&scenario.machine, scenario.machine.path("/srv/app/lib/conf"));
    fs::write(&conf, "ours\n").unwrap();
    assert_eq!(differs(1), None);
    fs::write(&conf, "mine\n").unwrap();
    assert_eq!(differs(1).as_deref(), Some("its content differs"));
    fs::write(m.path("/srv/app/lib/theirs"), "theirs\n").unwrap();
    assert_eq!(differs(0).as_deref(), Some("`lib/theirs` in it differs"));
    fs::write(m.path("/srv/app/app"), "another\n").unwrap();
    let all = differs(0).unwrap();
    assert!(all.starts_with("2 things in it differ, such as `"), "{all}");
}
