//! What must hold of the brakes whatever dies, and when.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use crate::cluster::testing::{at, fleet, job, policy};
use crate::cluster::tests::carry_out;
use crate::cluster::*;
use cerebro_model::{Pause, Timestamp, ZoneName};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds between two looks.
const LOOK: i64 = 2;

/// Machines that live or are dead, whatever the fleet believes.
struct World {
    fleet: Fleet,
    policy: Policy,
    dead: BTreeSet<MachineId>,
    given_up: Vec<(ZoneName, Timestamp)>,
}

fn zone(n: usize) -> ZoneName {
    format!("z-{n}").parse().unwrap()
}

impl World {
    /// Zones of so many machines, with a job of some instances in the first.
    fn new(sizes: &[u32]) -> Self {
        let total: u32 = sizes.iter().sum();
        let mut fleet = fleet(&[job("a.b", sizes[0], 0.5, 100)], total.into(), at(1));
        let places = sizes.iter().enumerate();
        let places = places.flat_map(|(n, size)| std::iter::repeat_n(n + 1, *size as usize));
        for (observed, n) in fleet.machines.values_mut().zip(places) {
            observed.machine.zone = zone(n);
        }
        let zones = (1..).zip(sizes).map(|(n, size)| (zone(n), ZonePolicy::new(*size, size + 4)));
        let policy = Policy { zones: zones.collect(), ..policy(0, 0) };
        Self { fleet, policy, dead: BTreeSet::new(), given_up: Vec::new() }
    }

    fn alive(&self) -> impl Iterator<Item = (&MachineId, &ObservedMachine)> {
        self.fleet.machines.iter().filter(|(id, _)| !self.dead.contains(*id))
    }

    /// The living are heard, and what follows from all of it is done. Answers the steps.
    fn pass(&mut self, now: Timestamp) -> Vec<Step> {
        for (id, observed) in &mut self.fleet.machines {
            if !self.dead.contains(id) && observed.machine.state.is_watched() {
                observed.last_heartbeat = Some(now);
            }
        }
        let mut done = Vec::new();
        for _ in 0..30 {
            let plan = plan(&self.fleet, &self.policy, now);
            if let Some(why) = &plan.doubt {
                self.fleet.own.doubt(now, why.clone());
            }
            if plan.decisions.is_empty() {
                return done;
            }
            for Decision { step, reason } in plan.decisions {
                if let Step::DeclareLost(id, _) | Step::GiveUp(id) = &step {
                    let zone = self.fleet.machines[id].machine.zone.clone();
                    self.given_up.push((zone, now));
                }
                done.push(step.clone());
                self.act(step, reason, now);
            }
        }
        panic!("still busy: {:?}", plan(&self.fleet, &self.policy, now));
    }

    fn act(&mut self, step: Step, reason: String, now: Timestamp) {
        match &step {
            Step::Probe(id) => {
                let answered = !self.dead.contains(id);
                let probe = Probe { at: now, answered, said: "said".to_owned() };
                self.fleet.machines.get_mut(id).unwrap().probe = Some(probe);
            }
            Step::AskProvider(id) => {
                let presence =
                    if self.dead.contains(id) { Presence::Gone } else { Presence::Running };
                let word = ProviderWord { at: now, presence, said: "said".to_owned() };
                self.fleet.machines.get_mut(id).unwrap().provider = Some(word);
            }
            _ => {
                let made = matches!(&step, Step::Provision { .. });
                let wanted = match &step {
                    Step::Provision { zone } => Some(zone.clone()),
                    _ => None,
                };
                let before: BTreeSet<_> = self.fleet.machines.keys().cloned().collect();
                let decisions = vec![Decision { step, reason }];
                carry_out(&mut self.fleet, &Plan { decisions, ..Plan::default() }, now);
                if made {
                    let new = self.fleet.machines.iter_mut().find(|(id, _)| !before.contains(*id));
                    new.unwrap().1.machine.zone = wanted.unwrap();
                }
            }
        }
    }

    /// Whether more was given up within any rate's window than it allows.
    fn too_fast(&self, now: Timestamp) -> bool {
        let active = |zone: Option<&ZoneName>| {
            let machines = self.fleet.machines.values().map(|it| &it.machine);
            machines
                .filter(|it| it.state.is_watched() && zone.is_none_or(|z| it.zone == *z))
                .count()
        };
        let over = |rate: &Rate, zone: Option<&ZoneName>| {
            let recent = self.given_up.iter().filter(|(of, at)| {
                zone.is_none_or(|zone| of == zone) && now.since(*at) < rate.window
            });
            let recent = recent.count();
            // Machines that came since may have made it larger; they never make it smaller.
            recent as u32 > rate.most((active(zone) + recent) as u32)
        };
        let limits = &self.policy.limits;
        let zones = || self.policy.zones.keys();
        zones().any(|zone| limits.zone_losses.iter().any(|rate| over(rate, Some(zone))))
            || over(&limits.cluster_losses, None)
    }
}

