//! Names, each its own type, each valid by construction.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}: expected {expected}")]
pub struct NameError {
    what: &'static str,
    text: String,
    expected: &'static str,
}

/// Defines a validated string type with the conversions that serde and callers need.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            utoipa::ToSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(NameError { what: $what, text, expected: $expected })
                }
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// One label of a DNS name: RFC 1035, section 2.3.1, digits first allowed by RFC 1123.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_dns_name(text: &str, longest: usize) -> bool {
    text.len() <= longest && text.split('.').all(is_label)
}

fn is_word(text: &str, longest: usize, also: &[u8]) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

name!(
    /// A job's name: its `dns_basename`, as in the original.
    JobName, "job name",
    "a DNS name in lower case, such as `redis.startup.com`, of at most 180 characters",
    |text| is_dns_name(text, 180)
);
name!(
    /// A shared-fate zone, `PROVIDER-REGION`, such as `aws-us-west-2a`.
    ZoneName, "zone",
    "a DNS label in lower case, such as `aws-us-west-2a`",
    is_label
);
name!(
    /// The name under which a component is uploaded, such as `mystartup.recipes.deploy`.
    RecipeName, "recipe name",
    "letters, digits, `.`, `_` and `-`, at most 128 characters",
    |text| is_word(text, 128, b"._-")
);
name!(
    /// A cluster's name, by which what it made elsewhere (machines, DNS records) is told from what others made.
    ClusterName, "cluster name",
    "a DNS label in lower case, such as `prod`",
    is_label
);
name!(
    /// A machine's identity, given by Cerebro when it is provisioned; never used twice.
    MachineId, "machine id",
    "a DNS label in lower case, such as `m-3`",
    is_label
);
name!(
    /// A deployment's identity, such as `d-17`.
    DeploymentId, "deployment id",
    "a DNS label in lower case, such as `d-17`",
    is_label
);
name!(
    /// A look of the controller's that decided something: `<term>-<number>`, such as `3-41`.
    DecisionId, "decision id",
    "`<term>-<number>`, such as `3-41`",
    |text| text.split_once('-').is_some_and(|(term, number)| is_number(term) && is_number(number))
);
name!(
    /// An instance of a job: `<number>.<zone>.<job>`, which is also its DNS name.
    InstanceId, "instance id",
    "`<number>.<zone>.<job>`, such as `0.aws-us-west-2a.redis.startup.com`",
    |text| {
        let mut parts = text.splitn(3, '.');
        let number = parts.next().is_some_and(|n| n.parse::<u32>().is_ok_and(|v| v.to_string() == n));
        number && parts.next().is_some_and(is_label) && parts.next().is_some_and(|j| is_dns_name(j, 180))
    }
);
name!(
    /// What a deployment deploys: the name of a release, such as `1.4.2` or a commit's hash.
    Version, "version",
    "letters, digits, `.`, `_`, `+` and `-`, at most 100 characters, not only dots",
    |text| is_word(text, 100, b"._+-")
);
name!(
    /// The name of a port that a task listens on, such as `http`.
    PortName, "port name",
    "lower case letters, digits and `_`, at most 32 characters",
    |text| (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
);

name!(
    /// The name of a secret that the cluster keeps, such as `db-password`.
    SecretName, "secret's name",
    "letters, digits, `.`, `_` and `-`, at most 100 characters, not only punctuation",
    |text| is_word(text, 100, b"._-")
);

name!(
    /// The name of a machine's label, such as `disk`.
    LabelName, "label",
    "letters, digits, `.`, `_` and `-`, at most 63 characters, not only punctuation",
    |text| is_word(text, 63, b"._-")
);
name!(
    /// The value of a machine's label, such as `ssd`.
    LabelValue, "value of a label",
    "letters, digits, `.`, `_` and `-`, at most 63 characters, not only punctuation",
    |text| is_word(text, 63, b"._-")
);

impl InstanceId {
    /// The id of instance `number` of `job` in `zone`.
    pub fn new(number: u32, zone: &ZoneName, job: &JobName) -> Self {
        Self(format!("{number}.{zone}.{job}"))
    }
}

impl MachineId {
    /// The id of the `n`th machine of this cluster.
    pub fn nth(n: u64) -> Self {
        Self(format!("m-{n}"))
    }

    /// The ordinal of this machine, if it was named by [`MachineId::nth`].
    pub fn ordinal(&self) -> Option<u64> {
        self.0.strip_prefix("m-")?.parse().ok()
    }
}

/// Whether a text is how a number is written.
fn is_number(text: &str) -> bool {
    text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
}

impl DecisionId {
    /// The id of the `number`th of a controller's term.
    pub fn new(term: u64, number: u64) -> Self {
        Self(format!("{term}-{number}"))
    }

    /// Its term and its number in that.
    pub fn parts(&self) -> (u64, u64) {
        // Both are numbers, by construction.
        let (term, number) = self.0.split_once('-').unwrap_or_default();
        (term.parse().unwrap_or_default(), number.parse().unwrap_or_default())
    }
}

impl DeploymentId {
    /// The id of the `n`th deployment of this cluster.
    pub fn nth(n: u64) -> Self {
        Self(format!("d-{n}"))
    }

    /// The ordinal of this deployment, if it was named by [`DeploymentId::nth`].
    pub fn ordinal(&self) -> Option<u64> {
        self.0.strip_prefix("d-")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_refused_say_what_was_expected() {
        let error = "Redis".parse::<JobName>().unwrap_err().to_string();
        assert!(error.contains("`Redis`") && error.contains("lower case"), "{error}");
        for bad in ["", "a..b", "-a", "a-", "a b", "ä"] {
            assert!(bad.parse::<JobName>().is_err(), "{bad}");
        }
        for bad in ["", "..", "a/b", "a b"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instance_is_named_by_number_zone_and_job() {
        let id = InstanceId::new(2, &"aws-us-west-2a".parse().unwrap(), &"a.b".parse().unwrap());
        assert_eq!(id.as_str(), "2.aws-us-west-2a.a.b");
        assert_eq!(id.as_str().parse::<InstanceId>().unwrap(), id);
        assert!("02.z.a".parse::<InstanceId>().is_err());
        assert!("x.z.a".parse::<InstanceId>().is_err());
    }
}
