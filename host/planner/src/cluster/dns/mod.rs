//! Names: who is published, and that whoever ends on purpose is taken out before.
//!
//! An instance is published once it serves, and no longer once it is known that it does not. What ends or
//! restarts one that is published waits until it is taken out and the answers that name it have run out. Two things
//! come before that: a name is never emptied while instances of it stand, and names that cannot be changed hold up
//! nothing for long.

mod evidence;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use evidence::Names;

use super::{Decision, Fleet, Occupancy, Plan, Policy, Step};
use cerebro_model::{InstanceId, Job, JobName, Member, Moves, Publication, Timestamp, ZoneName};
use evidence::Group;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long what is to end waits for names that cannot be changed, beyond the life of an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A publication, with what this controller knows to be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// What is to be published.
    pub publication: Publication,
    /// The revision that is.
    pub said: Option<u64>,
    /// From when on placements that were taken out are in no answer that anybody may still keep.
    pub out_at: BTreeMap<u64, Timestamp>,
}

impl Named {
    /// One of which nobody has been told yet.
    pub fn recorded(publication: Publication) -> Self {
        Self { publication, said: None, out_at: BTreeMap::new() }
    }

    /// The same, recorded anew.
    #[must_use]
    pub fn recorded_anew(self, publication: Publication) -> Self {
        let mut out_at = self.out_at;
        out_at.retain(|placement, _| publication.left.contains_key(placement));
        Self { publication, said: self.said, out_at }
    }

    /// A revision is published, and earlier answers may be kept for so long still.
    pub fn say(&mut self, revision: u64, now: Timestamp, kept: Duration) {
        self.said = Some(revision);
        if revision == self.publication.revision {
            for placement in self.publication.left.keys() {
                self.out_at.entry(*placement).or_insert(now.after(kept));
            }
        }
    }

    /// Whether nobody is sent to a placement any more, or that was waited for long enough.
    fn is_out(&self, placement: u64, now: Timestamp) -> bool {
        let ttl = self.publication.ttl.span();
        let Some(taken_out) = self.publication.left.get(&placement) else {
            return !self.publication.has(placement);
        };
        self.out_at.get(&placement).is_some_and(|at| now >= *at)
            || now.since(*taken_out) >= ttl + PATIENCE
    }
}

/// How long an instance may have to wait until it is in no answer.
pub(super) fn at_most(job: &Job) -> Duration {
    job.dns.ttl.span() + PATIENCE
}

pub(super) fn plan(
    fleet: &Fleet,
    occupancy: &Occupancy,
    policy: &Policy,
    now: Timestamp,
    plan: &mut Plan,
) {
    if !policy.publishes {
        return;
    }
    let names = occupancy.names();
    let mut due: BTreeMap<&str, Look<'_>> = BTreeMap::new();
    for name in names.due() {
        due.extend(Look::at(fleet, names, name).map(|look| (name.as_str(), look)));
    }
    plan.decisions.retain(|decision| {
        let stops = stops(fleet, decision);
        let mut goes_on = true;
        for (id, placement, end) in stops {
            let Some(name) = names.of_instance(&id) else { continue };
            if !due.contains_key(name.as_str()) {
                due.extend(Look::at(fleet, names, name).map(|look| (name.as_str(), look)));
            }
            let Some(look) = due.get_mut(name.as_str()) else { continue };
            goes_on &= look.lets_end(placement, end, now);
        }
        goes_on
    });
    for look in due.into_values() {
        look.decide(fleet, now, plan);
    }
}

/// What becomes of what ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It is to be there again, or is elsewhere.
    Moves,
    /// It is not wanted any more.
    ForGood,
}

/// The placements that a decision ends, or starts anew.
fn stops(fleet: &Fleet, decision: &Decision) -> Vec<(InstanceId, u64, End)> {
    let seen = |id: &InstanceId| fleet.instances.get(id).map(|seen| &seen.instance);
    let here = |id: &InstanceId| seen(id).map(|it| (id.clone(), it.placement, End::Moves));
    let left = |id: &InstanceId| {
        let left = seen(id).and_then(|it| it.leaving.as_deref());
        left.map(|it| (id.clone(), it.placement, End::Moves))
    };
    match &decision.step {
        Step::Retarget(id, _) | Step::Restart(id, _) | Step::Return(id) => {
            here(id).into_iter().collect()
        }
        Step::LetGo(id) => left(id).into_iter().collect(),
        Step::Remove(id) => {
            let both = here(id).into_iter().chain(left(id));
            both.map(|(id, placement, _)| (id, placement, End::ForGood)).collect()
        }
        // Where it serves until it is well elsewhere, nothing ends yet.
        Step::Place(placed) => {
            let goes_on = |placement: u64| {
                placed.leaving.as_deref().is_some_and(|left| {
                    left.placement == placement && left.moves == Moves::StartFirst
                })
            };
            let both = here(&placed.id).into_iter().chain(left(&placed.id));
            both.filter(|(_, placement, _)| !goes_on(*placement)).collect()
        }
        _ => Vec::new(),
    }
}

/// A look at one group.
struct Look<'a> {
    group: &'a Group,
    named: Option<&'a super::Named>,
    /// Placements that are not to be published, whatever is heard of them.
    out: BTreeSet<u64>,
    /// Those of them that are not wanted any more: no name is kept for their sake.
    unwanted: BTreeSet<u64>,
}

