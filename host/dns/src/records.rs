//! What is published: sets of addresses by name, and what changes between two such states.

use crate::Group;
use cerebro_model::Lifetime;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// How long an answer may be kept by who asked, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// So many seconds; a day at most, for whoever kept an answer longer would ask a dead machine.
    pub fn seconds(seconds: u32) -> Option<Self> {
        (seconds <= 86_400).then_some(Self(seconds))
    }

    /// So many seconds, or a day if they are more.
    pub fn at_most(seconds: u32) -> Self {
        Self(seconds.min(86_400))
    }

    /// In seconds.
    pub fn get(self) -> u32 {
        self.0
    }

    /// As a span of time.
    pub fn span(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl From<Lifetime> for Ttl {
    fn from(lifetime: Lifetime) -> Self {
        Self(lifetime.seconds())
    }
}

/// How an address is written: RFC 1035 (A), RFC 3596 (AAAA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
}

impl Kind {
    /// That of an address.
    pub fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::A,
            IpAddr::V6(_) => Self::Aaaa,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        })
    }
}

/// The addresses of one name and kind; never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// How long they may be kept.
    pub ttl: Ttl,
    addresses: BTreeSet<IpAddr>,
}

impl RecordSet {
    /// The addresses, of which there is one at least.
    pub fn addresses(&self) -> &BTreeSet<IpAddr> {
        &self.addresses
    }
}

/// All sets of a group, by name (in lower case, without a final dot) and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records(BTreeMap<(String, Kind), RecordSet>);

impl Records {
    /// What is to be published of a group whose instances that serve are at these addresses: each under its number, and
    /// all under the group's name.
    pub fn of(group: &Group, ttl: Ttl, serving: &BTreeMap<u32, BTreeSet<IpAddr>>) -> Self {
        let mut records = Self::default();
        for (number, addresses) in serving {
            for address in addresses {
                records.add(&group.instance_name(*number), ttl, *address);
                records.add(&group.name(), ttl, *address);
            }
        }
        records
    }

    /// Adds an address under a name. A set has one TTL (RFC 2181, section 5.2): the lowest that was given.
    pub fn add(&mut self, name: &str, ttl: Ttl, address: IpAddr) {
        let key = (name.to_owned(), Kind::of(&address));
        let empty = RecordSet { ttl, addresses: BTreeSet::new() };
        let set = self.0.entry(key).or_insert(empty);
        set.ttl = set.ttl.min(ttl);
        set.addresses.insert(address);
    }

    /// The set of a name and kind.
    pub fn get(&self, name: &str, kind: Kind) -> Option<&RecordSet> {
        self.0.get(&(name.to_owned(), kind))
    }

    /// The longest that any of them may be kept.
    pub fn longest_ttl(&self) -> Duration {
        self.0.values().map(|set| set.ttl.span()).max().unwrap_or_default()
    }

    /// All sets, by name and kind.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Kind, &RecordSet)> {
        self.0.iter().map(|((name, kind), set)| (name.as_str(), *kind, set))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the same addresses are under the same names, however long they may be kept.
    pub fn has_same_addresses(&self, other: &Self) -> bool {
        let addresses = |records: &Self| -> Vec<_> {
            let sets = records.0.iter();
            sets.map(|(key, set)| (key.clone(), set.addresses.clone())).collect()
        };
        addresses(self) == addresses(other)
    }

    /// The next state on the way to what is wanted of a group, in which no more than so many names of instances are
    /// changed: a step that every provider takes at once. The group's own name has the addresses of all of them, as
    /// always.
    pub fn step_towards(&self, group: &Group, wanted: &Self, most: usize) -> Self {
        let own = group.name();
        let changes = self.changes_to(wanted);
        let names: BTreeSet<String> =
            changes.iter().map(|change| change.name.clone()).filter(|name| *name != own).collect();
        if names.len() <= most {
            return wanted.clone();
        }
        let now: BTreeSet<String> = names.into_iter().take(most).collect();
        let mut next = self.clone();
        changes
            .into_iter()
            .filter(|change| now.contains(&change.name))
            .for_each(|change| next.apply(change));
        next.0.retain(|(name, _), _| *name != own);
        for ((_, _), set) in next.0.clone() {
            set.addresses.iter().for_each(|address| next.add(&own, set.ttl, *address));
        }
        next
    }

    /// Makes one change, whatever was there.
    pub fn apply(&mut self, change: Change) {
        let key = (change.name, change.kind);
        match change.after {
            Some(set) => drop(self.0.insert(key, set)),
            None => drop(self.0.remove(&key)),
        }
    }

