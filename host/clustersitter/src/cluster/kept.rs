//! The planner's view of the state, kept beside it: made anew for each look, its making would cost
//! more than the look.

use crate::records::{MachineRecord, Records, Touched};
use cerebro_model::{Instance, InstanceStatus, MachineId, PeerWord, Proposal, Timestamp, ZoneName};
use cerebro_planner::cluster::{
    BrakeRecords, Clocks, Entry, Fleet, Full, Named, ObservedMachine, Occupancy, Plan, Policy,
    Probe, ProviderWord, Recorder, SeenInstance, mark_idle, plan_with,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the planner looks at. It follows every change of the records, and all that is heard.
#[derive(Debug, Default)]
pub(super) struct Kept {
    fleet: Fleet,
    occupancy: Occupancy,
    /// What of it has changed since a look was kept: whoever changes it here tells that.
    recorder: Recorder,
}

impl Kept {
    /// Of what the store kept; nothing was heard yet.
    pub(super) fn of(records: &Records) -> Self {
        let mut kept = Self::default();
        kept.follow(records.all(), records);
        kept
    }

    /// The records were read again: what was heard of what is still there holds on.
    pub(super) fn renew(&mut self, records: &Records) {
        let before = std::mem::replace(self, Self::of(records));
        self.recorder.begin_anew();
        for (id, observed) in before.fleet.machines {
            if let Some(now) = self.fleet.machines.get_mut(&id) {
                let (machine, comebacks, attempts) =
                    (now.machine.clone(), now.comebacks.clone(), now.attempts.clone());
                *now = ObservedMachine { machine, comebacks, attempts, ..observed };
            }
        }
        self.fleet.own = before.fleet.own;
        self.fleet.approvals = before.fleet.approvals;
        self.fleet.full = before.fleet.full;
        for (id, seen) in before.fleet.instances {
            if let Some(now) = self.fleet.instances.get_mut(&id) {
                *now = seen.told_anew(now.instance.clone());
            }
        }
        for (name, named) in before.fleet.names {
            if let Some(now) = self.fleet.names.get_mut(&name) {
                *now = named.recorded_anew(now.publication.clone());
            }
        }
        self.occupancy = Occupancy::of(&self.fleet);
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Since when a machine is without work, if it is.
    pub(super) fn idle_since(&self, id: &MachineId) -> Option<Timestamp> {
        self.fleet.machines.get(id)?.idle_since
    }

    /// Who is where.
    pub(super) fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    /// Looks, and says what comes of it.
    pub(super) fn plan(&mut self, policy: &Policy, clocks: Clocks) -> Plan {
        if self.fleet.look(clocks, policy) {
            self.recorder.begin_anew();
        }
        mark_idle(&mut self.fleet, &self.occupancy, clocks.wall);
        plan_with(&self.fleet, &self.occupancy, policy, clocks.wall)
    }

    /// The look just taken, as it is kept.
    pub(super) fn entry(&mut self, policy: &Policy, now: Timestamp, whole: bool) -> Entry {
        self.recorder.entry(&self.fleet, policy, now, whole)
    }

    /// A look was not kept: the next one cannot build on it.
    pub(super) fn not_kept(&mut self) {
        self.recorder.begin_anew();
    }

    /// What follows from a look for the next one.
    pub(super) fn looked(&mut self, plan: &Plan, now: Timestamp) {
        // An approval goes with what it approved.
        let proposals = &plan.proposals;
        self.fleet
            .approvals
            .retain(|id, since| proposals.iter().any(|it| it.id == *id && it.since == *since));
        if let Some(why) = &plan.doubt {
            self.doubt(now, why.clone());
        }
    }

    /// A person has approved a repair, for what speaks for it now.
    pub(super) fn approve(&mut self, proposal: &Proposal) {
        self.fleet.approvals.insert(proposal.id.clone(), proposal.since);
    }

    /// The controller has reason to doubt itself, now.
    pub(super) fn doubt(&mut self, now: Timestamp, why: String) {
        self.fleet.own.doubt(now, why);
    }

    /// `records` have changed in what was touched.
    pub(super) fn follow(&mut self, touched: Vec<Touched>, records: &Records) {
        // A deployment goes before the instances that run it: what they take depends on it.
        for one in &touched {
            match one {
                Touched::Deployment(id) => {
                    self.recorder.deployment(id);
                    let deployment = records.deployments.get(id).cloned();
                    let job = deployment.as_ref().map(|it| it.job_name().clone());
                    set(&mut self.fleet.deployments, id, deployment);
                    if let Some(job) = job {
                        self.occupancy.heard_of_deployment(&self.fleet, &job);
                    }
                }
                Touched::Job(name) => {
                    self.recorder.job(name);
                    set(&mut self.fleet.jobs, name, records.jobs.get(name).cloned());
                }
                Touched::Machine(id) => self.machine(id, records),
                Touched::Brakes => {
                    let observe_only = records.repair_mode.as_ref().map(|mode| mode.observe_only);
                    let (pauses, tombstones) = (records.pauses.clone(), records.tombstones.clone());
                    self.fleet.brakes = BrakeRecords { pauses, tombstones, observe_only };
                }
                Touched::Instance(_) | Touched::Name(_) => {}
            }
        }
        for one in &touched {
            let Touched::Instance(id) = one else { continue };
            self.recorder.instance(id);
            match records.instances.get(id) {
                Some(instance) => self.instance(instance),
                None => {
                    self.fleet.instances.remove(id);
                    self.occupancy.remove(id);
                }
            }
            self.occupancy.heard_of(&self.fleet, id);
        }
        for one in &touched {
            let Touched::Name(name) = one else { continue };
            self.recorder.name(name);
            let before = self.fleet.names.remove(name);
            if let Some(publication) = records.names.get(name).cloned() {
                let named = match before {
                    Some(named) => named.recorded_anew(publication),
                    None => Named::recorded(publication),
                };
                self.fleet.names.insert(name.clone(), named);
            }
            self.occupancy.published(&self.fleet, name);
        }
        self.fleet.next_placement = records.counters.placement;
    }

    fn instance(&mut self, instance: &Instance) {
        let seen = match self.fleet.instances.remove(&instance.id) {
            Some(seen) => seen.told_anew(instance.clone()),
            None => SeenInstance::told(instance.clone()),
        };
        self.occupancy.put(instance, |id| self.fleet.deployments.get(id));
        self.fleet.instances.insert(instance.id.clone(), seen);
    }

    fn machine(&mut self, id: &MachineId, records: &Records) {
        self.recorder.machine(id);
        self.machine_record(id, records);
        self.occupancy.heard_of_machine(&self.fleet, id);
    }

    fn machine_record(&mut self, id: &MachineId, records: &Records) {
        let Some(record) = records.machines.get(id) else {
            self.fleet.machines.remove(id);
            return;
        };
        let MachineRecord { machine, comebacks, attempts, .. } = record.clone();
        match self.fleet.machines.get_mut(id) {
            Some(observed) => {
                (observed.machine, observed.comebacks, observed.attempts) =
                    (machine, comebacks, attempts);
            }
            None => {
                let observed = ObservedMachine {
                    machine,
                    last_heartbeat: None,
                    probe: None,
                    provider: None,
                    peers: BTreeMap::new(),
                    comebacks,
                    attempts,
                    reported: None,
                    ended: BTreeSet::new(),
                    idle_since: None,
                };
                self.fleet.machines.insert(id.clone(), observed);
            }
        }
    }

    /// A heartbeat came.
    pub(super) fn heard(&mut self, id: &MachineId, at: Timestamp) {
        if let Some(observed) = self.fleet.machines.get_mut(id) {
            observed.last_heartbeat = Some(at);
            // What was said of its silence is of no use any more.
            observed.peers.clear();
        }
    }

    /// A probe ended.
    pub(super) fn probed(&mut self, id: &MachineId, probe: Probe) {
        if let Some(observed) = self.fleet.machines.get_mut(id) {
            observed.probe = Some(probe);
            self.recorder.machine(id);
        }
    }

    /// The provider spoke.
    pub(super) fn provider_said(&mut self, id: &MachineId, word: ProviderWord) {
        if let Some(observed) = self.fleet.machines.get_mut(id) {
            observed.provider = Some(word);
            self.recorder.machine(id);
        }
    }

    /// The provider had a machine in a zone, or none.
    pub(super) fn provider_had_room(
        &mut self,
        zone: &ZoneName,
        room: Result<(), &str>,
        now: Timestamp,
    ) {
        let full = &mut self.fleet.full;
        match room {
            Ok(()) => drop(full.remove(zone)),
            Err(why) => {
                let since = full.get(zone).map_or(now, |known| known.since);
                full.insert(zone.clone(), Full { since, at: now, why: why.to_owned() });
            }
        }
    }

    /// Another machine spoke of one.
    pub(super) fn peer_said(&mut self, id: &MachineId, word: PeerWord) {
        if let Some(observed) = self.fleet.machines.get_mut(id) {
            observed.peers.insert(word.peer.clone(), word);
            self.recorder.machine(id);
        }
    }

    /// A machine said all that it has; answers whether that is news.
    pub(super) fn has(&mut self, id: &MachineId, instances: &[InstanceStatus]) -> bool {
        let Some(observed) = self.fleet.machines.get_mut(id) else { return false };
        let has: BTreeSet<u64> = instances.iter().map(|status| status.placement).collect();
        let leaving = self.occupancy.leaving(id).filter_map(|it| self.fleet.instances.get(it));
        let left = leaving.filter_map(|seen| seen.instance.leaving.as_ref());
        let ended = left.map(|left| left.placement).filter(|it| !has.contains(it)).collect();
        let reported = Some(instances.len());
        let is_news = observed.reported != reported || observed.ended != ended;
        (observed.reported, observed.ended) = (reported, ended);
        if is_news {
            self.recorder.machine(id);
        }
        is_news
    }

    /// A machine spoke of an instance that leaves it.
    pub(super) fn left_reported(&mut self, status: &InstanceStatus) {
        if let Some(seen) = self.fleet.instances.get_mut(&status.id) {
            seen.hear_left(status.clone());
            self.recorder.instance(&status.id);
            self.occupancy.heard_of(&self.fleet, &status.id);
        }
    }

    /// A machine spoke of an instance's present placement.
    pub(super) fn reported(&mut self, status: &InstanceStatus, at: Timestamp) {
        if let Some(seen) = self.fleet.instances.get_mut(&status.id) {
            seen.hear(status.clone(), at);
            self.recorder.instance(&status.id);
            self.occupancy.heard_of(&self.fleet, &status.id);
        }
    }

    /// What is recorded of a name is answered now, and what was answered before may be kept for so long.
    pub(super) fn said(&mut self, name: &str, revision: u64, at: Timestamp, kept: Duration) {
        if let Some(named) = self.fleet.names.get_mut(name) {
            named.say(revision, at, kept);
            self.recorder.name(name);
        }
    }
}

fn set<K: Ord + Clone, T>(map: &mut std::collections::BTreeMap<K, T>, key: &K, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(key.clone(), value)),
        None => drop(map.remove(key)),
    }
}
