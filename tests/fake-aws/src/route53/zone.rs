//! A hosted zone: what is in it, and what its name servers answer.

use std::collections::BTreeMap;
use std::time::Duration;

/// What tells a record set from others, in the order of Route 53's listings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The name with its labels the other way round.
    order: String,
    /// Such as `A`.
    pub kind: String,
    /// What tells weighted and similar sets from each other; empty for simple ones.
    pub set_identifier: String,
}

impl Key {
    /// Of a name, with or without its final dot.
    pub fn new(name: &str, kind: &str, set_identifier: &str) -> Self {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let reversed: Vec<&str> = name.rsplit('.').collect();
        let order = format!("{}.", reversed.join("."));
        Self { order, kind: kind.to_owned(), set_identifier: set_identifier.to_owned() }
    }

    /// The name, with its final dot.
    pub fn name(&self) -> String {
        let labels: Vec<&str> = self.order.trim_end_matches('.').rsplit('.').collect();
        format!("{}.", labels.join("."))
    }

    pub(super) fn is_below(&self, zone: &str) -> bool {
        let zone = Self::new(zone, "", "");
        self.order == zone.order || self.order.starts_with(&zone.order)
    }

    pub(super) fn has_same_name(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

/// A record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// In seconds.
    pub ttl: u32,
    /// Its values, in any order.
    pub values: Vec<String>,
    /// Of a weighted set.
    pub weight: Option<u32>,
}

impl RecordSet {
    /// A simple one.
    pub fn new(ttl: u32, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self { ttl, values, weight: None }
    }

    /// Whether both say the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let sorted = |set: &Self| {
            let mut values = set.values.clone();
            values.sort();
            values
        };
        self.ttl == other.ttl && self.weight == other.weight && sorted(self) == sorted(other)
    }
}

/// The sets of a zone.
pub(super) type Sets = BTreeMap<Key, RecordSet>;

/// A hosted zone.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name, with its final dot.
    pub name: String,
    /// Whether only networks of ours see it.
    pub is_private: bool,
    sets: Sets,
    /// What the name servers answer by, from when on.
    served: Vec<(Duration, Sets)>,
}

impl Zone {
    pub(super) fn new(name: &str, is_private: bool) -> Self {
        let name = Key::new(name, "", "").name();
        let soa = "ns-1.awsdns-1.org. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
        let sets = BTreeMap::from([
            (Key::new(&name, "SOA", ""), RecordSet::new(900, &[soa])),
            (Key::new(&name, "NS", ""), RecordSet::new(172_800, &["ns-1.awsdns-1.org."])),
        ]);
        Self { name, is_private, served: vec![(Duration::ZERO, sets.clone())], sets }
    }

    /// All record sets.
    pub fn sets(&self) -> &BTreeMap<Key, RecordSet> {
        &self.sets
    }

    /// A simple set.
    pub fn get(&self, name: &str, kind: &str) -> Option<&RecordSet> {
        self.sets.get(&Key::new(name, kind, ""))
    }

    /// Puts a set there behind everybody's back; it is served at once.
    pub fn put(&mut self, name: &str, kind: &str, set: RecordSet) {
        let mut sets = self.sets.clone();
        sets.insert(Key::new(name, kind, ""), set);
        self.become_at(sets, Duration::ZERO);
    }

    /// Removes a set behind everybody's back.
    pub fn remove(&mut self, name: &str, kind: &str) {
        let mut sets = self.sets.clone();
        sets.remove(&Key::new(name, kind, ""));
        self.become_at(sets, Duration::ZERO);
    }

    /// What the name servers answer now.
    pub fn resolve(&self, name: &str, kind: &str, now: Duration) -> Vec<String> {
        let served = self.served.iter().rev().find(|(from, _)| *from <= now);
        let set = served.and_then(|(_, sets)| sets.get(&Key::new(name, kind, "")));
        set.map(|set| set.values.clone()).unwrap_or_default()
    }

    /// Its sets are these from now on, and served later.
    pub(super) fn become_at(&mut self, sets: Sets, served: Duration) {
        let last = self.served.last().map_or(Duration::ZERO, |(from, _)| *from);
        self.served.push((served.max(last), sets.clone()));
        self.sets = sets;
    }

    /// Forgets what is not served any more.
    pub(super) fn forget(&mut self, now: Duration) {
        let current = self.served.iter().rposition(|(from, _)| *from <= now);
        self.served.drain(..current.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_from_the_right_and_what_is_below_is_together() {
        let mut names = [
            "b.example.com",
            "example.com",
            "a-example.com",
            "example-b.com",
            "0.b.example.com",
            "c.example.com",
        ]
        .map(|name| Key::new(name, "A", ""));
        names.sort();
        let sorted = names.map(|key| key.name());
        let expected = [
            "a-example.com.",
            "example-b.com.",
            "example.com.",
            "b.example.com.",
            "0.b.example.com.",
            "c.example.com.",
        ];
        assert_eq!(sorted, expected);
        assert!(Key::new("a.example.com", "A", "").is_below("example.com."));
        assert!(!Key::new("aexample.com", "A", "").is_below("example.com."));
    }

    #[test]
    fn name_servers_answer_later_than_the_change_is_accepted() {
        let mut zone = Zone::new("example.com", false);
        let second = Duration::from_secs;
        let mut sets = zone.sets().clone();
        sets.insert(Key::new("a.example.com", "A", ""), RecordSet::new(5, &["10.0.0.1"]));
        zone.become_at(sets, second(10));
        assert!(zone.get("a.example.com", "A").is_some());
        assert!(zone.resolve("a.example.com", "A", second(9)).is_empty());
        assert_eq!(zone.resolve("a.example.com", "A", second(10)), ["10.0.0.1"]);
        zone.forget(second(20));
        assert_eq!(zone.resolve("A.example.com.", "A", second(20)), ["10.0.0.1"]);
    }
}
