//! What each machine is told to run.

use super::{Cluster, State};
use cerebro_model::{
    Assignment, Deployment, DeploymentState, Instance, MachineDesired, MachineId, Version,
};

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
        MachineDesired { machine: id.clone(), term: self.term(), index, assignments }
    }

    /// What the machine of `instance` would be told, if `deployment` were what that should run.
    pub fn assignment(&self, instance: Instance, deployment: Deployment) -> Assignment {
        let previous_version = previous_version(&self.state(), &instance);
        Assignment { instance, deployment, previous_version }
    }
}

fn assignments(state: &State, id: &MachineId) -> Vec<Assignment> {
    let records = &state.records;
    if !records.machines.get(id).is_some_and(|record| record.machine.state.is_active()) {
        return Vec::new();
    }
    let on_it = records.instances.values().filter(|instance| instance.machine == *id);
    on_it
        .filter_map(|instance| {
            let mut deployment = records.deployments.get(&instance.deployment)?.clone();
            // How far it is elsewhere is nothing to this machine, and must not wake it.
            deployment.state = DeploymentState::Running;
            let previous_version = previous_version(state, instance);
            Some(Assignment { instance: instance.clone(), deployment, previous_version })
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
