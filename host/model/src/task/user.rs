//! Users and groups of a machine.

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A user of the machine, or a group of users, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum User {
    /// By number.
    Id(u32),
    /// By name, looked up on the machine when the task starts.
    Name(String),
}

impl Default for User {
    fn default() -> Self {
        Self::Id(0)
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = User;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user's number or name")
            }
            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<User, E> {
                u32::try_from(id)
                    .map(User::Id)
                    .map_err(|_| E::custom(format!("{id} is not a user's number")))
            }
            fn visit_i64<E: serde::de::Error>(self, id: i64) -> Result<User, E> {
                u32::try_from(id)
                    .map(User::Id)
                    .map_err(|_| E::custom(format!("{id} is not a user's number")))
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<User, E> {
                let valid = |c: char| c.is_ascii_graphic() && c != ':' && c != '/';
                if !name.is_empty() && name.chars().all(valid) {
                    Ok(User::Name(name.to_owned()))
                } else {
                    Err(E::custom(format!("`{name}` is not a user's name")))
                }
            }
        }
        source.deserialize_any(Visitor)
    }
}
