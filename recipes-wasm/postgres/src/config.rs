//! What a job may say, and the texts of `postgresql.conf` and `pg_hba.conf`. Pure.

use cerebro_recipe::edit;
use cerebro_recipe::values::Port;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// What a job may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where the directories `data` and `run` go; `{{ name }}` stands for a value.
    pub dir: String,
    /// Where the server's programs are, such as `/usr/lib/postgresql/17/bin`.
    pub bin: String,
    /// The user that the server runs as and that the data belong to; it is also the database's
    /// superuser. The agent's own by default.
    pub user: Option<String>,
    /// The port to listen on, by name or number; the job's first one by default.
    pub port: Option<Port>,
    /// The addresses to listen on; the instance's own by default.
    pub listen: Option<String>,
    /// Further arguments of `initdb`.
    #[serde(default = "initdb")]
    pub initdb: Vec<String>,
    /// Further settings of `postgresql.conf`; `null` takes one away.
    #[serde(default)]
    pub settings: BTreeMap<String, Json>,
    /// Lines of `pg_hba.conf`, which come before all others.
    #[serde(default)]
    pub hba: Vec<String>,
    /// Whether undeploying removes the data.
    #[serde(default)]
    pub remove_data: bool,
}

fn initdb() -> Vec<String> {
    ["--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"].map(str::to_owned).into()
}

/// Settings that this recipe makes itself, and the option to use instead.
const OURS: [(&str, &str); 4] = [
    ("port", "port"),
    ("listen_addresses", "listen"),
    ("unix_socket_directories", "dir"),
    ("data_directory", "dir"),
];

/// `postgresql.conf` with these settings: each in the place of the one that is there.
pub fn settings(text: &str, settings: &BTreeMap<String, Json>) -> Result<String, String> {
    let mut text = text.to_owned();
    for (name, value) in settings {
        let at = |why: &str| format!("`settings.{name}`: {why}");
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
        if !is_name || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(at("expected the name of a setting"));
        }
        text = match quoted(value).map_err(at)? {
            Some(value) => edit::ini_set(&text, "", name, &value),
            None => edit::ini_remove(&text, "", name),
        };
    }
    Ok(text)
}

/// Refuses settings that this recipe makes itself.
pub fn check(options: &Options) -> Result<(), String> {
    for name in options.settings.keys() {
        if let Some((_, option)) = OURS.iter().find(|(ours, _)| name.eq_ignore_ascii_case(ours)) {
            return Err(format!("`settings.{name}`: use the recipe's option `{option}`"));
        }
    }
    match options.hba.iter().find(|line| line.contains(['\n', '\r'])) {
        Some(line) => Err(format!("`hba`: expected one line each, not `{}`", line.escape_debug())),
        None => Ok(()),
    }
}

/// A value as `postgresql.conf` has it, or none for `null`.
fn quoted(value: &Json) -> Result<Option<String>, &'static str> {
    Ok(match value {
        Json::Null => None,
        Json::Bool(true) => Some("on".to_owned()),
        Json::Bool(false) => Some("off".to_owned()),
        Json::Number(number) => Some(number.to_string()),
        Json::String(text) if text.contains(['\n', '\r', '\0']) => {
            return Err("expected a value on one line");
        }
        Json::String(text) => Some(format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))),
        Json::Array(_) | Json::Object(_) => return Err("expected a text, number or flag"),
    })
}

/// `pg_hba.conf` with these lines before all others, since the first that fits counts.
pub fn hba(text: &str, lines: &[String]) -> String {
    const BEGIN: &str = "# BEGIN Cerebro: the next deployment overwrites this.";
    const END: &str = "# END Cerebro";
    if lines.is_empty() {
        return edit::block(text, BEGIN, END, None);
    }
    let content = lines.join("\n");
    match text.lines().any(|line| line == BEGIN) {
        true => edit::block(text, BEGIN, END, Some(&content)),
        false => format!("{BEGIN}\n{content}\n{END}\n{text}"),
    }
}

/// The major version in `postgres --version`, such as `postgres (PostgreSQL) 17.5 (Debian …)`.
pub fn major(version: &str) -> Option<&str> {
    let number = version.split_whitespace().nth(2)?;
    let major = number.split(|c: char| !c.is_ascii_digit()).next()?;
    (!major.is_empty()).then_some(major)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(text: &str, values: Json) -> Result<String, String> {
        settings(text, &serde_json::from_value(values).unwrap())
    }

    #[test]
    fn settings_take_the_place_of_those_that_are_there() {
        let old = "#port = 5432\t# (change requires restart)\nmax_connections = 100  # many\n";
        let new =
            set(old, json!({"max_connections": 20, "fsync": true, "log_line_prefix": "it's"}));
        let expected = "max_connections = 20\nfsync = on\nlog_line_prefix = 'it''s'\n";
        assert_eq!(new.unwrap(), format!("{}{expected}", &old[..old.find("max").unwrap()]));
        assert_eq!(set("fsync = off\n", json!({"fsync": null})).unwrap(), "");
        for (values, why) in [
            (json!({"a b": 1}), "`settings.a b`: expected the name"),
            (json!({"": 1}), "expected the name"),
            (json!({"a": "x\ny"}), "on one line"),
            (json!({"a": [1]}), "expected a text"),
        ] {
            let error = set("", values).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn rules_come_first_and_once() {
        let old = "local all all peer\n";
        let rule = |rule: &str| hba(old, &[rule.to_owned()]);
        let once = rule("host all all 10.0.0.0/8 scram-sha-256");
        assert!(once.starts_with("# BEGIN") && once.ends_with(old), "{once}");
        let twice = hba(&once, &["host app app all reject".to_owned()]);
        assert_eq!(twice, rule("host app app all reject"));
        assert_eq!(hba(&twice, &[]), old);
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some("15"));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some("18"));
        assert_eq!(major("no"), None);
    }
}
