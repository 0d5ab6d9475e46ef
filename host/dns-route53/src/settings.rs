//! What an administrator says about Route 53: the section `[route53]` of the controller's settings.

use cerebro_dns::Group;
use serde::{Deserialize, Serialize};

/// The section `[route53]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Route53Settings {
    /// The profile of AWS's own configuration files whose credentials are used; see `[ec2]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Route 53's URL, where it is not the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How long to wait, in seconds, until all name servers answer by a change, before it counts as done. It is not waited
    /// for by default: a change that Route 53 has accepted is not lost. It matters where a machine is ended right after its
    /// name was withdrawn, for until then some servers still give its address: 60 is enough there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_sync_within: Option<u32>,
    /// The hosted zones that may be published in.
    #[serde(default)]
    pub zones: Vec<HostedZone>,
}

/// A section `[[route53.zones]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostedZone {
    /// Its name, such as `startup.com`.
    pub name: String,
    /// Its id, such as `Z0123456789ABCDEFGHIJ`. It is needed where the account has two of the name; else it is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether it is a private zone, which only networks that are joined to it see.
    #[serde(default)]
    pub private: bool,
}

/// Why settings are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A zone's name is none.
    #[error(
        "in `[[route53.zones]]`: `{0}` is no name of a hosted zone: expected one in lower case, such as `startup.com`"
    )]
    Name(String),
    /// An id does not look like one.
    #[error(
        "in `[[route53.zones]]`: `{0}` is no id of a hosted zone: expected one that begins with `Z`"
    )]
    Id(String),
    /// Two are of one name.
    #[error(
        "in `[[route53.zones]]`: `{0}` is there twice: publish in the public or in the private one"
    )]
    Twice(String),
    /// There is none.
    #[error("`[route53]` names no zone: add `[[route53.zones]]` with a `name`")]
    NoZone,
}

impl Route53Settings {
    /// Whether all is well formed.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.zones.is_empty() {
            return Err(SettingsError::NoZone);
        }
        for (n, zone) in self.zones.iter().enumerate() {
            let is_label = |label: &str| {
                !label.is_empty()
                    && label.bytes().all(|it| {
                        it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_".contains(&it)
                    })
            };
            if !zone.name.split('.').all(is_label) {
                return Err(SettingsError::Name(zone.name.clone()));
            }
            if let Some(id) = zone.id.as_ref().filter(|id| !id.starts_with('Z')) {
                return Err(SettingsError::Id(id.clone()));
            }
            if self.zones.iter().skip(n + 1).any(|other| other.name == zone.name) {
                return Err(SettingsError::Twice(zone.name.clone()));
            }
        }
        Ok(())
    }

    /// The zone that a group is in: of several, the one furthest down.
    pub fn zone_of(&self, group: &Group) -> Option<&HostedZone> {
        let name = group.name();
        let has = |zone: &&HostedZone| {
            name.strip_suffix(zone.name.as_str()).is_some_and(|above| above.ends_with('.'))
        };
        self.zones.iter().filter(has).max_by_key(|zone| zone.name.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in `docs/guides/aws.md`.
    const EXAMPLE: &str = r#"
        in_sync_within = 60

        [[zones]]
        name = "startup.com"

        [[zones]]
        name = "in.startup.com"
        id = "Z0123456789ABCDEFGHIJ"
        private = true
    "#;

    #[test]
    fn settings_are_read_and_what_is_wrong_is_named() {
        let settings: Route53Settings = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(settings.check(), Ok(()));
        let why = |from: &str, to: &str| {
            let settings: Route53Settings = toml::from_str(&EXAMPLE.replace(from, to)).unwrap();
            settings.check().unwrap_err()
        };
        assert_eq!(
            why("in.startup.com", "startup.com"),
            SettingsError::Twice("startup.com".to_owned())
        );
        assert_eq!(
            why("in.startup.com", "In.startup.com."),
            SettingsError::Name("In.startup.com.".to_owned())
        );
        assert_eq!(
            why("\"Z0", "\"/hostedzone/Z0"),
            SettingsError::Id("/hostedzone/Z0123456789ABCDEFGHIJ".to_owned())
        );
        assert_eq!(Route53Settings::default().check(), Err(SettingsError::NoZone));
        assert!(
            toml::from_str::<Route53Settings>(&EXAMPLE.replace("private", "internal")).is_err()
        );
    }

    #[test]
    fn a_group_is_in_the_zone_furthest_down() {
        let settings: Route53Settings = toml::from_str(EXAMPLE).unwrap();
        let zone = |job: &str| {
            let group = Group { zone: "z-1".parse().unwrap(), job: job.parse().unwrap() };
            settings.zone_of(&group).map(|zone| zone.name.as_str())
        };
        assert_eq!(zone("redis.startup.com"), Some("startup.com"));
        assert_eq!(zone("startup.com"), Some("startup.com"));
        assert_eq!(zone("redis.in.startup.com"), Some("in.startup.com"));
        assert_eq!(zone("redis.notstartup.com"), None);
        assert_eq!(zone("redis.other.org"), None);
    }
}