    /// What has to change for this to become `after`, by name and kind; nothing for what is the same.
    pub fn changes_to(&self, after: &Self) -> Vec<Change> {
        let keys: BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        let changed = keys.into_iter().filter_map(|key| {
            let (before, after) = (self.0.get(key), after.0.get(key));
            (before != after).then(|| Change {
                name: key.0.clone(),
                kind: key.1,
                before: before.cloned(),
                after: after.cloned(),
            })
        });
        changed.collect()
    }
}

/// One set that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What is there.
    pub before: Option<RecordSet>,
    /// What should be.
    pub after: Option<RecordSet>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group() -> Group {
        Group { zone: "z-1".parse().unwrap(), job: "a.example".parse().unwrap() }
    }

    fn ttl(seconds: u32) -> Ttl {
        Ttl::seconds(seconds).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_instance_has_a_name_and_all_are_under_the_groups() {
        let both = BTreeSet::from([address("10.0.0.1"), address("fd00::1")]);
        let serving = BTreeMap::from([(0, both), (2, BTreeSet::from([address("10.0.0.2")]))]);
        let records = Records::of(&group(), ttl(5), &serving);
        let shown: Vec<String> = records
            .iter()
            .map(|(name, kind, set)| format!("{name} {kind} {:?}", set.addresses()))
            .collect();
        assert_eq!(
            shown,
            [
                "0.z-1.a.example A {10.0.0.1}",
                "0.z-1.a.example AAAA {fd00::1}",
                "2.z-1.a.example A {10.0.0.2}",
                "z-1.a.example A {10.0.0.1, 10.0.0.2}",
                "z-1.a.example AAAA {fd00::1}",
            ]
        );
        assert!(Records::of(&group(), ttl(5), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn addresses_are_the_same_whatever_their_ttl() {
        let serving = BTreeMap::from([(0, BTreeSet::from([address("10.0.0.1")]))]);
        let (five, ten) =
            (Records::of(&group(), ttl(5), &serving), Records::of(&group(), ttl(10), &serving));
        assert!(five.has_same_addresses(&ten) && five != ten);
        assert!(!five.has_same_addresses(&Records::default()));
    }

    #[test]
    fn many_changes_are_made_in_steps() {
        let serving = |numbers: std::ops::Range<u32>| -> BTreeMap<_, _> {
            let address = |n| IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n));
            numbers.map(|n| (n, BTreeSet::from([address(n)]))).collect()
        };
        let of = |numbers| Records::of(&group(), ttl(5), &serving(numbers));
        let (mut there, wanted) = (of(0..6), of(5..9));
        let mut sizes = Vec::new();
        while there != wanted {
            let next = there.step_towards(&group(), &wanted, 3);
            assert!(there.changes_to(&next).len() <= 4);
            there = next;
            sizes.push(there.get("z-1.a.example", Kind::A).unwrap().addresses().len());
        }
        // In the order of names: 0, 1, 2 go; 3, 4 go and 6 comes; 7, 8 come.
        assert_eq!(sizes, [3, 2, 4]);
    }

    #[test]
    fn another_ttl_changes_a_set() {
        let serving = BTreeMap::from([(0, BTreeSet::from([address("10.0.0.1")]))]);
        let (five, ten) = (5, 10);
        let before = Records::of(&group(), ttl(five), &serving);
        let after = Records::of(&group(), ttl(ten), &serving);
        assert_eq!(before.changes_to(&after).len(), 2);
        assert_eq!(before.changes_to(&before), []);
        assert_eq!(Ttl::seconds(86_401), None);
    }

    fn serving() -> impl Strategy<Value = BTreeMap<u32, BTreeSet<IpAddr>>> {
        let addresses = proptest::collection::btree_set(any::<IpAddr>(), 0..3);
        proptest::collection::btree_map(0u32..6, addresses, 0..5)
    }

    proptest! {
        #[test]
        fn changes_lead_from_one_state_to_the_other(before in serving(), after in serving()) {
            let (before, after) = (Records::of(&group(), ttl(5), &before), Records::of(&group(), ttl(5), &after));
            let mut reached = before.clone();
            for change in before.changes_to(&after) {
                prop_assert_eq!(reached.get(&change.name, change.kind), change.before.as_ref());
                reached.apply(change);
            }
            prop_assert_eq!(reached, after);
        }
    }
}
