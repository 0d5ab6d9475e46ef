//! What the kernel keeps of a process and hands on to its children.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Permissions that a process's new files lack, as three octal digits: `"022"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Umask(u32);

impl Umask {
    /// As the kernel has it.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for Umask {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let octal = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if octal && bits <= 0o777 => Ok(Self(bits)),
            _ => Err(format!(
                "`{text}` is no umask: expected octal digits from \"000\" to \"777\", such as \"022\""
            )),
        }
    }
}

impl From<Umask> for String {
    fn from(umask: Umask) -> String {
        format!("{:03o}", umask.0)
    }
}

/// The resources that `setrlimit(2)` limits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the kernel's own")]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

impl Resource {
    /// Its name in lower case, without `RLIMIT_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::As => "as",
            Self::Core => "core",
            Self::Cpu => "cpu",
            Self::Data => "data",
            Self::Fsize => "fsize",
            Self::Locks => "locks",
            Self::Memlock => "memlock",
            Self::Msgqueue => "msgqueue",
            Self::Nice => "nice",
            Self::Nofile => "nofile",
            Self::Nproc => "nproc",
            Self::Rss => "rss",
            Self::Rtprio => "rtprio",
            Self::Rttime => "rttime",
            Self::Sigpending => "sigpending",
            Self::Stack => "stack",
        }
    }
}

/// A limit of one resource: a number for both, or `{"soft": …, "hard": …}`; `"unlimited"` is a
/// number too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "RlimitForms")]
#[schema(value_type = Object)]
pub struct Rlimit(RlimitFields);

impl Rlimit {
    /// What holds; none for no limit.
    pub const fn soft(self) -> Option<u64> {
        self.0.soft.0
    }

    /// What the process may raise that to; none for no limit.
    pub const fn hard(self) -> Option<u64> {
        self.0.hard.0
    }
}

/// An amount of a resource; none is `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Amount(Option<u64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RlimitFields {
    soft: Amount,
    hard: Amount,
}

struct RlimitForms(RlimitFields);

impl TryFrom<RlimitForms> for Rlimit {
    type Error = String;
    fn try_from(RlimitForms(fields): RlimitForms) -> Result<Self, String> {
        let (soft, hard) = (fields.soft.0, fields.hard.0);
        if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
            return Err(
                "an rlimit's `soft` is above its `hard`: expected at most as much".to_owned()
            );
        }
        Ok(Self(fields))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => target.serialize_u64(number),
            None => target.serialize_str("unlimited"),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl serde::de::Visitor<'_> for AmountVisitor {
    type Value = Amount;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 or \"unlimited\"")
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Amount, E> {
        Ok(Amount(Some(number)))
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Amount, E> {
        u64::try_from(number)
            .map(|number| Amount(Some(number)))
            .map_err(|_| E::custom(format!("{number}: expected a number from 0 or \"unlimited\"")))
    }
    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Amount, E> {
        match word {
            "unlimited" => Ok(Amount(None)),
            _ => Err(E::custom(format!("`{word}`: expected a number from 0 or \"unlimited\""))),
        }
    }
}

impl<'de> Deserialize<'de> for RlimitForms {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RlimitFields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"unlimited\", or {\"soft\": …, \"hard\": …}")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<RlimitFields, E> {
                AmountVisitor.visit_u64(number).map(|soft| RlimitFields { soft, hard: soft })
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<RlimitFields, E> {
                AmountVisitor.visit_i64(number).map(|soft| RlimitFields { soft, hard: soft })
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<RlimitFields, E> {
                AmountVisitor.visit_str(word).map(|soft| RlimitFields { soft, hard: soft })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<RlimitFields, A::Error> {
                RlimitFields::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            }
        }
        source.deserialize_any(Visitor).map(RlimitForms)
    }
}
