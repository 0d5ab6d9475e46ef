//! A recipe that does what its option `do` says: small steps with which tests walk through the
//! host's interfaces. Each does one thing, and logs what came of it.

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::notify::Action;
use cerebro_recipe::host::release::{Layout, Shared};
use cerebro_recipe::host::services::Spec;
use cerebro_recipe::host::users;
use cerebro_recipe::{Directory, File, Host, Recipe, Source};
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum What {
    /// Writes a secret to a file, and tries to tell it to the log.
    Tell { name: String, path: String },
    /// Remembers values from call to call, and forgets those that are null.
    Remember { values: BTreeMap<String, Option<String>> },
    /// Has commands be run and tasks restarted at the end, and fails if told to.
    Later {
        #[serde(default)]
        run: Vec<Vec<String>>,
        #[serde(default)]
        restart: Vec<String>,
        #[serde(default)]
        fail: bool,
    },
    /// Stages and activates this version's release, and prunes the others.
    Stage { base: String, artifact: Option<String>, keep: u32 },
    /// Leaves the releases of a base.
    Leave { base: String },
    /// Has a user with a group of the same name, or has neither.
    Account { name: String, shell: String, groups: Vec<String>, gone: bool },
    /// Has a user, and a directory that belongs to it.
    Home { name: String, path: String },
    /// Has a service be so, and reads its configuration anew.
    Serve { name: String, running: bool, enabled: bool },
}

struct Walk;

cerebro_recipe::recipe!(Walk);

impl Recipe for Walk {
    type Options = What;

    fn deploy(host: &impl Host, what: What) -> Result<(), String> {
        match what {
            What::Tell { name, path } => tell(host, &name, &path),
            What::Remember { values } => remember(host, values),
            What::Later { run, restart, fail } => later(host, run, restart, fail),
            What::Stage { base, artifact, keep } => stage(host, &base, artifact, keep),
            What::Account { name, shell, groups, gone: false } => {
                account(host, &name, shell, groups)
            }
            What::Home { name, path } => home(host, &name, path),
            What::Account { name, .. } => {
                let (user, group) = (host.remove_user(&name)?, host.remove_group(&name)?);
                host.say(&format!("{} and {}", user.change(), group.change()));
                Ok(())
            }
            What::Serve { name, running, enabled } => serve(host, name, running, enabled),
            What::Leave { base } => {
                let change = host.leave(&base)?;
                host.say(&format!("left for good: {change}"));
                Ok(())
            }
        }
    }

    fn undeploy(_: &impl Host, _: What) -> Result<(), String> {
        Ok(())
    }
}

fn account(host: &impl Host, name: &str, shell: String, groups: Vec<String>) -> Result<(), String> {
    let group = host.ensure_group(name, None, true)?;
    let user = host.ensure_user(&users::Spec {
        name: name.to_owned(),
        uid: None,
        group: Some(name.to_owned()),
        groups: Some(groups),
        home: Some("/nonexistent".to_owned()),
        create_home: false,
        shell: Some(shell),
        system: true,
    })?;
    host.say(&format!("{} and {}", group.change(), user.change()));
    let found = host.user(name)?.ok_or("it is not there")?;
    host.say(&format!("{}: {}", found.shell, found.groups.join(" ")));
    Ok(())
}

fn home(host: &impl Host, name: &str, path: String) -> Result<(), String> {
    host.ensure_user(&users::Spec {
        name: name.to_owned(),
        uid: None,
        group: None,
        groups: None,
        home: Some(path.clone()),
        create_home: false,
        shell: Some("/bin/false".to_owned()),
        system: true,
    })?;
    let change = Directory::new(path).mode(0o750).owner(name).make(host)?;
    host.say(&format!("home: {change}"));
    Ok(())
}

fn serve(host: &impl Host, name: String, running: bool, enabled: bool) -> Result<(), String> {
    let spec = Spec { name, running: Some(running), enabled: Some(enabled) };
    let (change, reload) = (host.ensure_service(&spec)?, host.reload_service(&spec.name)?);
    host.say(&format!("{}, {}", change.change(), reload.change()));
    let found = host.service(&spec.name)?.ok_or("it is not there")?;
    host.say(&format!("runs: {}, enabled: {}", found.running, found.enabled));
    Ok(())
}

fn tell(host: &impl Host, name: &str, path: &str) -> Result<(), String> {
    let line = format!("password = {}\n", host.secret(name)?);
    let change = File::new(path).mode(0o600).write(host, &line)?;
    let secret = host.reveal(name)?;
    host.say(&format!("{change}: {} is {}", line.trim(), String::from_utf8_lossy(&secret)));
    Ok(())
}

fn remember(host: &impl Host, values: BTreeMap<String, Option<String>>) -> Result<(), String> {
    for (key, value) in values {
        let change = match value {
            Some(value) => host.remember(&key, value.as_bytes()),
            None => host.forget(&key),
        };
        host.say(&format!("{key}: {}", change.doing(|| format!("remember `{key}`"))?));
    }
    let mut known = Vec::new();
    for key in host.keys()? {
        let value = host.recall(&key)?.unwrap_or_default();
        known.push(format!("{key}={}", String::from_utf8_lossy(&value)));
    }
    host.say(&format!("known: {}", known.join(" ")));
    Ok(())
}

fn later(
    host: &impl Host,
    run: Vec<Vec<String>>,
    restart: Vec<String>,
    fail: bool,
) -> Result<(), String> {
    let actions = run.into_iter().map(Action::Run);
    for action in actions.chain(restart.into_iter().map(Action::RestartTask)) {
        host.at_end(&action)?;
    }
    host.say("all is asked for");
    if fail { Err("it failed after it had asked".to_owned()) } else { Ok(()) }
}