impl<'a> Look<'a> {
    fn at(fleet: &'a Fleet, names: &'a Names, name: &str) -> Option<Self> {
        let group = names.get(name)?;
        let (named, out, unwanted) = (fleet.names.get(name), BTreeSet::new(), BTreeSet::new());
        Some(Self { group, named, out, unwanted })
    }

    fn published(&self) -> Option<&'a Publication> {
        self.named.map(|named| &named.publication)
    }

    /// Who serves, but for those that are to be left out.
    fn serving(&self) -> BTreeMap<u32, Member> {
        let published = |number| self.published().and_then(|it| it.members.get(number));
        let instances = self.group.instances.iter();
        let wanted =
            instances.filter_map(|(number, it)| Some((*number, it.wants(published(number))?)));
        wanted.filter(|(_, member)| !self.out.contains(&member.placement)).collect()
    }

    /// Whether a placement may end now. If it is published, and others are, it is taken out first.
    fn lets_end(&mut self, placement: u64, end: End, now: Timestamp) -> bool {
        // Of one that is gone with its machine, there is nothing to wait for.
        let stands = self.group.instances.values().any(|it| it.has(placement));
        let is_out = !stands || self.named.is_none_or(|named| named.is_out(placement, now));
        let is_new = self.out.insert(placement);
        if is_out {
            return true;
        }
        if end == End::ForGood {
            self.unwanted.insert(placement);
            return false;
        }
        let is_last =
            self.published().is_some_and(|it| it.has(placement)) && self.serving().is_empty();
        if is_last && is_new {
            self.out.remove(&placement);
        }
        is_last
    }

    /// Who is to be published.
    fn members(&self, fleet: &Fleet) -> BTreeMap<u32, Member> {
        let serving = self.serving();
        let Some(published) = self.published().filter(|_| serving.is_empty()) else {
            return serving;
        };
        // Better one that may not serve just now than none: who is told that there is no such name remembers that.
        let is_kept = |(number, member): &(&u32, &Member)| {
            let Member { machine, placement, .. } = member;
            self.group.instances.contains_key(number)
                && evidence::member(fleet, machine, *placement).as_ref() == Some(member)
                && !self.unwanted.contains(placement)
        };
        let kept = published.members.iter().filter(is_kept);
        kept.map(|(number, member)| (*number, member.clone())).collect()
    }

    fn decide(self, fleet: &Fleet, now: Timestamp, plan: &mut Plan) {
        let Group { job, zone, .. } = self.group;
        let members = self.members(fleet);
        let wanted = fleet.jobs.get(job).map(|record| record.job.dns.ttl);
        let before = self.published();
        let Some(ttl) = wanted.or(before.map(|it| it.ttl)) else { return };
        match before {
            None if members.is_empty() => return,
            Some(before) if before.members == members && before.ttl == ttl => {
                // Once nobody answers for it, it is forgotten.
                let is_said = self.named.is_some_and(|it| it.said == Some(before.revision));
                if self.group.instances.is_empty() && members.is_empty() && is_said {
                    let reason = "no instance of it is left".to_owned();
                    plan.decide(Step::ForgetName(job.clone(), zone.clone()), reason);
                }
                return;
            }
            _ => {}
        }
        let publication = Publication {
            job: job.clone(),
            zone: zone.clone(),
            ttl,
            revision: before.map_or(1, |it| it.revision + 1),
            left: self.left(&members, now),
            members,
        };
        let reason = why(before, &publication, zone, job);
        plan.decide(Step::Publish(publication), reason);
    }

    /// The placements that were published, are no longer, and still stand.
    fn left(&self, members: &BTreeMap<u32, Member>, now: Timestamp) -> BTreeMap<u64, Timestamp> {
        let Some(before) = self.published() else { return BTreeMap::new() };
        let stands: BTreeSet<u64> = (self.group.instances.values())
            .flat_map(|it| it.stands.iter().map(|member| member.placement))
            .collect();
        let was = before.members.values().map(|member| (member.placement, now));
        let was = was.chain(before.left.iter().map(|(placement, at)| (*placement, *at)));
        was.filter(|(placement, _)| {
            stands.contains(placement) && !members.values().any(|it| it.placement == *placement)
        })
        .collect()
    }
}

/// Who comes and who goes, in a sentence.
fn why(
    before: Option<&Publication>,
    after: &Publication,
    zone: &ZoneName,
    job: &JobName,
) -> String {
    let none = BTreeMap::new();
    let before_members = before.map_or(&none, |it| &it.members);
    let differs = |one: &BTreeMap<u32, Member>, other: &BTreeMap<u32, Member>| {
        let numbers = one.iter().filter(|(number, member)| other.get(number) != Some(member));
        numbers
            .map(|(number, member)| format!("{number} on {}", member.machine))
            .collect::<Vec<_>>()
    };
    let (comes, goes) =
        (differs(&after.members, before_members), differs(before_members, &after.members));
    let mut words = Vec::new();
    if !comes.is_empty() {
        words.push(format!("{} serves", comes.join(", ")));
    }
    if !goes.is_empty() {
        words.push(format!("{} is to end, or serves no more", goes.join(", ")));
    }
    if words.is_empty() {
        words.push(format!("answers may be kept for {} s", after.ttl.seconds()));
    }
    format!("of {zone}.{job}, {}", words.join("; "))
}
