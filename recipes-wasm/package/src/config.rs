//! What a job may say, and what it makes of a file. Pure but for looking at what stands there.

use cerebro_recipe::edit;
use cerebro_recipe::host::packages::{Spec, State};
use cerebro_recipe::template::{self, Values};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What a job may say. In texts, `{{ name }}` stands for a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Packages by name, and how each should be: `present`, `latest`, `absent`, or a version.
    pub packages: BTreeMap<String, String>,
    /// Directories by path.
    #[serde(default)]
    pub directories: BTreeMap<String, Access>,
    /// Files by path.
    #[serde(default)]
    pub files: BTreeMap<String, File>,
    /// Further values for texts.
    #[serde(default)]
    pub variables: Values,
    /// The service that the packages bring.
    pub service: Option<Service>,
    /// A command that finds mistakes in the configuration: run once something changed, before the
    /// service is told.
    pub check: Option<Vec<String>>,
    /// Whether undeploying stops the service and removes the packages.
    #[serde(default)]
    pub remove: bool,
}

/// Who may do what with a file or directory.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The permission bits, in octal digits.
    pub mode: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The group; the user's own by default.
    pub group: Option<String>,
}

/// What a file should hold: one of the first four.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// All of it.
    pub content: Option<String>,
    /// What to merge into it, a JSON or TOML file.
    pub merge: Option<Json>,
    /// Sections of an INI file, with values by key; `null` takes a key away.
    pub set: Option<BTreeMap<String, BTreeMap<String, Option<String>>>>,
    /// Lines that stand in it between two comments of ours.
    pub block: Option<String>,
    /// What comments begin with.
    #[serde(default = "hash")]
    pub comment: String,
    /// The permission bits, in octal digits.
    pub mode: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The group; the user's own by default.
    pub group: Option<String>,
}

fn hash() -> String {
    "#".to_owned()
}

/// The service that packages bring.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Whether it runs, now and after the machine has booted. Not, where the job's own task does.
    #[serde(default = "yes")]
    pub running: bool,
    /// What follows a change of the files.
    #[serde(default)]
    pub on_change: OnChange,
}

fn yes() -> bool {
    true
}

/// What a service needs to see its new configuration.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnChange {
    /// To be restarted.
    #[default]
    Restart,
    /// To be told.
    Reload,
}

impl Options {
    /// The packages as they should be.
    pub fn packages(&self) -> Vec<Spec> {
        let spec = |(name, state): (&String, &String)| Spec {
            name: name.clone(),
            state: match state.as_str() {
                "present" => State::Present,
                "latest" => State::Latest,
                "absent" => State::Absent,
                version => State::Version(version.to_owned()),
            },
            hold: None,
        };
        self.packages.iter().map(spec).collect()
    }

    /// The packages that are there because of this job.
    pub fn brought(&self) -> impl Iterator<Item = &String> {
        self.packages.iter().filter(|(_, state)| *state != "absent").map(|(name, _)| name)
    }
}

/// Permission bits from octal digits.
pub fn mode(text: Option<&str>) -> Result<Option<u32>, String> {
    let Some(text) = text else { return Ok(None) };
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
        _ => Err(format!("`{text}` is no mode: expected octal digits, such as \"0640\"")),
    }
}

impl File {
    /// What the file should hold, given what it holds.
    pub fn wanted(&self, path: &str, old: &str, values: &Values) -> Result<String, String> {
        let text = |text: &str| template::render(text, values);
        match (&self.content, &self.merge, &self.set, &self.block) {
            (Some(content), None, None, None) => text(content),
            (None, Some(patch), None, None) => {
                let patch = filled(patch, values)?;
                match path.rsplit_once('.').map(|(_, ending)| ending) {
                    Some("json") => edit::json_merge(old, &patch),
                    Some("toml") => edit::toml_merge(old, &patch),
                    _ => Err("`merge` is for files that end in .json or .toml".to_owned()),
                }
            }
            (None, None, Some(sections), None) => {
                let mut new = old.to_owned();
                for (section, keys) in sections {
                    for (key, value) in keys {
                        new = match value {
                            Some(value) => edit::ini_set(&new, section, key, &text(value)?),
                            None => edit::ini_remove(&new, section, key),
                        };
                    }
                }
                Ok(new)
            }
            (None, None, None, Some(block)) => Ok(self.block(old, values, Some(&text(block)?))),
            _ => Err("expected one of `content`, `merge`, `set` and `block`".to_owned()),
        }
    }

    /// The file with this block of the job's, or without.
    pub fn block(&self, old: &str, values: &Values, content: Option<&str>) -> String {
        let job = values.get("job").map_or("", String::as_str);
        let mark = |word: &str| format!("{} {word} {job} (Cerebro)", self.comment);
        edit::block(old, &mark("BEGIN"), &mark("END"), content)
    }
}

/// A JSON value with the values in its texts.
fn filled(json: &Json, values: &Values) -> Result<Json, String> {
    Ok(match json {
        Json::String(text) => Json::String(template::render(text, values)?),
        Json::Array(items) => {
            Json::Array(items.iter().map(|item| filled(item, values)).collect::<Result<_, _>>()?)
        }
        Json::Object(map) => {
            let pair = |(key, json): (&String, &Json)| Ok((key.clone(), filled(json, values)?));
            Json::Object(map.iter().map(pair).collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}
