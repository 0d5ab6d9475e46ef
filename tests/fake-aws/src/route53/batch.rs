//! How a batch is checked against what is there, and done as a whole or not at all.

use super::zone::Sets;
use super::{Key, NAMESPACE, RecordSet, Route53, Zone, check};
use crate::api::{ApiError, Done, Params};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many values a batch may have.
const MOST_VALUES: usize = 1000;
/// How many characters they may have.
const MOST_CHARACTERS: usize = 32_000;
/// How many values a set may have.
const LARGEST_SET: usize = 400;

impl Route53 {
    pub(super) fn change(&mut self, params: &Params, now: Duration) -> Result<Done, ApiError> {
        let (id, zone) = self.found(params)?;
        let id = id.to_owned();
        let (sets, touched) = changed(zone, params)?;
        let change = self.new_id("C");
        self.changes.insert(change.clone(), now);
        let served = now + self.in_sync_after;
        if let Some(zone) = self.zones.get_mut(&id) {
            zone.become_at(sets, served);
        }
        let inner = self.change_info(&change, now, now);
        let body = inner.document("ChangeResourceRecordSetsResponse", NAMESPACE);
        Ok(Done { body, touched: touched.into_iter().collect() })
    }
}

fn refused(messages: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidChangeBatch", format!("[{}]", messages.into()))
}

/// The sets of a zone after a batch, and the names that it changes.
fn changed(zone: &Zone, params: &Params) -> Result<(Sets, BTreeSet<String>), ApiError> {
    let mut sets = zone.sets().clone();
    let mut touched = BTreeSet::new();
    let (mut values, mut characters) = (0, 0);
    for n in 1.. {
        let field = |name: &str| params.get(&format!("Change.{n}.{name}"));
        let Some(action) = field("Action") else { break };
        let (name, kind) = (field("Name").unwrap_or_default(), field("Type").unwrap_or_default());
        let key = Key::new(name, kind, field("SetIdentifier").unwrap_or_default());
        let number =
            |name: &str| {
                let text = field(name)?;
                Some(text.parse::<u32>().map_err(|_| {
                    ApiError::new(400, "InvalidInput", format!("Invalid {name}: {text}"))
                }))
            };
        let set = RecordSet {
            ttl: number("TTL").transpose()?.ok_or_else(|| {
                ApiError::new(400, "InvalidInput", "Missing field 'TTL' in a resource record set")
            })?,
            weight: number("Weight").transpose()?,
            values: params
                .list(&format!("Change.{n}.Value"))
                .into_iter()
                .map(str::to_owned)
                .collect(),
        };
        let twice = if action == "UPSERT" { 2 } else { 1 };
        values += twice * set.values.len();
        characters += twice * set.values.iter().map(String::len).sum::<usize>();
        well_formed(zone, &key, &set)?;
        one(&mut sets, action, &key, set)?;
        touched.insert(key.name());
    }
    if touched.is_empty() {
        return Err(ApiError::new(400, "InvalidInput", "The batch has no changes"));
    }
    if values > MOST_VALUES {
        return Err(refused(format!("Number of records limit of {MOST_VALUES} exceeded.")));
    }
    if characters > MOST_CHARACTERS {
        return Err(refused(format!("Number of characters limit of {MOST_CHARACTERS} exceeded.")));
    }
    alone(zone, &sets, &touched)?;
    Ok((sets, touched))
}

fn well_formed(zone: &Zone, key: &Key, set: &RecordSet) -> Result<(), ApiError> {
    let name = key.name();
    if !check::name(&name) {
        return Err(refused(format!("Invalid DNS name: {name}")));
    }
    if !key.is_below(&zone.name) {
        return Err(refused(format!(
            "RRSet with DNS name {name} is not permitted in zone {}",
            zone.name
        )));
    }
    if set.values.is_empty() || set.values.len() > LARGEST_SET {
        return Err(refused(format!("RRSet {name} must have 1 to {LARGEST_SET} values")));
    }
    let distinct: BTreeSet<_> = set.values.iter().collect();
    if distinct.len() != set.values.len() {
        return Err(refused(format!("Duplicate Resource Record in {name}")));
    }
    for value in &set.values {
        check::value(&key.kind, value).map_err(refused)?;
    }
    Ok(())
}

/// Does one change.
fn one(sets: &mut Sets, action: &str, key: &Key, set: RecordSet) -> Result<(), ApiError> {
    let what = format!("resource record set [name='{}', type='{}']", key.name(), key.kind);
    let there = sets.get(key);
    match (action, there) {
        ("CREATE", Some(_)) => {
            return Err(refused(format!("Tried to create {what} but it already exists")));
        }
        ("DELETE", None) => {
            return Err(refused(format!("Tried to delete {what} but it was not found")));
        }
        ("DELETE", Some(there)) if !there.is_same(&set) => {
            let why = "but the values provided do not match the current values";
            return Err(refused(format!("Tried to delete {what} {why}")));
        }
        ("DELETE", Some(_)) if matches!(key.kind.as_str(), "SOA" | "NS") => {
            let message = format!("A HostedZone must contain its {} record.", key.kind);
            return Err(refused(message));
        }
        ("DELETE", Some(_)) => drop(sets.remove(key)),
        ("CREATE" | "UPSERT", _) => drop(sets.insert(key.clone(), set)),
        _ => return Err(ApiError::new(400, "InvalidInput", format!("Invalid action {action}"))),
    }
    Ok(())
}