fn stage(host: &impl Host, base: &str, artifact: Option<String>, keep: u32) -> Result<(), String> {
    let version = host.instance().version;
    let layout = Layout {
        base: base.to_owned(),
        owner: None,
        shared: vec![
            Shared { path: "log".to_owned(), directory: true },
            Shared { path: "config/local".to_owned(), directory: false },
        ],
    };
    let content = artifact.map(Source::Artifact);
    let staged = host.stage(&layout, &version, content.as_ref(), 0)?;
    let (path, active) = (host.release_path(base, &version)?, host.activate(base, &version)?);
    let pruned = host.prune(base, keep)?.join(" ");
    host.say(&format!("{path}: {staged}, {active}, pruned {pruned}"));
    let left = host.releases(base)?.into_iter().map(|release| {
        let how = match (release.current, release.needed) {
            (true, _) => " in use",
            (_, true) => " needed",
            _ => "",
        };
        release.version + how
    });
    host.say(&format!("left: {}", left.collect::<Vec<_>>().join(", ")));
    Ok(())
}

/// The fake host says what the engine says in the same walk: see its tests.
#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_recipe::{Answer, FakeHost};

    #[test]
    fn releases_are_staged_shared_activated_pruned_and_left() {
        let files = [("app", "program"), ("log/old", "shipped by mistake")];
        let stage = r#"{"do": "stage", "base": "/opt/app", "artifact": "aa", "keep": 1}"#;
        let mut host = FakeHost::new().with_artifact("aa", &files).with_options(stage);
        for version in ["2", "3", "4"] {
            host.deploy::<Walk>().unwrap();
            host = host.with_version(version);
        }
        host = host.with_version("3");
        host.deploy::<Walk>().unwrap();
        assert_eq!(
            host.lines(),
            [
                "/opt/app/releases/1: created, created, pruned ",
                "left: 1 in use",
                "/opt/app/releases/2: created, updated, pruned ",
                "left: 1 needed, 2 in use",
                "/opt/app/releases/3: created, updated, pruned 1",
                "left: 2 needed, 3 in use",
                "/opt/app/releases/3: unchanged, unchanged, pruned ",
                "left: 2 needed, 3 in use",
            ]
        );
        assert_eq!(host.text("/opt/app/current/app"), "program");
        assert!(host.has("/opt/app/shared/log") && !host.has("/opt/app/current/log/old"));
        let host = host.with_options(r#"{"do": "leave", "base": "/opt/app"}"#);
        host.deploy::<Walk>().unwrap();
        assert_eq!(host.list("/opt/app").unwrap().len(), 1);
        let host = host.with_options(stage).with_version(".hidden");
        assert_eq!(host.deploy::<Walk>().unwrap_err(), "`.hidden` cannot name a release");
    }

    #[test]
    fn what_is_asked_for_is_done_once_and_outlives_a_failure() {
        let later = |run: &str, fail: bool| {
            format!(r#"{{"do": "later", "run": {run}, "restart": [], "fail": {fail}}}"#)
        };
        let host = FakeHost::new()
            .with_program("/bin/a", |_, _| Answer::ok(""))
            .with_program("/bin/bad", |_, _| Answer::failed(9, ""))
            .with_options(later(r#"[["/bin/a", "1"], ["/bin/a", "2"], ["/bin/a", "1"]]"#, false));
        host.deploy::<Walk>().unwrap();
        assert_eq!(host.take_calls(), ["run /bin/a 1", "run /bin/a 2"]);

        let host = host.with_options(later(r#"[["/bin/a", "3"]]"#, true));
        host.deploy::<Walk>().unwrap_err();
        assert!(host.calls().is_empty());
        let host = host.with_options(later("[]", false));
        host.deploy::<Walk>().unwrap();
        host.deploy::<Walk>().unwrap();
        assert_eq!(host.take_calls(), ["run /bin/a 3"]);

        let host = host.with_options(later(r#"[["/bin/bad"], ["/bin/a", "4"]]"#, false));
        let error = host.deploy::<Walk>().unwrap_err();
        assert!(error.contains("`/bin/bad` ended with code 9"), "{error}");
        assert_eq!(host.calls(), ["run /bin/bad"]);
    }

    #[test]
    fn secrets_are_filled_in_and_values_remembered() {
        let tell = r#"{"do": "tell", "name": "db", "path": "/etc/db.conf"}"#;
        let host = FakeHost::new()
            .with_directory("/etc")
            .with_secret("db", "correct horse")
            .with_options(tell);
        host.deploy::<Walk>().unwrap();
        assert_eq!(host.text("/etc/db.conf"), "password = correct horse\n");
        host.deploy::<Walk>().unwrap();
        assert_eq!(host.take_calls(), ["write /etc/db.conf"]);
        let host = host.with_options(tell.replace("\"db\"", "\"gone\""));
        assert_eq!(host.deploy::<Walk>().unwrap_err(), "there is no secret `gone`");

        let values = r#"{"do": "remember", "values": {"a": "x", "b": null, "c": "z"}}"#;
        let host = host.with_options(values);
        host.deploy::<Walk>().unwrap();
        host.deploy::<Walk>().unwrap();
        assert_eq!(host.calls(), ["remember a", "remember c"]);
        assert_eq!(host.lines().last().unwrap(), "known: a=x c=z");
    }
}
