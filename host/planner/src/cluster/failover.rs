//! Other zones that stand in for one whose instances have been down for long, of jobs that want that.
//!
//! It takes nothing away: no machine is given up for it, so that it helps also where the breaker holds. Which
//! instances are down is seen by their machines alone; how they do on a machine that is heard is the matter of checks
//! and rollouts. What stands in goes once what it stood in for is well again.

use super::family::Family;
use super::{Fleet, Occupancy, Policy, repair};
use cerebro_model::{Deployment, Failover, InstanceId, JobName, MachineId, Timestamp, ZoneName};
use std::collections::BTreeMap;

/// What stands in for what; nothing, by default.
#[derive(Debug, Default)]
pub(super) struct StandIns<'a> {
    /// Instances beyond the layout that a job is to have in a zone.
    more: BTreeMap<(&'a JobName, &'a ZoneName), u32>,
    /// Why, in a part of a sentence.
    why: BTreeMap<&'a JobName, String>,
}

/// How one zone of a job does.
struct Standing<'a> {
    zone: &'a ZoneName,
    /// Instances that the layout asks for.
    wanted: u32,
    /// Those of them that have been down for long.
    down: u32,
    /// Numbers beyond the layout, up to the last that is there.
    beyond: u32,
    /// Those of them that have been down for long.
    beyond_down: u32,
}

impl Standing<'_> {
    /// Whether it can stand in for another one.
    fn holds(&self) -> bool {
        self.down * 2 <= self.wanted
    }
}

