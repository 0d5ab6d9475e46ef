//! Other zones that stand in for one whose instances have been down for long, or that has no machine to give, of jobs
//! that want that.
//!
//! It takes nothing away: no machine is given up for it, so that it helps also where the breaker holds. Which
//! instances are down is seen by their machines alone; how they do on a machine that is heard is the matter of checks
//! and rollouts. What stands in goes once what it stood in for is well again.

use super::family::Family;
use super::fill::Displaced;
use super::need::Need;
use super::yard::{Search, Standing as Stands, Yard};
use super::{Fleet, Occupancy, Policy, fill, repair};
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

/// What is looked at.
struct Ground<'a, 'l> {
    fleet: &'a Fleet,
    occupancy: &'a Occupancy,
    /// On it nothing was given away yet.
    yard: &'l Yard<'a>,
    displaced: &'l Displaced<'a>,
    down: &'l Down<'a>,
    policy: &'l Policy,
    now: Timestamp,
}

/// How one zone of a job does.
struct Standing<'a> {
    zone: &'a ZoneName,
    /// Instances that the layout asks for.
    wanted: u32,
    /// Those of them that have been down for long.
    down: u32,
    /// Whether it has room for no more of them, and no machine is to be had.
    is_full: bool,
    /// Those of them that have no place therefore.
    no_room: u32,
    /// Numbers beyond the layout, up to the last that is there.
    beyond: u32,
    /// Those of them that have been down for long.
    beyond_down: u32,
}

impl Standing<'_> {
    /// Whether it can stand in for another one.
    fn holds(&self) -> bool {
        !self.is_full && self.down * 2 <= self.wanted
    }
}

impl<'a> StandIns<'a> {
    /// What is to stand in at `now`. On the yard nothing was given away yet.
    pub(super) fn of(
        families: &[Family<'a>],
        fleet: &'a Fleet,
        occupancy: &'a Occupancy,
        yard: &Yard<'a>,
        displaced: &Displaced<'a>,
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
        let down = down(fleet, occupancy, &yard.displaced, policy, now);
        for (first, failover) in wishes {
            let ground = Ground { fleet, occupancy, yard, displaced, down: &down, policy, now };
            stand_ins.stand_in(first, failover, &ground);
        }
        stand_ins
    }

    fn stand_in(&mut self, first: &'a Deployment, failover: Failover, ground: &Ground<'a, '_>) {
        let Ground { fleet, occupancy, yard, displaced, down, policy, now } = *ground;
        let job = first.job_name();
        let is_full = |zone: &ZoneName| {
            fleet.full.get(zone).is_some_and(|full| full.holds(now))
                && has_no_room(first, zone, yard)
        };
        let zones = first.job.deployment_layout.iter().map(|(zone, layout)| {
            let wanted = layout.instances();
            let of_zone = down.get(&(job, zone)).into_iter().flatten();
            let for_long =
                of_zone.filter(|(_, since)| now.since(**since) >= failover.after.duration());
            let (down, beyond_down): (Vec<u32>, Vec<u32>) =
                for_long.map(|(number, _)| *number).partition(|number| *number < wanted);
            let group = occupancy.group(job, zone);
            let last = group.and_then(|group| group.keys().next_back());
            let beyond = last.map_or(0, |last| (last + 1).saturating_sub(wanted));
            let is_full = is_full(zone);
            let of_zone = displaced.get(&(job, zone));
            let has_no_place = |number: &u32| {
                let is_displaced = of_zone.is_some_and(|numbers| numbers.contains(number));
                is_full && (is_displaced || group.is_none_or(|it| !it.contains_key(number)))
            };
            let no_room = (0..wanted).filter(has_no_place).count() as u32;
            let down = down.iter().filter(|number| !has_no_place(number)).count() as u32;
            let beyond_down = beyond_down.len() as u32;
            Standing { zone, wanted, down, is_full, no_room, beyond, beyond_down }
        });
        let zones: Vec<Standing<'a>> = zones.collect();
        let missing: u32 = zones.iter().map(|it| it.down + it.no_room).sum();
        let there: u32 = zones.iter().map(|it| it.beyond).sum();
        // What stands in stays until what it stands in for is not only placed, but well.
        let kept = if there > missing { there.min(unwell(first, fleet)) } else { 0 };
        let count = missing.max(kept);
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
        let of = |count: fn(&Standing<'_>) -> u32| {
            let zones = zones.iter().filter(|it| count(it) > 0).map(|it| it.zone.as_str());
            (zones.clone().next().is_some()).then(|| zones.collect::<Vec<_>>().join(" and "))
        };
        let sum = |count: fn(&Standing<'_>) -> u32| zones.iter().map(count).sum::<u32>();
        let for_long = of(|it| it.down).map(|zones| {
            let (after, count) = (failover.after, sum(|it| it.down));
            format!("for more than {after}, {count} in {zones} have had no machine that is heard")
        });
        let no_room = of(|it| it.no_room).map(|zones| {
            let count = sum(|it| it.no_room);
            format!("{count} in {zones} have no room, and there is no machine to be had there")
        });
        let words: Vec<String> = for_long.into_iter().chain(no_room).collect();
        self.why.insert(
            job,
            match words.is_empty() {
                true => "what it stands in for is not well again yet".to_owned(),
                false => words.join(", and "),
            },
        );
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

/// Whether none of a zone's machines has room for one more instance.
fn has_no_room(first: &Deployment, zone: &ZoneName, yard: &Yard<'_>) -> bool {
    let need = Need::of(first, zone);
    yard.best(zone, Stands::Here, &need, &mut Search::default()).is_none()
}

/// How many of the instances that a job's layout asks for are not well.
fn unwell(first: &Deployment, fleet: &Fleet) -> u32 {
    // What was well on a machine that is gone is not.
    let is_well = |id: &InstanceId| {
        let seen = fleet.instances.get(id);
        seen.is_some_and(|seen| seen.is_healthy() && fill::has_place(fleet, seen))
    };
    let layout = first.job.deployment_layout.iter();
    let unwell = layout.flat_map(|(zone, layout)| {
        let ids = (0..layout.instances()).map(|n| InstanceId::new(n, zone, first.job_name()));
        ids.filter(|id| !is_well(id))
    });
    unwell.count() as u32
}
