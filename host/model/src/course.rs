//! What happens to a deployment on its way: its turn, its pauses, its canary.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What has happened to a deployment on its way, beside what became of its instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Course {
    /// When its turn came, if it had to wait for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// When it was held by a person, oldest first; only the last may go on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<DeploymentPause>,
    /// How far its canary is, if it began with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryStage>,
}

/// A time for which a person held a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeploymentPause {
    /// Since when.
    pub at: Timestamp,
    /// Why, in their words.
    pub reason: String,
    /// When it ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// How far a canary is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum CanaryStage {
    /// The first instances get the new version, or have it; the others wait.
    Out,
    /// The others get it too.
    Promoted {
        /// Since when.
        at: Timestamp,
    },
}

impl Course {
    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The time from `since` to `now` without that for which it was paused.
    pub fn gone_by(&self, since: Timestamp, now: Timestamp) -> Duration {
        let paused = self.pauses.iter().map(|pause| {
            let ended = pause.ended_at.unwrap_or(now).min(now);
            ended.since(pause.at.max(since))
        });
        now.since(since).saturating_sub(paused.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_takes_no_time_also_while_it_lasts() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let pause = |from, to: Option<i64>| DeploymentPause {
            at: at(from),
            reason: "lunch".to_owned(),
            until: None,
            ended_at: to.map(at),
        };
        let course =
            Course { pauses: vec![pause(10, Some(20)), pause(30, None)], ..Course::default() };
        let gone_by = |since, now| course.gone_by(at(since), at(now)).as_secs();
        assert_eq!([gone_by(0, 8), gone_by(0, 15), gone_by(0, 25)], [8, 10, 15]);
        assert_eq!([gone_by(0, 30), gone_by(0, 99), gone_by(15, 25)], [20, 20, 5]);
        assert_eq!([gone_by(40, 99), gone_by(50, 40)], [0, 0]);
    }
}
