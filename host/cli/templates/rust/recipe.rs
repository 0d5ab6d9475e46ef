//! The recipe {{ name }}.

wit_bindgen::generate!({ path: "wit", world: "recipe", generate_all });

use cerebro::recipe::command::{self, Guard, Semantics, Spec};
use cerebro::recipe::files::{self, Attributes};
use cerebro::recipe::types::{Change, Error};
use cerebro::recipe::{context, log};

const DIR: &str = "/opt/{{ name }}";
const AS_IT_IS: Attributes = Attributes { mode: None, owner: None };

struct Recipe;
export!(Recipe);

impl Guest for Recipe {
    fn deploy() -> Result<(), String> {
        let context::Instance { version, root, .. } = context::get();
        files::directory(DIR, &AS_IT_IS)
            .map_err(|error| format!("make {DIR}: {}", words(&error)))?;
        let (path, text) = (format!("{DIR}/greeting"), format!("hello from {version}\n"));
        let change = files::write(&path, text.as_bytes(), &AS_IT_IS)
            .map_err(|error| format!("write {path}: {}", words(&error)))?;
        let state = if matches!(change, Change::Unchanged) { "as it was" } else { "new" };
        log::write(log::Level::Info, &format!("{path} is {state}"));

        let mark = format!("{DIR}/initialised");
        // Commands know the machine's own paths.
        let real = format!("{root}{mark}");
        run_to_success(&["/bin/touch", &real], &["/bin/rm", "-f", &real], mark)
            .map_err(|error| format!("initialise {DIR}: {}", words(&error)))?;
        Ok(())
    }

    fn undeploy() -> Result<(), String> {
        let removed = files::remove(DIR).map(drop);
        removed.map_err(|error| format!("remove {DIR}: {}", words(&error)))
    }
}

/// Runs a command that must succeed, and that `undo` takes back, unless `mark` is there. Nothing else
/// is asked of its outcome, so that a plan goes on behind it.
fn run_to_success(argv: &[&str], undo: &[&str], mark: String) -> Result<Change, Error> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let semantics = Semantics {
        query: false,
        undo: Some(words(undo)),
        irreversible: false,
        assume: None,
        contain: Vec::new(),
    };
    let spec = Spec {
        argv: words(argv),
        env: Vec::new(),
        cwd: None,
        user: None,
        group: None,
        umask: None,
        stdin: None,
        timeout: None,
        guards: vec![Guard::Creates(mark)],
        success: Vec::new(),
        semantics: Some(semantics),
    };
    command::run(&spec)?.ensure_success()
}

/// The host's words: each case of its errors has them.
fn words(error: &Error) -> &str {
    match error {
        Error::Denied(text)
        | Error::NotFound(text)
        | Error::Invalid(text)
        | Error::TimedOut(text)
        | Error::TooLarge(text)
        | Error::Unsupported(text)
        | Error::Failed(text)
        | Error::Other(text) => text,
    }
}
