//! What each machine is told to run.

use super::{Cluster, State};
use cerebro_model::{
    Assignment, Deployment, DeploymentState, Instance, Machine, MachineDesired, MachineId, Version,
};
use std::net::SocketAddr;
use std::ops::Bound;

/// Other machines that one is told of.
const PEERS: usize = 3;

impl Cluster {
    /// What `id` should run; nothing if it was given up. The index grows whenever that changes.
    pub fn desired(&self, id: &MachineId) -> MachineDesired {
        let mut state = self.state();
        let assignments = assignments(&state, id);
        let observed = &mut state.observed;
        let index = match observed.told.get(id) {
            Some((index, told)) if *told == assignments => *index,
            _ => {
                observed.last_index += 1;
                observed.told.insert(id.clone(), (observed.last_index, assignments.clone()));
                observed.last_index
            }
        };
        let peers = peers(&state, id);
        MachineDesired { machine: id.clone(), term: self.term(), index, assignments, peers }
    }

    /// What the machine of `instance` would be told, if `deployment` were what that should run.
    pub fn assignment(&self, instance: Instance, deployment: Deployment) -> Assignment {
        let previous_version = previous_version(&self.state(), &instance);
        Assignment { instance, deployment, previous_version }
    }
}

/// The agents of the machines that follow `id`, and of the first ones behind the last.
fn peers(state: &State, id: &MachineId) -> Vec<SocketAddr> {
    let machines = &state.records.machines;
    let following = machines.range((Bound::Excluded(id), Bound::Unbounded));
    let around = following.chain(machines.range(..id)).map(|(_, record)| &record.machine);
    let agent = |machine: &Machine| {
        let (address, port) = (machine.address?, machine.agent_port?);
        machine.state.runs().then(|| SocketAddr::new(address, port))
    };
    around.filter_map(agent).take(PEERS).collect()
}

fn assignments(state: &State, id: &MachineId) -> Vec<Assignment> {
    let records = &state.records;
    if !records.machines.get(id).is_some_and(|record| record.machine.state.runs()) {
        return Vec::new();
    }
    let occupancy = state.kept.occupancy();
    let on_it = occupancy.tenants(id).chain(occupancy.leaving(id));
    on_it
        .filter_map(|instance| records.instances.get(instance)?.on(id))
        .filter_map(|instance| {
            let mut deployment = records.deployments.get(&instance.deployment)?.clone();
            // A plan binds the rollout. Who is placed after it is placed on another machine.
            if deployment.state.has_succeeded() {
                deployment.held_to = None;
            }
            // How far it is elsewhere is nothing to this machine, and must not wake it.
            deployment.state = DeploymentState::Running;
            let previous_version = previous_version(state, &instance);
            Some(Assignment { instance, deployment, previous_version })
        })
        .collect()
}

fn previous_version(state: &State, instance: &Instance) -> Option<Version> {
    let before = state.records.deployments.values().filter(|deployment| {
        deployment.job_name() == &instance.job
            && matches!(deployment.state, DeploymentState::Succeeded { .. })
            && deployment.id.ordinal() < instance.deployment.ordinal()
    });
    before
        .max_by_key(|deployment| deployment.id.ordinal())
        .map(|deployment| deployment.version.clone())
}
