//! A copy of the fleet in which time passes, and what the planner decides is done.

use super::pace::{ENDS, Pace};
use crate::cluster::link::beside;
use crate::cluster::{
    Approvals, Decision, Fleet, Note, ObservedMachine, Occupancy, Own, Plan, Policy, Presence,
    Probe, ProviderWord, Restore, SeenInstance, Step, Turn, mark_idle, number_of_rollback,
    plan_with, repair,
};
use cerebro_model::{
    Attempt, CanaryStage, DeploymentId, Instance, InstanceId, InstanceStatus, Life, Machine,
    MachineId, Moves, PeerWord, Phase, Sight, Timestamp, Tombstone, ZoneName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What happens by itself after a time.
#[derive(Debug, Clone)]
enum Due {
    /// A machine that was made joins.
    Joins(MachineId),
    /// An instance is healthy, if it is still to run that there.
    Healthy(InstanceId, u64, DeploymentId),
    /// A placement has ended on the machine that it leaves.
    Ended(MachineId, u64),
    /// Nothing is left of a machine.
    Destroyed(MachineId),
}

pub(super) struct World<'p> {
    pub fleet: Fleet,
    pub policy: Policy,
    pub now: Timestamp,
    occupancy: Occupancy,
    pace: &'p Pace,
    /// Machines that do not live, whatever the fleet believes.
    dead: BTreeSet<MachineId>,
    /// Where none can be made.
    dead_zone: Option<ZoneName>,
    /// Machines that were silent before anything happened: nobody knows more of them.
    unknown: BTreeSet<MachineId>,
    due: BTreeMap<(Timestamp, u64), Due>,
    number: u64,
    next_machine: u64,
    next_deployment: u64,
}

impl<'p> World<'p> {
    pub(super) fn new(fleet: Fleet, policy: Policy, pace: &'p Pace, now: Timestamp) -> Self {
        let after = |ids: Vec<&str>| {
            let numbers =
                ids.into_iter().filter_map(|id| id.split_once('-')?.1.parse::<u64>().ok());
            numbers.max().unwrap_or(0) + 1
        };
        let machines = fleet.machines.keys().chain(fleet.brakes.tombstones.keys());
        let next_machine = after(machines.map(|id| id.as_str()).collect());
        let next_deployment = after(fleet.deployments.keys().map(|id| id.as_str()).collect());
        let counts = fleet.own.excused(&policy);
        let silent = fleet.machines.iter();
        let silent = silent.filter(|(_, it)| repair::is_silent(it, &counts, now));
        let unknown = silent.map(|(id, _)| id.clone()).collect();
        drop(counts);
        let mut world = Self {
            occupancy: Occupancy::of(&fleet),
            fleet,
            policy,
            now,
            pace,
            dead: BTreeSet::new(),
            dead_zone: None,
            unknown,
            due: BTreeMap::new(),
            number: 0,
            next_machine,
            next_deployment,
        };
        world.expect_what_is_on_its_way();
        world
    }

    /// What began before goes on.
    fn expect_what_is_on_its_way(&mut self) {
        let pending = self.fleet.machines.iter().filter(|(_, it)| it.machine.state.is_pending());
        let pending: Vec<_> = pending
            .map(|(id, it)| (id.clone(), it.machine.created_at.after(self.pace.joins())))
            .collect();
        for (id, at) in pending {
            self.expect_at(at, Due::Joins(id));
        }
        let comes = |it: &&SeenInstance| {
            matches!(
                it.phase_of_target(),
                None | Some(Phase::Waiting | Phase::Deploying | Phase::Starting)
            )
        };
        let coming: Vec<_> = self.fleet.instances.values().filter(comes).cloned().collect();
        for seen in coming {
            let at = seen.instance.since.after(self.pace.healthy(&seen.instance.job));
            self.expect_healthy(&seen.instance, at);
        }
    }

    fn expect_at(&mut self, at: Timestamp, what: Due) {
        self.number += 1;
        self.due.insert((at.max(self.now), self.number), what);
    }

