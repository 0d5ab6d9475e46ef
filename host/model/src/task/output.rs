//! What a task shows of itself: that it is ready, its output, its pages.

use crate::PortName;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// How a task says that it is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Readiness {
    /// It does not: it is ready once it runs.
    #[default]
    None,
    /// By `READY=1` to the socket that `NOTIFY_SOCKET` names: sd_notify(3).
    Notify,
    /// By taking connections on this port.
    Port(PortRef),
}

impl<'de> Deserialize<'de> for Readiness {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct ByPort {
            port: PortRef,
        }
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Readiness;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"none\", \"notify\" or {\"port\": a port}")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Readiness, E> {
                match word {
                    "none" => Ok(Readiness::None),
                    "notify" => Ok(Readiness::Notify),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<Readiness, A::Error> {
                ByPort::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(|by| Readiness::Port(by.port))
            }
        }
        source.deserialize_any(Visitor)
    }
}

/// A port of a task: its number, or its name among the job's `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By name.
    Name(PortName),
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for PortRef {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = PortRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port's number from 1 to 65535, or its name among the job's `ports`")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<PortRef, E> {
                match u16::try_from(number) {
                    Ok(number) if number > 0 => Ok(PortRef::Number(number)),
                    _ => Err(E::custom(format!("port {number}: expected 1 to 65535, or a name"))),
                }
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<PortRef, E> {
                self.visit_u64(u64::try_from(number).unwrap_or(0))
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<PortRef, E> {
                name.parse().map(PortRef::Name).map_err(E::custom)
            }
        }
        source.deserialize_any(Visitor)
    }
}

/// What happens when the disk takes less than the task says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenSlow {
    /// The task's writes wait, as they would for a file of its own.
    #[default]
    Block,
    /// Whole lines are dropped and counted; the task never waits.
    Drop,
}
