//! Pauses: a person has automation stand still.

use crate::{JobName, Timestamp, ZoneName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What stands still.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PauseScope {
    /// Everything.
    Cluster,
    /// The machines of a zone, and all instances there.
    Zone(ZoneName),
    /// The instances and deployments of a job, wherever they are.
    Job(JobName),
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the cluster"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
            Self::Job(job) => write!(f, "job {job}"),
        }
    }
}

/// While it is in force nothing is changed in its scope, only looked at. It always has an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Pause {
    /// What stands still.
    pub scope: PauseScope,
    /// Who wants that.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// When it did end. What waited meanwhile lost no time of its deadlines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Timestamp>,
}

impl Pause {
    /// The longest that one may last; it can be renewed.
    pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

    /// Whether it is in force.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.over.is_none() && now < self.until
    }

    /// When it ended, if it has.
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.over.or((now >= self.until).then_some(self.until))
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, author, reason, until, .. } = self;
        write!(f, "{scope} is paused by {author} until {until}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_by_itself_or_when_it_is_told_to() {
        let at = Timestamp::from_millis;
        let pause = Pause {
            scope: PauseScope::Job("a.b".parse().unwrap()),
            author: "eva".to_owned(),
            reason: "the disks are changed".to_owned(),
            since: at(0),
            until: at(10_000),
            over: None,
        };
        assert!(pause.holds(at(9_999)) && !pause.holds(at(10_000)));
        assert_eq!((pause.ended(at(9_999)), pause.ended(at(12_000))), (None, Some(at(10_000))));
        let json = serde_json::to_value(&pause).unwrap();
        assert_eq!(json["scope"]["job"], "a.b");
        assert_eq!(serde_json::from_value::<Pause>(json).unwrap(), pause);
        let over = Pause { over: Some(at(5_000)), ..pause };
        assert!(!over.holds(at(6_000)));
        assert_eq!(over.ended(at(6_000)), Some(at(5_000)));
    }
}
