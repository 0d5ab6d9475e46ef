//! Definitions of tasks that are the machine's own: one file each, `definitions/NAME.json`, with
//! what a job file has as its `task_configuration`.

use crate::disk::{self, DiskError, at};
use cerebro_model::{InstanceId, PortRef, TaskConfiguration};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest name, in bytes: that of a file.
const LONGEST: usize = 255;
/// Characters of a name that are kept in a directory's name beside its digest.
const PREFIX: usize = 40;
/// The longest name that is a directory's name as it is.
const AS_IT_IS: usize = 100;

/// Why a configuration is no definition of a task of the machine's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Nobody could ask for it by that.
    #[error("`name` is empty, `.` or `..`, holds a control character, or is longer than 255 bytes")]
    Name,
    /// It would be taken for an instance.
    #[error("the name `{0}` is an instance's: expected one that is not `<number>.<zone>.<job>`")]
    InstanceName(String),
    /// It has no ports with names.
    #[error("`{0}` names port `{1}`: expected a number, since only jobs have ports with names")]
    PortName(&'static str, PortRef),
}

/// Whether `task` can be a task of the machine's own.
pub fn check(task: &TaskConfiguration) -> Result<(), DefinitionError> {
    let name = &task.name;
    // Clients take dots out of a path before they ask.
    let is_dots = matches!(name.as_str(), "." | "..");
    if name.is_empty() || is_dots || name.len() > LONGEST || name.chars().any(char::is_control) {
        return Err(DefinitionError::Name);
    }
    if name.parse::<InstanceId>().is_ok() {
        return Err(DefinitionError::InstanceName(name.clone()));
    }
    match task.port_refs().find(|(_, port)| matches!(port, PortRef::Name(_))) {
        Some((key, port)) => Err(DefinitionError::PortName(key, port.clone())),
        None => Ok(()),
    }
}

/// A name for files and control groups that is safe, and no other task's. A plain name is its own;
/// any other is told by its digest, behind `~`, which no plain name holds.
pub fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() <= AS_IT_IS && !name.starts_with('.') && name.chars().all(plain) {
        return name.to_owned();
    }
    let prefix: String = name
        .chars()
        .take(PREFIX)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}~{hex}")
}

/// The directory of the definitions.
pub struct Definitions(PathBuf);

/// A file that is none, and what became of it.
pub struct SetAside {
    /// Where it is now.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl Definitions {
    /// Opens the directory, and makes it if it is missing.
    pub fn open(directory: PathBuf) -> Result<Self, DiskError> {
        fs::create_dir_all(&directory).map_err(at("make", &directory))?;
        Ok(Self(directory))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{}.json", file_name(name)))
    }

    /// Keeps a definition, for good.
    pub fn save(&self, task: &TaskConfiguration) -> Result<(), DiskError> {
        disk::write(&self.file(&task.name), task)
    }

    /// Forgets a definition, for good.
    pub fn remove(&self, name: &str) -> Result<(), DiskError> {
        disk::remove(&self.file(name))
    }

    /// All of them. What cannot be read is set aside, and the rest goes on.
    pub fn load(&self) -> Result<(Vec<TaskConfiguration>, Vec<SetAside>), DiskError> {
        let (mut tasks, mut set_aside) = (Vec::new(), Vec::new());
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(at("list", &self.0))? {
            let file = entry.map_err(at("list", &self.0))?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                files.push(file);
            }
        }
        files.sort();
        for file in files {
            match self.read(&file) {
                Ok(task) => tasks.push(task),
                Err(why) => set_aside.push(aside(file, why)),
            }
        }
        Ok((tasks, set_aside))
    }

    fn read(&self, file: &Path) -> Result<TaskConfiguration, String> {
        let task: Option<TaskConfiguration> =
            disk::read(file).map_err(|error| disk::chain(&error))?;
        let task = task.ok_or("it is gone")?;
        check(&task).map_err(|error| error.to_string())?;
        let proper = self.file(&task.name);
        if proper != file {
            // Put there by hand: its name is inside, and its file is to be found by that.
            if proper.exists() {
                return Err(format!(
                    "the task `{}` is defined by `{}`",
                    task.name,
                    proper.display()
                ));
            }
            fs::rename(file, &proper).map_err(|error| error.to_string())?;
        }
        Ok(task)
    }
}

fn aside(file: PathBuf, why: String) -> SetAside {
    let mut name = file.clone().into_os_string();
    name.push(".bad");
    let moved: Result<(), io::Error> = fs::rename(&file, &name);
    match moved {
        Ok(()) => SetAside { file: name.into(), why },
        // Where nothing can be moved, it stays: the next agent says so again.
        Err(error) => SetAside { file, why: format!("{why}; it cannot be moved: {error}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn task(name: &str) -> TaskConfiguration {
        serde_json::from_value(json!({ "name": name, "command": "sleep 1" })).unwrap()
    }

    #[test]
    fn every_name_has_a_safe_file_of_its_own() {
        let long = "x".repeat(255);
        let other = format!("{}y", "x".repeat(254));
        let names =
            ["a", "a/b", "a b", "a_b", "../a", ".", "..", "café", "任务", "A~b", &long, &other];
        let files: BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        for file in files {
            assert!(file.len() < 128 && !file.contains('/') && !file.starts_with('.'), "{file}");
        }
        assert_eq!(file_name("web-1.b"), "web-1.b");
    }

    #[test]
    fn names_that_nobody_could_use_are_refused() {
        for bad in ["", "..", "a\nb", &"x".repeat(256), "0.z-1.a.b"] {
            assert!(check(&task(bad)).is_err(), "{bad}");
        }
        let mut named = task("a");
        named.readiness = cerebro_model::Readiness::Port(PortRef::Name("main".parse().unwrap()));
        assert!(check(&named).unwrap_err().to_string().contains("expected a number"));
    }

    #[test]
    fn what_is_no_definition_is_set_aside_and_the_rest_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let definitions = Definitions::open(dir.path().join("definitions")).unwrap();
        definitions.save(&task("a/b")).unwrap();
        definitions.save(&task("c")).unwrap();
        let put = |name: &str, text: &str| fs::write(definitions.0.join(name), text).unwrap();
        put("torn.json", "{\"name\": \"to");
        put("by-hand.json", "{\"name\": \"d\", \"command\": \"true\"}");
        put("again.json", "{\"name\": \"c\", \"command\": \"true\"}");
        put("notes.txt", "mine");
        let (tasks, set_aside) = definitions.load().unwrap();
        let names: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["a/b", "c", "d"]));
        assert!(definitions.0.join("d.json").exists());
        assert_eq!(set_aside.len(), 2);
        assert!(set_aside.iter().all(|bad| bad.file.exists()), "nothing is thrown away");
        assert!(set_aside.iter().any(|bad| bad.why.contains("is defined by")));
        definitions.remove("c").unwrap();
        definitions.remove("c").unwrap();
        let (tasks, set_aside) = definitions.load().unwrap();
        assert_eq!((tasks.len(), set_aside.len()), (2, 0));
    }
}
