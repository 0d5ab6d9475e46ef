#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::testing::{at, fleet, job, policy};
use super::tests::{carry_out, settle};
use super::*;
use cerebro_model::{Job, Lock, Moves, Origin, PeerWord, Sight, Verdict};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Machines of which some do not answer the controller, though their provider calls all of them running.
pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) policy: Policy,
    /// They answer nobody.
    pub(super) hung: BTreeSet<MachineId>,
    /// They answer everybody but the controller.
    apart: BTreeSet<MachineId>,
    /// What was done, but for questions, and when.
    pub(super) done: Vec<(i64, Step)>,
}

fn id(n: u64) -> MachineId {
    MachineId::nth(n)
}

fn alone(name: &str) -> Job {
    let mut job = job(name, 1, 0.5, 100);
    job.placement.moves = Moves::StopFirst;
    job
}

impl World {
    pub(super) fn new(jobs: &[Job], machines: u64) -> Self {
        let count = u32::try_from(machines).unwrap();
        let (mut fleet, policy) = (fleet(jobs, machines, at(1)), policy(count, count + 2));
        settle(&mut fleet, &policy, at(1));
        let (hung, apart, done) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        Self { fleet, policy, hung, apart, done }
    }

    fn answers(&self, id: &MachineId) -> bool {
        !self.hung.contains(id) && !self.apart.contains(id)
    }

    /// A second of it: who answers is heard, and what follows is done.
    fn pass(&mut self, now: i64) -> Plan {
        let heard: Vec<_> =
            self.fleet.machines.keys().filter(|id| self.answers(id)).cloned().collect();
        for id in heard {
            let observed = self.fleet.machines.get_mut(&id).unwrap();
            (observed.last_heartbeat, observed.peers) = (Some(at(now)), BTreeMap::new());
        }
        for _ in 0..30 {
            let plan = plan(&self.fleet, &self.policy, at(now));
            if plan.decisions.is_empty() {
                return plan;
            }
            for Decision { step, reason } in plan.decisions {
                self.act(step, reason, now);
            }
        }
        panic!("still busy: {:?}", plan(&self.fleet, &self.policy, at(now)));
    }

    pub(super) fn passes(&mut self, seconds: std::ops::Range<i64>) -> Plan {
        seconds.map(|now| self.pass(now)).last().unwrap()
    }

    fn act(&mut self, step: Step, reason: String, now: i64) {
        match &step {
            Step::AskProvider(id) => {
                let observed = self.fleet.machines.get_mut(id).unwrap();
                let (presence, said) = match observed.machine.origin {
                    Origin::Provisioned => (Presence::Running, "the machine runs".to_owned()),
                    Origin::Joined { .. } => (Presence::Unknown, "nobody can say".to_owned()),
                };
                observed.provider = Some(ProviderWord { at: at(now), presence, said });
            }
            Step::AskPeer(id, peer) => {
                // That one is not in contact any longer may not have been noticed yet.
                let sight = match (self.answers(peer), self.hung.contains(id)) {
                    (false, _) => Sight::Unknown,
                    (true, true) => Sight::Silent,
                    (true, false) => Sight::Answered,
                };
                let (peer, said) = (peer.clone(), "so".to_owned());
                let word = PeerWord { peer: peer.clone(), at: at(now), sight, said };
                self.fleet.machines.get_mut(id).unwrap().peers.insert(peer, word);
            }
            Step::LetGo(id) => {
                let left = self.fleet.instances[id].instance.leaving.clone().unwrap();
                let from = self.fleet.machines.get(&left.machine);
                let may_run = from.is_some_and(|from| !from.ended.contains(&left.placement));
                assert!(!may_run || left.moves == Moves::StartFirst, "{id} may run there");
                self.carry_out(step, reason, now);
            }
            Step::Place(instance) => {
                let left = instance.leaving.as_ref().map(|left| left.machine.clone());
                self.carry_out(step, reason, now);
                // What does not answer says nothing of what has ended there.
                let from = left.filter(|left| !self.answers(left));
                if let Some(from) = from.and_then(|from| self.fleet.machines.get_mut(&from)) {
                    from.ended.clear();
                }
            }
            _ => self.carry_out(step, reason, now),
        }
    }

