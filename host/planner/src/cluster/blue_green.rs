//! A new version beside the old one: on other machines, until all of it is well; then the old one ends. If
//! it does not become well, its instances go back to where they have never ended.

use super::fill::{Filled, has_place};
use super::moves::Moves;
use super::need::Need;
use super::yard::{Search, Standing};
use super::{Fleet, Plan, SeenInstance, Step, WhyNot};
use cerebro_model::{self as model, Deployment, Instance, InstanceId, Strategy};

/// Whether a deployment brings its version beside the one that runs.
pub(super) fn is_one(deployment: &Deployment) -> bool {
    deployment.job.rollout.strategy == Strategy::BlueGreen
}

/// Whether an instance, which leaves a placement, is kept there: until all of its job is well with what it
/// runs now, or with something else. What is linked to it is kept with it.
pub(super) fn keeps(fleet: &Fleet, filled: &Filled<'_>, seen: &SeenInstance) -> bool {
    let Instance { job, zone, number, .. } = &seen.instance;
    let Some(first) = filled.families.first(job) else { return false };
    let first = fleet.instances.get(&InstanceId::new(*number, zone, first.job_name()));
    let runs = first.filter(|seen| seen.instance.leaving.is_some());
    let runs = runs.and_then(|seen| fleet.deployments.get(&seen.instance.deployment));
    runs.is_some_and(|it| is_one(it) && !it.state.has_succeeded())
}

/// The placement to which an instance goes back, if it has what `target` brings there still.
pub(super) fn way_back(
    fleet: &Fleet,
    target: &Deployment,
    seen: &SeenInstance,
) -> Option<Instance> {
    target.rolls_back.as_ref()?;
    let back = seen.instance.back()?;
    let brings_it = fleet.deployments.get(&back.deployment)?.brings_what(target);
    let is_there = fleet.machines.get(&back.machine)?.machine.state.runs();
    (brings_it && is_there).then_some(back)
}

/// Has an instance go back, and all that is linked to it and came with it.
pub(super) fn go_back(
    fleet: &Fleet,
    filled: &Filled<'_>,
    seen: &SeenInstance,
    back: &Instance,
    plan: &mut Plan,
) {
    for member in filled.families.family(&back.job) {
        let id = InstanceId::new(back.number, &back.zone, member.job_name());
        let Some(other) = fleet.instances.get(&id) else { continue };
        let left = other.instance.leaving.as_ref().map(|left| &left.machine);
        if left == Some(&back.machine) && other.instance.machine == seen.instance.machine {
            let reason = format!(
                "{id} goes back to {}, where it runs {} all the while",
                back.machine, back.deployment
            );
            plan.decide(Step::Return(id), reason);
        }
    }
}

impl<'a> Moves<'_, 'a> {
    /// Has an instance run `deployment` on another machine, while it goes on where it is with what it runs;
    /// what is linked to it comes along. If there is no room, a machine is asked for.
    pub(super) fn bring_beside(
        &mut self,
        fleet: &'a Fleet,
        deployment: &'a Deployment,
        seen: &'a SeenInstance,
        plan: &mut Plan,
    ) {
        // One that has left its place for a version that was given up tries the next one where it is.
        if seen.instance.leaving.is_some() || !has_place(fleet, seen) {
            return self.bring(deployment, &seen.instance, plan);
        }
        let (number, zone) = (seen.instance.number, &seen.instance.zone);
        let family = self.filled.families.family(deployment.job_name()).to_vec();
        let members: Vec<(&'a Deployment, &'a SeenInstance)> = family
            .iter()
            .filter_map(|member| {
                let id = InstanceId::new(number, zone, member.job_name());
                let there = fleet.instances.get(&id)?;
                let is_beside = there.instance.machine == seen.instance.machine;
                // What is linked to it comes as it is: its own version is its own affair.
                let runs = match member.id == deployment.id {
                    true => Some(*member),
                    false => fleet.deployments.get(&there.instance.deployment),
                };
                (is_beside && there.instance.leaving.is_none()).then_some((runs?, there))
            })
            .collect();
        let runs: Vec<_> = members.iter().map(|(runs, _)| *runs).collect();
        let need = match Need::of_family(&runs, zone) {
            Some(Ok(need)) => need,
            Some(Err(clash)) => {
                let job = deployment.job_name();
                return self.filled.has_no_place(job, zone, WhyNot::Clash(clash), plan);
            }
            None => return,
        };
        let here = self.filled.yard.index(&seen.instance.machine);
        let search = || here.map_or_else(Search::default, Search::except);
        let yard = &mut self.filled.yard;
        if let Some(index) = yard.best(zone, Standing::Here, &need, &mut search()) {
            return self.put_beside(index, &need, &members, deployment, plan);
        }
        let at_most = self.policy.zones.get(zone).map_or(0, |zone| zone.max);
        let capacity = self.policy.machine_capacity;
        let mut found = yard.best(zone, Standing::Coming, &need, &mut search());
        if found.is_none() && yard.alive(zone) < at_most && yard.wish(zone, capacity, &need) {
            let reason = format!(
                "{} has no room for {} beside the version that runs",
                deployment.job_name(),
                deployment.version
            );
            plan.decide(Step::Provision { zone: zone.clone() }, reason);
            found = yard.best(zone, Standing::Coming, &need, &mut search());
        }
        match found {
            // What is coming is spoken for.
            Some(index) => {
                for (member, there) in &members {
                    yard.take(index, &need, member, &there.instance.id, None);
                }
            }
            None => {
                let why = yard.why_not(zone, &need, capacity, at_most);
                let why = WhyNot::NoRoom(Box::new(why));
                self.filled.has_no_place(deployment.job_name(), zone, why, plan);
            }
        }
    }

    fn put_beside(
        &mut self,
        index: u32,
        need: &Need<'a>,
        members: &[(&'a Deployment, &'a SeenInstance)],
        deployment: &Deployment,
        plan: &mut Plan,
    ) {
        let Some(to) = self.filled.yard.machine(index).cloned() else { return };
        for (member, there) in members {
            let Instance { id, zone, number, machine, .. } = &there.instance;
            let ports = self.filled.yard.take(index, need, member, id, None);
            let placed = self.filled.instance(
                member,
                id.clone(),
                *number,
                zone,
                to.clone(),
                ports,
                self.now,
            );
            let leaving = Some(there.instance.left(model::Moves::StartFirst));
            self.filled.placed.insert(id.clone());
            let reason = format!(
                "{} comes there beside {}, which goes on on {machine}",
                deployment.id, there.instance.deployment
            );
            plan.decide(Step::Place(Instance { leaving, ..placed }), reason);
        }
    }
}
