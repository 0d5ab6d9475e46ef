//! Whatever becomes of instances and machines: no name is emptied by us, and nobody is sent to who has ended.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::*;
use crate::cluster::testing::{at, deployment, fleet, healthy, job, policy};
use crate::cluster::tests::{carry_out, settle};
use crate::cluster::{Occupancy, plan as look};
use cerebro_model::{AfterDrain, Drain, MachineId, Phase};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

/// What befalls the cluster in a second.
#[derive(Debug, Clone)]
enum Act {
    Nothing,
    /// An instance is healthy, or is not.
    Phase(usize, bool),
    Deploy,
    Drain(u64),
    Undrain(u64),
    /// Whoever publishes is away, or back.
    Away(bool),
    /// The controller starts again, and has heard of nothing.
    Restart,
    Scale(u32),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Nothing),
        4 => (0usize..8, any::<bool>()).prop_map(|(at, well)| Act::Phase(at, well)),
        2 => Just(Act::Deploy),
        1 => (1u64..6).prop_map(Act::Drain),
        1 => (1u64..6).prop_map(Act::Undrain),
        1 => any::<bool>().prop_map(Act::Away),
        1 => Just(Act::Restart),
        1 => (0u32..5).prop_map(Act::Scale),
    ]
}

struct World {
    fleet: Fleet,
    policy: Policy,
    now: i64,
    is_away: bool,
}

