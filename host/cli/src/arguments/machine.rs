//! What the command line takes about machines and zones.

use super::Join;
use cerebro_model::{JobName, MachineId, Seconds, ZoneName};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Machine {
    /// List the machines.
    List,
    /// Show a machine, or of one that was given up why, and by whose word.
    Show {
        /// Its id.
        id: MachineId,
    },
    /// Join a machine that exists, over SSH: it is used, and never terminated. Safe to do again.
    Join(Box<Join>),
    /// Take a machine over that this cluster made and does not know any more, with what it runs. It is
    /// locked until you unlock it.
    Adopt {
        /// Its id, as `cerebro events` tells of it.
        id: MachineId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lock a machine: nothing that Cerebro does terminates it.
    Lock {
        /// Its id.
        id: MachineId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Unlock a machine.
    Unlock {
        /// Its id.
        id: MachineId,
    },
    /// Move everything off a machine, a batch of each job at a time; nothing new comes to it.
    Drain {
        /// Its id.
        id: MachineId,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// Begin though something on it fits nowhere else: that stays until there is room.
        #[arg(long)]
        force: bool,
    },
    /// Have a machine take instances again, also one that is to be removed.
    Undrain {
        /// Its id.
        id: MachineId,
    },
    /// Leave a machine alone for a time: no repair, nothing new on it, and what is on it stays.
    Maintain(Maintain),
    /// Drain a machine, end what it runs, destroy and forget it.
    Remove {
        /// Its id.
        id: MachineId,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// Begin though something on it fits nowhere else: that stays until there is room.
        #[arg(long)]
        force: bool,
        /// It is one that the provider has, and that no record tells of, as `cerebro status` shows it: end it at once.
        #[arg(long, conflicts_with = "force")]
        stray: bool,
    },
    /// End a local machine at once, as a power cut would.
    Kill {
        /// Its id.
        id: MachineId,
    },
}

#[derive(Debug, Args)]
pub struct Maintain {
    /// Its id.
    pub id: MachineId,
    /// Why.
    #[arg(long, required_unless_present = "end")]
    pub reason: Option<String>,
    /// For how long: 90s, 30m, 2h, 1d. It ends by itself.
    #[arg(long = "for", value_name = "TIME", value_parser = time, required_unless_present = "end")]
    pub lasts: Option<Seconds>,
    /// Drain it first.
    #[arg(long)]
    pub drain: bool,
    /// Drain it though something on it fits nowhere else.
    #[arg(long, requires = "drain")]
    pub force: bool,
    /// End its maintenance now.
    #[arg(long, conflicts_with_all = ["reason", "lasts", "drain"])]
    pub end: bool,
}

#[derive(Debug, Subcommand)]
pub enum Name {
    /// List what is published.
    List,
    /// Look what is at a job's own name, which Cerebro never touches, and say what should be.
    Advice {
        /// The job.
        job: JobName,
    },
}

#[derive(Debug, Subcommand)]
pub enum Zone {
    /// List the zones.
    List,
    /// Change how many machines a zone has; what is not named stays. It counts at once.
    Set(ZoneSet),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["min", "max", "idle", "idle_for"]))]
pub struct ZoneSet {
    /// The zone.
    pub zone: ZoneName,
    /// Machines that are kept, with work or without.
    #[arg(long)]
    pub min: Option<u32>,
    /// Machines that there may be.
    #[arg(long)]
    pub max: Option<u32>,
    /// How many without work are kept beyond `min`, or `any` for as many as there are.
    #[arg(long, value_name = "N|any", value_parser = idle)]
    pub idle: Option<Idle>,
    /// How long a machine has been without work before it is one too many: 90s, 30m, 2h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub idle_for: Option<Seconds>,
}

/// How many machines without work are kept: so many, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle(pub Option<u32>);

fn idle(text: &str) -> Result<Idle, String> {
    match text {
        "any" => Ok(Idle(None)),
        _ => text.parse().map(|idle| Idle(Some(idle))).map_err(|_| {
            "expected a number of machines, or `any` for as many as there are".to_owned()
        }),
    }
}

pub(super) fn time(text: &str) -> Result<Seconds, String> {
    let wrong = || format!("`{text}` is no time: expected a number with s, m, h or d, such as 2h");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Seconds::new).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_limits_are_read_or_refused_with_what_was_expected() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(time(text), Ok(Seconds::new(seconds)));
        }
        for bad in ["", "h", "2", "2x", "-1h", "1.5h", "99999999999999999999d"] {
            assert!(time(bad).unwrap_err().contains("such as 2h"), "{bad}");
        }
        assert_eq!((idle("any"), idle("0")), (Ok(Idle(None)), Ok(Idle(Some(0)))));
        assert!(idle("none").unwrap_err().contains("`any`"));
    }
}
