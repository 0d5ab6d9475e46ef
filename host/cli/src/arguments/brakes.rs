//! What holds Cerebro back.

use cerebro_model::{JobName, ZoneName};
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

/// What a brake holds: the whole cluster, if nothing is named.
#[derive(Debug, Args)]
pub struct Scope {
    /// A job; without one, the whole cluster.
    pub job: Option<JobName>,
    /// A zone, instead of a job.
    #[arg(long, conflicts_with = "job")]
    pub zone: Option<ZoneName>,
}

#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    pub scope: Scope,
    /// Why: everybody who looks is told.
    #[arg(long)]
    pub reason: String,
    /// How long at most, such as 30s, 15m, 2h or 1d; it can be renewed.
    #[arg(long = "for", value_name = "SPAN", default_value = "1h", value_parser = span)]
    pub span: Duration,
    /// Who wants it.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub author: String,
}

#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    pub scope: Scope,
    /// Who wants it.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub author: String,
}

#[derive(Debug, Subcommand)]
pub enum Repair {
    /// List the repairs that wait to be approved.
    List,
    /// Approve repairs: they are done at once, if they still apply.
    Approve {
        /// Their names, as `cerebro repair list` shows them.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Who approves them.
        #[arg(long, env = "USER", default_value = "unknown")]
        author: String,
    },
    /// Have repairs only proposed, or done without being asked.
    ObserveOnly {
        /// Whether they are only proposed.
        #[arg(value_enum)]
        switch: Switch,
        /// Who wants that.
        #[arg(long, env = "USER", default_value = "unknown")]
        author: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// Seconds, minutes, hours or days.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is not a span: expected a number with s, m, h or d, such as 2h");
    let unit = match text.chars().next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text.get(..text.len() - 1).unwrap_or("").parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|it| *it > 0).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_or_refused_with_what_was_expected() {
        for (text, seconds) in [("1s", 1), ("15m", 900), ("2h", 7200), ("1d", 86400)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "h", "0s", "2", "-1h", "1.5h", "1w", "ü", "99999999999999999999d"] {
            assert!(span(bad).unwrap_err().contains("such as 2h"), "{bad}");
        }
    }
}
