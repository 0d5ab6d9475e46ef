//! Rollouts: how a new version replaces the one that runs.

use crate::{MaxRestarts, Seconds};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::num::NonZeroU32;

/// How a new version replaces the one that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Whether a new version takes the place of the old one, or runs beside it first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// Instances that may be away at a time.
    #[serde(default = "one")]
    pub batch: u32,
    /// Seconds in which one instance must become healthy.
    #[serde(default = "two_minutes")]
    pub deadline: Seconds,
    /// What follows when it fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Seconds in which a machine must reach the controller over a new connection after its recipe has
    /// run, if it could right before; else it takes the recipe back. 0 is never.
    #[serde(default = "a_minute")]
    pub confirm_within: Seconds,
    /// Seconds for which an instance must be healthy without a break before the next batch goes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub healthy_for: Seconds,
    /// Good answers in a row that each of its checks must have given before the next batch goes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rise: u32,
    /// How often the new process of an instance may be started again before it is healthy; one time
    /// more, and the deployment fails without waiting for the deadline. -1 waits for that.
    #[serde(default = "two_restarts", skip_serializing_if = "is_two_restarts")]
    pub max_restarts: MaxRestarts,
    /// What becomes of a deployment that is asked for while another one of its job is on its way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_busy: WhenBusy,
    /// Seconds that one in the queue waits for its turn, before it counts as failed.
    #[serde(default = "an_hour", skip_serializing_if = "is_an_hour")]
    pub queue_deadline: Seconds,
    /// Instances that get a new version first, and what is waited for before the others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            batch: one(),
            deadline: two_minutes(),
            on_failure: OnFailure::default(),
            confirm_within: a_minute(),
            healthy_for: Seconds::default(),
            rise: one(),
            max_restarts: two_restarts(),
            when_busy: WhenBusy::default(),
            queue_deadline: an_hour(),
            canary: None,
        }
    }
}

/// Whether a new version takes the place of the old one, or runs beside it first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Batch by batch, each instance where it is.
    #[default]
    Rolling,
    /// All of it on other machines, while the old version goes on where it is. That ends once all of the
    /// new one is healthy; if it does not become so, the old version has never been away.
    BlueGreen,
}

/// What becomes of a deployment that is asked for while another one of its job is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenBusy {
    /// It takes the place of the other one, and of all that wait in the queue.
    #[default]
    Replace,
    /// It waits until the other one has ended, and if that is rolled back, until that has ended too.
    Queue,
    /// It is not made.
    Refuse,
}

/// Instances that get a new version first, and what is waited for before the others do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Canary {
    /// How many, over all zones.
    #[schema(value_type = u32)]
    pub instances: NonZeroU32,
    /// Seconds for which all of them must be healthy without a break.
    pub bake: Seconds,
    /// What lets it go on after that.
    pub promote: Promote,
    /// Seconds that it waits for a person, if it does, before it counts as failed.
    pub promote_within: Seconds,
}

/// What lets a deployment go on from its canary to the other instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Promote {
    /// The end of the bake.
    #[default]
    Automatic,
    /// A person, or whoever asks the API for them.
    Manual,
}

/// A canary at length.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtLength {
    instances: NonZeroU32,
    #[serde(default = "a_minute")]
    bake: Seconds,
    #[serde(default)]
    promote: Promote,
    #[serde(default = "an_hour")]
    promote_within: Seconds,
}

impl From<AtLength> for Canary {
    fn from(it: AtLength) -> Self {
        let AtLength { instances, bake, promote, promote_within } = it;
        Self { instances, bake, promote, promote_within }
    }
}

impl<'de> Deserialize<'de> for Canary {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(ShortOrLong)
    }
}

/// Reads a number of instances, or a canary at length.
struct ShortOrLong;

impl<'de> Visitor<'de> for ShortOrLong {
    type Value = Canary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of instances from 1, or `instances` with `bake`, `promote` and `promote_within`")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Canary, E> {
        let instances = u32::try_from(number).ok().and_then(NonZeroU32::new);
        let instances =
            instances.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))?;
        let (bake, promote, promote_within) = (a_minute(), Promote::default(), an_hour());
        Ok(Canary { instances, bake, promote, promote_within })
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Canary, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Canary, A::Error> {
        AtLength::deserialize(MapAccessDeserializer::new(map)).map(Canary::from)
    }
}

/// What follows when a deployment fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The job goes back to its last deployment that succeeded, if there was one.
    #[default]
    RollBack,
    /// Everything stays as the failure left it.
    Keep,
}

// What is as it always was is left out: an agent of an older version would refuse a key that it does
// not know.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_one(value: &u32) -> bool {
    *value == one()
}

fn is_two_restarts(value: &MaxRestarts) -> bool {
    *value == two_restarts()
}

fn is_an_hour(value: &Seconds) -> bool {
    *value == an_hour()
}

const fn one() -> u32 {
    1
}

const fn two_restarts() -> MaxRestarts {
    MaxRestarts::at_most(2)
}

const fn a_minute() -> Seconds {
    Seconds::new(60)
}

const fn an_hour() -> Seconds {
    Seconds::new(3600)
}

const fn two_minutes() -> Seconds {
    Seconds::new(120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_it_always_was_and_an_older_agent_reads_it() {
        let before =
            r#"{"batch":1,"deadline":120.0,"on_failure":"roll-back","confirm_within":60.0}"#;
        let read: Rollout = serde_json::from_str(before).unwrap();
        assert_eq!(read, Rollout::default());
        assert_eq!(serde_json::to_string(&read).unwrap(), before);
        assert_eq!(serde_json::from_str::<Rollout>("{}").unwrap(), read);
        let never: Rollout = serde_json::from_str(r#"{"max_restarts":-1}"#).unwrap();
        assert_eq!(never.max_restarts.limit(), None);
        let again = serde_json::to_string(&never).unwrap();
        assert_eq!(serde_json::from_str::<Rollout>(&again).unwrap(), never);
        assert!(serde_json::from_str::<Rollout>(r#"{"max_restart":1}"#).is_err());
    }

    #[test]
    fn a_canary_is_a_number_or_more_and_never_none() {
        let read = |text: &str| serde_json::from_str::<Canary>(text);
        let short = read("2").unwrap();
        assert_eq!(
            (short.instances.get(), short.bake, short.promote),
            (2, a_minute(), Promote::Automatic)
        );
        let long =
            read(r#"{"instances":1,"bake":5,"promote":"manual","promote_within":60}"#).unwrap();
        assert_eq!((long.promote, long.promote_within), (Promote::Manual, a_minute()));
        assert_eq!(read(&serde_json::to_string(&long).unwrap()).unwrap(), long);
        for bad in
            ["0", "-1", r#"{"instances":0}"#, r#"{"bake":5}"#, r#"{"instances":1,"x":1}"#, "true"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read("0").unwrap_err().to_string().contains("a number of instances from 1"));
    }
}
