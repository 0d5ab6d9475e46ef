//! The recipe {{ name }}.

wit_bindgen::generate!({ path: "wit", world: "recipe", generate_all });

use cerebro::recipe::files::{self, Attributes};
use cerebro::recipe::{context, log};

const DIR: &str = "/opt/{{ name }}";
const AS_IT_IS: Attributes = Attributes { mode: None, owner: None };

struct Recipe;
export!(Recipe);

impl Guest for Recipe {
    fn deploy() -> Result<(), String> {
        let instance = context::get();
        files::directory(DIR, &AS_IT_IS).map_err(|error| format!("make {DIR}: {error:?}"))?;
        let (path, text) = (format!("{DIR}/greeting"), format!("hello from {}\n", instance.version));
        let change = files::write(&path, text.as_bytes(), &AS_IT_IS)
            .map_err(|error| format!("write {path}: {error:?}"))?;
        log::write(log::Level::Info, &format!("{path}: {change:?}"));
        Ok(())
    }

    fn undeploy() -> Result<(), String> {
        files::remove(DIR).map(drop).map_err(|error| format!("remove {DIR}: {error:?}"))
    }
}
