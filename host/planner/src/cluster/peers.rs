//! Whom to ask to look at a machine that the controller does not reach, and what they say.
//!
//! The controller alone cannot tell a machine that hangs from one that only it cannot reach. Another
//! machine can, and its word counts as long as it is in contact itself.

use super::{Fleet, ObservedMachine, Policy};
use cerebro_model::{Machine, MachineId, PeerWord, Sight, Timestamp, ZoneName};
use std::collections::{BTreeMap, Bound};
use std::time::Duration;

/// How many are asked about one machine.
const ASKED: usize = 2;
/// How old a word is before it is asked for again: in time, so that it does not lapse in between.
const ASKED_AGAIN: Duration = Duration::from_secs(3);
/// How long a word is good for. Nothing is done by an older one.
const WORD_HOLDS: Duration = Duration::from_secs(6);
/// How long the word holds that a machine answers: longer, for by that one nothing is done.
const ANSWER_HOLDS: Duration = Duration::from_secs(15);
/// How long one that could not say is passed over.
const PASSED_OVER: Duration = Duration::from_secs(60);

/// The machines that are in contact, by zone, in the order of their ids.
pub(super) struct InContact<'a>(BTreeMap<&'a ZoneName, Vec<&'a MachineId>>);

/// What other machines say of one.
pub(super) enum Testimony<'a> {
    /// This one reaches its agent.
    Answers(&'a PeerWord),
    /// Those that could say do not reach it; there is one at least.
    Silent(Vec<&'a PeerWord>),
    /// Nobody has said anything yet that counts.
    Awaited,
    /// Nobody can say: none is in contact, or none of those knows.
    Nobody,
}

impl<'a> InContact<'a> {
    pub(super) fn of(fleet: &'a Fleet, policy: &Policy, now: Timestamp) -> Self {
        let mut zones: BTreeMap<&ZoneName, Vec<&MachineId>> = BTreeMap::new();
        for (id, observed) in &fleet.machines {
            let heard = observed.last_heartbeat;
            let is_heard = heard.is_some_and(|at| now.since(at) < policy.suspect_after);
            if is_heard && observed.machine.state.runs() {
                zones.entry(&observed.machine.zone).or_default().push(id);
            }
        }
        Self(zones)
    }

    fn has(&self, fleet: &Fleet, id: &MachineId) -> bool {
        let zone = fleet.machines.get(id).map(|observed| &observed.machine.zone);
        let of_zone = zone.and_then(|zone| self.0.get(zone));
        of_zone.is_some_and(|ids| ids.binary_search(&id).is_ok())
    }

    /// Those that may be asked about a machine, best first: those of its zone that follow it, then those
    /// of other zones. So each is asked about its neighbours, and none about all.
    fn around(&self, machine: &'a Machine) -> impl Iterator<Item = &'a MachineId> {
        let own = self.0.get(&machine.zone).into_iter();
        let behind =
            self.0.range::<ZoneName, _>((Bound::Excluded(&machine.zone), Bound::Unbounded));
        let elsewhere =
            behind.chain(self.0.range::<ZoneName, _>(..&machine.zone)).map(|(_, ids)| ids);
        own.chain(elsewhere).flat_map(|ids| {
            let (before, after) = ids.split_at(ids.partition_point(|id| **id <= machine.id));
            after.iter().chain(before).copied().filter(|id| **id != machine.id)
        })
    }

    /// Who is to be asked now about a machine that fell silent.
    pub(super) fn to_ask(
        &self,
        observed: &'a ObservedMachine,
        silent_since: Timestamp,
        now: Timestamp,
    ) -> Vec<&'a MachineId> {
        let word = |id: &MachineId| observed.peers.get(id).filter(|it| it.at > silent_since);
        let is_passed_over =
            |word: &PeerWord| word.sight == Sight::Unknown && now.since(word.at) < PASSED_OVER;
        let able =
            self.around(&observed.machine).filter(|id| !word(id).is_some_and(is_passed_over));
        let is_due = |id: &&MachineId| word(id).is_none_or(|it| now.since(it.at) >= ASKED_AGAIN);
        able.take(ASKED).filter(is_due).collect()
    }

    /// What is said now of a machine that fell silent, by those that are in contact.
    pub(super) fn testimony(
        &self,
        fleet: &Fleet,
        observed: &'a ObservedMachine,
        silent_since: Timestamp,
        now: Timestamp,
    ) -> Testimony<'a> {
        let since = |it: &PeerWord| it.at > silent_since && self.has(fleet, &it.peer);
        let words = || observed.peers.values().filter(|it| since(it));
        let is_answer =
            |it: &&PeerWord| it.sight == Sight::Answered && now.since(it.at) < ANSWER_HOLDS;
        if let Some(word) = words().find(is_answer) {
            return Testimony::Answers(word);
        }
        let is_silence =
            |it: &&PeerWord| it.sight == Sight::Silent && now.since(it.at) < WORD_HOLDS;
        let silent: Vec<_> = words().filter(is_silence).collect();
        if !silent.is_empty() {
            return Testimony::Silent(silent);
        }
        let could_say = |id: &MachineId| {
            let said = observed.peers.get(id).filter(|it| it.at > silent_since);
            said.is_none_or(|it| it.sight != Sight::Unknown || now.since(it.at) >= PASSED_OVER)
        };
        match self.around(&observed.machine).any(could_say) {
            true => Testimony::Awaited,
            false => Testimony::Nobody,
        }
    }
}

