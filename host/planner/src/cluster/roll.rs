//! Brings a running deployment to the instances that have another one, a batch at a time.

use super::canary::{self, Standing};
use super::fill::Filled;
use super::link;
use super::moves::Moves;
use super::{
    Fleet, Note, Occupancy, Plan, Policy, Restore, SeenInstance, Step, WhyNot, blue_green, brakes,
    dns, gate, queue, rollback,
};
use cerebro_model::{
    Canary, CanaryStage, Deployment, DeploymentState, JobName, Promote, Rollout, Timestamp,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn plan<'a>(
    fleet: &'a Fleet,
    occupancy: &'a Occupancy,
    policy: &Policy,
    now: Timestamp,
    filled: &mut Filled<'a>,
    plan: &mut Plan,
) {
    queue::plan(fleet, policy, now, plan);
    let mut moves = Moves { occupancy, policy, now, filled };
    for deployment in fleet.deployments.values().filter(|d| d.state.is_running()) {
        if !fleet.jobs.contains_key(deployment.job_name()) {
            let reason = "its job was deleted".to_owned();
            finish(deployment, DeploymentState::Failed { at: now, reason }, None, plan);
        } else if moves
            .filled
            .families
            .target(deployment.job_name())
            .is_some_and(|target| target.id == deployment.id)
        {
            let policy = &brakes::excused(fleet, policy, deployment, now);
            roll(fleet, deployment, policy, now, &mut moves, plan);
        }
    }
}

pub(super) fn finish(
    deployment: &Deployment,
    state: DeploymentState,
    then: Option<Restore>,
    plan: &mut Plan,
) {
    let reason = match &state {
        DeploymentState::Failed { reason, .. } => reason.clone(),
        _ => format!(
            "every instance of {} has {} and is healthy",
            deployment.job_name(),
            deployment.version
        ),
    };
    plan.decide(Step::Finish(deployment.id.clone(), state, then), reason);
}

