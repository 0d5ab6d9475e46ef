#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::*;
use crate::cluster::testing::{at, deployment, fleet, job, policy};
use crate::cluster::tests::{carry_out, settle};
use crate::cluster::{Presence, Probe, ProviderWord, plan as look};
use cerebro_model::{AfterDrain, Drain, MachineId, Phase, Strategy};
use std::net::{IpAddr, Ipv4Addr};

/// A fleet, and whoever publishes: at once, unless that is away.
struct World {
    fleet: Fleet,
    policy: Policy,
    now: i64,
    is_away: bool,
}

impl World {
    fn new(jobs: &[Job], machines: u64) -> Self {
        let mut fleet = fleet(jobs, machines, at(1));
        let policy = Policy { publishes: true, ..policy(machines as u32, machines as u32) };
        for (n, observed) in (1u8..).zip(fleet.machines.values_mut()) {
            observed.machine.address = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        }
        settle(&mut fleet, &Policy { publishes: false, ..policy.clone() }, at(1));
        let mut world = Self { fleet, policy, now: 1, is_away: false };
        world.look();
        world
    }

    /// Looks, and carries out what is decided; answers that, but for what only looks.
    fn look(&mut self) -> Vec<String> {
        let now = at(self.now);
        let unheard = |it: &crate::cluster::ObservedMachine| it.provider.is_some();
        for observed in self.fleet.machines.values_mut().filter(|it| !unheard(it)) {
            observed.last_heartbeat = Some(now);
        }
        let plan = look(&self.fleet, &self.policy, now);
        carry_out(&mut self.fleet, &plan, now);
        for decision in &plan.decisions {
            match &decision.step {
                Step::Publish(publication) => {
                    let (name, revision) = (publication.name(), publication.revision);
                    let named = match self.fleet.names.remove(&name) {
                        Some(named) => named.recorded_anew(publication.clone()),
                        None => Named::recorded(publication.clone()),
                    };
                    self.fleet.names.insert(name.clone(), named);
                    if !self.is_away {
                        let kept = publication.ttl.span();
                        self.fleet.names.get_mut(&name).unwrap().say(revision, now, kept);
                    }
                }
                Step::ForgetName(job, zone) => {
                    self.fleet.names.remove(&Publication::name_of(zone, job));
                }
                _ => {}
            }
        }
        let told = plan.decisions.iter().filter(|it| !it.step.only_looks());
        told.map(|it| it.step.to_string()).collect()
    }

    /// The numbers that are published, with their machines.
    fn published(&self) -> Vec<String> {
        let Some(named) = self.fleet.names.get("z-1.a.b") else { return Vec::new() };
        let members = named.publication.members.iter();
        members.map(|(number, it)| format!("{number} on {}", it.machine)).collect()
    }

    fn set(&mut self, number: u32, phase: Phase) {
        let now = at(self.now);
        let id: InstanceId = format!("{number}.z-1.a.b").parse().unwrap();
        let seen = self.fleet.instances.get_mut(&id).unwrap();
        let status = seen.status.clone().unwrap();
        seen.hear(cerebro_model::InstanceStatus { phase, ..status }, now);
    }

    /// After so many seconds, each with a look: what was decided.
    fn pass(&mut self, seconds: i64) -> Vec<String> {
        (0..seconds)
            .flat_map(|_| {
                self.now += 1;
                self.look()
            })
            .collect()
    }

    fn deploy(&mut self, job: &Job) {
        let id = self.fleet.deployments.len() as u64 + 1;
        let mut next = deployment(id, job);
        next.created_at = at(self.now);
        self.fleet.deployments.insert(next.id.clone(), next);
    }
}

/// Two instances, each on a machine of its own, and a third machine.
fn two() -> World {
    World::new(&[job("a.b", 2, 3.0, 100)], 3)
}

