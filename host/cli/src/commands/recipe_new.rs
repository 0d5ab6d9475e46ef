//! `cerebro recipe new`: the directory of a new component.

use crate::arguments::NewRecipe;
use crate::fault::{CONFLICT, ERROR, Fault};
use crate::output::line;
use crate::templates;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

pub fn run(options: &NewRecipe) -> Result<(), Fault> {
    let NewRecipe { name, language, kind } = options;
    let dir = Path::new(name.as_str());
    let cannot = |path: &Path, error: std::io::Error| {
        Fault::new(ERROR, format!("cannot write {}: {error}", path.display()))
    };
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                let why = format!("the directory `{name}` is there, and not empty");
                return Err(Fault::new(CONFLICT, why).hint("choose another name"));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(cannot(dir, error)),
    }
    for file in templates::files(name.as_str(), *language, *kind) {
        let path = dir.join(&file.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        written.and_then(|()| fs::write(&path, &file.content)).map_err(|e| cannot(&path, e))?;
    }
    line(&format!("{name}/README.md says how to build, test and deploy it"))
}
