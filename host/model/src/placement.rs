//! Where a job's instances may stand, beside what they need.

use crate::{JobName, LabelName, LabelValue, Megabytes, Seconds};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Labels, by name: an operator's words about a machine.
pub type Labels = BTreeMap<LabelName, LabelValue>;

/// Where a job's instances may stand, and who goes first when room is short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// Who is placed first when room is short: the greater. Nothing that runs makes way for it.
    pub priority: Priority,
    /// Megabytes of disk that an instance reserves on its machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Megabytes>,
    /// Labels that a machine must have, each with one of these values. Every machine has the label
    /// `machine`, its id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    pub require: BTreeMap<LabelName, AnyOf>,
    /// The same, of a machine that is taken rather than others if it has room.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    pub prefer: BTreeMap<LabelName, AnyOf>,
    /// Jobs with which it never shares a machine, whichever comes first.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub apart_from: BTreeSet<JobName>,
    /// How the instances of one zone are spread over its machines.
    pub spread: Spread,
    /// How an instance goes to another machine while it serves.
    #[serde(skip_serializing_if = "Moves::is_default")]
    pub moves: Moves,
    /// When the job's other zones stand in for instances of one; never, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
}

/// When the other zones of a job stand in for instances of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Failover {
    /// Seconds for which the machine of an instance must have been silent or gone, without a new place for it in its own
    /// zone.
    pub after: Seconds,
}

impl Default for Failover {
    /// Longer than a machine takes to be replaced where it stood.
    fn default() -> Self {
        Self { after: Seconds::new(120) }
    }
}

/// How an instance goes to another machine while it serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moves {
    /// It is healthy there before it ends here: for a moment there are two.
    #[default]
    StartFirst,
    /// It ends here before it starts there: there are never two, and for a moment there is none.
    StopFirst,
}

impl Moves {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How the instances of one zone are spread over its machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// As evenly as there is room.
    #[default]
    Prefer,
    /// Never two on one machine.
    Require,
    /// Not at all: where it is tightest.
    Pack,
}

/// Who goes first: -1000 to 1000, 0 by default.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64)]
pub struct Priority(i16);

impl Priority {
    /// The greatest there is.
    pub const MAX: Self = Self(1000);
}

impl TryFrom<i64> for Priority {
    type Error = String;
    fn try_from(number: i64) -> Result<Self, String> {
        match i16::try_from(number) {
            Ok(number) if (-1000..=1000).contains(&number) => Ok(Self(number)),
            _ => Err(format!("a priority of {number}: expected -1000 to 1000")),
        }
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> i64 {
        priority.0.into()
    }
}

/// One value at least, of which a machine's label has to be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<LabelValue>", into = "BTreeSet<LabelValue>")]
pub struct AnyOf(BTreeSet<LabelValue>);

impl AnyOf {
    /// Whether `value` is one of them.
    pub fn contains(&self, value: &str) -> bool {
        self.0.iter().any(|own| own.as_str() == value)
    }

    /// They, in order; there is one at least.
    pub fn iter(&self) -> impl Iterator<Item = &LabelValue> {
        self.0.iter()
    }
}

impl TryFrom<BTreeSet<LabelValue>> for AnyOf {
    type Error = String;
    fn try_from(values: BTreeSet<LabelValue>) -> Result<Self, String> {
        match values.is_empty() {
            true => Err("an empty list of values fits no machine: expected one at least".into()),
            false => Ok(Self(values)),
        }
    }
}

impl From<AnyOf> for BTreeSet<LabelValue> {
    fn from(values: AnyOf) -> Self {
        values.0
    }
}

impl Placement {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_is_refused_with_what_was_expected() {
        for (bad, expected) in [
            (json!({ "priority": 1001 }), "-1000 to 1000"),
            (json!({ "disk": 0 }), "at least 1"),
            (json!({ "require": { "disk": [] } }), "one at least"),
            (json!({ "require": { "disk": "ssd" } }), "sequence"),
            (json!({ "require": { "di sk": ["ssd"] } }), "not a valid label"),
            (json!({ "spread": "evenly" }), "`prefer`, `require`, `pack`"),
            (json!({ "wish": {} }), "unknown field `wish`"),
            (json!({ "failover": { "after": -1 } }), "at least 0"),
        ] {
            let error = serde_json::from_value::<Placement>(bad.clone()).unwrap_err().to_string();
            assert!(error.contains(expected), "{bad}: {error}");
        }
        let usual: Placement = serde_json::from_value(json!({ "failover": {} })).unwrap();
        assert_eq!(usual.failover, Some(Failover { after: Seconds::new(120) }));
    }
}