#[test]
fn a_name_leads_to_all_addresses_of_a_machine() {
    let mut world = World::new(&[job("a.b", 1, 0.1, 10)], 1);
    let ipv6: IpAddr = "2001:db8::1".parse().unwrap();
    let (id, observed) = world.fleet.machines.first_key_value().unwrap();
    let (id, ipv4) = (id.clone(), observed.machine.address.unwrap());
    let addresses = |world: &World| {
        let named = world.fleet.names.values().next().unwrap();
        let members = named.publication.members.values();
        members.flat_map(|it| it.addresses.iter().copied()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(&world), [ipv4]);
    // Its agent was started again, and says more.
    world.fleet.machines.get_mut(&id).unwrap().machine.also_at.insert(ipv6);
    world.look();
    assert_eq!(addresses(&world), [ipv4, ipv6]);
}

#[test]
fn who_serves_is_published_and_who_does_not_is_not() {
    let mut world = two();
    assert_eq!(world.published(), ["0 on m-1", "1 on m-2"]);
    assert_eq!(world.look(), [] as [String; 0]);
    world.set(1, Phase::Unhealthy);
    world.look();
    assert_eq!(world.published(), ["0 on m-1"]);
    world.set(1, Phase::Healthy);
    world.look();
    assert_eq!(world.published(), ["0 on m-1", "1 on m-2"]);
}

#[test]
fn a_name_is_not_emptied_while_anything_stands() {
    let mut world = two();
    world.set(0, Phase::Unhealthy);
    world.set(1, Phase::Starting);
    world.look();
    assert_eq!(world.published(), ["0 on m-1", "1 on m-2"]);
    world.set(0, Phase::Healthy);
    world.look();
    assert_eq!(world.published(), ["0 on m-1"]);
}

#[test]
fn after_a_start_what_is_not_heard_yet_stays_published() {
    let mut world = two();
    for seen in world.fleet.instances.values_mut() {
        *seen = crate::cluster::SeenInstance::told(seen.instance.clone());
    }
    assert_eq!(world.look(), [] as [String; 0]);
    assert_eq!(world.published(), ["0 on m-1", "1 on m-2"]);
}

#[test]
fn what_is_told_to_run_something_else_is_taken_out_before_one_after_the_other() {
    let mut world = two();
    let job = job("a.b", 2, 3.0, 100);
    world.deploy(&job);
    assert_eq!(world.look(), ["1 of z-1.a.b are published"]);
    assert_eq!(world.published(), ["1 on m-2"]);
    assert_eq!(world.pass(4), [] as [String; 0], "answers may be kept for five seconds");
    assert_eq!(world.pass(1), ["0.z-1.a.b is told to run d-2"]);
    // In this test it is well at once.
    assert_eq!(world.pass(1), ["1 of z-1.a.b are published"]);
    assert_eq!(world.published(), ["0 on m-1"]);
    assert_eq!(world.pass(5), ["1.z-1.a.b is told to run d-2"]);
    let rest = world.pass(2);
    assert!(rest.contains(&"2 of z-1.a.b are published".to_owned()), "{rest:?}");
    assert_eq!(world.published(), ["0 on m-1", "1 on m-2"]);
}

#[test]
fn the_only_one_is_not_waited_for() {
    let job = job("a.b", 1, 3.0, 100);
    let mut world = World::new(std::slice::from_ref(&job), 2);
    world.deploy(&job);
    assert_eq!(world.look(), ["0.z-1.a.b is told to run d-2"]);
    assert_eq!(world.published(), ["0 on m-1"]);
}

#[test]
fn names_that_cannot_be_changed_hold_nothing_up_for_long() {
    let mut world = two();
    world.is_away = true;
    world.deploy(&job("a.b", 2, 3.0, 100));
    world.look();
    assert_eq!(world.pass(64), [] as [String; 0]);
    assert_eq!(world.pass(1), ["0.z-1.a.b is told to run d-2"]);
}

#[test]
fn a_machine_that_is_drained_loses_its_name_before_its_instance_ends() {
    let mut world = two();
    let machine = world.fleet.machines.get_mut(&MachineId::nth(1)).unwrap();
    let drain = Drain::new(at(1), String::new(), AfterDrain::Stay);
    machine.machine = machine.machine.draining(drain).unwrap();
    assert_eq!(world.look(), ["0.z-1.a.b goes to m-3 with d-1"]);
    assert_eq!(world.pass(1), ["2 of z-1.a.b are published"]);
    assert_eq!(world.published(), ["0 on m-3", "1 on m-2"]);
    assert_eq!(world.pass(4), [] as [String; 0]);
    let rest = world.pass(2);
    assert_eq!(rest, ["the move of 0.z-1.a.b ends", "m-1 is drained"]);
}

#[test]
fn a_machine_that_is_given_up_is_published_no_longer_at_once() {
    let mut world = two();
    world.now = 10;
    let observed = world.fleet.machines.get_mut(&MachineId::nth(1)).unwrap();
    observed.last_heartbeat = Some(at(1));
    observed.probe = Some(Probe { at: at(10), answered: false, said: "no".to_owned() });
    let said = "it is gone".to_owned();
    observed.provider = Some(ProviderWord { at: at(10), presence: Presence::Gone, said });
    world.look();
    assert_eq!(world.published(), ["0 on m-1", "1 on m-2"], "it is given up with this look");
    world.look();
    assert_eq!(world.published()[0], "1 on m-2");
    assert!(!world.published().contains(&"0 on m-1".to_owned()));
    world.look();
    assert_eq!(world.published(), ["0 on m-3", "1 on m-2"]);
}

#[test]
fn of_two_versions_beside_each_other_the_old_one_is_published_until_all_of_the_new_one_is_well() {
    let mut blue = job("a.b", 2, 1.0, 100);
    blue.rollout.strategy = Strategy::BlueGreen;
    let mut world = World::new(std::slice::from_ref(&blue), 4);
    let before = world.published();
    world.deploy(&blue);
    world.look();
    assert_eq!(
        world.published(),
        before,
        "the new ones are well, and nobody has said yet that all is"
    );
    let mut decided = Vec::new();
    for _ in 0..3 {
        decided.extend(world.look());
    }
    let switch = decided.iter().position(|it| it == "2 of z-1.a.b are published").unwrap();
    assert!(decided[..switch].iter().any(|it| it.contains("succeeded")), "{decided:?}");
    assert!(!decided.iter().any(|it| it.contains("the move of")), "{decided:?}");
    assert_ne!(world.published(), before);
    let ended = world.pass(5);
    assert_eq!(ended.iter().filter(|it| it.contains("the move of")).count(), 2, "{ended:?}");
}

#[test]
fn a_job_that_is_deleted_leaves_no_name() {
    let mut world = two();
    world.fleet.jobs.clear();
    assert_eq!(world.look(), ["0 of z-1.a.b are published"]);
    let rest = world.pass(7);
    assert_eq!(rest, ["0.z-1.a.b ends", "1.z-1.a.b ends", "z-1.a.b is published no longer"],);
    assert!(world.fleet.names.is_empty());
}
