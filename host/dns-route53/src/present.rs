//! What is there of a group, by a listing; and why a batch was refused.

use crate::batch::MARK_TTL;
use crate::text::{self, unquoted};
use cerebro_dns::{DnsError, Group, Listed, Mark, Records, Ttl};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A record set, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name, as Route 53 writes it.
    pub name: String,
    /// Such as `A`.
    pub kind: String,
    /// In seconds; an alias has none.
    pub ttl: Option<u32>,
    /// The values; an alias has none.
    pub values: Vec<String>,
    /// Whether it is the only one of its name and kind: not weighted, nor of a region or the like.
    pub is_simple: bool,
}

/// Whose mark a group bears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Bears {
    /// Nobody's.
    #[default]
    Nothing,
    /// One that is well formed, and whether it is as we would have written it.
    Mark(Mark, bool),
    /// Something that is no mark.
    Something(String),
}

/// What is there of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// Its mark.
    pub bears: Bears,
    /// The sets of the mark's name, as they are.
    pub mark_sets: Vec<Found>,
    /// Its addresses.
    pub records: Records,
    /// Sets at its names that are not of our making: aliases, other kinds. With their kinds.
    pub others: BTreeSet<String>,
}

impl Present {
    /// What of a listing belongs to a group.
    pub fn of(group: &Group, found: &[Found]) -> Self {
        let mut present = Self::default();
        for set in found {
            let name = text::name(&set.name);
            if name == group.mark_name() && set.kind == "TXT" {
                present.bears = bears(set);
                present.mark_sets.push(set.clone());
            } else if group.has(&name) {
                match addresses(set) {
                    Some((ttl, addresses)) => {
                        for address in addresses {
                            present.records.add(&name, ttl, address);
                        }
                    }
                    None => drop(present.others.insert(format!("{name} ({})", set.kind))),
                }
            }
        }
        present
    }

    /// As the controller is told. What bears something that is no mark is somebody else's.
    pub fn listed(self, group: &Group) -> Result<Listed, DnsError> {
        let mark = match self.bears {
            Bears::Nothing => None,
            Bears::Mark(mark, _) => Some(mark),
            Bears::Something(found) => {
                return Err(DnsError::Foreign { group: group.clone(), found });
            }
        };
        Ok(Listed { mark, records: self.records })
    }

    /// The names that have records of any kind.
    pub fn names(&self) -> Vec<String> {
        let records = self.records.iter().map(|(name, kind, _)| format!("{name} ({kind})"));
        records.chain(self.others.iter().cloned()).collect()
    }

    /// Whether a mark may be put here: the one that goes then, if there is one.
    pub fn may_claim(&self, group: &Group, mark: &Mark) -> Result<(), DnsError> {
        let foreign = |found: String| DnsError::Foreign { group: group.clone(), found };
        match &self.bears {
            Bears::Something(found) => Err(foreign(found.clone())),
            Bears::Nothing if !self.names().is_empty() => {
                Err(DnsError::Unmarked { group: group.clone(), names: self.names() })
            }
            Bears::Nothing => Ok(()),
            Bears::Mark(there, _) if mark.may_follow(there) => Ok(()),
            // Of a later term: then it is us who are not up to date.
            Bears::Mark(there, _) if there.cluster == mark.cluster && there.job == mark.job => {
                Err(DnsError::Fenced { group: group.clone(), found: format!("`{there}`") })
            }
            Bears::Mark(there, _) => Err(foreign(there.to_string())),
        }
    }

    /// Whether a group bears exactly this mark, as we write it.
    pub fn bears_exactly(&self, mark: &Mark) -> bool {
        self.bears == Bears::Mark(mark.clone(), true)
    }

    /// Why a batch was refused that was to be done under this mark and on what was expected, when this is there. `said` is
    /// what Route 53 says.
    pub fn why_refused(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        said: &str,
    ) -> DnsError {
        let group = group.clone();
        match &self.bears {
            Bears::Something(found) => return DnsError::Foreign { group, found: found.clone() },
            Bears::Nothing => return DnsError::Fenced { group, found: "no mark".to_owned() },
            Bears::Mark(there, _) if there != mark => {
                return DnsError::Fenced { group, found: format!("`{there}`") };
            }
            Bears::Mark(_, false) => {
                let found = "a mark that says the same and was not written by us".to_owned();
                return DnsError::Fenced { group, found };
            }
            Bears::Mark(_, true) => {}
        }
        if !self.others.is_empty() {
            let others = self.others.iter().cloned().collect::<Vec<_>>().join(", ");
            let why =
                format!("there are records of other kinds at its names, {others}: remove them");
            return DnsError::Refused { doing: format!("publish `{group}`"), why };
        }
        let changes = expected.changes_to(&self.records);
        if changes.is_empty() {
            // All is as it was to be: so it is the batch itself.
            return DnsError::Refused { doing: format!("publish `{group}`"), why: said.to_owned() };
        }
        let changed = changes.iter().map(|it| format!("{} {}", it.name, it.kind));
        let changed = changed.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
        DnsError::Changed { group, why: format!("not as expected: {changed}") }
    }
}

fn bears(set: &Found) -> Bears {
    let something = || Bears::Something(set.values.join(" and "));
    let [value] = &set.values[..] else { return something() };
    let Some(text) = unquoted(value) else { return something() };
    match text.parse::<Mark>() {
        Ok(mark) if set.is_simple => {
            // As text: further fields are kept by nobody who deletes only what it knows.
            let is_exact = set.ttl == Some(MARK_TTL) && text == mark.to_string();
            Bears::Mark(mark, is_exact)
        }
        _ => something(),
    }
}

