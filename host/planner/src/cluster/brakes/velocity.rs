//! How fast machines are given up and made, and how many of them in a day.

use super::approval::Approved;
use super::given_up;
use super::limits::{Meter, Rate};
use crate::cluster::{Brake, Fleet, Note, Plan, Policy, Step};
use cerebro_model::{MachineId, Timestamp, ZoneName};
use std::collections::{BTreeMap, BTreeSet};

/// Takes out of a plan what would be too fast or too much.
pub(super) fn hold(fleet: &Fleet, policy: &Policy, now: Timestamp, plan: &mut Plan) {
    let mut tally = Tally::new(fleet, policy, now);
    let Plan { decisions, notes, condemned, proposals, .. } = plan;
    let approved = Approved::of(fleet, condemned);
    decisions.retain(|it| {
        let held = match &it.step {
            Step::DeclareLost(id, _) | Step::GiveUp(id) => tally.loss(id, approved.end_of(id)),
            Step::Try(id, rung) if rung.ends_tasks() => tally.reboot(id, approved.any(id)),
            Step::Provision { zone } => tally.birth(zone),
            _ => None,
        };
        let passes = held.is_none();
        notes.extend(held);
        passes
    });
    // Their verdict stands, also while a witness is asked once more.
    let settled = given_up(decisions, proposals);
    let held = condemned.iter().filter(|it| it.repair.is_final());
    let zones = held.filter(|it| !settled.contains(&it.machine)).map(|it| &it.zone);
    let zones: BTreeSet<&ZoneName> = zones.collect();
    notes.extend(zones.into_iter().filter_map(|zone| tally.held_losses(zone)));
}

/// What was done lately, with what this plan adds.
struct Tally<'a> {
    fleet: &'a Fleet,
    policy: &'a Policy,
    now: Timestamp,
    cluster: Meter,
    losses: BTreeMap<ZoneName, [Meter; 2]>,
    reboots: BTreeMap<ZoneName, [Meter; 2]>,
    births: BTreeMap<ZoneName, [Meter; 2]>,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl<'a> Tally<'a> {
    fn new(fleet: &'a Fleet, policy: &'a Policy, now: Timestamp) -> Self {
        let cluster = losses(fleet, policy.limits.cluster_losses, None, now);
        let (losses, reboots, births) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { fleet, policy, now, cluster, losses, reboots, births }
    }

    fn zone_losses(&mut self, zone: &ZoneName) -> &mut [Meter; 2] {
        let Self { fleet, policy, now, .. } = *self;
        self.losses.entry(zone.clone()).or_insert_with(|| {
            policy.limits.zone_losses.map(|rate| losses(fleet, rate, Some(zone), now))
        })
    }

    /// Gives one more up, unless it is held. What a person has approved counts, and is not held.
    fn loss(&mut self, id: &MachineId, approved: bool) -> Option<Note> {
        let zone = &self.fleet.machines.get(id)?.machine.zone;
        if let Some(held) = self.held_losses(zone).filter(|_| !approved) {
            return Some(held);
        }
        self.cluster.count();
        self.zone_losses(zone).iter_mut().for_each(Meter::count);
        None
    }

    /// Has one more rebooted, unless it is held: as fast as machines are given up, for its tasks end with
    /// it. What a person has approved counts, and is not held.
    fn reboot(&mut self, id: &MachineId, approved: bool) -> Option<Note> {
        let Self { fleet, policy, now, .. } = *self;
        let zone = &fleet.machines.get(id)?.machine.zone;
        let meters = self.reboots.entry(zone.clone()).or_insert_with(|| {
            policy.limits.zone_losses.map(|rate| reboots(fleet, rate, zone, now))
        });
        if let Some(why) = meters.iter().find_map(|meter| meter.full("machines were rebooted"))
            && !approved
        {
            let why = format!("in {zone} {why}: no other is rebooted until some time has passed");
            return Some(Note::Held { brake: Brake::Reboots(zone.clone()), why });
        }
        meters.iter_mut().for_each(Meter::count);
        None
    }

    /// What keeps the machines of a zone from being given up, if something does.
    fn held_losses(&mut self, zone: &ZoneName) -> Option<Note> {
        let given_up = "machines were given up";
        let here = self.zone_losses(zone).iter().find_map(|meter| meter.full(given_up));
        let here = here.map(|why| (Some(zone.clone()), format!("in {zone} {why}")));
        let (zone, why) = here.or_else(|| Some((None, self.cluster.full(given_up)?)))?;
        let why = format!("{why}: no other is given up until some time has passed");
        Some(Note::Held { brake: Brake::Losses(zone), why })
    }

    /// Makes one more, unless it is held.
    fn birth(&mut self, zone: &ZoneName) -> Option<Note> {
        let Self { fleet, policy, now, .. } = *self;
        let most = policy.zones.get(zone)?.max;
        let entry = self.births.entry(zone.clone());
        let [made, lost] = entry.or_insert_with(|| births(fleet, policy, zone, most, now));
        if let Some(why) = made.full("machines were made") {
            let why = format!("in {zone} {why}: no other is made until some time has passed");
            return Some(Note::Held { brake: Brake::Births(zone.clone()), why });
        }
        if let Some(why) = lost.full("machines were given up") {
            let why = format!(
                "in {zone} {why}: that is the budget of its repairs, and no machine is made there until some time has \
                 passed; find out why they die"
            );
            return Some(Note::Held { brake: Brake::ZoneBudget(zone.clone()), why });
        }
        made.count();
        None
    }
}

