//! What goes on, and what stands still, while no controller is there.

use crate::cluster::family::Families;
use crate::cluster::{Fleet, Policy, repair};
use cerebro_model::{JobName, MachineId, MachineState, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// What goes on by itself, and what stands still, in sentences.
pub(super) fn words(
    fleet: &Fleet,
    policy: &Policy,
    lasts: Duration,
    now: Timestamp,
) -> (Vec<String>, Vec<String>) {
    (goes_on(fleet), stands_still(fleet, policy, lasts, now))
}

fn goes_on(fleet: &Fleet) -> Vec<String> {
    let machines = fleet.machines.values().filter(|it| it.machine.state.runs()).count();
    let (instances, well) =
        (fleet.instances.len(), fleet.instances.values().filter(|it| it.is_healthy()).count());
    vec![
        format!(
            "{instances} instances on {machines} machines run on, {well} of them healthy now; whatever of them ends \
             is started again on its machine, and checks go on"
        ),
        "agents do what they were told last: a recipe that runs comes to its end, and one that fails is taken back \
         on its machine"
            .to_owned(),
    ]
}

fn stands_still(fleet: &Fleet, policy: &Policy, lasts: Duration, now: Timestamp) -> Vec<String> {
    let back = now.after(lasts);
    let mut lines =
        vec!["nothing can be asked for: no deployment, no drain, no pause, and no page".to_owned()];
    let families = Families::of(fleet);
    for deployment in fleet.deployments.values().filter(|it| !it.state.has_ended()) {
        let (id, job) = (&deployment.id, deployment.job_name());
        if deployment.state.is_queued() {
            lines.push(format!("{id} of {job} waits in the queue"));
            continue;
        }
        let has = fleet.instances.values();
        let has = has.filter(|it| it.instance.deployment == *id).count();
        let wanted = families.wanted(job).len();
        lines.push(format!(
            "{id} of {job} stands still with {has} of {wanted} instances, and loses no time of its deadline"
        ));
    }
    for (job, missing) in missing(fleet, &families) {
        lines.push(format!("{missing} instances of {job} have no machine, and get none"));
    }
    for (id, observed) in &fleet.machines {
        let machine = &observed.machine;
        let here = || fleet.instances.values().filter(|it| it.instance.machine == *id).count();
        lines.extend(match &machine.state {
            MachineState::Draining { drain, .. } if drain.drained_at.is_none() => {
                Some(format!("{id} is drained no further: {} instances are on it", here()))
            }
            MachineState::Pending { .. } => Some(format!("{id} is not made, or cannot join")),
            MachineState::Maintenance { maintenance, .. } if maintenance.until <= back => {
                Some(format!("the maintenance of {id} ends at {}, unrecorded", maintenance.until))
            }
            MachineState::Lost { .. } | MachineState::Terminating { .. } => {
                Some(format!("what is left of {id} is not destroyed"))
            }
            _ if repair::is_silent(observed, policy, now) => {
                Some(format!("{id} is silent, and is not given up"))
            }
            _ => None,
        });
    }
    for pause in fleet.brakes.pauses.values().filter(|it| it.holds(now) && it.until <= back) {
        lines.push(format!("the pause of {} ends at {}, unrecorded", pause.scope, pause.until));
    }
    lines.push(next_death(fleet, &families));
    let listens = policy.detection().as_secs_f64();
    lines.push(format!(
        "the next controller goes on with what was begun, and gives no machine up before it has listened for \
         {listens} s"
    ));
    lines
}

/// How many instances of each job have no machine that counts.
fn missing<'a>(fleet: &'a Fleet, families: &Families<'a>) -> BTreeMap<&'a JobName, usize> {
    let has_place = |id: &cerebro_model::InstanceId| {
        let machine = fleet.instances.get(id).map(|it| &it.instance.machine);
        let machine = machine.and_then(|id| fleet.machines.get(id));
        machine.is_some_and(|it| it.machine.state.runs())
    };
    let missing = fleet.jobs.keys().map(|job| {
        let wanted = families.wanted(job);
        (job, wanted.iter().filter(|id| !has_place(id)).count())
    });
    missing.filter(|(_, missing)| *missing > 0).collect()
}

/// Whom the death of one more machine would leave without any instance.
fn next_death(fleet: &Fleet, families: &Families<'_>) -> String {
    let mut on: BTreeMap<(&JobName, &MachineId), usize> = BTreeMap::new();
    for seen in fleet.instances.values().filter(|it| it.is_healthy()) {
        *on.entry((&seen.instance.job, &seen.instance.machine)).or_default() += 1;
    }
    let well = |job: &JobName| -> usize {
        on.iter().filter(|((of, _), _)| *of == job).map(|(_, count)| count).sum()
    };
    let mut alone: Vec<_> = on.iter().filter(|((job, _), count)| well(job) == **count).collect();
    alone.retain(|((job, _), _)| !families.wanted(job).is_empty());
    let named: Vec<_> =
        alone.iter().take(5).map(|((job, machine), _)| format!("{job} (on {machine})")).collect();
    let more = alone.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match named.is_empty() {
        true => "a machine that dies meanwhile is not replaced; each job has instances elsewhere"
            .to_owned(),
        false => format!(
            "a machine that dies meanwhile is not replaced; all that serves of these jobs is on one: {}{more}",
            named.join(", ")
        ),
    }
}
