//! What an administrator says about machines at EC2: the section `[ec2]` of the controller's settings.

use crate::choose::Pattern;
use crate::zone::{Place, ZoneError};
use cerebro_model::ZoneName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The section `[ec2]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ec2Settings {
    /// The profile of AWS's own configuration files whose credentials are used. Without one, they are looked for where
    /// AWS's tools look: the environment, the default profile, the role of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// EC2's URL, where it is not the region's public one, as with a VPC endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Further tags of each instance and its volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What types of instances cost, in dollars an hour: of those that fit, the cheapest comes first. Without it, the
    /// smallest does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, f64>,
    /// Zones by name, such as `aws-us-west-2a`.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, ZoneSettings>)]
    pub zones: BTreeMap<ZoneName, ZoneSettings>,
}

/// A section `[ec2.zones.<zone>]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Ec2ZoneSettings)]
pub struct ZoneSettings {
    /// The image, such as `ami-0123456789abcdef0`. It says which architecture the instances have.
    pub image: String,
    /// The key pair for SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// Ids of security groups; those of the default one, if there are none.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Subnets of this zone; the default one, if there are none. The next is used when one has no address left.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// The name of the instance profile: what the instances themselves may do at AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
    /// Whether instances get an IPv6 address, and names lead there as well (AAAA). Their subnets must have a range.
    #[serde(default)]
    pub ipv6: bool,
    /// Whether the spot market is tried first. Where it has nothing, the usual price is paid.
    #[serde(default)]
    pub spot: bool,
    /// Types of instances that may be used, such as `m7i.*`. Without it: all of current generations, but for those that
    /// are bare metal, have accelerators, or have their CPU by credits.
    #[serde(default)]
    pub allow: Vec<Pattern>,
    /// Types that may not.
    #[serde(default)]
    pub deny: Vec<Pattern>,
    /// The least size of the root volume, in GiB. It is made as large as the image and the machine's disk ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_volume_gib: Option<u32>,
}

/// Why settings are not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A zone is none of EC2's.
    #[error("in `[ec2.zones]`: {0}")]
    Zone(#[from] ZoneError),
    /// An id does not look like one.
    #[error(
        "in `[ec2.zones.{zone}]`: `{found}` is no id of {what}: expected one that begins with `{prefix}`"
    )]
    Id {
        /// The zone.
        zone: ZoneName,
        /// Of what.
        what: &'static str,
        /// How it should begin.
        prefix: &'static str,
        /// What was found.
        found: String,
    },
    /// A tag that is ours or Amazon's.
    #[error(
        "in `[ec2.tags]`: `{0}` cannot be set: tags that begin with `aws:` are Amazon's, those with `cerebro:` and `Name` are Cerebro's"
    )]
    Tag(String),
    /// A price that is none.
    #[error(
        "in `[ec2.prices]`: {price} is no price of `{name}`: expected dollars an hour, more than 0"
    )]
    Price {
        /// The type.
        name: String,
        /// What was given for it.
        price: f64,
    },
}

impl Ec2Settings {
    /// Where each zone is, if all is well formed. Whether what is named exists only Amazon knows.
    pub fn places(&self) -> Result<BTreeMap<ZoneName, Place>, SettingsError> {
        for tag in self.tags.keys() {
            if tag.starts_with("aws:") || tag.starts_with("cerebro:") || tag == "Name" {
                return Err(SettingsError::Tag(tag.clone()));
            }
        }
        for (name, price) in &self.prices {
            if !price.is_finite() || *price <= 0.0 {
                return Err(SettingsError::Price { name: name.clone(), price: *price });
            }
        }
        let mut places = BTreeMap::new();
        for (zone, settings) in &self.zones {
            places.insert(zone.clone(), Place::of(zone)?);
            let id = |what, prefix, found: &String| match found.starts_with(prefix) {
                true => Ok(()),
                false => Err(SettingsError::Id {
                    zone: zone.clone(),
                    what,
                    prefix,
                    found: found.clone(),
                }),
            };
            id("an image", "ami-", &settings.image)?;
            for group in &settings.security_groups {
                id("a security group", "sg-", group)?;
            }
            for subnet in &settings.subnets {
                id("a subnet", "subnet-", subnet)?;
            }
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in `docs/guides/aws.md`.
    const EXAMPLE: &str = r#"
        tags = { team = "ops" }

        [prices]
        "m7i.large" = 0.1008
        "c7i.large" = 0.0893

        [zones.aws-us-west-2a]
        image = "ami-0123456789abcdef0"
        key_name = "ops"
        security_groups = ["sg-0123456789abcdef0"]
        subnets = ["subnet-0123456789abcdefa"]
        instance_profile = "cerebro-machine"
        spot = true
        allow = ["m7i.*", "c7i.*"]
        deny = ["*.metal*"]
        root_volume_gib = 20

        [zones.aws-us-west-2b]
        image = "ami-0123456789abcdef0"
    "#;

    #[test]
    fn settings_are_read_and_what_is_not_known_is_refused() {
        let settings: Ec2Settings = toml::from_str(EXAMPLE).unwrap();
        let places = settings.places().unwrap();
        let regions: Vec<_> = places.values().map(|it| it.region.as_str()).collect();
        assert_eq!(regions, ["us-west-2", "us-west-2"]);
        let unknown = EXAMPLE.replace("key_name", "keyname");
        let error = toml::from_str::<Ec2Settings>(&unknown).unwrap_err().to_string();
        assert!(error.contains("keyname") && error.contains("key_name"), "{error}");
        assert!(toml::from_str::<Ec2Settings>(&EXAMPLE.replace("m7i.*", "M7i!")).is_err());
    }

    #[test]
    fn what_is_not_well_formed_is_named() {
        let why = |from: &str, to: &str| {
            let settings: Ec2Settings = toml::from_str(&EXAMPLE.replace(from, to)).unwrap();
            settings.places().unwrap_err().to_string()
        };
        assert!(
            why("\"sg-0123456789abcdef0\"", "\"default\"")
                .contains("`default` is no id of a security group")
        );
        assert!(why("aws-us-west-2b", "west-2b").contains("`west-2b` is none of EC2's"));
        assert!(why("team", "Name").contains("`Name` cannot be set"));
        assert!(why("0.0893", "-1.0").contains("-1 is no price of `c7i.large`"));
    }
}
