//! Where a zone of ours is at Amazon.

use cerebro_model::ZoneName;

/// What zones at EC2 begin with.
const PREFIX: &str = "aws-";

/// Why a zone is none of EC2's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "zone `{0}` is none of EC2's: expected `aws-` and an availability zone, such as `aws-us-west-2a`"
)]
pub struct ZoneError(ZoneName);

/// A zone's place at Amazon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Such as `us-west-2`.
    pub region: String,
    /// Such as `us-west-2a`.
    pub availability_zone: String,
}

impl Place {
    /// Where a zone is, by its name.
    pub fn of(zone: &ZoneName) -> Result<Self, ZoneError> {
        let wrong = || ZoneError(zone.clone());
        let name = zone.as_str().strip_prefix(PREFIX).ok_or_else(wrong)?;
        let parts: Vec<&str> = name.split('-').collect();
        // A region ends with its first number; a local zone's name goes on behind that.
        let starts_with_digit = |part: &&str| part.starts_with(|it: char| it.is_ascii_digit());
        let at =
            parts.iter().position(starts_with_digit).filter(|at| *at >= 2).ok_or_else(wrong)?;
        let digits = parts[at].trim_end_matches(|it: char| it.is_ascii_lowercase());
        let is_number = digits.bytes().all(|it| it.is_ascii_digit());
        let ends_with_letter = name.ends_with(|it: char| it.is_ascii_lowercase());
        if !is_number || !ends_with_letter {
            return Err(wrong());
        }
        let region = [&parts[..at], &[digits]].concat().join("-");
        Ok(Self { region, availability_zone: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_found_in_the_names_of_zones() {
        let table = [
            ("aws-us-west-2a", "us-west-2"),
            ("aws-us-gov-west-1b", "us-gov-west-1"),
            ("aws-ap-southeast-10c", "ap-southeast-10"),
            ("aws-us-west-2-lax-1a", "us-west-2"),
        ];
        for (zone, region) in table {
            let place = Place::of(&zone.parse().unwrap()).unwrap();
            assert_eq!(place.region, region);
            assert_eq!(format!("aws-{}", place.availability_zone), zone);
        }
        for other in
            ["local", "aws", "aws-us", "aws-us-west-2", "us-west-2a", "aws-2a", "aws-us-2b3"]
        {
            assert!(Place::of(&other.parse().unwrap()).is_err(), "{other}");
        }
    }
}