    fn expect(&mut self, after: Duration, what: Due) {
        self.expect_at(self.now.after(after), what);
    }

    /// One that may only start once it has ended elsewhere is not waited for before.
    fn expect_healthy(&mut self, instance: &Instance, at: Timestamp) {
        let waits = instance.leaving.as_ref().is_some_and(|it| it.moves == Moves::StopFirst);
        if !waits {
            let (id, deployment) = (instance.id.clone(), instance.deployment.clone());
            self.expect_at(at, Due::Healthy(id, instance.placement, deployment));
        }
    }

    /// These machines die, and none can be made in a zone any more.
    pub(super) fn lose(&mut self, machines: BTreeSet<MachineId>, zone: Option<&ZoneName>) {
        self.unknown.retain(|id| !machines.contains(id));
        self.dead.extend(machines);
        self.dead_zone = zone.cloned();
    }

    /// No controller is there for a time; then another one starts, which has heard nothing yet.
    pub(super) fn without_controller(&mut self, lasts: Duration) {
        self.pass(lasts);
        self.policy.started_at = self.now;
        self.fleet.own = Own::default();
        self.fleet.approvals = Approvals::new();
        for observed in self.fleet.machines.values_mut() {
            (observed.last_heartbeat, observed.probe, observed.provider) = (None, None, None);
            (observed.reported, observed.idle_since) = (None, None);
        }
        let (now, dead) = (self.now, &self.dead);
        for seen in self.fleet.instances.values_mut() {
            let heard = seen.status.take().filter(|_| !dead.contains(&seen.instance.machine));
            *seen = SeenInstance::told(seen.instance.clone());
            heard.into_iter().for_each(|status| seen.hear(status, now));
        }
    }

    /// Whether an agent is there to be heard.
    fn lives(&self, id: &MachineId) -> bool {
        !self.dead.contains(id) && !self.unknown.contains(id)
    }

    /// Whether a machine is dead and not silent for long enough yet.
    pub(super) fn is_found_out_soon(&self) -> bool {
        let policy = self.fleet.own.excused(&self.policy);
        let dead = self.dead.iter().filter_map(|id| self.fleet.machines.get(id));
        let mut watched = dead.filter(|it| it.machine.state.is_watched());
        watched.any(|it| !repair::is_silent(it, &policy, self.now))
    }

    /// Whether an instance serves somewhere.
    pub(super) fn serves(&self, id: &InstanceId) -> bool {
        let Some(seen) = self.fleet.instances.get(id) else { return false };
        let here = seen.is_healthy() && !self.dead.contains(&seen.instance.machine);
        let left = seen.instance.leaving.as_ref();
        let there = left
            .is_some_and(|it| it.moves == Moves::StartFirst && !self.dead.contains(&it.machine));
        here || there
    }

    /// How long it is until something comes by itself.
    pub(super) fn until_due(&self) -> Option<Duration> {
        self.due.keys().next().map(|(at, _)| at.since(self.now))
    }

    /// Time passes, up to what is due next.
    pub(super) fn pass(&mut self, most: Duration) {
        let end = self.now.after(most);
        while let Some(entry) = self.due.first_entry() {
            let (at, _) = *entry.key();
            if at > end {
                break;
            }
            let what = entry.remove();
            self.now = at.max(self.now);
            self.come(what);
        }
        self.now = end;
    }

    fn come(&mut self, what: Due) {
        let now = self.now;
        match what {
            Due::Joins(id) => {
                let Some(observed) = self.fleet.machines.get_mut(&id) else { return };
                if self.dead.contains(&id)
                    || self.dead_zone.as_ref() == Some(&observed.machine.zone)
                {
                    self.dead.insert(id);
                } else if let Ok(joined) = observed.machine.joined(now) {
                    (observed.machine, observed.last_heartbeat) = (joined, Some(now));
                }
            }
            Due::Healthy(id, placement, deployment) => {
                let Some(seen) = self.fleet.instances.get(&id) else { return };
                let instance = seen.instance.clone();
                let is_it = instance.placement == placement && instance.deployment == deployment;
                if is_it
                    && self.lives(&instance.machine)
                    && let Some(seen) = self.fleet.instances.get_mut(&id)
                {
                    seen.hear(healthy(&instance, now), now);
                }
            }
            Due::Ended(id, placement) => {
                let lives = self.lives(&id);
                if let Some(observed) = self.fleet.machines.get_mut(&id).filter(|_| lives) {
                    observed.ended.insert(placement);
                }
            }
            Due::Destroyed(id) => drop(self.fleet.machines.remove(&id)),
        }
    }

