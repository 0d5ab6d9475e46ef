//! Runs a Nagios plugin, and reads its exit code, its first line and its performance data.

mod perfdata;

use cerebro_recipe::host::health::{Metric, Report, Status};
use cerebro_recipe::{Command, HealthCheck, Host, options};
use std::time::Duration;

/// What a job may say.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The plugin, by its absolute path.
    plugin: String,
    /// Its arguments, in which `{{ name }}` stands for a value.
    #[serde(default)]
    args: Vec<String>,
    /// The user to run it as; the agent's own by default.
    user: Option<String>,
    /// Seconds after which it is killed.
    #[serde(default = "ten")]
    timeout: f64,
}

fn ten() -> f64 {
    10.0
}

struct Nagios;

cerebro_recipe::health_check!(Nagios);

impl HealthCheck for Nagios {
    type Options = Options;

    fn check(host: &impl Host, options: Options) -> Result<Report, String> {
        let millis = options::millis("timeout", options.timeout)?;
        let mut plugin = Command::new(options.plugin).timeout(Duration::from_millis(millis.into()));
        for argument in &options.args {
            plugin = plugin.arg(host.render(argument).map_err(|why| format!("`args`: {why}"))?);
        }
        if let Some(user) = options.user {
            plugin = plugin.user(user);
        }
        // Every code has a meaning of its own.
        let outcome = plugin.run(host)?;
        let (stdout, stderr) = (&outcome.stdout, &outcome.stderr);
        let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
        Ok(judge(outcome.exit_code, &stdout, &stderr))
    }
}

/// What a plugin's end means. Code 3 (unknown) and all others count as critical: that nobody knows
/// whether an instance serves is no reason to send it work.
fn judge(code: i32, stdout: &str, stderr: &str) -> Report {
    let output = perfdata::read(stdout);
    let mut message = output.message;
    if message.is_empty() {
        message = match stderr.lines().find(|line| !line.trim().is_empty()) {
            Some(line) => line.trim().to_owned(),
            None => "the plugin wrote nothing".to_owned(),
        };
    }
    let status = match code {
        0 => Status::Passing,
        1 => Status::Warning,
        2 => Status::Critical,
        3 => {
            message = format!("unknown: {message}");
            Status::Critical
        }
        other => {
            message =
                format!("the plugin ended with code {other}, which has no meaning: {message}");
            Status::Critical
        }
    };
    let metric =
        |datum: perfdata::Datum| Metric { name: datum.name, value: datum.value, unit: datum.unit };
    Report { status, message, metrics: output.data.into_iter().map(metric).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_states() {
        let status = |code| judge(code, "PING OK | rta=5ms\n", "").status;
        assert_eq!(status(0), Status::Passing);
        assert_eq!(status(1), Status::Warning);
        for code in [2, 3, 127, 137] {
            assert_eq!(status(code), Status::Critical, "{code}");
        }
        let report = judge(0, "PING OK | rta=5ms\n", "");
        assert_eq!(report.message, "PING OK");
        assert_eq!((report.metrics[0].value, report.metrics[0].unit.as_str()), (0.005, "s"));
    }

    #[test]
    fn what_is_not_known_says_so() {
        assert!(judge(3, "no answer", "").message.starts_with("unknown: no answer"));
        let message = judge(127, "", "\nnot found\n").message;
        assert!(message.contains("127") && message.contains("not found"), "{message}");
    }
}