fn changes(step: &Step) -> bool {
    !matches!(step, Step::Probe(_) | Step::AskProvider(_) | Step::AskPeer(..))
}

/// Which machines die, and how many seconds after the first.
fn deaths(machines: usize) -> impl Strategy<Value = BTreeMap<usize, i64>> {
    proptest::collection::btree_map(0..machines, 0i64..120, 1..machines)
}

/// Of those, as many in each zone as may be silent at once, also while others are not replaced yet.
fn few(world: &World, deaths: &BTreeMap<usize, i64>) -> BTreeMap<MachineId, i64> {
    let machines: Vec<_> = world.fleet.machines.values().map(|it| &it.machine).collect();
    let mut taken: BTreeMap<&ZoneName, usize> = BTreeMap::new();
    let mut chosen = BTreeMap::new();
    for (n, after) in deaths {
        let machine = machines[*n];
        let all = machines.iter().filter(|it| it.zone == machine.zone).count();
        let taken = taken.entry(&machine.zone).or_default();
        if *taken < (all / 5).max(1) {
            *taken += 1;
            chosen.insert(machine.id.clone(), *after);
        }
    }
    chosen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_dies_nothing_is_given_up_too_fast_and_never_one_that_lives(
        deaths in deaths(14),
    ) {
        let mut world = World::new(&[8, 4, 2]);
        world.pass(at(1));
        let ids: Vec<_> = world.fleet.machines.keys().cloned().collect();
        for now in (10..400).step_by(LOOK as usize) {
            let dying = deaths.iter().filter(|(_, after)| now - 10 >= **after);
            world.dead.extend(dying.map(|(n, _)| ids[*n].clone()));
            for step in world.pass(at(now)) {
                if let Step::DeclareLost(id, _) | Step::GiveUp(id) | Step::Destroy(id) = &step {
                    prop_assert!(world.dead.contains(id), "{} lives", id);
                }
            }
            prop_assert!(!world.too_fast(at(now)), "{:?}", world.given_up);
        }
    }

    #[test]
    fn all_that_die_are_replaced_in_the_end(deaths in deaths(20)) {
        let mut world = World::new(&[10, 8, 2]);
        world.pass(at(1));
        let dying = few(&world, &deaths);
        for now in (10..2400).step_by(5) {
            let due = dying.iter().filter(|(_, after)| now - 10 >= **after);
            world.dead.extend(due.map(|(id, _)| id.clone()));
            world.pass(at(now));
            prop_assert!(!world.too_fast(at(now)));
        }
        prop_assert_eq!(world.given_up.len(), dying.len());
        prop_assert_eq!(world.alive().count(), 20);
        prop_assert_eq!(world.fleet.machines.len(), 20);
        let homes = world.fleet.instances.values().map(|seen| &seen.instance.machine);
        prop_assert!(homes.clone().all(|home| !world.dead.contains(home)));
        prop_assert_eq!(homes.count(), 10);
    }

    #[test]
    fn a_healthy_fleet_is_never_touched(sizes in proptest::collection::vec(1u32..6, 1..4)) {
        let mut world = World::new(&sizes);
        world.pass(at(1));
        for now in (3..120).step_by(3) {
            prop_assert_eq!(world.pass(at(now)), [] as [Step; 0]);
        }
    }

    #[test]
    fn with_the_breaker_open_nothing_there_is_given_up(more in 0usize..5) {
        // Of eight, three are over the share.
        let mut world = World::new(&[8, 12]);
        world.pass(at(1));
        let in_first = world.fleet.machines.values().filter(|it| it.machine.zone == zone(1));
        world.dead = in_first.map(|it| it.machine.id.clone()).take(3 + more).collect();
        for now in (10..120).step_by(LOOK as usize) {
            for step in world.pass(at(now)) {
                prop_assert!(!changes(&step), "{:?}", step);
            }
        }
        let notes = plan(&world.fleet, &world.policy, at(120)).notes;
        let is_open = notes.iter().any(|it| matches!(it, Note::BreakerOpen { .. }));
        prop_assert!(is_open);
    }

    #[test]
    fn while_all_is_paused_or_most_is_silent_nothing_is_changed(
        deaths in deaths(14), pauses in any::<bool>(),
    ) {
        let mut world = World::new(&[8, 4, 2]);
        world.pass(at(1));
        let ids: Vec<_> = world.fleet.machines.keys().cloned().collect();
        if pauses {
            let pause = Pause {
                scope: PauseScope::Cluster,
                author: "eva".to_owned(),
                reason: "no".to_owned(),
                since: at(1),
                until: at(10_000),
                over: None,
            };
            world.fleet.brakes.pauses.insert(PauseScope::Cluster, pause);
            world.dead.extend(deaths.keys().map(|n| ids[*n].clone()));
        } else {
            // More than half of all, at once: as many zones as there are.
            world.dead.extend(ids.iter().take(8 + deaths.len() / 3).cloned());
        }
        for now in (10..60).step_by(LOOK as usize) {
            let steps = world.pass(at(now));
            prop_assert!(!steps.iter().any(changes), "{:?}", steps);
        }
    }
}