    fn carry_out(&mut self, step: Step, reason: String, now: i64) {
        if !matches!(step, Step::Probe(_)) {
            self.done.push((now, step.clone()));
        }
        let decisions = vec![Decision { step, reason }];
        carry_out(&mut self.fleet, &Plan { decisions, ..Plan::default() }, at(now));
    }

    fn tried(&self, rung: Rung) -> Vec<i64> {
        let tried =
            self.done.iter().filter(|(_, step)| matches!(step, Step::Try(_, it) if *it == rung));
        tried.map(|(now, _)| *now).collect()
    }

    pub(super) fn when(&self, is: impl Fn(&Step) -> bool) -> Option<i64> {
        self.done.iter().find(|(_, step)| is(step)).map(|(now, _)| *now)
    }

    pub(super) fn instance(&self, job: &str) -> Instance {
        let id: InstanceId = format!("0.z-1.{job}").parse().unwrap();
        self.fleet.instances[&id].instance.clone()
    }
}

fn gives_up(step: &Step) -> bool {
    matches!(step, Step::DeclareLost(..))
}

fn suspected(plan: &Plan) -> &str {
    let mut suspects = plan.notes.iter().filter_map(|note| match note {
        Note::Suspect { why, .. } => Some(why.as_str()),
        _ => None,
    });
    suspects.next_back().unwrap_or_default()
}

fn waits(plan: &Plan) -> Vec<&str> {
    let waits = plan.notes.iter().filter_map(|note| match note {
        Note::Waits { why, .. } => Some(why.as_str()),
        _ => None,
    });
    waits.collect()
}

#[test]
fn one_that_nobody_reaches_is_restarted_rebooted_and_replaced() {
    let mut world = World::new(&[], 4);
    world.pass(10);
    world.hung.insert(id(1));
    world.passes(11..700);
    assert_eq!(world.tried(Rung::RestartAgent), [25, 45, 65]);
    assert_eq!(world.tried(Rung::Reboot), [125, 305]);
    let (now, given_up) = world.done.iter().find(|(_, step)| gives_up(step)).unwrap();
    let Step::DeclareLost(machine, certificate) = given_up else { panic!("{given_up:?}") };
    assert_eq!((*now, machine), (485, &id(1)));
    assert_eq!(certificate.verdict, Verdict::Hangs);
    assert_eq!(certificate.last_heartbeat, Some(at(10)));
    assert_eq!(certificate.attempts.len(), 5);
    let peers: Vec<_> = certificate.peers.iter().map(|it| (it.peer.clone(), it.sight)).collect();
    assert_eq!(peers, [(id(2), Sight::Silent), (id(3), Sight::Silent)]);
    let why = &certificate.attempts[4].why;
    assert!(why.contains("m-2 does not reach it either (so)"), "{why}");
    assert!(world.when(|step| *step == Step::Destroy(id(1))).is_some());
    assert_eq!(world.fleet.machines.len(), 4, "another one is there in its place");
}

#[test]
fn one_that_is_heard_again_after_a_reboot_is_left_alone() {
    let mut world = World::new(&[], 4);
    world.pass(10);
    world.hung.insert(id(1));
    world.passes(11..130);
    assert_eq!(world.tried(Rung::Reboot), [125]);
    world.hung.clear();
    world.passes(150..900);
    assert_eq!((world.tried(Rung::Reboot).len(), world.when(gives_up)), (1, None));
}

#[test]
fn one_that_another_machine_reaches_is_left_alone_however_long_it_lasts() {
    let mut world = World::new(&[], 4);
    world.pass(10);
    world.apart.insert(id(1));
    let last = world.passes(11..2000);
    assert_eq!(world.done, []);
    let why = suspected(&last);
    assert!(why.contains("but m-2 reaches its agent: it is the way between"), "{why}");
}