/// A CNAME has nothing beside it, and a name has no simple set beside one that is told from others.
fn alone(zone: &Zone, sets: &Sets, touched: &BTreeSet<String>) -> Result<(), ApiError> {
    for name in touched {
        let at = Key::new(name, "", "");
        let beside: Vec<&Key> = sets.keys().filter(|key| key.has_same_name(&at)).collect();
        if let Some(cname) = beside.iter().find(|key| key.kind == "CNAME")
            && beside.iter().any(|key| key.kind != "CNAME")
        {
            return Err(refused(format!(
                "RRSet of type CNAME with DNS name {} is not permitted as it conflicts with other records with the \
                 same DNS name in zone {}",
                cname.name(),
                zone.name
            )));
        }
        for key in &beside {
            let others = beside.iter().filter(|other| other.kind == key.kind && other != &key);
            if key.set_identifier.is_empty() && others.count() > 0 {
                return Err(refused(format!(
                    "RRSet with DNS name {name}, type {} cannot be created as other RRSets exist with the same name \
                     and type.",
                    key.kind
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(changes: &[(&str, &str, &str, u32, &[&str])]) -> Params {
        let mut params = Params::default();
        for (n, (action, name, kind, ttl, values)) in changes.iter().enumerate() {
            let ttl = ttl.to_string();
            for (field, value) in
                [("Action", *action), ("Name", *name), ("Type", *kind), ("TTL", ttl.as_str())]
            {
                params.0.insert(format!("Change.{}.{field}", n + 1), value.to_owned());
            }
            for (m, value) in values.iter().enumerate() {
                params.0.insert(format!("Change.{}.Value.{}", n + 1, m + 1), (*value).to_owned());
            }
        }
        params
    }

    fn zone() -> Zone {
        let mut zone = Zone::new("example.com", false);
        zone.put("a.example.com", "A", RecordSet::new(5, &["10.0.0.1", "10.0.0.2"]));
        zone
    }

    fn why(changes: &[(&str, &str, &str, u32, &[&str])]) -> String {
        changed(&zone(), &params(changes)).map(|_| String::new()).unwrap_or_else(|it| it.message)
    }

    #[test]
    fn a_batch_is_checked_against_what_is_there() {
        let a = "a.example.com";
        assert!(why(&[("CREATE", a, "A", 5, &["10.0.0.3"])]).contains("already exists"));
        assert!(why(&[("DELETE", a, "A", 5, &["10.0.0.1"])]).contains("do not match"));
        assert!(why(&[("DELETE", a, "A", 6, &["10.0.0.1", "10.0.0.2"])]).contains("do not match"));
        assert!(why(&[("DELETE", "b.example.com", "A", 5, &["10.0.0.1"])]).contains("not found"));
        assert!(why(&[("CREATE", a, "CNAME", 5, &["b."])]).contains("conflicts"));
        assert!(
            why(&[("CREATE", "b.example.org", "A", 5, &["10.0.0.1"])]).contains("not permitted")
        );
        assert!(why(&[("CREATE", "b.example.com", "A", 5, &["10.0.0"])]).contains("IllegalIPv4"));
        assert!(
            why(&[("CREATE", "b.example.com", "A", 5, &["10.0.0.1", "10.0.0.1"])])
                .contains("Duplicate")
        );
        assert!(why(&[("DELETE", "example.com", "SOA", 900, &["x"])]).contains("do not match"));
        // The order of values says nothing, and what is deleted may be made anew in the same batch.
        let anew: [(&str, &str, &str, u32, &[&str]); 2] = [
            ("DELETE", a, "A", 5, &["10.0.0.2", "10.0.0.1"]),
            ("CREATE", a, "A", 5, &["10.0.0.3"]),
        ];
        assert_eq!(why(&anew), "");
    }

    #[test]
    fn a_batch_has_limits_and_an_upsert_counts_twice() {
        let many: Vec<String> =
            (0..400u32).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let create = |name| ("CREATE", name, "A", 5, &many[..]);
        assert_eq!(why(&[create("b.example.com"), create("c.example.com")]), "");
        let three = [create("b.example.com"), create("c.example.com"), create("d.example.com")];
        assert!(why(&three).contains("limit of 1000"));
        let upsert = |name| ("UPSERT", name, "A", 5, &many[..]);
        assert!(why(&[upsert("b.example.com"), create("c.example.com")]).contains("limit of 1000"));
    }
}
