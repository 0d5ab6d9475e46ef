//! Where a deployment would go, if it began now.

use super::fill::{self, has_place};
use super::moves::Moves;
use super::{Fleet, Occupancy, Plan, Policy, Step, blue_green};
use cerebro_model::{Deployment, Instance, InstanceId, Timestamp};
use std::collections::BTreeMap;

/// Where a deployment's instances would be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Places {
    /// Those that have a machine, or would be placed on one that is there.
    pub placed: Vec<Instance>,
    /// Those that would wait, each with what for.
    pub waiting: Vec<(InstanceId, String)>,
    /// Those that would end.
    pub leaving: Vec<InstanceId>,
}

/// Where the instances of `deployment` would be, if it began now, on machines that are there.
pub fn places(
    mut fleet: Fleet,
    policy: &Policy,
    deployment: &Deployment,
    now: Timestamp,
) -> Places {
    fleet.deployments.insert(deployment.id.clone(), deployment.clone());
    let mut plan = Plan::default();
    let occupancy = Occupancy::of(&fleet);
    let mut filled = fill::plan(&fleet, &occupancy, policy, now, &mut plan);
    if let Some(target) = filled.families.target(deployment.job_name())
        && blue_green::is_one(target)
    {
        let wanted = filled.families.wanted(deployment.job_name());
        let mut moves = Moves { occupancy: &occupancy, policy, now, filled: &mut filled };
        for seen in wanted.iter().filter_map(|id| fleet.instances.get(id)) {
            if seen.is_healthy() {
                moves.bring_beside(&fleet, target, seen, &mut plan);
            }
        }
    }
    let mut places = Places::default();
    let mut anew = BTreeMap::new();
    for decision in plan.decisions {
        match decision.step {
            Step::Place(instance) => drop(anew.insert(instance.id.clone(), instance)),
            Step::Remove(id) => {
                let leaves = fleet.instances.get(&id);
                if leaves.is_some_and(|seen| seen.instance.job == *deployment.job_name()) {
                    places.leaving.push(id);
                }
            }
            _ => {}
        }
    }
    for id in filled.families.wanted(deployment.job_name()) {
        let present = fleet.instances.get(&id).filter(|seen| has_place(&fleet, seen));
        let there = present.map(|seen| Instance {
            deployment: deployment.id.clone(),
            since: now,
            ..seen.instance.clone()
        });
        match anew.remove(&id).or(there) {
            Some(instance) => places.placed.push(instance),
            None => {
                let why = filled.unplaced.get(deployment.job_name()).map(ToString::to_string);
                let machine = || "a machine must be made for it, or join, first".to_owned();
                places.waiting.push((id, why.unwrap_or_else(machine)));
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, deployment, fleet, job, policy};
    use super::super::tests::settle;
    use super::*;
    use cerebro_model::{Megabytes, ZoneLayout};

    #[test]
    fn instances_are_where_they_are_or_would_be_and_the_rest_is_told() {
        let mut job = job("a.b", 2, 2.0, 100);
        let mut fleet = fleet(std::slice::from_ref(&job), 1, at(1));
        settle(&mut fleet, &policy(1, 3), at(1));
        let on: Vec<_> =
            fleet.instances.values().map(|seen| seen.instance.machine.clone()).collect();

        // The machine is full: two more need another.
        let zone = job.deployment_layout.keys().next().unwrap().clone();
        let layout = |count| ZoneLayout::new(Megabytes::new(1), count);
        job.deployment_layout.insert(zone.clone(), layout(4));
        let next = deployment(2, &job);
        let found = places(fleet.clone(), &policy(1, 3), &next, at(2));
        let there: Vec<_> = found.placed.iter().map(|instance| instance.machine.clone()).collect();
        assert_eq!(there, on);
        assert!(found.placed.iter().all(|instance| instance.deployment == next.id));
        assert_eq!(found.waiting.len(), 2);
        assert!(found.waiting[0].1.contains("a machine must be made"), "{:?}", found.waiting);
        let found = places(fleet.clone(), &policy(1, 1), &next, at(2));
        assert!(found.waiting[0].1.contains("1 lacks cores (m-1: 0 cores"), "{:?}", found.waiting);

        job.deployment_layout.insert(zone, layout(1));
        let found = places(fleet, &policy(1, 1), &deployment(2, &job), at(2));
        assert_eq!((found.placed.len(), found.leaving.len(), found.waiting.len()), (1, 1, 0));
    }
}