    /// Living agents are heard; then the controller looks, and does what follows.
    pub(super) fn look(&mut self) -> Plan {
        let now = self.now;
        let (dead, unknown, occupancy) = (&self.dead, &self.unknown, &self.occupancy);
        for (id, observed) in &mut self.fleet.machines {
            let lives = !dead.contains(id) && !unknown.contains(id);
            if lives && observed.machine.state.runs() {
                observed.last_heartbeat = Some(now);
                let has = occupancy.tenants(id).count() + occupancy.leaving(id).count();
                observed.reported = Some(has);
            }
        }
        mark_idle(&mut self.fleet, &self.occupancy, now);
        let plan = plan_with(&self.fleet, &self.occupancy, &self.policy, now);
        if let Some(why) = &plan.doubt {
            self.fleet.own.doubt(now, why.clone());
        }
        for decision in &plan.decisions {
            self.act(decision);
        }
        plan
    }

    /// Whether nothing more happens by itself.
    pub(super) fn is_at_rest(&self, plan: &Plan) -> bool {
        // These pass with time alone; all else waits for somebody.
        let passes =
            |it: &Note| matches!(it, Note::Held { .. } | Note::Doubt { .. } | Note::Paused { .. });
        let running = self.fleet.deployments.values().any(|it| it.state.is_running());
        let maintained = |it: &ObservedMachine| it.machine.state.word() == "maintenance";
        // A verdict waits for a person, or for time alone.
        let waits = |id: &MachineId| plan.proposals.iter().any(|it| it.machine == *id);
        let mut condemned = plan.condemned.iter().filter(|it| it.repair.is_final());
        plan.decisions.iter().all(|it| it.step.only_looks())
            && !self.is_found_out_soon()
            && condemned.all(|it| waits(&it.machine))
            && self.due.is_empty()
            && !running
            && !plan.notes.iter().any(passes)
            && !self.fleet.machines.values().any(maintained)
    }

    fn put(&mut self, instance: Instance) {
        let instance = {
            let find = |id: &InstanceId| self.fleet.instances.get(id).map(|seen| &seen.instance);
            let deployment = self.fleet.deployments.get(&instance.deployment);
            let beside = deployment.map(|it| beside(&instance, &it.job, find));
            Instance { beside: beside.unwrap_or_default(), ..instance }
        };
        self.tell(instance);
    }

    fn tell(&mut self, instance: Instance) {
        self.occupancy.put(&instance, |id| self.fleet.deployments.get(id));
        let id = instance.id.clone();
        let seen = match self.fleet.instances.remove(&id) {
            Some(seen) => seen.told_anew(instance),
            None => SeenInstance::told(instance),
        };
        self.fleet.instances.insert(id, seen);
    }

    fn is_joined(&self, id: &MachineId) -> bool {
        self.fleet.machines.get(id).is_some_and(|it| it.machine.origin.is_joined())
    }