fn roll<'a>(
    fleet: &'a Fleet,
    deployment: &'a Deployment,
    policy: &Policy,
    now: Timestamp,
    moves: &mut Moves<'_, 'a>,
    plan: &mut Plan,
) {
    let rollout = &deployment.job.rollout;
    let wanted = moves.filled.families.wanted(deployment.job_name());
    let present: Vec<&SeenInstance> =
        wanted.iter().filter_map(|id| fleet.instances.get(id)).collect();
    let (spared, concerned): (Vec<&SeenInstance>, Vec<&SeenInstance>) =
        present.into_iter().partition(|seen| rollback::needs_nothing(fleet, deployment, seen));
    let (mut reached, mut waiting): (Vec<_>, Vec<_>) =
        concerned.into_iter().partition(|seen| seen.instance.deployment == deployment.id);
    let is_beside = blue_green::is_one(deployment);
    let look = Look { deployment, policy, now };
    let linked: Vec<_> = reached
        .iter()
        .flat_map(|seen| link::followers(fleet, &moves.filled.families, &seen.instance))
        .filter_map(|(linked, its, told)| told.then_some((linked, &its.job.rollout)))
        .collect();
    let failure =
        look.failure(&reached, &moves.filled.unplaced).or_else(|| look.failure_beside(&linked));
    if let Some(pause) = deployment.pause() {
        if pause.until.is_some_and(|until| now >= until) {
            let reason = format!("its pause has come to its end ({})", pause.reason);
            plan.decide(Step::Resume(deployment.id.clone()), reason);
        } else if let Some(why) = failure {
            let (deployment, job) = (deployment.id.clone(), deployment.job_name().clone());
            plan.notes.push(Note::Failing { deployment, job, why });
        }
        return;
    }
    if let Some(reason) = failure {
        return look.fail(fleet, reason, plan);
    }
    // What runs elsewhere still as it did is there again at once, and costs nothing.
    waiting.retain(|seen| {
        let back = blue_green::way_back(fleet, deployment, seen);
        let is_placed = moves.filled.placed.contains(&seen.instance.id);
        if let Some(back) = back.as_ref().filter(|_| !is_placed) {
            blue_green::go_back(fleet, moves.filled, seen, back, plan);
        }
        back.is_none()
    });
    // One that is being placed just now is away too.
    let is_placed = |seen: &&SeenInstance| moves.filled.placed.contains(&seen.instance.id);
    // And so is one until those that are linked to it have been started again, and are well.
    let families = &moves.filled.families;
    let followed = |seen: &SeenInstance| {
        link::followers(fleet, families, &seen.instance)
            .iter()
            .all(|(linked, its, told)| *told && gate::counts(linked, &its.job.rollout, now))
    };
    let is_away = |seen: &&SeenInstance| {
        !gate::counts(seen, rollout, now) || is_placed(seen) || !followed(seen)
    };
    let away = reached.iter().filter(|seen| is_away(seen)).count();
    let all_have_a_place = !moves.filled.unplaced.contains_key(deployment.job_name());
    let canary = rollout.canary.as_ref().filter(|_| deployment.is_canary());
    if let Some(canary) = canary {
        let standing = canary::of(canary, deployment, &reached, waiting.len(), now);
        if look.canary(canary, &standing, plan) {
            return;
        }
    } else if away == 0 && reached.len() + spared.len() == wanted.len() && all_have_a_place {
        return finish(deployment, DeploymentState::Succeeded { at: now }, None, plan);
    }
    let at_most = canary.map_or(usize::MAX, |canary| canary::may_reach(canary, reached.len()));
    // One that was not heard of, as after a restart of ours, may well serve: it is left alone.
    let (heard, unheard): (Vec<_>, Vec<_>) =
        waiting.into_iter().filter(|seen| !is_placed(seen)).partition(|seen| seen.status.is_some());
    // Those that are known not to serve go first, and cost nothing.
    let (mut first, serving): (Vec<_>, Vec<_>) =
        heard.into_iter().partition(|seen| !seen.is_healthy());
    // Beside what runs, nothing is away: all of it comes at once.
    let room = match is_beside {
        true => usize::MAX,
        false => (rollout.batch.max(1) as usize).saturating_sub(away + first.len()),
    };
    first.extend(serving.into_iter().take(room));
    for seen in first.into_iter().take(at_most) {
        if is_beside && seen.is_healthy() {
            moves.bring_beside(fleet, deployment, seen, plan);
        } else {
            moves.bring(deployment, &seen.instance, plan);
        }
    }
    let stalled = look.has_no_place(&reached, &moves.filled.unplaced);
    reached.extend(linked.iter().map(|(seen, _)| *seen));
    if let Some(reason) = stalled.or_else(|| look.stands_still(&reached, &unheard)) {
        look.fail(fleet, reason, plan);
    }
}

/// A look at one deployment.
struct Look<'a> {
    deployment: &'a Deployment,
    policy: &'a Policy,
    now: Timestamp,
}