/// The addresses of a set, if it is one that we could have made.
fn addresses(set: &Found) -> Option<(Ttl, Vec<IpAddr>)> {
    let ttl = set.ttl.and_then(Ttl::seconds).filter(|_| set.is_simple && !set.values.is_empty())?;
    let all = set.values.iter().map(|value| {
        let address: IpAddr = value.parse().ok()?;
        let is_of_kind = match address {
            IpAddr::V4(_) => set.kind == "A",
            IpAddr::V6(_) => set.kind == "AAAA",
        };
        is_of_kind.then_some(address)
    });
    Some((ttl, all.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group { zone: "z-1".parse().unwrap(), job: "a.example".parse().unwrap() }
    }

    fn mark(cluster: &str, epoch: u64) -> Mark {
        Mark { cluster: cluster.parse().unwrap(), job: "a.example".parse().unwrap(), epoch }
    }

    fn found(name: &str, kind: &str, ttl: u32, values: &[&str]) -> Found {
        let values = values.iter().map(|it| (*it).to_owned()).collect();
        Found {
            name: format!("{name}."),
            kind: kind.to_owned(),
            ttl: Some(ttl),
            values,
            is_simple: true,
        }
    }

    fn marked(text: &str) -> Found {
        found("_cerebro.z-1.a.example", "TXT", MARK_TTL, &[&format!("\"{text}\"")])
    }

    fn a(name: &str) -> Found {
        found(name, "A", 5, &["10.0.0.1"])
    }

    fn present(sets: &[Found]) -> Present {
        Present::of(&group(), sets)
    }

    fn ours() -> Found {
        marked("heritage=cerebro,cluster=prod,job=a.example,epoch=7")
    }

    #[test]
    fn only_what_is_at_the_names_of_a_group_belongs_to_it() {
        let present = present(&[
            ours(),
            a("0.z-1.a.example"),
            a("z-1.a.example"),
            a("www.z-1.a.example"),
            a("a.example"),
        ]);
        assert!(present.bears_exactly(&mark("prod", 7)));
        assert_eq!(present.names(), ["0.z-1.a.example (A)", "z-1.a.example (A)"]);
        assert!(present.others.is_empty());
    }

    #[test]
    fn aliases_and_other_kinds_are_of_others_making() {
        let cname = found("0.z-1.a.example", "CNAME", 5, &["elsewhere."]);
        let alias = Found { ttl: None, values: Vec::new(), ..a("z-1.a.example") };
        let weighted = Found { is_simple: false, ..a("1.z-1.a.example") };
        let forever = Found { ttl: Some(1_000_000), ..a("2.z-1.a.example") };
        let present = present(&[ours(), cname, alias, weighted, forever]);
        assert_eq!(present.others.len(), 4);
        assert!(present.records.is_empty());
        let why = present.why_refused(&group(), &mark("prod", 7), &Records::default(), "");
        assert!(matches!(why, DnsError::Refused { .. }), "{why}");
    }

    #[test]
    fn a_mark_is_put_only_where_nobody_elses_is() {
        let claim = |sets: &[Found], mark: &Mark| present(sets).may_claim(&group(), mark);
        assert_eq!(claim(&[], &mark("prod", 7)), Ok(()));
        assert_eq!(claim(&[ours(), a("z-1.a.example")], &mark("prod", 8)), Ok(()));
        assert!(matches!(
            claim(&[a("z-1.a.example")], &mark("prod", 7)),
            Err(DnsError::Unmarked { .. })
        ));
        assert!(matches!(claim(&[ours()], &mark("other", 7)), Err(DnsError::Foreign { .. })));
        assert!(matches!(claim(&[ours()], &mark("prod", 6)), Err(DnsError::Fenced { .. })));
        assert!(matches!(
            claim(&[marked("v=spf1")], &mark("prod", 7)),
            Err(DnsError::Foreign { .. })
        ));
        let two = found("_cerebro.z-1.a.example", "TXT", 60, &["\"a\"", "\"b\""]);
        assert!(matches!(claim(&[two], &mark("prod", 7)), Err(DnsError::Foreign { .. })));
    }

    #[test]
    fn a_batch_is_refused_for_a_mark_for_what_changed_or_for_itself() {
        let expected = present(&[ours(), a("z-1.a.example")]).records;
        let why = |sets: &[Found]| {
            present(sets).why_refused(&group(), &mark("prod", 7), &expected, "it is too large")
        };
        assert!(matches!(why(&[]), DnsError::Fenced { .. }));
        let later = marked("heritage=cerebro,cluster=prod,job=a.example,epoch=8");
        assert!(matches!(why(&[later, a("z-1.a.example")]), DnsError::Fenced { .. }));
        let by_hand = Found { ttl: Some(300), ..ours() };
        assert!(matches!(why(&[by_hand, a("z-1.a.example")]), DnsError::Fenced { .. }));
        assert!(matches!(why(&[ours()]), DnsError::Changed { .. }));
        assert!(matches!(why(&[marked("x")]), DnsError::Foreign { .. }));
        let itself = why(&[ours(), a("z-1.a.example")]);
        assert!(itself.to_string().contains("it is too large"), "{itself}");
    }
}