/// What they said, for a person.
pub(super) fn in_words(words: &[&PeerWord]) -> String {
    let each = words.iter().map(|it| format!("{} does not reach it either ({})", it.peer, it.said));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use super::super::testing::{at, fleet, policy};
    use super::*;

    fn id(n: u64) -> MachineId {
        MachineId::nth(n)
    }

    fn say(fleet: &mut Fleet, peer: u64, sight: Sight, now: i64) {
        let word = PeerWord { peer: id(peer), at: at(now), sight, said: "said".to_owned() };
        fleet.machines.get_mut(&id(1)).unwrap().peers.insert(id(peer), word);
    }

    fn asked(fleet: &Fleet, now: i64) -> Vec<MachineId> {
        let contact = InContact::of(fleet, &policy(6, 6), at(now));
        contact.to_ask(&fleet.machines[&id(1)], at(0), at(now)).into_iter().cloned().collect()
    }

    /// Six machines: the first is silent, of the others the last two stand elsewhere.
    fn six() -> Fleet {
        let mut fleet = fleet(&[], 6, at(10));
        for n in [5, 6] {
            fleet.machines.get_mut(&id(n)).unwrap().machine.zone = "z-2".parse().unwrap();
        }
        fleet.machines.get_mut(&id(1)).unwrap().last_heartbeat = Some(at(0));
        fleet
    }

    #[test]
    fn two_of_the_same_zone_are_asked_then_others_and_none_that_is_silent_or_cannot_say() {
        let mut fleet = six();
        assert_eq!(asked(&fleet, 10), [id(2), id(3)]);
        fleet.machines.get_mut(&id(2)).unwrap().last_heartbeat = Some(at(1));
        say(&mut fleet, 3, Sight::Unknown, 9);
        assert_eq!(asked(&fleet, 10), [id(4), id(5)]);
        // Who has just said something is not asked again so soon.
        say(&mut fleet, 4, Sight::Silent, 8);
        assert_eq!(asked(&fleet, 10), [id(5)]);
        for observed in fleet.machines.values_mut() {
            observed.last_heartbeat = Some(at(100));
        }
        assert_eq!(asked(&fleet, 100), [id(2), id(3)], "one that could not say is asked again");
    }

    #[test]
    fn one_answer_outweighs_all_silence_and_only_those_in_contact_count() {
        let mut fleet = six();
        let says = |fleet: &Fleet, now| {
            let contact = InContact::of(fleet, &policy(6, 6), at(now));
            let observed = &fleet.machines[&id(1)];
            match contact.testimony(fleet, observed, at(0), at(now)) {
                Testimony::Answers(word) => format!("{} answers", word.peer),
                Testimony::Silent(words) => format!("silent to {}", words.len()),
                Testimony::Awaited => "awaited".to_owned(),
                Testimony::Nobody => "nobody".to_owned(),
            }
        };
        assert_eq!(says(&fleet, 10), "awaited");
        say(&mut fleet, 2, Sight::Silent, 9);
        say(&mut fleet, 3, Sight::Unknown, 9);
        assert_eq!(says(&fleet, 10), "silent to 1");
        say(&mut fleet, 5, Sight::Answered, 9);
        assert_eq!(says(&fleet, 10), "m-5 answers");
        fleet.machines.get_mut(&id(5)).unwrap().last_heartbeat = Some(at(1));
        assert_eq!(says(&fleet, 10), "silent to 1", "it is itself not in contact");
        for n in [2, 4, 6] {
            fleet.machines.get_mut(&id(n)).unwrap().last_heartbeat = Some(at(1));
        }
        assert_eq!(says(&fleet, 10), "nobody", "who is left could not say");
    }
}