    fn act(&mut self, Decision { step, reason }: &Decision) {
        let now = self.now;
        match step {
            Step::Provision { zone } => self.provision(zone),
            Step::Probe(id) => {
                let last = self.fleet.machines.get(id).and_then(|it| it.probe.clone());
                let answered = match self.unknown.contains(id) {
                    true => last.as_ref().is_some_and(|it| it.answered),
                    false => !self.dead.contains(id),
                };
                let said = match last.filter(|_| self.unknown.contains(id)) {
                    Some(it) => it.said,
                    None if answered => "it answers".to_owned(),
                    None => "no answer".to_owned(),
                };
                if let Some(observed) = self.fleet.machines.get_mut(id) {
                    observed.probe = Some(Probe { at: now, answered, said });
                }
            }
            Step::AskProvider(id) => {
                let last = self.fleet.machines.get(id).and_then(|it| it.provider.clone());
                let (presence, said) = match (self.unknown.contains(id), last) {
                    (true, Some(it)) => (it.presence, it.said),
                    (true, None) => (Presence::Unknown, "it was not asked before".to_owned()),
                    (false, _) if self.is_joined(id) => {
                        (Presence::Unknown, "it was joined by hand".to_owned())
                    }
                    (false, _) if self.dead.contains(id) => {
                        (Presence::Gone, "it is gone".to_owned())
                    }
                    (false, _) => (Presence::Running, "the machine runs".to_owned()),
                };
                if let Some(observed) = self.fleet.machines.get_mut(id) {
                    observed.provider = Some(ProviderWord { at: now, presence, said });
                }
            }
            Step::AskPeer(id, peer) => {
                let sight = match (self.unknown.contains(id), self.dead.contains(id)) {
                    (true, _) => Sight::Unknown,
                    (false, true) => Sight::Silent,
                    (false, false) => Sight::Answered,
                };
                let said = "as far as it can be foreseen".to_owned();
                let word = PeerWord { peer: peer.clone(), at: now, sight, said };
                if let Some(observed) = self.fleet.machines.get_mut(id) {
                    observed.peers.insert(peer.clone(), word);
                }
            }
            Step::Try(id, rung) => {
                if let Some(observed) = self.fleet.machines.get_mut(id) {
                    let why = reason.clone();
                    observed.attempts.push(Attempt { rung: *rung, at: now, why });
                }
            }
            Step::DeclareLost(id, certificate) => {
                self.give_up(id, reason, |it| it.lost(certificate.clone()));
            }
            Step::GiveUp(id) => self.give_up(id, reason, |it| it.never_joined(reason.clone())),
            Step::Destroy(id) => {
                let is_due =
                    self.due.values().any(|it| matches!(it, Due::Destroyed(of) if of == id));
                if !is_due {
                    self.expect(ENDS, Due::Destroyed(id.clone()));
                }
            }
            Step::Turn(id, turn) => {
                let Some(observed) = self.fleet.machines.get_mut(id) else { return };
                let moved = match turn {
                    Turn::Drained => observed.machine.drained(now),
                    Turn::Maintained => observed.machine.maintained_as_asked(now),
                    Turn::MaintenanceOver => observed.machine.maintained_until(now),
                    Turn::Terminated => observed.machine.terminating(reason.clone()),
                };
                if let Ok(machine) = moved {
                    observed.machine = machine;
                }
            }
            Step::Place(instance) => {
                self.fleet.next_placement = self.fleet.next_placement.max(instance.placement + 1);
                if let Some(left) = &instance.leaving
                    && left.moves == Moves::StopFirst
                {
                    self.expect(ENDS, Due::Ended(left.machine.clone(), left.placement));
                }
                self.put(instance.clone());
                self.expect_healthy(instance, now.after(self.pace.healthy(&instance.job)));
            }
            Step::Return(id) => {
                let back = self.fleet.instances.get(id).and_then(|seen| seen.instance.back());
                if let Some(back) = back {
                    self.tell(back);
                }
            }
            Step::LetGo(id) => {
                let Some(seen) = self.fleet.instances.get(id) else { return };
                let instance = Instance { leaving: None, ..seen.instance.clone() };
                let is_well = seen.is_healthy();
                self.tell(instance.clone());
                if !is_well {
                    self.expect_healthy(&instance, now.after(self.pace.healthy(&instance.job)));
                }
            }
            Step::Remove(id) => {
                self.occupancy.remove(id);
                self.fleet.instances.remove(id);
            }
            Step::Retarget(id, deployment) => {
                let Some(seen) = self.fleet.instances.get(id) else { return };
                let deployment = deployment.clone();
                let instance = Instance { deployment, since: now, ..seen.instance.clone() };
                self.put(instance.clone());
                self.expect_healthy(&instance, now.after(self.pace.healthy(&instance.job)));
            }
            Step::Restart(id, beside) => {
                let Some(seen) = self.fleet.instances.get(id) else { return };
                let beside = beside.clone();
                let instance = Instance { beside, since: now, ..seen.instance.clone() };
                self.tell(instance.clone());
                self.expect_healthy(&instance, now.after(self.pace.healthy(&instance.job)));
            }
            // It is foreseen what serves, and not what is answered.
            Step::Publish(_) | Step::ForgetName(..) => {}
            Step::EndPause(scope) => {
                if let Some(pause) = self.fleet.brakes.pauses.get_mut(scope) {
                    pause.over = Some(now);
                }
            }
            Step::Finish(id, state, then) => self.finish(id, state.clone(), then.as_ref()),
            Step::Begin(id) => {
                if let Some(deployment) = self.fleet.deployments.get_mut(id) {
                    deployment.state = cerebro_model::DeploymentState::Running;
                    deployment.course.begun_at = Some(now);
                }
            }
            Step::Promote(id) => {
                if let Some(deployment) = self.fleet.deployments.get_mut(id) {
                    deployment.course.canary = Some(CanaryStage::Promoted { at: now });
                }
            }
            Step::Resume(id) => {
                let deployment = self.fleet.deployments.get_mut(id);
                if let Some(last) = deployment.and_then(|it| it.course.pauses.last_mut()) {
                    last.ended_at = Some(now);
                }
            }
        }
    }

