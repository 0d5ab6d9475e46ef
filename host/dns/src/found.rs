//! What is found at a group's names, and what follows for a step that is to be taken: pure, and the same for every
//! provider.

use crate::{Change, DnsError, Group, Listed, Mark, RecordSet, Records};
use std::collections::BTreeSet;

/// All that is at a group's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The TXT records at the mark's name, whoever wrote them.
    pub texts: BTreeSet<String>,
    /// The addresses.
    pub records: Records,
    /// Records of other kinds at the group's names: name and kind, such as `CNAME`. They are never ours.
    pub others: BTreeSet<(String, String)>,
}

/// What claiming a group comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It bears the mark already.
    Done,
    /// Nothing of it is there: the mark is its first record.
    First,
    /// An earlier mark is replaced.
    Over {
        /// The earlier one, exactly as it is written there.
        text: String,
    },
}

impl Found {
    /// What [`DnsProvider::list`](crate::DnsProvider::list) says of it. A text that is no mark is none.
    pub fn listed(self) -> Listed {
        let mark = self.only_text().and_then(|text| text.parse().ok());
        Listed { mark, records: self.records }
    }

    /// Whether a group may be claimed with a mark, and how. An error is the caller's answer.
    pub fn claim(&self, group: &Group, mark: &Mark) -> Result<Claim, DnsError> {
        if self.texts.is_empty() {
            let named = self.records.iter().map(|(name, ..)| name.to_owned());
            let names: BTreeSet<String> =
                named.chain(self.others.iter().map(|(name, _)| name.clone())).collect();
            return match names.is_empty() {
                true => Ok(Claim::First),
                false => Err(DnsError::Unmarked {
                    group: group.clone(),
                    names: names.into_iter().collect(),
                }),
            };
        }
        let text = self.only_text().unwrap_or_default();
        if text == mark.to_string() {
            return Ok(Claim::Done);
        }
        match text.parse::<Mark>() {
            Ok(there) if mark.may_follow(&there) => Ok(Claim::Over { text: text.to_owned() }),
            Ok(there) if there.may_follow(mark) => Err(self.fenced(group)),
            _ => Err(DnsError::Foreign { group: group.clone(), found: self.in_words() }),
        }
    }

    /// What is to be changed to publish what is wanted: nothing if it is there already, as after an answer that was
    /// lost.
    pub fn publish(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        wanted: &Records,
    ) -> Result<Vec<Change>, DnsError> {
        let changes = changes_within(group, expected, wanted)?;
        self.must_bear(group, mark)?;
        let there = |change: &Change| self.records.get(&change.name, change.kind);
        if changes.iter().all(|change| there(change) == change.after.as_ref()) {
            return Ok(Vec::new());
        }
        for change in &changes {
            let alias = (change.name.clone(), "CNAME".to_owned());
            if change.after.is_some() && self.others.contains(&alias) {
                return Err(DnsError::Refused {
                    doing: format!("publish {}", change.name),
                    why: "a CNAME is there that is not ours, and excludes all else: remove it"
                        .to_owned(),
                });
            }
            let addresses = |set: Option<&RecordSet>| set.map(|set| set.addresses().clone());
            if addresses(there(change)) != addresses(change.before.as_ref()) {
                return Err(DnsError::Changed {
                    group: group.clone(),
                    why: format!(
                        "{} {} has {}, not {}",
                        change.name,
                        change.kind,
                        in_words(there(change)),
                        in_words(change.before.as_ref())
                    ),
                });
            }
        }
        Ok(changes)
    }

    /// What is to be removed, besides the mark, to withdraw a group; `None` if it is gone already.
    pub fn withdraw(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
    ) -> Result<Option<Vec<Change>>, DnsError> {
        let changes = changes_within(group, expected, &Records::default())?;
        if self.texts.is_empty() && self.records.is_empty() {
            return Ok(None);
        }
        self.must_bear(group, mark)?;
        if !self.records.has_same_addresses(expected) {
            return Err(DnsError::Changed {
                group: group.clone(),
                why: "it has not the addresses that were to be removed".to_owned(),
            });
        }
        Ok(Some(changes))
    }

    fn only_text(&self) -> Option<&str> {
        (self.texts.len() == 1).then(|| self.texts.first().map(String::as_str)).flatten()
    }

    fn must_bear(&self, group: &Group, mark: &Mark) -> Result<(), DnsError> {
        match self.only_text() == Some(mark.to_string().as_str()) {
            true => Ok(()),
            false => Err(self.fenced(group)),
        }
    }

    fn fenced(&self, group: &Group) -> DnsError {
        DnsError::Fenced { group: group.clone(), found: self.in_words() }
    }

    fn in_words(&self) -> String {
        match self.texts.is_empty() {
            true => "none".to_owned(),
            false => {
                self.texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" and ")
            }
        }
    }
}

/// What changes between two states of a group, of which neither may have a name that is not the group's.
pub(crate) fn changes_within(
    group: &Group,
    before: &Records,
    after: &Records,
) -> Result<Vec<Change>, DnsError> {
    match before.iter().chain(after.iter()).find(|(name, ..)| !group.has(name)) {
        None => Ok(before.changes_to(after)),
        Some((name, ..)) => Err(DnsError::Refused {
            doing: format!("change `{group}`"),
            why: format!("`{name}` is none of its names; this is a fault of Cerebro's own"),
        }),
    }
}