/// Machines of a zone that were made, and those that were given up, where so many may be at most.
fn births(
    fleet: &Fleet,
    policy: &Policy,
    zone: &ZoneName,
    most: u32,
    now: Timestamp,
) -> [Meter; 2] {
    let made =
        fleet.machines.values().map(|it| &it.machine).filter(|it| it.origin.is_provisioned());
    let living = made.map(|it| (&it.zone, it.created_at));
    let graves = || fleet.brakes.tombstones.values().filter(|it| it.zone == *zone);
    // One that was given up is there until its provider confirms its end.
    let gone = graves().filter(|it| !fleet.machines.contains_key(&it.machine));
    let made = living.filter(|(of, _)| *of == zone).map(|(_, at)| at);
    let made = made.chain(gone.map(|it| it.created_at));
    [
        Meter::new(policy.limits.zone_births, most, made, now),
        Meter::new(policy.limits.zone_repairs, most, graves().map(|it| it.at), now),
    ]
}

/// How much of the limits of giving up is used up, for a person.
pub(in crate::cluster) fn losses_in_words(
    fleet: &Fleet,
    policy: &Policy,
    zone: &ZoneName,
    now: Timestamp,
) -> String {
    let here = policy.limits.zone_losses.map(|rate| losses(fleet, rate, Some(zone), now).words());
    let all = losses(fleet, policy.limits.cluster_losses, None, now).words();
    format!("in {zone} {}, in the cluster {all}", here.join(" and "))
}

/// The same of making machines.
pub(in crate::cluster) fn births_in_words(
    fleet: &Fleet,
    policy: &Policy,
    zone: &ZoneName,
    now: Timestamp,
) -> String {
    let most = policy.zones.get(zone).map_or(0, |allowed| allowed.max);
    let [made, lost] = births(fleet, policy, zone, most, now).map(|meter| meter.words());
    format!("made in {zone} before, {made}; given up there, {lost}")
}

/// Of a zone, or of the cluster. Those that were just given up are part of what there was.
fn losses(fleet: &Fleet, rate: Rate, zone: Option<&ZoneName>, now: Timestamp) -> Meter {
    let counts = |of: &ZoneName| zone.is_none_or(|zone| zone == of);
    let graves = fleet.brakes.tombstones.values().filter(|it| counts(&it.zone));
    let times: Vec<_> = graves.map(|it| it.at).filter(|at| now.since(*at) < rate.window).collect();
    let machines = fleet.machines.values().map(|it| &it.machine);
    let watched = machines.filter(|it| it.state.is_watched() && counts(&it.zone)).count();
    Meter::new(rate, number(watched + times.len()), times.into_iter(), now)
}

/// Of a zone. Those that were given up since are not among them: they count as that.
fn reboots(fleet: &Fleet, rate: Rate, zone: &ZoneName, now: Timestamp) -> Meter {
    let of_zone = || fleet.machines.values().filter(|it| it.machine.zone == *zone);
    let watched = of_zone().filter(|it| it.machine.state.is_watched()).count();
    let attempts = of_zone().flat_map(|it| &it.attempts);
    let times = attempts.filter(|it| it.rung.ends_tasks()).map(|it| it.at);
    Meter::new(rate, number(watched), times, now)
}
