//! Keeps releases side by side; see ../../SPEC.md.

mod options;

wit_bindgen::generate!({ path: "../../wit", world: "release", generate_all });

use cerebro::recipe::command::{self, Guard, Semantics, Spec};
use cerebro::recipe::context::{self, Instance};
use cerebro::recipe::files::{self, Attributes};
use cerebro::recipe::log::{self, Level};
use cerebro::recipe::release::{self, Layout, Shared};
use cerebro::recipe::types::Change;
use cerebro::recipe::{artifact, types};
use options::Options;

struct Release;
export!(Release);

impl Guest for Release {
    fn deploy() -> Result<(), String> {
        let options = Options::parse(&context::options())?;
        let instance = context::get();
        let port = port(&instance, "http")?;
        let (base, version) = (options.base.as_str(), instance.version.as_str());
        say(&format!("deploy {} {version} to {base}", instance.job));

        let artifact = artifact::fetch(&options.artifact).doing("fetch the artifact")?;

        let shared = vec![Shared { path: "log".to_owned(), directory: true }];
        let layout = Layout { base: base.to_owned(), owner: None, shared };
        let staging = format!("stage {version}");
        let change = release::stage(&layout, version, Some(&artifact), 1).doing(&staging)?;
        say(&format!("{staging}: {}", name(&change)));

        let directory = release::path(base, version).doing("read app.conf.tmpl")?;
        let template = format!("{directory}/app.conf.tmpl");
        let template = files::read(&template, 65_536).doing("read app.conf.tmpl")?;
        let text = String::from_utf8_lossy(&template)
            .replace("{{version}}", version)
            .replace("{{address}}", &instance.address)
            .replace("{{port}}", &port.to_string())
            .replace("{{greeting}}", &options.greeting);
        let attributes = Attributes { mode: Some(0o640), owner: None };
        let change = files::write(&format!("{directory}/app.conf"), text.as_bytes(), &attributes)
            .doing("write app.conf")?;
        say(&format!("write app.conf: {}", name(&change)));

        let mark = format!("{base}/shared/initialised");
        let real = format!("{}{mark}", instance.root);
        let undo = vec!["/usr/bin/rm".to_owned(), "-f".to_owned(), real.clone()];
        let spec = Spec {
            guards: vec![Guard::Creates(mark)],
            semantics: Some(undone_by(undo)),
            ..plain(vec!["/usr/bin/touch".to_owned(), real])
        };
        let change = run_to_success(&spec).doing("touch initialised")?;
        say(&format!("touch initialised: {}", name(&change)));

        let activating = format!("activate {version}");
        let change = release::activate(base, version).doing(&activating)?;
        say(&format!("{activating}: {}", name(&change)));

        for old in release::prune(base, options.keep).doing("prune")? {
            say(&format!("prune {old}"));
        }
        Ok(())
    }

    fn undeploy() -> Result<(), String> {
        let Options { base, .. } = Options::parse(&context::options())?;
        say(&format!("undeploy {} from {base}", context::get().job));

        let mark = format!("{base}/shared/initialised");
        let change = files::remove(&mark).doing("remove initialised")?;
        say(&format!("remove initialised: {}", name(&change)));

        let leaving = format!("leave {base}");
        let change = release::leave(&base).doing(&leaving)?;
        say(&format!("{leaving}: {}", name(&change)));
        Ok(())
    }
}

/// A command with nothing but its words.
fn plain(argv: Vec<String>) -> Spec {
    Spec {
        argv,
        env: Vec::new(),
        cwd: None,
        user: None,
        group: None,
        umask: None,
        stdin: None,
        timeout: None,
        guards: Vec::new(),
        success: Vec::new(),
        semantics: None,
    }
}

/// What takes a command back.
fn undone_by(undo: Vec<String>) -> Semantics {
    let (assume, contain) = (None, Vec::new());
    Semantics { query: false, undo: Some(undo), irreversible: false, assume, contain }
}

/// Runs a command that must succeed. Nothing else is asked of its outcome, so that a plan goes on
/// behind it.
fn run_to_success(spec: &Spec) -> Result<Change, types::Error> {
    command::run(spec)?.ensure_success()
}

fn port(instance: &Instance, name: &str) -> Result<u16, String> {
    let found = instance.ports.iter().find(|port| port.name == name);
    found.map(|port| port.number).ok_or_else(|| format!("the job has no port {name}"))
}

fn say(message: &str) {
    log::write(Level::Info, message);
}

fn name(change: &Change) -> &str {
    match change {
        Change::Unchanged => "unchanged",
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Removed => "removed",
        Change::Done => "done",
        Change::Other(other) => other,
    }
}

/// Puts what was being done before the host's words.
trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, String>;
}

impl<T> Doing<T> for Result<T, types::Error> {
    fn doing(self, what: &str) -> Result<T, String> {
        use types::Error;
        self.map_err(|error| match error {
            Error::Denied(text)
            | Error::NotFound(text)
            | Error::Invalid(text)
            | Error::TimedOut(text)
            | Error::TooLarge(text)
            | Error::Unsupported(text)
            | Error::Failed(text)
            | Error::Other(text) => format!("{what}: {text}"),
        })
    }
}
