//! How time goes on: from one thing that happens to the next, and no slower than what is under way needs.

use super::{AHEAD, MINUTE, SETTLES, SLOW, Simulation, TICK};
use crate::controller::Controller;
use crate::world::{HostState, Time};
use cerebro_model::{AfterDrain, MachineId, MachineState};
use cerebro_planner::cluster::Note;

impl Simulation {
    /// When to go on.
    pub(super) fn next(&mut self) -> Time {
        let now = self.ground.clock.elapsed();
        let world = self.ground.world.lock();
        let mut next = self.options.span;
        let mut at_latest = |at: Time| {
            if at > now {
                next = next.min(at);
            }
        };
        let mut is_busy = false;
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
        [broken.machines, broken.provider, broken.store, broken.store_answers]
            .into_iter()
            .for_each(&mut at_latest);
        for host in world.hosts.values() {
            at_latest(host.cut_until);
            at_latest(host.hung_until);
            at_latest(host.apart_until);
            match host.state {
                HostState::Boots(Some(at)) => at_latest(at),
                HostState::Up if !host.hangs(now) => {
                    host.agent
                        .next(now)
                        .map(|at| at.max(now + SETTLES))
                        .into_iter()
                        .for_each(&mut at_latest);
                }
                _ => {}
            }
        }
        if let Some(controller) = &self.leads {
            let heard = |id: &MachineId| world.hosts.get(id).is_some_and(|host| host.answers(now));
            is_busy |= now < broken.machines || is_under_way(controller, heard);
            if has_something_held(controller) {
                at_latest(now + SLOW);
            }
        }
        if is_busy {
            at_latest(now + TICK);
        }
        drop(world);
        if now >= self.last_minute + MINUTE {
            self.last_minute = now;
            self.check.doubles(&self.ground, self.leads.as_ref(), now);
        }
        next
    }
}

/// Whether a note tells of something that ends by itself.
fn has_something_held(controller: &Controller) -> bool {
    let is_lasting =
        |note: &Note| matches!(note, Note::Unplaceable { .. } | Note::Masterless { .. });
    controller.cluster.notes().iter().any(|note| !is_lasting(note))
}

/// Whether anything may come to be due while nothing happens: silence is heard only by looking.
fn is_under_way(controller: &Controller, heard: impl Fn(&MachineId) -> bool) -> bool {
    let state = controller.cluster.state();
    let records = &state.records;
    records.deployments.values().any(|it| it.state.is_running())
        || records
            .machines
            .values()
            .any(|record| changes(&record.machine.state) || !heard(&record.machine.id))
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
