//! The recipe {{ name }}.

wit_bindgen::generate!({ path: "wit", world: "recipe", generate_all });

use cerebro::recipe::files::{self, Attributes};
use cerebro::recipe::types::{Change, Error};
use cerebro::recipe::{context, log};

const DIR: &str = "/opt/{{ name }}";
const AS_IT_IS: Attributes = Attributes { mode: None, owner: None };

struct Recipe;
export!(Recipe);

impl Guest for Recipe {
    fn deploy() -> Result<(), String> {
        let version = context::get().version;
        files::directory(DIR, &AS_IT_IS)
            .map_err(|error| format!("make {DIR}: {}", words(&error)))?;
        let (path, text) = (format!("{DIR}/greeting"), format!("hello from {version}\n"));
        let change = files::write(&path, text.as_bytes(), &AS_IT_IS)
            .map_err(|error| format!("write {path}: {}", words(&error)))?;
        let state = if matches!(change, Change::Unchanged) { "as it was" } else { "new" };
        log::write(log::Level::Info, &format!("{path} is {state}"));
        Ok(())
    }

    fn undeploy() -> Result<(), String> {
        let removed = files::remove(DIR).map(drop);
        removed.map_err(|error| format!("remove {DIR}: {}", words(&error)))
    }
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