fn in_words(set: Option<&RecordSet>) -> String {
    const SHOWN: usize = 4;
    let Some(set) = set else {
        return "no address".to_owned();
    };
    let shown: Vec<String> = set.addresses().iter().take(SHOWN).map(ToString::to_string).collect();
    match set.addresses().len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ttl;
    use std::collections::BTreeMap;

    fn group() -> Group {
        Group { zone: "z-1".parse().unwrap(), job: "a.example".parse().unwrap() }
    }

    fn mark(cluster: &str, epoch: u64) -> Mark {
        Mark { cluster: cluster.parse().unwrap(), job: "a.example".parse().unwrap(), epoch }
    }

    fn records(numbers: impl IntoIterator<Item = u8>) -> Records {
        let serving: BTreeMap<_, _> = numbers
            .into_iter()
            .map(|n| (u32::from(n), BTreeSet::from([[10, 0, 0, n].into()])))
            .collect();
        Records::of(&group(), Ttl::seconds(5).unwrap(), &serving)
    }

    fn found(texts: &[String], records: Records) -> Found {
        Found { texts: texts.iter().cloned().collect(), records, ..Found::default() }
    }

    #[test]
    fn a_claim_takes_what_is_nobodys_or_earlier_and_nothing_else() {
        let (group, ours) = (group(), mark("prod", 7));
        let claim = |texts: &[String]| found(texts, records([0])).claim(&group, &ours);
        assert_eq!(found(&[], Records::default()).claim(&group, &ours), Ok(Claim::First));
        assert_eq!(claim(&[ours.to_string()]), Ok(Claim::Done));
        let earlier = mark("prod", 6).to_string();
        assert_eq!(
            claim(std::slice::from_ref(&earlier)),
            Ok(Claim::Over { text: earlier.clone() })
        );
        // As a later version might write it: replaced as a whole.
        let longer = format!("{ours},colour=blue");
        assert_eq!(claim(std::slice::from_ref(&longer)), Ok(Claim::Over { text: longer.clone() }));
        assert!(matches!(claim(&[mark("prod", 8).to_string()]), Err(DnsError::Fenced { .. })));
        for foreign in
            [vec![mark("x", 1).to_string()], vec!["v=spf1".to_owned()], vec![earlier, longer]]
        {
            assert!(matches!(claim(&foreign), Err(DnsError::Foreign { .. })), "{foreign:?}");
        }
        let unmarked = claim(&[]).unwrap_err().to_string();
        assert!(unmarked.contains("0.z-1.a.example and z-1.a.example"), "{unmarked}");
        let alias = ("z-1.a.example".to_owned(), "CNAME".to_owned());
        let aliased = Found { others: BTreeSet::from([alias]), ..Found::default() };
        assert!(matches!(aliased.claim(&group, &ours), Err(DnsError::Unmarked { .. })));
    }

    #[test]
    fn only_what_is_as_expected_under_the_exact_mark_is_published() {
        let (group, ours) = (group(), mark("prod", 7));
        let there = found(&[ours.to_string()], records([0, 1]));
        let publish = |there: &Found, from, to| there.publish(&group, &ours, &from, &to);
        assert_eq!(publish(&there, records([0, 1]), records([1, 2])).unwrap().len(), 3);
        // An answer was lost: the same again finds it done.
        assert_eq!(publish(&there, records([0]), records([0, 1])), Ok(Vec::new()));
        // What does not change may be as it is.
        assert!(matches!(
            publish(&there, records([0]), records([0, 2])),
            Err(DnsError::Changed { .. })
        ));
        for texts in [vec![], vec![mark("prod", 8).to_string()], vec![format!("{ours},more=1")]] {
            let fenced = publish(&found(&texts, records([0])), records([0]), records([1]));
            assert!(matches!(fenced, Err(DnsError::Fenced { .. })), "{texts:?}");
        }
        let mut foreign = Records::default();
        foreign.add("a.example", Ttl::seconds(5).unwrap(), [10, 0, 0, 1].into());
        assert!(matches!(publish(&there, foreign, records([])), Err(DnsError::Refused { .. })));
        let alias = ("2.z-1.a.example".to_owned(), "CNAME".to_owned());
        let aliased = Found { others: BTreeSet::from([alias]), ..there };
        let refused = publish(&aliased, records([0, 1]), records([0, 1, 2]));
        assert!(matches!(refused, Err(DnsError::Refused { .. })), "{refused:?}");
    }

    #[test]
    fn a_group_is_withdrawn_whole_or_was_already() {
        let (group, ours) = (group(), mark("prod", 7));
        let texts = [ours.to_string()];
        let withdraw = |there: Found, from| there.withdraw(&group, &ours, &from);
        assert_eq!(withdraw(Found::default(), records([0])), Ok(None));
        let all = withdraw(found(&texts, records([0])), records([0])).unwrap().unwrap();
        assert_eq!(all.len(), 2);
        let more = withdraw(found(&texts, records([0, 1])), records([0]));
        assert!(matches!(more, Err(DnsError::Changed { .. })));
        let orphans = withdraw(found(&[], records([0])), records([0]));
        assert!(matches!(orphans, Err(DnsError::Fenced { .. })));
    }
}
