//! The text of `redis.conf`.

use cerebro_recipe::values::Port;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a job may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where `redis.conf` and the directory `data` go.
    pub dir: String,
    /// The port to listen on, by name or number; the job's first one by default.
    pub port: Option<Port>,
    /// The addresses to listen on; the machine's by default.
    pub bind: Option<String>,
    /// Whether each write is kept in a file of its own kind, beside snapshots.
    #[serde(default = "yes")]
    pub appendonly: bool,
    /// The user that the files belong to, if the task runs as one.
    pub user: Option<String>,
    /// Further directives, as they stand in `redis.conf`.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Whether undeploying removes the data.
    #[serde(default)]
    pub remove_data: bool,
}

fn yes() -> bool {
    true
}

/// Directives that this recipe sets itself.
const OURS: [&str; 5] = ["port", "bind", "dir", "appendonly", "daemonize"];

/// The configuration of a server on `address` and `port` with its data in `data`.
pub fn render(options: &Options, address: &str, port: u16, data: &str) -> Result<String, String> {
    let bind = options.bind.as_deref().unwrap_or(address);
    let appendonly = if options.appendonly { "yes" } else { "no" };
    let mut lines = vec![
        ("port", port.to_string()),
        ("bind", bind.to_owned()),
        ("dir", format!("\"{data}\"")),
        ("appendonly", appendonly.to_owned()),
        // The task sitter watches the process, so it must not go to the background.
        ("daemonize", "no".to_owned()),
        // Redis refuses clients from other machines until a password is set, or this is said.
        // Who may connect is the network's business here.
        ("protected-mode", "no".to_owned()),
    ];
    for (name, value) in &options.config {
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("`config.{name}`: use the option `{name}` of the recipe, or none"));
        }
        if name.is_empty() || name.contains(char::is_whitespace) || value.contains(['\n', '\r']) {
            return Err(format!("`config.{name}`: expected one directive and its value on a line"));
        }
        lines.retain(|(set, _)| !set.eq_ignore_ascii_case(name));
        lines.push((name, value.clone()));
    }
    let body: String = lines.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
    Ok(format!("# Written by Cerebro's recipe `redis`: the next deployment overwrites it.\n{body}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_follow_the_options() {
        let mut options = Options { appendonly: true, ..Options::default() };
        options.config.insert("maxmemory".to_owned(), "64mb".to_owned());
        options.config.insert("protected-mode".to_owned(), "yes".to_owned());
        let text = render(&options, "127.77.0.1", 6379, "/opt/r/data").unwrap();
        for line in ["port 6379", "bind 127.77.0.1", "dir \"/opt/r/data\"", "appendonly yes"] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        assert!(text.contains("maxmemory 64mb\n"));
        assert!(text.contains("protected-mode yes\n") && !text.contains("protected-mode no"));
    }

    #[test]
    fn a_directive_cannot_smuggle_another() {
        for (name, value) in [("Dir", "/etc"), ("save", "\ndir /etc"), ("dir /etc", "")] {
            let config = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let options = Options { config, ..Options::default() };
            assert!(render(&options, "::1", 1, "/d").is_err(), "{name}");
        }
    }
}
