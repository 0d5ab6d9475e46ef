//! How time goes on: from one thing that happens to the next, and no slower than what is under way needs.

use super::{AHEAD, MINUTE, PATIENCE, REST, SETTLES, SLOW, Simulation, TICK};
use crate::controller::Controller;
use crate::world::{HostState, Time, World};
use cerebro_model::{AfterDrain, MachineId, MachineState};
use cerebro_planner::cluster::Note;
use std::time::Duration;

/// Machines that are silent at once where it takes long until all are replaced.
const MANY: usize = 8;
/// How long is waited for what is said of many silent machines, to look at all of it together; what is said of one holds
/// longer.
const TOGETHER: Duration = Duration::from_millis(500);
/// How long whoever was taken out of a name is waited for: the TTL of the operator's jobs, and a bit. Names that cannot be
/// changed are still to be said.
const LEFT: Duration = Duration::from_secs(8);

/// What comes of looks, by which it is told whether anything still does: machines made, ended and rebooted,
/// those that are heard, and the events that are told.
#[derive(Default, PartialEq)]
pub(super) struct Done([u64; 5]);

impl Simulation {
    /// How much has been done until now.
    fn done(&self, now: Time) -> Done {
        let world = self.ground.world.lock();
        let heard = world.hosts.values().filter(|host| host.answers(now)).count() as u64;
        Done([world.made, world.ended, world.rebooted, heard, self.happened])
    }

    /// When to look again at what is under way, or held: at this pace, or once it has rested where nothing
    /// has come of it for long; and whether it rests.
    fn again(&mut self, now: Time, pace: Duration) -> (Time, bool) {
        let done = self.done(now);
        if done != self.done.0 {
            self.done = (done, now);
        }
        let Some(idle) = now.saturating_sub(self.done.1).checked_sub(PATIENCE) else {
            return (now + pace, false);
        };
        let into = Duration::from_millis((idle.as_millis() % REST.as_millis()) as u64);
        if into < AHEAD { (now + SLOW, false) } else { (now + (REST - into), true) }
    }

    /// When to go on at the latest, and from when on whatever changes is looked at before: of many silent machines somebody
    /// says something all the time.
    pub(super) fn next(&mut self) -> (Time, Time) {
        let now = self.ground.clock.elapsed();
        let world = self.ground.world.lock();
        let mut next = self.options.span;
        let mut at_latest = |at: Time| {
            if at > now {
                next = next.min(at);
            }
        };
        let (mut pace, mut wakes) = (None, now);
        if let Some(((at, _), _)) = self.to_come.first_key_value() {
            at_latest((*at).max(now + SETTLES));
            at_latest(at.saturating_sub(AHEAD));
            if now + AHEAD >= *at {
                at_latest(now + SLOW);
            }
        }
        self.starts_at.into_iter().for_each(&mut at_latest);
        self.stalled.iter().for_each(|(at, _)| at_latest(*at));
        let broken = &world.broken;
        let ways = [broken.machines, broken.provider, broken.store, broken.store_answers];
        ways.into_iter().chain([broken.names, broken.names_answers]).for_each(&mut at_latest);
        for host in world.hosts.values() {
            at_latest(host.cut_until);
            at_latest(host.hung_until);
            at_latest(host.apart_until);
            match host.state {
                HostState::Boots(Some(at)) => at_latest(at),
                HostState::Up if !host.hangs(now) => {
                    host.agent()
                        .next(now)
                        .map(|at| at.max(now + SETTLES))
                        .into_iter()
                        .for_each(&mut at_latest);
                }
                _ => {}
            }
        }
        if let Some(controller) = &self.leads {
            let silent = silent(controller, &world, now);
            if silent > MANY {
                wakes = now + TOGETHER;
            }
            pace = match now < broken.machines || silent > 0 || has_machines_to_change(controller) {
                // One more second is nothing to an outage of many minutes.
                true if silent > MANY => Some(SLOW),
                true => Some(TICK),
                // What agents say is looked at when they say it.
                false if is_under_way(controller) => Some(SLOW),
                false => has_something_held(controller).then_some(SLOW),
            };
        }
        drop(world);
        if let Some(pace) = pace {
            let (again, rests) = self.again(now, pace);
            next = next.min(again);
            if rests {
                wakes = next;
            }
        }
        if now >= self.last_minute + MINUTE {
            self.last_minute = now;
            self.check.doubles(&self.ground, self.leads.as_ref(), now);
            self.check.names(&self.ground, self.leads.as_ref(), now);
        }
        (next, wakes.min(next))
    }
}

/// Whether a note tells of something that ends by itself.
fn has_something_held(controller: &Controller) -> bool {
    let is_lasting =
        |note: &Note| matches!(note, Note::Unplaceable { .. } | Note::Masterless { .. });
    controller.cluster.notes().iter().any(|note| !is_lasting(note))
}

/// Whether a machine's state may change while nothing happens.
fn has_machines_to_change(controller: &Controller) -> bool {
    let state = controller.cluster.state();
    state.records.machines.values().any(|record| changes(&record.machine.state))
}

/// Whether anything else may come to be due then.
fn is_under_way(controller: &Controller) -> bool {
    let has_names_to_say = !controller.cluster.unsaid().is_empty();
    let state = controller.cluster.state();
    let records = &state.records;
    let mut left = records.names.values().flat_map(|it| it.left.values());
    records.deployments.values().any(|it| it.state.is_running())
        || left.any(|at| state.now.since(*at) < LEFT)
        || has_names_to_say
}

/// How many machines are not heard: silence is heard only by looking.
fn silent(controller: &Controller, world: &World, now: Time) -> usize {
    let state = controller.cluster.state();
    // Both are in the order of the ids.
    let mut hosts = world.hosts.iter().peekable();
    let is_heard = |id: &&MachineId| {
        while hosts.next_if(|(other, _)| *other < *id).is_some() {}
        hosts.peek().is_some_and(|(other, host)| other == id && host.answers(now))
    };
    state.records.machines.keys().count() - state.records.machines.keys().filter(is_heard).count()
}

/// Whether a machine's state ends by itself.
fn changes(state: &MachineState) -> bool {
    match state {
        MachineState::Active { .. } => false,
        // Until somebody says otherwise it stays so.
        MachineState::Draining { drain, .. } => {
            drain.drained_at.is_none() || drain.then != AfterDrain::Stay
        }
        _ => true,
    }
}
