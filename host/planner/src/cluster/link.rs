//! Linked jobs: what runs beside a master's instance is started again when that has got another
//! deployment and is well with it.

use super::family::Families;
use super::fill::Filled;
use super::{Fleet, Plan, SeenInstance, Step, gate};
use cerebro_model::{Deployment, DeploymentId, Instance, InstanceId, Job, Timestamp};

/// What those run that an instance of `job` is linked to, the nearest first: what it runs beside.
pub fn beside<'a>(
    instance: &Instance,
    job: &Job,
    find: impl Fn(&InstanceId) -> Option<&'a Instance>,
) -> Vec<DeploymentId> {
    let Some(master) = &job.linked_job else { return Vec::new() };
    let master = find(&InstanceId::new(instance.number, &instance.zone, master));
    master.map_or_else(Vec::new, runs_and_beside)
}

/// What an instance runs, and what that runs beside.
fn runs_and_beside(instance: &Instance) -> Vec<DeploymentId> {
    std::iter::once(&instance.deployment).chain(&instance.beside).cloned().collect()
}

/// Starts those again whose master has changed.
pub(super) fn plan(fleet: &Fleet, filled: &Filled<'_>, now: Timestamp, plan: &mut Plan) {
    for family in &filled.families.all {
        let Some((first, linked)) = family.split() else { continue };
        if linked.is_empty() || family.members.iter().all(|member| !member.state.is_running()) {
            continue;
        }
        for zone in first.job.deployment_layout.keys() {
            for number in 0..filled.families.count(first, zone) {
                for member in linked {
                    let id = InstanceId::new(number, zone, member.job_name());
                    if filled.placed.contains(&id) {
                        continue;
                    }
                    let Some(seen) = fleet.instances.get(&id) else { continue };
                    follow(fleet, filled, member, seen, now, plan);
                }
            }
        }
    }
}

fn follow(
    fleet: &Fleet,
    filled: &Filled<'_>,
    member: &Deployment,
    seen: &SeenInstance,
    now: Timestamp,
    plan: &mut Plan,
) {
    let Instance { id, number, zone, .. } = &seen.instance;
    let Some(job) = &member.job.linked_job else { return };
    let master = InstanceId::new(*number, zone, job);
    let Some(of_master) = fleet.instances.get(&master) else { return };
    let Some(brought) = fleet.deployments.get(&of_master.instance.deployment) else { return };
    let now_beside = runs_and_beside(&of_master.instance);
    // One that gets another deployment itself is started by that.
    let is_its_own = seen.instance.deployment != member.id;
    // Of one that was placed by an older version nobody knows what it was started beside.
    let is_unknown = seen.instance.beside.is_empty() && !brought.state.is_running();
    let is_held = brought.pause().is_some();
    if is_its_own || is_unknown || is_held || seen.instance.beside == now_beside {
        return;
    }
    if filled.placed.contains(&master) || !gate::counts(of_master, &brought.job.rollout, now) {
        return;
    }
    let what = match seen.instance.beside.first() == Some(&brought.id) {
        true => "was started again".to_owned(),
        false => format!("runs {} now", brought.id),
    };
    let reason = format!("{id} is started again: {master} {what}");
    plan.decide(Step::Restart(id.clone(), now_beside), reason);
}

/// Those that are linked to an instance, directly or through others, and are to follow it: each with
/// what it runs, and whether it has been told to.
pub(super) fn followers<'a>(
    fleet: &'a Fleet,
    families: &Families<'a>,
    master: &Instance,
) -> Vec<(&'a SeenInstance, &'a Deployment, bool)> {
    let mut found: Vec<(&SeenInstance, &Deployment, bool)> = Vec::new();
    let mut masters = vec![master];
    while let Some(master) = masters.pop() {
        let now_beside = runs_and_beside(master);
        for member in families.family(&master.job) {
            if member.job.linked_job.as_ref() != Some(&master.job) {
                continue;
            }
            let id = InstanceId::new(master.number, &master.zone, member.job_name());
            let Some(seen) = fleet.instances.get(&id) else { continue };
            if seen.instance.deployment == member.id {
                found.push((seen, member, seen.instance.beside == now_beside));
                masters.push(&seen.instance);
            }
        }
    }
    found
}