#[test]
fn without_another_machine_in_contact_its_tasks_are_not_ended() {
    let mut world = World::new(&[], 1);
    world.pass(10);
    world.hung.insert(id(1));
    let last = world.passes(11..2000);
    assert_eq!(world.tried(Rung::RestartAgent).len(), 3);
    assert_eq!(world.done.len(), 3, "{:?}", world.done);
    let why = suspected(&last);
    assert!(
        why.contains("no other machine can say") && why.ends_with("somebody has to look"),
        "{why}"
    );
}

#[test]
fn a_controller_that_is_cut_off_from_all_ends_none_and_makes_none() {
    let mut world = World::new(&[job("a.b", 2, 0.5, 100)], 4);
    world.pass(10);
    world.apart = world.fleet.machines.keys().cloned().collect();
    world.passes(11..2000);
    assert_eq!(world.done, []);
}

#[test]
fn a_locked_one_is_neither_rebooted_nor_terminated_and_what_must_be_alone_waits_for_its_end() {
    let mut world = World::new(&[alone("one.b"), job("two.b", 1, 0.5, 100)], 4);
    world.pass(10);
    let (one, two) = (world.instance("one.b"), world.instance("two.b"));
    let machine = one.machine.clone();
    // Both on one machine.
    let moved = Instance { machine: machine.clone(), ..two };
    world.fleet.instances.insert(moved.id.clone(), super::testing::healthy(&moved));
    let observed = world.fleet.machines.get_mut(&machine).unwrap();
    let lock = Lock { reason: "evidence".to_owned(), at: at(10) };
    observed.machine = observed.machine.locked(lock).unwrap();
    world.hung.insert(machine.clone());
    let last = world.passes(11..600);
    assert_eq!(world.tried(Rung::Reboot), [] as [i64; 0]);
    assert_eq!(world.when(gives_up), Some(245));
    assert_ne!(world.instance("two.b").machine, machine, "it may run twice for a moment");
    let waiting = world.instance("one.b");
    assert_ne!(waiting.machine, machine);
    assert!(waiting.on(&waiting.machine).is_none() && waiting.on(&machine).is_none());
    assert_eq!(waits(&last).len(), 2, "{:?}", last.notes);
    let told = waits(&last).join("\n");
    assert!(told.contains("0.z-1.one.b must never run twice, and may run on"), "{told}");
    assert!(told.contains("it is locked (evidence)"), "{told}");

    // It shows up after all, and says that it has ended what it was told to end.
    let mut ended = world.fleet.clone();
    ended.machines.get_mut(&machine).unwrap().ended.insert(one.placement);
    let plan_now = plan(&ended, &world.policy, at(600));
    let goes = |plan: &Plan| plan.decisions.iter().any(|it| it.step == Step::LetGo(one.id.clone()));
    assert!(goes(&plan_now), "{plan_now:?}");

    // Or it is unlocked, and ended.
    let observed = world.fleet.machines.get_mut(&machine).unwrap();
    observed.machine = observed.machine.unlocked_again();
    world.done.clear();
    world.pass(601);
    let order: Vec<_> = world.done.iter().map(|(_, step)| step.clone()).collect();
    let expected = [
        Step::Turn(machine.clone(), Turn::Terminated),
        Step::Destroy(machine),
        Step::LetGo(one.id.clone()),
    ];
    assert_eq!(order, expected);
    assert!(world.instance("one.b").leaving.is_none());
}

