//! What one machine does next, to run what it should.

use cerebro_model::{DeploymentId, InstanceId, MachineDesired};
use std::collections::BTreeMap;

/// How often a recipe is tried before it counts as failed: twice, as in the original.
pub const TRIES: u32 = 2;

/// An instance, as it is found on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actual {
    /// The placement that it was made for.
    pub placement: u64,
    /// The last run of its recipe.
    pub deployed: Option<Deployed>,
    /// The deployment whose configuration its task was given; none if there is no task.
    pub task: Option<DeploymentId>,
    /// What the task was started beside: what those ran then that the instance is linked to.
    pub beside: Vec<DeploymentId>,
    /// Whether an action on it is still under way.
    pub busy: bool,
}

/// The last run of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The deployment that it was for.
    pub deployment: DeploymentId,
    /// How often it failed; none if it succeeded.
    pub failures: Option<u32>,
}

/// The next safe step for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run the recipe; a task that runs goes on meanwhile.
    Deploy(InstanceId),
    /// Start the task.
    Start(InstanceId),
    /// End the task and start it with its new configuration.
    Replace(InstanceId),
    /// End the task, undo the deployment, and forget the instance.
    Remove(InstanceId),
}

/// The next step for each instance that needs one; none for those with one under way.
pub fn plan(desired: &MachineDesired, actual: &BTreeMap<InstanceId, Actual>) -> Vec<Action> {
    let wanted: BTreeMap<_, _> = desired.assignments.iter().map(|a| (&a.instance.id, a)).collect();
    let surplus = actual
        .iter()
        .filter(|(id, found)| !found.busy && !wanted.contains_key(id))
        .map(|(id, _)| Action::Remove(id.clone()));
    let missing = wanted.iter().filter_map(|(id, assignment)| {
        let id = InstanceId::clone(id);
        let deployment = &assignment.deployment.id;
        match actual.get(&id) {
            None => Some(Action::Deploy(id)),
            Some(found) if found.busy => None,
            Some(found) if found.placement != assignment.instance.placement => {
                Some(Action::Remove(id))
            }
            Some(found) => match &found.deployed {
                Some(last) if last.deployment == *deployment => {
                    match (last.failures, &found.task) {
                        (Some(failures), _) => (failures < TRIES).then_some(Action::Deploy(id)),
                        (None, None) => Some(Action::Start(id)),
                        (None, Some(task)) => {
                            let is_its = found.beside == assignment.instance.beside;
                            (task != deployment || !is_its).then_some(Action::Replace(id))
                        }
                    }
                }
                _ => Some(Action::Deploy(id)),
            },
        }
    });
    surplus.chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;

    fn found(task: Option<u64>, deployed: Option<(u64, Option<u32>)>) -> Actual {
        Actual {
            placement: 1,
            deployed: deployed
                .map(|(n, failures)| Deployed { deployment: DeploymentId::nth(n), failures }),
            task: task.map(DeploymentId::nth),
            beside: Vec::new(),
            busy: false,
        }
    }

    fn step(actual: Option<Actual>) -> Vec<Action> {
        let assignment = testing::assignment(2);
        let id = assignment.instance.id.clone();
        let desired = testing::desired(vec![assignment]);
        plan(&desired, &actual.into_iter().map(|found| (id.clone(), found)).collect())
    }

    #[test]
    fn recipe_first_then_the_task_then_nothing() {
        let id = testing::assignment(2).instance.id;
        assert_eq!(step(None), [Action::Deploy(id.clone())]);
        assert_eq!(step(Some(found(None, None))), [Action::Deploy(id.clone())]);
        assert_eq!(step(Some(found(None, Some((2, None))))), [Action::Start(id)]);
        assert_eq!(step(Some(found(Some(2), Some((2, None))))), []);
    }

    #[test]
    fn a_new_deployment_runs_its_recipe_while_the_old_task_goes_on() {
        let id = testing::assignment(2).instance.id;
        assert_eq!(step(Some(found(Some(1), Some((1, None))))), [Action::Deploy(id.clone())]);
        assert_eq!(step(Some(found(Some(1), Some((2, None))))), [Action::Replace(id)]);
    }

    #[test]
    fn what_is_linked_to_another_is_started_again_with_it_and_its_recipe_is_not_run() {
        let mut assignment = testing::assignment(2);
        let id = assignment.instance.id.clone();
        assignment.instance.beside = vec![DeploymentId::nth(9)];
        let desired = testing::desired(vec![assignment]);
        let mut actual = BTreeMap::from([(id.clone(), found(Some(2), Some((2, None))))]);
        assert_eq!(plan(&desired, &actual), [Action::Replace(id)]);
        actual.values_mut().for_each(|found| found.beside = vec![DeploymentId::nth(9)]);
        assert_eq!(plan(&desired, &actual), []);
    }

    #[test]
    fn a_recipe_is_tried_twice_and_the_old_task_is_left_alone_after() {
        let id = testing::assignment(2).instance.id;
        assert_eq!(step(Some(found(Some(1), Some((2, Some(1)))))), [Action::Deploy(id)]);
        assert_eq!(step(Some(found(Some(1), Some((2, Some(2)))))), []);
    }

    #[test]
    fn what_should_not_run_is_removed_and_what_is_busy_left_alone() {
        let id = testing::assignment(2).instance.id;
        let nothing = testing::desired(Vec::new());
        let mut actual = BTreeMap::from([(id.clone(), found(Some(1), None))]);
        assert_eq!(plan(&nothing, &actual), [Action::Remove(id.clone())]);
        actual.values_mut().for_each(|found| found.busy = true);
        assert_eq!(plan(&nothing, &actual), []);
        let moved = Actual { placement: 7, ..found(Some(2), Some((2, None))) };
        assert_eq!(step(Some(moved)), [Action::Remove(id)]);
    }
}