impl World {
    fn new() -> Self {
        let mut fleet = fleet(&[job("a.b", 3, 1.0, 100)], 5, at(1));
        for (n, observed) in (1u8..).zip(fleet.machines.values_mut()) {
            observed.machine.address = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        }
        settle(&mut fleet, &policy(5, 5), at(1));
        let policy = Policy { publishes: true, ..policy(5, 5) };
        Self { fleet, policy, now: 1, is_away: false }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Nothing => {}
            Act::Phase(at_index, well) => {
                let now = at(self.now);
                let count = self.fleet.instances.len().max(1);
                if let Some(seen) = self.fleet.instances.values_mut().nth(at_index % count) {
                    let status = healthy(&seen.instance).status.unwrap();
                    let phase = if well { Phase::Healthy } else { Phase::Unhealthy };
                    seen.hear(cerebro_model::InstanceStatus { phase, ..status }, now);
                }
            }
            Act::Deploy => {
                if self.fleet.deployments.values().any(|it| !it.state.has_ended()) {
                    return;
                }
                let Some(record) = self.fleet.jobs.values().next() else { return };
                let id = self.fleet.deployments.len() as u64 + 1;
                let mut next = deployment(id, &record.job);
                next.created_at = at(self.now);
                self.fleet.deployments.insert(next.id.clone(), next);
            }
            Act::Drain(n) => {
                let observed = self.fleet.machines.get_mut(&MachineId::nth(n)).unwrap();
                let drain = Drain::new(at(self.now), String::new(), AfterDrain::Stay);
                if let Ok(machine) = observed.machine.draining(drain) {
                    observed.machine = machine;
                }
            }
            Act::Undrain(n) => {
                let observed = self.fleet.machines.get_mut(&MachineId::nth(n)).unwrap();
                if let Ok(machine) = observed.machine.undrained() {
                    observed.machine = machine;
                }
            }
            Act::Away(away) => self.is_away = away,
            Act::Restart => {
                self.policy.started_at = at(self.now);
                for seen in self.fleet.instances.values_mut() {
                    *seen = crate::cluster::SeenInstance::told(seen.instance.clone());
                }
                for named in self.fleet.names.values_mut() {
                    *named = Named::recorded(named.publication.clone());
                }
            }
            Act::Scale(count) => {
                let scaled = job("a.b", count, 1.0, 100);
                for record in self.fleet.jobs.values_mut() {
                    record.job = scaled.clone();
                }
                let target = self.fleet.target(&"a.b".parse().unwrap()).map(|it| it.id.clone());
                if let Some(id) = target {
                    self.fleet.deployments.get_mut(&id).unwrap().job = scaled;
                }
            }
        }
    }

    /// Who is in an answer that somebody may still have.
    fn answered(&self) -> BTreeSet<u64> {
        let mut answered = BTreeSet::new();
        for named in self.fleet.names.values() {
            answered.extend(named.publication.members.values().map(|it| it.placement));
            let kept = named.publication.left.keys().filter(|placement| {
                named.out_at.get(placement).is_none_or(|until| at(self.now) < *until)
            });
            answered.extend(kept.copied());
        }
        answered
    }

    fn second(&mut self, act: Act) -> Result<(), TestCaseError> {
        self.now += 1;
        let now = at(self.now);
        self.act(act);
        for observed in self.fleet.machines.values_mut() {
            observed.last_heartbeat = Some(now);
        }
        let plan = look(&self.fleet, &self.policy, now);
        // What is decided before names have their say.
        let unheld = Policy { publishes: false, ..self.policy.clone() };
        let undelayed = look(&self.fleet, &unheld, now).decisions;
        let (answered, before) = (self.answered(), self.fleet.names.clone());
        let mut publishes = BTreeMap::new();
        for decision in &plan.decisions {
            if let Step::Publish(publication) = &decision.step {
                publishes.insert(publication.name(), publication.clone());
            }
        }
        // Nobody is sent to who ends, unless nobody else is there, or names could not be changed for long.
        for decision in &plan.decisions {
            for (id, placement, end) in stops(&self.fleet, decision) {
                let Some(named) = before.get(&format!("z-1.{}", "a.b")) else { continue };
                // Those that are published from now on.
                let name = named.publication.name();
                let after = publishes.get(&name).unwrap_or(&named.publication);
                let others = after.members.values().any(|it| it.placement != placement);
                let taken_out = named.publication.left.get(&placement);
                let waited = taken_out.is_some_and(|at| now.since(*at) > PATIENCE);
                let is_sent = answered.contains(&placement);
                prop_assert!(
                    !is_sent || waited || (!others && end == End::Moves),
                    "{id} ends in {placement} while it is answered"
                );
            }
        }
        // No name is emptied while somebody stands who is wanted.
        for (name, publication) in &publishes {
            let is_wanted = |number: &u32| {
                let id: InstanceId = format!("{number}.{name}").parse().unwrap();
                let ends = |it: &Decision| {
                    let found = stops(&self.fleet, it);
                    found.iter().any(|(of, _, end)| *of == id && *end == End::ForGood)
                };
                self.fleet.instances.contains_key(&id) && !undelayed.iter().any(ends)
            };
            let was =
                before.get(name).is_some_and(|it| it.publication.members.keys().any(is_wanted));
            prop_assert!(!was || !publication.members.is_empty(), "{name} is emptied");
        }
        carry_out(&mut self.fleet, &plan, now);
        for (name, publication) in publishes {
            let named = match self.fleet.names.remove(&name) {
                Some(named) => named.recorded_anew(publication),
                None => Named::recorded(publication),
            };
            self.fleet.names.insert(name, named);
        }
        if !self.is_away {
            for named in self.fleet.names.values_mut() {
                let (revision, kept) = (named.publication.revision, named.publication.ttl.span());
                named.say(revision, now, kept);
            }
        }
        for decision in &plan.decisions {
            if let Step::ForgetName(job, zone) = &decision.step {
                self.fleet.names.remove(&Publication::name_of(zone, job));
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_name_is_emptied_and_nobody_is_sent_to_who_has_ended(
        course in proptest::collection::vec(any_act(), 1..120),
    ) {
        let mut world = World::new();
        for act in course {
            world.second(act)?;
        }
        // In the end all that serves is published, and nothing else.
        world.is_away = false;
        for n in 1..6 {
            world.act(Act::Undrain(n));
        }
        for _ in 0..200 {
            for at in 0..world.fleet.instances.len() {
                world.act(Act::Phase(at, true));
            }
            world.second(Act::Nothing)?;
        }
        let serving = world.fleet.instances.values().filter(|seen| seen.is_healthy());
        let serving: BTreeSet<u64> = serving.map(|seen| seen.instance.placement).collect();
        let named = world.fleet.names.values();
        let published: BTreeSet<u64> =
            named.flat_map(|it| it.publication.members.values().map(|it| it.placement)).collect();
        prop_assert_eq!(serving, published);
    }

    #[test]
    fn what_is_followed_is_what_would_be_made_anew(course in proptest::collection::vec(any_act(), 1..60)) {
        let mut world = World::new();
        let mut followed = Names::of(&world.fleet);
        for act in course {
            let before = world.fleet.clone();
            world.second(act)?;
            let changed = |id: &&InstanceId| before.instances.get(*id) != world.fleet.instances.get(*id);
            let ids: BTreeSet<_> = before.instances.keys().chain(world.fleet.instances.keys()).collect();
            // Of a deployment that has come further, all instances of its job are told.
            let all = before.deployments != world.fleet.deployments || before.machines != world.fleet.machines;
            for id in ids.into_iter().filter(|id| all || changed(id)) {
                followed.instance(&world.fleet, id);
            }
            let names: BTreeSet<_> = before.names.keys().chain(world.fleet.names.keys()).cloned().collect();
            names.iter().for_each(|name| followed.name(&world.fleet, name));
            prop_assert_eq!(&followed, &Occupancy::of(&world.fleet).names().clone());
        }
    }
}