#[test]
fn what_hung_is_terminated_once_all_that_it_had_serves_elsewhere_or_after_a_while() {
    for serves in [true, false] {
        let mut world = World::new(&[job("two.b", 1, 0.5, 100)], 4);
        world.pass(10);
        let machine = world.instance("two.b").machine;
        world.hung.insert(machine.clone());
        world.passes(11..485);
        let ends = |step: &Step| matches!(step, Step::Turn(_, Turn::Terminated));
        // It is placed at once, and serves only later.
        let mut last = plan(&world.fleet, &world.policy, at(485));
        for _ in 0..9 {
            for Decision { step, reason } in last.decisions {
                world.act(step, reason, 485);
            }
            let seen = world.fleet.instances.values_mut().next().unwrap();
            if seen.instance.machine != machine {
                *seen = SeenInstance::told(seen.instance.clone());
            }
            last = plan(&world.fleet, &world.policy, at(485));
        }
        assert_eq!((world.when(gives_up), world.when(ends)), (Some(485), None));
        assert_ne!(world.instance("two.b").machine, machine);
        if serves {
            let seen = world.fleet.instances.values_mut().next().unwrap();
            *seen = super::testing::healthy(&seen.instance);
        }
        world.passes(486..800);
        assert_eq!(world.when(ends), Some(if serves { 486 } else { 785 }));
    }
}

#[test]
fn several_that_hang_are_rebooted_one_after_the_other() {
    let mut world = World::new(&[], 12);
    world.pass(10);
    world.hung.extend([id(1), id(2), id(3)]);
    world.passes(11..125);
    let last = world.pass(125);
    assert_eq!(world.tried(Rung::Reboot), [125]);
    let held = |note: &&Note| matches!(note, Note::Held { brake: Brake::Reboots(_), .. });
    assert_eq!(last.notes.iter().filter(held).count(), 1, "{:?}", last.notes);
    world.passes(126..160);
    assert_eq!(world.tried(Rung::Reboot), [125, 135, 145]);
}

#[test]
fn who_only_observes_proposes_to_reboot_and_to_replace() {
    let mut world = World::new(&[], 4);
    world.policy.limits.observe_only = true;
    world.pass(10);
    world.hung.insert(id(1));
    let mut proposed = Vec::new();
    for now in 11..900 {
        for proposal in world.pass(now).proposals {
            if proposed.last() != Some(&proposal.id) {
                proposed.push(proposal.id.clone());
            }
            world.fleet.approvals.insert(proposal.id, proposal.since);
        }
    }
    proposed.dedup();
    assert_eq!(proposed, ["restart-agent-m-1", "reboot-m-1", "replace-m-1"]);
    assert!(world.when(gives_up).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_hangs_or_is_cut_off_none_that_others_reach_is_harmed_and_no_alone_one_runs_twice(
        falls in proptest::collection::btree_map(1u64..=10, (0i64..900, any::<bool>(), 5i64..1500), 1..6),
    ) {
        let jobs = [alone("one.b"), alone("other.b"), job("two.b", 3, 0.5, 100)];
        let mut world = World::new(&jobs, 10);
        world.pass(10);
        for now in (11..1800).step_by(2) {
            let in_force = |hangs: bool| falls
                .iter()
                .filter(move |(_, (from, how, lasts))| *how == hangs && (from + 20..from + 20 + lasts).contains(&now))
                .map(|(n, _)| id(*n));
            (world.hung, world.apart) = (in_force(true).collect(), in_force(false).collect());
            world.done.clear();
            world.pass(now);
            for (_, step) in &world.done {
                match step {
                    Step::Try(id, rung) if rung.ends_tasks() => prop_assert!(world.hung.contains(id)),
                    Step::DeclareLost(id, certificate) => {
                        prop_assert!(world.hung.contains(id));
                        prop_assert!(!certificate.peers.is_empty() && !certificate.attempts.is_empty());
                    }
                    // One that is alone starts elsewhere only once where it was has ended.
                    Step::Place(instance) if !instance.id.as_str().contains("two") => {
                        let left = instance.leaving.as_ref().map(|left| (&left.machine, left.moves));
                        let (from, moves) = left.unwrap();
                        prop_assert!(world.fleet.machines.get(from).is_none_or(|it| !it.machine.state.runs()));
                        prop_assert_eq!(moves, Moves::StopFirst);
                    }
                    _ => {}
                }
            }
            for seen in world.fleet.instances.values() {
                if let Some(left) = &seen.instance.leaving {
                    prop_assert!(world.fleet.machines.contains_key(&left.machine));
                }
            }
        }
    }
}
