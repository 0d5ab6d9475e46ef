//! How a process is asked to end, and when it is started again.

use crate::Seconds;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The signal that asks a process to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are the signals' own")]
pub enum StopSignal {
    #[default]
    Term,
    Int,
    Quit,
    Hup,
    Usr1,
    Usr2,
}

/// How often a task may be started again: a number, or -1 for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64)]
pub struct MaxRestarts(Option<u32>);

impl MaxRestarts {
    /// So many.
    pub const fn at_most(restarts: u32) -> Self {
        Self(Some(restarts))
    }

    /// The number of restarts, or none if it never gives up.
    pub const fn limit(self) -> Option<u32> {
        self.0
    }
}

impl TryFrom<i64> for MaxRestarts {
    type Error = String;
    fn try_from(number: i64) -> Result<Self, String> {
        if number == -1 {
            return Ok(Self(None));
        }
        let limit = u32::try_from(number).map_err(|_| {
            format!("{number} restarts: expected -1 (never give up) or a number from 0")
        })?;
        Ok(Self(Some(limit)))
    }
}

impl From<MaxRestarts> for i64 {
    fn from(max: MaxRestarts) -> i64 {
        max.0.map_or(-1, i64::from)
    }
}

/// More restarts than `restarts` within `window` seconds are too many: the task counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Flap {
    /// Restarts that are not too many yet.
    pub restarts: u32,
    /// Seconds in which they are counted.
    pub window: Seconds,
}

impl Serialize for Flap {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, target)
    }
}

impl<'de> Deserialize<'de> for Flap {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let flap = Self::deserialize(source)?;
        if flap.restarts == 0 || flap.window.duration().is_zero() {
            let Self { restarts, window } = flap;
            return Err(serde::de::Error::custom(format!(
                "`flap` of {restarts} restarts in {window}: expected both to be above 0"
            )));
        }
        Ok(flap)
    }
}