impl Look<'_> {
    /// The time that counts against deadlines. While no controller was there to see it, none was lost,
    /// nor while a person held it.
    fn gone_by(&self, since: Timestamp) -> Duration {
        self.deployment.course.gone_by(since.max(self.policy.started_at), self.now)
    }

    /// When it came further last: began, was promoted, or told another instance to run it.
    fn came_further_at(&self, reached: &[&SeenInstance]) -> Timestamp {
        let promoted = match self.deployment.course.canary {
            Some(CanaryStage::Promoted { at }) => Some(at),
            Some(CanaryStage::Out) | None => None,
        };
        let told = reached.iter().map(|seen| seen.instance.since);
        told.chain(promoted).fold(self.deployment.begun_at(), Timestamp::max)
    }

    /// What follows from how its canary stands; answers whether that is all for now.
    fn canary(&self, canary: &Canary, standing: &Standing, plan: &mut Plan) -> bool {
        let deployment = self.deployment;
        let (id, job) = (deployment.id.clone(), deployment.job_name().clone());
        match (standing, canary.promote) {
            (Standing::Doubtful(_) | Standing::Bakes(_), _) => return false,
            (Standing::Ready, Promote::Automatic) => {
                let reason = format!(
                    "{} instances of {job} were well with {} for {}",
                    canary.instances, deployment.version, canary.bake
                );
                plan.decide(Step::Promote(id), reason);
            }
            (Standing::Ready, Promote::Manual) => {
                let why = format!(
                    "the canary of {id} is well with {}: `cerebro deployment promote {id}` lets {job} go on, \
                     `cerebro deployment rollback {id}` takes it back; after {} it counts as failed",
                    deployment.version, canary.promote_within
                );
                plan.notes.push(Note::DeploymentWaits { deployment: id, job, why });
                return false;
            }
        }
        true
    }

    /// Why it must be given up for what its instances do, or for want of a place, if it must.
    fn failure(
        &self,
        reached: &[&SeenInstance],
        unplaced: &BTreeMap<JobName, WhyNot>,
    ) -> Option<String> {
        let rollout = &self.deployment.job.rollout;
        let doubtful = || reached.iter().filter(|seen| !gate::counts(seen, rollout, self.now));
        doubtful()
            .find_map(|seen| gate::gave_up(seen, rollout))
            .or_else(|| {
                doubtful()
                    .find_map(|seen| gate::is_late(seen, rollout, |since| self.gone_by(since)))
            })
            .or_else(|| self.has_no_place(reached, unplaced))
    }

    /// Why it must be given up for what those do that were started again beside its instances.
    fn failure_beside(&self, linked: &[(&SeenInstance, &Rollout)]) -> Option<String> {
        let mut doubtful =
            linked.iter().filter(|(seen, rollout)| !gate::counts(seen, rollout, self.now));
        doubtful.find_map(|(seen, rollout)| {
            let why = gate::gave_up(seen, rollout)
                .or_else(|| gate::is_late(seen, rollout, |since| self.gone_by(since)))?;
            Some(format!("what is linked to it did not come up beside it: {why}"))
        })
    }

    /// Why it must be given up of which an instance has no place, if it must.
    fn has_no_place(
        &self,
        reached: &[&SeenInstance],
        unplaced: &BTreeMap<JobName, WhyNot>,
    ) -> Option<String> {
        let why = unplaced.get(self.deployment.job_name())?;
        let deadline = self.deployment.job.rollout.deadline;
        (self.gone_by(self.came_further_at(reached)) > deadline.duration())
            .then(|| format!("no place was found within {deadline}: {why}"))
    }

    /// Why it must be given up that comes no further, whatever the reason. Twice the time that one
    /// instance has leaves each its own, also one that was well and is not.
    fn stands_still(&self, reached: &[&SeenInstance], unheard: &[&SeenInstance]) -> Option<String> {
        let rollout = &self.deployment.job.rollout;
        let mut within = gate::patience(rollout).saturating_mul(2);
        if self.policy.publishes {
            // Whoever is published is taken out first.
            within = within.saturating_add(dns::at_most(&self.deployment.job));
        }
        let since = self.came_further_at(reached);
        if let Some(canary) = rollout.canary.as_ref().filter(|_| self.deployment.is_canary()) {
            within = within.saturating_add(canary.bake.duration());
            if canary.promote == Promote::Manual {
                within = within.saturating_add(canary.promote_within.duration());
                // A person is waited for by the calendar, whoever was there to see it.
                let waited = self.deployment.course.gone_by(since, self.now);
                return (waited > within).then(|| {
                    format!("nobody promoted its canary within {}", canary.promote_within)
                });
            }
        }
        if self.gone_by(since) <= within {
            return None;
        }
        let within = within.as_secs_f64();
        let doubtful = reached.iter().filter(|seen| !gate::counts(seen, rollout, self.now));
        let ids = |seen: Vec<&&SeenInstance>| {
            let ids: Vec<_> = seen.iter().map(|seen| seen.instance.id.to_string()).collect();
            ids.join(", ")
        };
        Some(match unheard {
            [] => format!(
                "it came no further for {within} s: not all of it was healthy at once ({})",
                ids(doubtful.collect())
            ),
            unheard => format!(
                "it came no further for {within} s: nothing was heard of {}",
                ids(unheard.iter().collect())
            ),
        })
    }

    fn fail(&self, fleet: &Fleet, reason: String, plan: &mut Plan) {
        let then = rollback::after(fleet, self.deployment);
        finish(self.deployment, DeploymentState::Failed { at: self.now, reason }, then, plan);
    }
}