    fn provision(&mut self, zone: &ZoneName) {
        let id = MachineId::nth(self.next_machine);
        self.next_machine += 1;
        let machine =
            Machine::new(id.clone(), zone.clone(), self.policy.machine_capacity, self.now);
        let observed = ObservedMachine {
            machine,
            last_heartbeat: None,
            probe: None,
            provider: None,
            peers: BTreeMap::new(),
            comebacks: Vec::new(),
            attempts: Vec::new(),
            reported: None,
            ended: BTreeSet::new(),
            idle_since: None,
        };
        self.fleet.machines.insert(id.clone(), observed);
        self.expect(self.pace.joins(), Due::Joins(id));
    }

    fn give_up(
        &mut self,
        id: &MachineId,
        why: &str,
        to: impl FnOnce(&Machine) -> Result<Machine, cerebro_model::MoveError>,
    ) {
        let Some(observed) = self.fleet.machines.get_mut(id) else { return };
        let Ok(machine) = to(&observed.machine) else { return };
        let tombstone = Tombstone {
            machine: id.clone(),
            zone: machine.zone.clone(),
            created_at: machine.created_at,
            at: self.now,
            why: why.to_owned(),
            certificate: None,
            instances: self.occupancy.tenants(id).cloned().collect(),
            gone_at: None,
        };
        observed.machine = machine;
        self.fleet.brakes.tombstones.insert(id.clone(), tombstone);
    }

    fn finish(
        &mut self,
        id: &DeploymentId,
        state: cerebro_model::DeploymentState,
        then: Option<&Restore>,
    ) {
        let Some(deployment) = self.fleet.deployments.get_mut(id) else { return };
        deployment.state = state;
        let job = deployment.job_name().clone();
        let Some(earlier) = then.and_then(|then| self.fleet.deployments.get(&then.from)) else {
            return;
        };
        let next = number_of_rollback(&self.fleet.deployments, &job, self.next_deployment);
        let Some((number, next)) = next else { return };
        let restored = earlier.restored(DeploymentId::nth(number), id.clone(), self.now);
        self.next_deployment = next;
        self.fleet.deployments.insert(restored.id.clone(), restored);
    }
}

fn healthy(instance: &Instance, now: Timestamp) -> InstanceStatus {
    InstanceStatus {
        id: instance.id.clone(),
        placement: instance.placement,
        deployment: Some(instance.deployment.clone()),
        phase: Phase::Healthy,
        pid: Some(1),
        restarts: 0,
        message: String::new(),
        since: now,
        life: Life { beside: Some(instance.beside.clone()), ..Life::default() },
    }
}
