//! Zones, as far as an operator settles them while the cluster runs.

use crate::{Seconds, ZoneName};
use serde::{Deserialize, Serialize};

/// How many machines a zone has. Once it is set it counts instead of what the controller was
/// started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneSettings {
    /// The zone.
    pub zone: ZoneName,
    /// Machines that are kept, with work or without: those without are the warm ones.
    pub min: u32,
    /// Machines that there may be.
    pub max: u32,
    /// How many without work are kept beyond `min`; as many as there are if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<u32>,
    /// How long a machine has been without work before it is one too many.
    #[schema(value_type = f64)]
    pub idle_for: Seconds,
}

/// A change of a zone's settings: what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneChange {
    /// Machines that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Machines that there may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// How many without work are kept beyond `min`; `null` for as many as there are.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[schema(value_type = Option<u32>)]
    pub idle: Option<Option<u32>>,
    /// How long a machine has been without work before it is one too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub idle_for: Option<Seconds>,
}

/// Tells `null` from what is not there.
fn named<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::<u32>::deserialize(source).map(Some)
}

/// What no zone can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{zone} cannot keep {min} machines and have {max} at most: `max` must not be below `min`")]
pub struct ZoneError {
    zone: ZoneName,
    min: u32,
    max: u32,
}

impl ZoneSettings {
    /// The same, changed.
    pub fn changed(&self, change: &ZoneChange) -> Result<Self, ZoneError> {
        let (min, max) = (change.min.unwrap_or(self.min), change.max.unwrap_or(self.max));
        let zone = self.zone.clone();
        if max < min {
            return Err(ZoneError { zone, min, max });
        }
        let idle = change.idle.unwrap_or(self.idle);
        let idle_for = change.idle_for.unwrap_or(self.idle_for);
        Ok(Self { zone, min, max, idle, idle_for })
    }

    /// In words, for a person.
    pub fn in_words(&self) -> String {
        let Self { zone, min, max, idle, idle_for } = self;
        let idle = match idle {
            None => "as many without work as there are".to_owned(),
            Some(idle) => format!("{idle} without work beyond that, each for {idle_for} at most"),
        };
        format!("{zone} keeps {min} machines, has {max} at most, and keeps {idle}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ZoneSettings {
        let (zone, idle_for) = ("z-1".parse().unwrap(), Seconds::new(600));
        ZoneSettings { zone, min: 2, max: 4, idle: Some(1), idle_for }
    }

    #[test]
    fn what_is_not_named_stays_and_null_takes_the_limit_away() {
        let change = |text| serde_json::from_str::<ZoneChange>(text).unwrap();
        assert_eq!(settings().changed(&change("{}")).unwrap(), settings());
        let none = settings().changed(&change(r#"{"idle":null}"#)).unwrap();
        assert_eq!((none.idle, none.min), (None, 2));
        let two = settings().changed(&change(r#"{"idle":2,"max":9}"#)).unwrap();
        assert_eq!((two.idle, two.min, two.max), (Some(2), 2, 9));
        assert!(serde_json::from_str::<ZoneChange>(r#"{"idel":2}"#).is_err());
        let sent = serde_json::to_string(&ZoneChange { idle: Some(None), ..Default::default() });
        assert_eq!(sent.unwrap(), r#"{"idle":null}"#);
    }

    #[test]
    fn no_zone_has_fewer_machines_than_it_keeps() {
        let change = ZoneChange { min: Some(5), ..ZoneChange::default() };
        let refused = settings().changed(&change).unwrap_err();
        assert!(refused.to_string().contains("z-1 cannot keep 5 machines"), "{refused}");
    }
}
