//! What is tried to make a machine, and what next when there is no room for that.

use serde::{Deserialize, Serialize};
use std::fmt;

/// AWS's word for a subnet that is full; another one of the same zone may not be.
const SUBNET_IS_FULL: &str = "InsufficientFreeAddressesInSubnet";

/// At which price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// The spot market's: cheap, and Amazon may end the instance.
    Spot,
    /// The usual one.
    OnDemand,
}

/// One way to make a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The type of instance.
    pub instance_type: String,
    /// The subnet; none is the zone's default one.
    pub subnet: Option<String>,
    /// The market.
    pub market: Market,
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.instance_type)?;
        if let Some(subnet) = &self.subnet {
            write!(f, " in {subnet}")?;
        }
        match self.market {
            Market::Spot => f.write_str(" at the spot price"),
            Market::OnDemand => Ok(()),
        }
    }
}

/// The ways that are left, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launches(Vec<Launch>);

impl Launches {
    /// All ways: each type at the spot price first, if that is wanted, then at the usual one.
    pub fn of(types: &[String], subnets: &[String], wants_spot: bool) -> Self {
        let markets: &[Market] = match wants_spot {
            true => &[Market::Spot, Market::OnDemand],
            false => &[Market::OnDemand],
        };
        let subnets: Vec<Option<&String>> = match subnets {
            [] => vec![None],
            some => some.iter().map(Some).collect(),
        };
        let mut all = Vec::new();
        for market in markets {
            for instance_type in types {
                for subnet in &subnets {
                    all.push(Launch {
                        instance_type: instance_type.clone(),
                        subnet: subnet.cloned(),
                        market: *market,
                    });
                }
            }
        }
        Self(all)
    }

    /// The best that is left.
    pub fn first(&self) -> Option<&Launch> {
        self.0.first()
    }

    /// Whether this is one of those left.
    pub fn has(&self, launch: &Launch) -> bool {
        self.0.contains(launch)
    }

    /// There was no room for one, by AWS's code: leaves out all that the same would happen to.
    pub fn no_room(&mut self, launch: &Launch, code: Option<&str>) {
        self.0.retain(|it| match code {
            Some(SUBNET_IS_FULL) => it.subnet != launch.subnet,
            _ => it.instance_type != launch.instance_type || it.market != launch.market,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|it| (*it).to_owned()).collect()
    }

    fn left(launches: &Launches) -> Vec<String> {
        launches.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_room_for_a_type_leaves_the_other_types() {
        let mut launches = Launches::of(&strings(&["a", "b"]), &strings(&["s1", "s2"]), false);
        assert_eq!(left(&launches), ["a in s1", "a in s2", "b in s1", "b in s2"]);
        let first = launches.first().cloned().unwrap();
        launches.no_room(&first, Some("InsufficientInstanceCapacity"));
        assert_eq!(left(&launches), ["b in s1", "b in s2"]);
    }

    #[test]
    fn a_full_subnet_leaves_the_other_subnets() {
        let mut launches = Launches::of(&strings(&["a", "b"]), &strings(&["s1", "s2"]), false);
        let first = launches.first().cloned().unwrap();
        launches.no_room(&first, Some(SUBNET_IS_FULL));
        assert_eq!(left(&launches), ["a in s2", "b in s2"]);
    }

    #[test]
    fn the_usual_price_is_paid_where_the_spot_market_has_nothing() {
        let mut launches = Launches::of(&strings(&["a"]), &[], true);
        assert_eq!(left(&launches), ["a at the spot price", "a"]);
        let first = launches.first().cloned().unwrap();
        launches.no_room(&first, None);
        assert_eq!(left(&launches), ["a"]);
    }
}
