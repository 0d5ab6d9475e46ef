//! What would be if something happened.

use crate::{InstanceId, JobName, MachineId, Seconds, ZoneName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that may happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "event", deny_unknown_fields)]
pub enum WhatIf {
    /// A machine dies.
    MachineLost {
        /// Which.
        machine: MachineId,
    },
    /// Every machine of a zone dies, and none can be made there.
    ZoneLost {
        /// Which.
        zone: ZoneName,
    },
    /// The controller is gone, and another one starts after a time.
    ControllerLost {
        /// How long none is there.
        #[serde(default = "ten_minutes")]
        #[schema(value_type = f64)]
        lasts: Seconds,
    },
}

fn ten_minutes() -> Seconds {
    Seconds::new(600)
}

impl fmt::Display for WhatIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MachineLost { machine } => write!(f, "if {machine} were lost now"),
            Self::ZoneLost { zone } => write!(f, "if all of {zone} were lost now"),
            Self::ControllerLost { lasts } => {
                write!(f, "if the controller were lost now, and another one came after {lasts}")
            }
        }
    }
}

/// What would come of it. Times count from when it happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Foreseen {
    /// What happens.
    pub event: WhatIf,
    /// How far it was looked ahead.
    #[schema(value_type = f64)]
    pub looked_ahead: Seconds,
    /// Whether nothing more would happen then, unless a person does something.
    pub at_rest: bool,
    /// The jobs that lose an instance by it.
    pub hit: Vec<JobHit>,
    /// Machines that would be made.
    pub made: Vec<Made>,
    /// Machines that would be given up.
    pub given_up: Vec<GivenUp>,
    /// What would be held back, by which brake, and what could not be done.
    pub held: Vec<HeldBack>,
    /// What a person would have to approve: `cerebro repair approve` takes these.
    pub approvals: Vec<String>,
    /// What would go on by itself.
    pub goes_on: Vec<String>,
    /// What would stand still meanwhile.
    pub stands_still: Vec<String>,
    /// What would be decided, in order: the first of it.
    pub course: Vec<Moment>,
    /// What this goes by that nobody can know: how long things take.
    pub assumed: Vec<String>,
}

/// A job that is hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobHit {
    /// Which.
    pub job: JobName,
    /// How many instances it should have.
    pub wanted: u32,
    /// How many serve before.
    pub before: u32,
    /// Which of them are lost.
    pub instances: Vec<InstanceId>,
    /// How many serve at worst.
    pub worst: u32,
    /// How long fewer serve than before.
    #[schema(value_type = f64)]
    pub below: Seconds,
    /// How long none serves.
    #[schema(value_type = f64)]
    pub none: Seconds,
    /// How many serve in the end.
    pub in_the_end: u32,
}

/// A machine that would be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Made {
    /// Where.
    pub zone: ZoneName,
    /// When.
    #[schema(value_type = f64)]
    pub after: Seconds,
    /// Why.
    pub why: String,
}

/// A machine that would be given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GivenUp {
    /// Which.
    pub machine: MachineId,
    /// When.
    #[schema(value_type = f64)]
    pub after: Seconds,
    /// Why.
    pub why: String,
}

/// Something that would be held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeldBack {
    /// What and why, as it is told first.
    pub what: String,
    /// From when on.
    #[schema(value_type = f64)]
    pub from: Seconds,
    /// Until when; none if still when nobody looks further ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub until: Option<Seconds>,
}

/// Something that would be decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Moment {
    /// When.
    #[schema(value_type = f64)]
    pub after: Seconds,
    /// What and why.
    pub what: String,
}

impl JobHit {
    fn words(&self) -> String {
        let Self { job, wanted, before, instances, worst, below, none, in_the_end } = self;
        let lost = instances.len();
        let mut words = format!("{job} loses {lost} of the {before} that serve, of {wanted}; ");
        if *in_the_end < *before {
            words.push_str(&format!("{in_the_end} serve in the end"));
        } else {
            words.push_str(&format!("all serve again after {below}"));
        }
        match worst {
            0 => words.push_str(&format!(", and none for {none}")),
            worst => words.push_str(&format!(", at least {worst} all the while")),
        }
        words
    }
}

impl Foreseen {
    /// In lines, for a person.
    pub fn words(&self) -> String {
        let mut lines = vec![format!("{}:", self.event)];
        let mut part = |title: &str, said: Vec<String>| {
            if !said.is_empty() {
                lines.push(format!("  {title}:"));
                lines.extend(said.into_iter().map(|line| format!("    {line}")));
            }
        };
        let hit: Vec<_> = self.hit.iter().map(JobHit::words).collect();
        let nobody = || vec!["no job loses an instance that serves".to_owned()];
        part("hit", if hit.is_empty() { nobody() } else { hit });
        let given_up = |it: &GivenUp| format!("{} after {}: {}", it.machine, it.after, it.why);
        part("given up", self.given_up.iter().map(given_up).collect());
        let made = |it: &Made| format!("one in {} after {}: {}", it.zone, it.after, it.why);
        part("made", self.made.iter().map(made).collect());
        let held = |it: &HeldBack| match it.until {
            Some(until) => format!("from {} to {}: {}", it.from, until, it.what),
            None => format!("from {} on: {}", it.from, it.what),
        };
        part("held back, or not possible", self.held.iter().map(held).collect());
        let approvals = self.approvals.iter().map(|it| format!("cerebro repair approve {it}"));
        part("for a person to approve", approvals.collect());
        part("goes on by itself", self.goes_on.clone());
        part("stands still meanwhile", self.stands_still.clone());
        let course =
            self.course.iter().map(|it| format!("{:>8}  {}", it.after.to_string(), it.what));
        part("decided", course.collect());
        part("assumed", self.assumed.clone());
        let ahead = self.looked_ahead;
        lines.push(match self.at_rest {
            true => format!("  all is at rest after {ahead}; nothing of this was done"),
            false => format!("  looked {ahead} ahead, and it goes on; nothing of this was done"),
        });
        lines.join("\n")
    }
}
