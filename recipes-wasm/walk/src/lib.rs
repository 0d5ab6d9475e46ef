//! A recipe that does what its option `do` says: small steps with which tests walk through the
//! host's interfaces. Each does one thing, and logs what came of it.

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::files::{self, Attributes};
use cerebro_recipe::host::log::{self, Level};
use cerebro_recipe::host::notify::{self, Action};
use cerebro_recipe::host::release::{self, Layout, Shared};
use cerebro_recipe::host::{artifact, context, kv, secret};
use cerebro_recipe::options;
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
}

struct Walk;

cerebro_recipe::recipe!(Walk);

impl Guest for Walk {
    fn deploy() -> Result<(), String> {
        match options::get::<What>()? {
            What::Tell { name, path } => tell(&name, &path),
            What::Remember { values } => remember(values),
            What::Later { run, restart, fail } => later(run, restart, fail),
            What::Stage { base, artifact, keep } => stage(&base, artifact.as_deref(), keep),
            What::Leave { base } => leave(&base),
        }
    }

    fn undeploy() -> Result<(), String> {
        Ok(())
    }
}

fn tell(name: &str, path: &str) -> Result<(), String> {
    let secret = secret::get(name).doing(|| format!("get the secret `{name}`"))?;
    let line = format!("password = {}\n", secret.placeholder());
    let plain = Attributes { mode: Some(0o600), owner: None };
    let change = files::write(path, line.as_bytes(), &plain).doing(|| format!("write `{path}`"))?;
    say(&format!("{change}: {} is {}", line.trim(), String::from_utf8_lossy(&secret.reveal())));
    Ok(())
}

fn remember(values: BTreeMap<String, Option<String>>) -> Result<(), String> {
    for (key, value) in values {
        let change = match value {
            Some(value) => kv::set(&key, value.as_bytes()).doing(|| format!("keep `{key}`"))?,
            None => kv::delete(&key).doing(|| format!("forget `{key}`"))?,
        };
        say(&format!("{key}: {change}"));
    }
    let mut known = Vec::new();
    for key in kv::keys().doing(|| "list what is kept".to_owned())? {
        let value = kv::get(&key).doing(|| format!("recall `{key}`"))?.unwrap_or_default();
        known.push(format!("{key}={}", String::from_utf8_lossy(&value)));
    }
    say(&format!("known: {}", known.join(" ")));
    Ok(())
}

fn later(run: Vec<Vec<String>>, restart: Vec<String>, fail: bool) -> Result<(), String> {
    let actions = run.into_iter().map(Action::Run);
    for action in actions.chain(restart.into_iter().map(Action::RestartTask)) {
        notify::at_end(&action).doing(|| "have it done later".to_owned())?;
    }
    say("all is asked for");
    if fail { Err("it failed after it had asked".to_owned()) } else { Ok(()) }
}

fn stage(base: &str, artifact: Option<&str>, keep: u32) -> Result<(), String> {
    let version = context::get().version;
    let layout = Layout {
        base: base.to_owned(),
        owner: None,
        shared: vec![
            Shared { path: "log".to_owned(), directory: true },
            Shared { path: "config/local".to_owned(), directory: false },
        ],
    };
    let content = artifact.map(artifact::fetch).transpose();
    let content = content.doing(|| "fetch the artifact".to_owned())?;
    let staged = release::stage(&layout, &version, content.as_ref(), 0)
        .doing(|| format!("stage `{version}`"))?;
    let path = release::path(base, &version).doing(|| "name the release".to_owned())?;
    let active = release::activate(base, &version).doing(|| format!("activate `{version}`"))?;
    let pruned = release::prune(base, keep).doing(|| format!("prune `{base}`"))?;
    say(&format!("{path}: {staged}, {active}, pruned {}", pruned.join(" ")));
    let left = release::list(base).doing(|| format!("list `{base}`"))?;
    let left = left.iter().map(|release| match (release.current, release.needed) {
        (true, _) => format!("{} in use", release.version),
        (_, true) => format!("{} needed", release.version),
        _ => release.version.clone(),
    });
    say(&format!("left: {}", left.collect::<Vec<_>>().join(", ")));
    Ok(())
}

fn leave(base: &str) -> Result<(), String> {
    let change = release::leave(base).doing(|| format!("leave `{base}`"))?;
    say(&format!("left for good: {change}"));
    Ok(())
}

fn say(message: &str) {
    log::write(Level::Info, message);
}
