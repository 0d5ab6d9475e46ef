//! What would be if something happened: the planner itself is driven ahead, in a copy of the fleet.
//!
//! [`world`](mod@world) carries out what the planner decides, each thing in the time that it takes;
//! [`pace`](mod@pace) says how long that is, [`tally`](mod@tally) keeps count of who serves meanwhile and of
//! what is held back, and [`away`](mod@away) says what there is to say while no controller is there.

mod away;
mod pace;
mod tally;
#[cfg(test)]
mod tests;
mod world;

use super::{Fleet, Policy};
use cerebro_model::{Foreseen, MachineId, Timestamp, WhatIf, ZoneName};
use pace::Pace;
use std::collections::BTreeSet;
use std::time::Duration;
use tally::Tally;
use world::World;

/// How far is looked ahead.
const AHEAD: Duration = Duration::from_secs(3600);
/// From one look to the next while anything happens, as the executor's own.
const TICK: Duration = Duration::from_millis(200);
/// The longest time from one look to the next.
const SLOWEST: Duration = Duration::from_secs(5);
/// Looks after which nobody goes on: a bound on what a question costs.
const LOOKS: usize = 4000;
/// For how long nothing must happen until nothing more is waited for.
const QUIET: Duration = Duration::from_secs(60);

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotThere {
    /// There is no such machine.
    #[error("there is no machine `{0}` that runs: what there is, `cerebro machine list` shows")]
    Machine(MachineId),
    /// There is no such zone.
    #[error("there is no zone `{0}`: what there is, `cerebro zone list` shows")]
    Zone(ZoneName),
}

/// What would come of `event`, if it happened now.
pub fn what_if(
    fleet: &Fleet,
    policy: &Policy,
    event: &WhatIf,
    now: Timestamp,
) -> Result<Foreseen, NotThere> {
    let runs = |id: &&MachineId| fleet.machines.get(*id).is_some_and(|it| it.machine.state.runs());
    let dead: BTreeSet<MachineId> = match event {
        WhatIf::MachineLost { machine } => {
            let found = Some(machine).filter(runs);
            [found.ok_or_else(|| NotThere::Machine(machine.clone()))?.clone()].into()
        }
        WhatIf::ZoneLost { zone } => {
            let machines = fleet.machines.iter().filter(|(_, it)| it.machine.zone == *zone);
            let machines: BTreeSet<_> = machines.map(|(id, _)| id.clone()).collect();
            if machines.is_empty() && !policy.zones.contains_key(zone) {
                return Err(NotThere::Zone(zone.clone()));
            }
            machines
        }
        WhatIf::ControllerLost { .. } => BTreeSet::new(),
    };
    let pace = Pace::of(fleet);
    let mut tally = Tally::new(fleet, &dead, now);
    let mut world = World::new(fleet.clone(), unpublished(policy), &pace, now);
    let mut foreseen = match event {
        WhatIf::ControllerLost { lasts } => {
            let (goes_on, stands_still) = away::words(fleet, policy, lasts.duration(), now);
            world.without_controller(lasts.duration());
            Foreseen { goes_on, stands_still, ..empty(event) }
        }
        WhatIf::ZoneLost { zone } => {
            world.lose(dead, Some(zone));
            empty(event)
        }
        WhatIf::MachineLost { .. } => {
            world.lose(dead, None);
            empty(event)
        }
    };
    let end = world.now.after(AHEAD);
    let (mut step, mut quiet_since) = (TICK, world.now);
    for _ in 0..LOOKS {
        let looked = world.look();
        tally.looked(&world, &looked);
        let decides = looked.decisions.iter().any(|it| !it.step.only_looks());
        if decides {
            quiet_since = world.now;
        }
        if world.is_at_rest(&looked) && world.now.since(quiet_since) >= QUIET {
            foreseen.at_rest = true;
            break;
        }
        if world.now >= end {
            break;
        }
        // A witness that was asked has answered by the next look; what it says holds for a moment only.
        let asks = !looked.decisions.is_empty();
        step = match decides || world.is_found_out_soon() {
            true => TICK,
            false => (step * 2).min(SLOWEST),
        };
        let next = if asks { TICK } else { step };
        // What comes by itself wakes the controller, as it does the real one.
        world.pass(world.until_due().map_or(next, |due| due.min(next)));
        tally.passed(&world);
    }
    foreseen.assumed = pace.words(policy);
    tally.tell(&world, &mut foreseen);
    Ok(foreseen)
}

fn empty(event: &WhatIf) -> Foreseen {
    Foreseen {
        event: event.clone(),
        looked_ahead: cerebro_model::Seconds::new(0),
        at_rest: false,
        hit: Vec::new(),
        made: Vec::new(),
        given_up: Vec::new(),
        held: Vec::new(),
        approvals: Vec::new(),
        goes_on: Vec::new(),
        stands_still: Vec::new(),
        course: Vec::new(),
        assumed: Vec::new(),
    }
}

/// It is foreseen what serves, and not what is answered.
fn unpublished(policy: &Policy) -> Policy {
    Policy { publishes: false, ..policy.clone() }
}
