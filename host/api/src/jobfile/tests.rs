use super::*;

const ORIGINAL: &str = r#"{
  "dns_basename": "redis.startup.com",  # with a "comment"
  "deployment_recipe": "mystartup.recipes.deploy",
  "deployment_layout": { "aws-us-west-2a": { "mem": 500, "cpu": 2, }, },
  "recipe_options": { "motto": "a # is, no comment,} here", },
  "task_configuration": {
    "name": "Portal Server", "command": "/opt/code/run", "max_restarts": -1, "uid": 0,
    "cpu": .5, # allow this job to use 50% of CPU
    "mem": 1200,
  }
},
"#;

fn refused(file: &str, text: &str) -> JobFileError {
    parse(file, text).unwrap_err()
}

#[test]
fn the_originals_json_is_taken_as_it_is() {
    let job = parse("job.json", ORIGINAL).unwrap();
    assert_eq!(job.task_configuration.cpu.unwrap().millis(), 500);
    assert_eq!(job.task_configuration.max_restarts.limit(), None);
    assert_eq!(job.recipe_options["motto"], "a # is, no comment,} here");
    assert_eq!(job.deployment_layout.values().map(|zone| zone.instances()).sum::<u32>(), 2);
}

#[test]
fn what_follows_a_failure_is_one_of_two_words() {
    use cerebro_model::OnFailure;
    let with = |rollout: &str| {
        ORIGINAL
            .replace("\"recipe_options\"", &format!("\"rollout\": {rollout}, \"recipe_options\""))
    };
    let ways = |rollout: &str| parse("job.json", &with(rollout)).unwrap().rollout.on_failure;
    assert_eq!(parse("job.json", ORIGINAL).unwrap().rollout.on_failure, OnFailure::RollBack);
    assert_eq!(ways("{ \"batch\": 2 }"), OnFailure::RollBack);
    assert_eq!(ways("{ \"on_failure\": \"keep\" }"), OnFailure::Keep);
    let error = refused("job.json", &with("{ \"on_failure\": \"panic\" }")).to_string();
    assert!(error.contains("roll-back") && error.contains("keep"), "{error}");
}

#[test]
fn yaml_and_toml_are_the_same_model() {
    let json = parse("job.json", ORIGINAL).unwrap();
    let value = serde_json::to_value(&json).unwrap();
    let yaml = serde_saphyr::to_string(&value).unwrap();
    assert_eq!(parse("job.yaml", &yaml).unwrap(), json);
    let toml = toml::to_string(&value).unwrap();
    assert_eq!(parse("job.toml", &toml).unwrap(), json);
}

#[test]
fn an_unknown_key_is_refused_at_its_place_with_the_nearest_known_one() {
    let error = refused("job.json", &ORIGINAL.replace("max_restarts", "max_restart"));
    assert_eq!(error.place().unwrap().0, 7, "{error}");
    let text = error.to_string();
    assert!(text.starts_with("job.json:7:"), "{text}");
    assert!(text.contains("did you mean `max_restarts`?"), "{text}");

    let error = refused("job.toml", "dns_basename = \"a.b\"\ndeployment_recipes = \"x\"\n");
    assert!(error.to_string().starts_with("job.toml:2:"), "{error}");
    assert!(error.to_string().contains("did you mean `deployment_recipe`?"), "{error}");

    let error = refused("job.yaml", "dns_basename: a.b\ndeployment_recipes: x\n");
    assert!(error.to_string().starts_with("job.yaml:2:"), "{error}");
    assert!(error.to_string().contains("did you mean `deployment_recipe`?"), "{error}");
}

#[test]
fn places_are_those_of_the_file_also_behind_a_bare_decimal_point() {
    // The fault stands in the same line as, and behind, the zero that was put in.
    let text = ORIGINAL.replace("\"cpu\": .5, #", "\"cpu\": .5, \"mem\": true, #");
    let error = refused("job.json", &text);
    let line = text.lines().nth(7).unwrap();
    let (row, column) = error.place().unwrap();
    assert_eq!(row, 8, "{error}");
    let end_of_fault = line.find("true").unwrap() + "true".len();
    assert!(column <= end_of_fault && column >= line.find("true").unwrap(), "{error}");
}

#[test]
fn impossible_sizes_are_refused_with_what_was_expected() {
    for (from, to, expected) in [
        ("\"cpu\": .5", "\"cpu\": -1", "at least 0.001"),
        ("\"mem\": 1200", "\"mem\": 1e30", "64 TiB"),
        ("\"cpu\": 2", "\"cpu\": 100000000000", "10000 at most"),
        ("\"cpu\": 2,", "", "no number of instances"),
        ("\"max_restarts\": -1", "\"max_restarts\": -2", "-1 (never give up)"),
        ("redis.startup.com", "Redis Startup", "DNS name in lower case"),
    ] {
        let error = refused("job.json", &ORIGINAL.replace(from, to)).to_string();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(error.starts_with("job.json:"), "{error}");
    }
}

#[test]
fn hostile_texts_end_in_an_error() {
    for text in ["", "#", "{", "\"", "\"\\", ",", "}", "[,]", "\u{0}", "{\"a\": .}", "é.5"] {
        refused("job.json", text);
    }
    refused("job.json", &"[".repeat(100_000));
}
