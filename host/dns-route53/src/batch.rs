//! Batches: what Route 53 does as a whole or not at all.

use crate::text::quoted;
use cerebro_dns::{Change, Group, Kind, Mark, RecordSet};

/// How long a mark may be kept by whoever asks for it, in seconds. Nobody's business depends on it.
pub const MARK_TTL: u32 = 60;
/// How many values Route 53 takes in one batch.
const MOST_VALUES: usize = 1000;
/// How many characters these may have.
const MOST_CHARACTERS: usize = 32_000;
/// How many values it takes in one set.
const LARGEST_SET: usize = 400;

/// What is done with a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is made, if there is none.
    Create,
    /// It is removed, if it is exactly this one.
    Delete,
}

/// A step of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub act: Act,
    /// The name, without its final dot.
    pub name: String,
    /// `A`, `AAAA` or `TXT`.
    pub kind: &'static str,
    /// In seconds.
    pub ttl: u32,
    /// The values.
    pub values: Vec<String>,
}

/// A set is too large for Route 53.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` has {addresses} addresses, and Route 53 takes {LARGEST_SET} at most: spread the job over several zones"
)]
pub struct TooLarge {
    name: String,
    addresses: usize,
}

impl Step {
    fn of(act: Act, name: &str, kind: Kind, set: &RecordSet) -> Self {
        let kind = match kind {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
        };
        let values = set.addresses().iter().map(ToString::to_string).collect();
        Self { act, name: name.to_owned(), kind, ttl: set.ttl.get(), values }
    }

    /// Makes or removes a mark.
    pub fn mark(act: Act, group: &Group, mark: &Mark) -> Self {
        let values = vec![quoted(&mark.to_string())];
        Self { act, name: group.mark_name(), kind: "TXT", ttl: MARK_TTL, values }
    }

    fn characters(&self) -> usize {
        self.values.iter().map(String::len).sum()
    }
}

/// Takes the mark away and puts the same one back: refused, if it is not there.
pub fn fence(group: &Group, mark: &Mark) -> Vec<Step> {
    vec![Step::mark(Act::Delete, group, mark), Step::mark(Act::Create, group, mark)]
}

/// The batches by which a group is changed, each with the fence before it. There is more than one only where Route 53 takes no
/// larger ones. At least one, so that the fence is tried also if nothing changes.
pub fn batches(group: &Group, mark: &Mark, changes: &[Change]) -> Result<Vec<Vec<Step>>, TooLarge> {
    let fence = fence(group, mark);
    let mut batches = vec![fence.clone()];
    for change in changes {
        let steps = steps(change)?;
        let size = |steps: &[Step]| {
            let values: usize = steps.iter().map(|step| step.values.len()).sum();
            (values, steps.iter().map(Step::characters).sum::<usize>())
        };
        let (values, characters) = size(&steps);
        let fits = |batch: &Vec<Step>| {
            let (has_values, has_characters) = size(batch);
            has_values + values <= MOST_VALUES && has_characters + characters <= MOST_CHARACTERS
        };
        match batches.last_mut().filter(|batch| fits(batch)) {
            Some(batch) => batch.extend(steps),
            None => batches.push([fence.clone(), steps].concat()),
        }
    }
    Ok(batches)
}

/// What was there goes, and what should be comes: in one batch.
fn steps(change: &Change) -> Result<Vec<Step>, TooLarge> {
    let Change { name, kind, before, after } = change;
    let step = |act, set: &RecordSet| Step::of(act, name, *kind, set);
    let too_large = after.as_ref().map(|set| set.addresses().len()).filter(|it| *it > LARGEST_SET);
    if let Some(addresses) = too_large {
        return Err(TooLarge { name: name.clone(), addresses });
    }
    let before = before.iter().map(|set| step(Act::Delete, set));
    Ok(before.chain(after.iter().map(|set| step(Act::Create, set))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_dns::{Records, Ttl};
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn group() -> Group {
        Group { zone: "z-1".parse().unwrap(), job: "a.example".parse().unwrap() }
    }

    fn mark() -> Mark {
        Mark { cluster: "prod".parse().unwrap(), job: "a.example".parse().unwrap(), epoch: 7 }
    }

    fn serving(count: u32, address: impl Fn(u32) -> IpAddr) -> Records {
        let all: BTreeMap<u32, BTreeSet<IpAddr>> =
            (0..count).map(|n| (n, BTreeSet::from([address(n)]))).collect();
        Records::of(&group(), Ttl::seconds(5).unwrap(), &all)
    }

    fn v4(n: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    fn v6(n: u32) -> IpAddr {
        Ipv6Addr::from(0xfd00_1111_2222_3333_4444_5555_6666_0000 + u128::from(n)).into()
    }

    #[test]
    fn a_batch_begins_with_the_fence_and_goes_from_what_is_to_what_should_be() {
        let (before, after) = (serving(1, v4), serving(2, v4));
        let batches = batches(&group(), &mark(), &before.changes_to(&after)).unwrap();
        let shown: Vec<String> = batches
            .concat()
            .into_iter()
            .map(|it| {
                format!("{:?} {} {} {} {}", it.act, it.name, it.kind, it.ttl, it.values.join(","))
            })
            .collect();
        let text = "\"heritage=cerebro,cluster=prod,job=a.example,epoch=7\"";
        assert_eq!(
            shown,
            [
                format!("Delete _cerebro.z-1.a.example TXT 60 {text}"),
                format!("Create _cerebro.z-1.a.example TXT 60 {text}"),
                "Create 1.z-1.a.example A 5 10.0.0.1".to_owned(),
                "Delete z-1.a.example A 5 10.0.0.0".to_owned(),
                "Create z-1.a.example A 5 10.0.0.0,10.0.0.1".to_owned(),
            ]
        );
        assert_eq!(batches.len(), 1);
    }

    #[test]
    fn what_does_not_fit_into_one_batch_is_several_each_with_its_fence() {
        let (v4_first, v4_second) = (serving(400, v4), serving(400, |n| v4(n + 1000)));
        for (before, after) in [
            (Records::default(), serving(400, v4)),
            (v4_first, v4_second),
            (serving(400, v6), serving(400, |n| v6(n + 1000))),
        ] {
            let changes = before.changes_to(&after);
            let batches = batches(&group(), &mark(), &changes).unwrap();
            let mut steps = Vec::new();
            for batch in batches {
                let values: usize = batch.iter().map(|it| it.values.len()).sum();
                let characters: usize = batch.iter().map(Step::characters).sum();
                assert!(values <= MOST_VALUES && characters <= MOST_CHARACTERS);
                assert_eq!(batch[..2], fence(&group(), &mark()));
                steps.extend(batch.into_iter().skip(2));
            }
            let all: usize =
                changes.iter().map(|it| it.before.iter().count() + it.after.iter().count()).sum();
            assert_eq!(steps.len(), all);
        }
    }

    #[test]
    fn a_set_that_route_53_does_not_take_is_refused_before() {
        let after = serving(401, v4);
        let error = batches(&group(), &mark(), &Records::default().changes_to(&after)).unwrap_err();
        assert!(error.to_string().starts_with("`z-1.a.example` has 401 addresses"), "{error}");
    }

    #[test]
    fn the_fence_is_tried_also_if_nothing_changes() {
        assert_eq!(batches(&group(), &mark(), &[]).unwrap(), [fence(&group(), &mark())]);
    }
}