impl<'a> StandIns<'a> {
    /// What is to stand in at `now`. `displaced` are the instances whose machine does not count any more.
    pub(super) fn of(
        families: &[Family<'a>],
        fleet: &'a Fleet,
        occupancy: &'a Occupancy,
        displaced: &[&'a InstanceId],
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let first = families.iter().filter_map(|family| family.split());
        let wishes = first.filter_map(|(first, _)| Some((first, first.job.placement.failover?)));
        let wishes: Vec<(&Deployment, Failover)> = wishes.collect();
        let mut stand_ins = Self::default();
        if wishes.is_empty() {
            return stand_ins;
        }
        let down = down(fleet, occupancy, displaced, policy, now);
        for (first, failover) in wishes {
            stand_ins.stand_in(first, failover, fleet, occupancy, &down, policy, now);
        }
        stand_ins
    }

    #[allow(clippy::too_many_arguments, reason = "what is looked at, and for whom")]
    fn stand_in(
        &mut self,
        first: &'a Deployment,
        failover: Failover,
        fleet: &Fleet,
        occupancy: &'a Occupancy,
        down: &Down<'a>,
        policy: &Policy,
        now: Timestamp,
    ) {
        let job = first.job_name();
        let zones = first.job.deployment_layout.iter().map(|(zone, layout)| {
            let wanted = layout.instances();
            let of_zone = down.get(&(job, zone)).into_iter().flatten();
            let for_long =
                of_zone.filter(|(_, since)| now.since(**since) >= failover.after.duration());
            let (down, beyond_down): (Vec<_>, Vec<_>) =
                for_long.partition(|(number, _)| **number < wanted);
            let last = occupancy.group(job, zone).and_then(|group| group.keys().next_back());
            let beyond = last.map_or(0, |last| (last + 1).saturating_sub(wanted));
            let (down, beyond_down) = (down.len() as u32, beyond_down.len() as u32);
            Standing { zone, wanted, down, beyond, beyond_down }
        });
        let zones: Vec<Standing<'a>> = zones.collect();
        let for_long: u32 = zones.iter().map(|it| it.down).sum();
        let there: u32 = zones.iter().map(|it| it.beyond).sum();
        // What stands in stays until what it stands in for is not only placed, but well.
        let kept = if there > for_long { there.min(unwell(first, fleet)) } else { 0 };
        let count = for_long.max(kept);
        let (hold, others): (Vec<_>, Vec<_>) =
            zones.iter().partition(|it| it.holds() && policy.zones.contains_key(it.zone));
        if count == 0 {
            return;
        }
        // What stands in where hardly anything is heard any more may serve all the same.
        let stays = others.iter().map(|it| it.beyond.saturating_sub(it.beyond_down)).sum();
        let shares = shares(count.saturating_sub(stays), &hold);
        let stay = others.iter().map(|it| (it.zone, it.beyond));
        for (zone, more) in shares.into_iter().chain(stay).filter(|(_, more)| *more > 0) {
            self.more.insert((job, zone), more);
        }
        let of: Vec<_> = zones.iter().filter(|it| it.down > 0).map(|it| it.zone.as_str()).collect();
        let words = match of.is_empty() {
            true => "what it stands in for is not well again yet".to_owned(),
            false => format!(
                "for more than {}, {for_long} in {} have had no machine that is heard",
                failover.after,
                of.join(" and ")
            ),
        };
        self.why.insert(job, words);
    }

    /// How many instances beyond its layout a job is to have in a zone.
    pub(super) fn more(&self, job: &JobName, zone: &ZoneName) -> u32 {
        self.more.get(&(job, zone)).copied().unwrap_or(0)
    }

    /// Why something of a job stands in, in a part of a sentence.
    pub(super) fn why(&self, job: &JobName) -> &str {
        self.why.get(job).map_or("", String::as_str)
    }
}

/// How many stand in in each of these zones: what is there stays there, and the rest comes to zones of which all is well,
/// as evenly as that allows.
fn shares<'a>(count: u32, hold: &[&Standing<'a>]) -> Vec<(&'a ZoneName, u32)> {
    let mut rest = count;
    let mut shares: Vec<(&Standing<'a>, u32)> = Vec::new();
    for standing in hold {
        let stays = standing.beyond.min(rest);
        rest -= stays;
        shares.push((standing, stays));
    }
    for _ in 0..rest {
        let next = shares.iter_mut().min_by_key(|(standing, share)| (standing.down > 0, *share));
        if let Some((_, share)) = next {
            *share += 1;
        }
    }
    shares.into_iter().map(|(standing, share)| (standing.zone, share)).collect()
}

/// Instances whose machine is silent or gone, by job and zone: their numbers, and since when.
type Down<'a> = BTreeMap<(&'a JobName, &'a ZoneName), BTreeMap<u32, Timestamp>>;

fn down<'a>(
    fleet: &'a Fleet,
    occupancy: &'a Occupancy,
    displaced: &[&'a InstanceId],
    policy: &Policy,
    now: Timestamp,
) -> Down<'a> {
    let silent = fleet.machines.iter().filter_map(|(id, observed)| {
        let since = repair::silence(observed, policy, now)?;
        Some(occupancy.tenants(id).map(move |tenant| (tenant, since)))
    });
    let lost = displaced.iter().filter_map(|id| {
        let machine = &fleet.instances.get(*id)?.instance.machine;
        Some((*id, lost_since(fleet, machine).unwrap_or(policy.started_at)))
    });
    let mut down = Down::new();
    for (id, since) in silent.flatten().chain(lost) {
        if let Some((job, zone, number)) = occupancy.belongs(id) {
            down.entry((job, zone)).or_default().insert(number, since);
        }
    }
    down
}

/// Since when a machine was not heard that was given up.
fn lost_since(fleet: &Fleet, machine: &MachineId) -> Option<Timestamp> {
    let grave = fleet.brakes.tombstones.get(machine)?;
    let heard = grave.certificate.as_ref().and_then(|it| it.last_heartbeat);
    Some(heard.unwrap_or(grave.at))
}

/// How many of the instances that a job's layout asks for are not well.
fn unwell(first: &Deployment, fleet: &Fleet) -> u32 {
    let is_well = |id: &InstanceId| fleet.instances.get(id).is_some_and(|it| it.is_healthy());
    let layout = first.job.deployment_layout.iter();
    let unwell = layout.flat_map(|(zone, layout)| {
        let ids = (0..layout.instances()).map(|n| InstanceId::new(n, zone, first.job_name()));
        ids.filter(|id| !is_well(id))
    });
    unwell.count() as u32
}
