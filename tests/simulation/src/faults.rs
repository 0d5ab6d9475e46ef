//! What goes wrong, and when: drawn from the seed before anything begins.

use crate::world::{HostState, Shared, Time, Wedged};
use cerebro_model::MachineId;
use fastrand::Rng;
use std::time::Duration;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// A machine is gone.
    MachineDies,
    /// A machine does nothing for a while, and its provider calls it running.
    MachineHangs(Duration),
    /// A machine does nothing until it is booted, and its provider calls it running.
    MachineHangsUntilBooted,
    /// A machine answers nobody any more, whatever is done with it but its end. Its tasks go on, and its
    /// provider calls it running.
    MachineHangsForEver,
    /// The controller and a machine do not reach each other for a while; all others reach it.
    MachineIsApart(Duration),
    /// Nobody reaches a machine for a while.
    MachineIsCut(Duration),
    /// A machine is cut off and heard again, again and again.
    MachineFlaps,
    /// A machine starts again.
    MachineReboots,
    /// A task dies.
    TaskDies,
    /// Of a zone's machines, so many in a hundred are gone at once.
    ZoneLosesMachines(u8),
    /// Of a zone's machines, so many in a hundred are without power for a while.
    ZoneIsDark(u8, Duration),
    /// The controller reaches no machine, but its provider.
    ControllerIsCut(Duration),
    /// The provider cannot be reached.
    ProviderIsAway(Duration),
    /// The provider does what it is asked, and half of its answers are lost.
    ProviderIsDeaf(Duration),
    /// The provider has no machine to give in one zone, of which one machine dies.
    ZoneIsFull(Duration),
    /// Whoever answers for names cannot be reached.
    NamesAreAway(Duration),
    /// Whoever answers for names does what it is asked, and half of its answers are lost.
    NamesAreDeaf(Duration),
    /// The disk of the store is full.
    StoreIsFull(Duration),
    /// The store keeps what it is given, and says that it failed.
    StoreIsDeaf(Duration),
    /// The controller is killed: now, before or behind one of its next commits, or in its next call.
    ControllerDies(Death, Duration),
    /// The controller stands still while another takes the lead, and then goes on.
    ControllerStalls(Duration),
    /// The controller's clock goes wrong by so many seconds, for a while.
    ClockIsWrong(i64, Duration),
}

/// Where a controller is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Death {
    /// Between two looks.
    Now,
    /// Before one of its next commits.
    BeforeCommit(u64),
    /// Behind one of its next commits, and before what follows from it.
    BehindCommit(u64),
    /// Before its next call to the provider has an effect.
    BeforeCall,
    /// Once its next call to the provider had an effect, and before the answer.
    BehindCall,
}

/// The faults of one run, in the order of their times, between `from` and `until`.
pub fn drawn(rng: &mut Rng, from: Time, until: Time, how_many: usize) -> Vec<(Time, Fault)> {
    let mut faults: Vec<(Time, Fault)> = (0..how_many)
        .map(|_| {
            let at = rng.u64(from.as_millis() as u64..until.as_millis() as u64);
            (Duration::from_millis(at), one(rng))
        })
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn one(rng: &mut Rng) -> Fault {
    let mut seconds = |from: u64, to: u64| Duration::from_millis(rng.u64(from * 1000..to * 1000));
    let (short, medium, long) = (seconds(1, 20), seconds(3, 90), seconds(20, 600));
    let very_long = seconds(60, 1_800);
    match rng.u8(0..100) {
        0..7 => Fault::MachineDies,
        7..11 => Fault::MachineHangsUntilBooted,
        11..14 => Fault::MachineHangsForEver,
        14..18 => Fault::MachineHangs(medium),
        18..22 => Fault::MachineIsApart(very_long),
        22..27 => Fault::MachineIsCut(medium),
        27..28 => Fault::MachineIsCut(very_long),
        28..32 => Fault::MachineFlaps,
        32..36 => Fault::MachineReboots,
        36..38 => Fault::ZoneIsFull(very_long),
        38..42 => Fault::TaskDies,
        42..44 => Fault::NamesAreAway(long),
        44..46 => Fault::NamesAreDeaf(long),
        46..49 => Fault::ZoneLosesMachines(rng.u8(4..80)),
        49..53 => Fault::ZoneIsDark(rng.u8(20..=100), medium),
        53..60 => Fault::ControllerIsCut(medium),
        60..65 => Fault::ProviderIsAway(long),
        65..70 => Fault::ProviderIsDeaf(long),
        70..72 => Fault::StoreIsFull(short),
        72..74 => Fault::StoreIsDeaf(short),
        74..90 => {
            let death = match rng.u8(0..5) {
                0 => Death::Now,
                1 => Death::BeforeCommit(rng.u64(1..6)),
                2 => Death::BehindCommit(rng.u64(1..6)),
                3 => Death::BeforeCall,
                _ => Death::BehindCall,
            };
            Fault::ControllerDies(death, short)
        }
        90..95 => Fault::ControllerStalls(medium),
        _ => {
            let by = rng.i64(-7200..7200);
            Fault::ClockIsWrong(by, medium)
        }
    }
}

/// Does what a fault does to the machines and the ways to them; the rest is the controller's.
pub fn strike(world: &Shared, fault: &Fault, now: Time) {
    let mut world = world.lock();
    match fault {
        Fault::MachineDies => {
            if let Some(id) = world.any_up() {
                die(&mut world, &id);
            }
        }
        Fault::MachineHangs(span) => {
            if let Some(host) = world.any_up().and_then(|id| world.hosts.get_mut(&id)) {
                host.hung_until = now + *span;
            }
        }
        Fault::MachineHangsUntilBooted => wedge(&mut world, Wedged::UntilItBoots),
        Fault::MachineHangsForEver => wedge(&mut world, Wedged::ForEver),
        Fault::MachineIsApart(span) => {
            if let Some(host) = world.any_up().and_then(|id| world.hosts.get_mut(&id)) {
                host.apart_until = now + *span;
            }
        }
        Fault::MachineIsCut(span) => {
            if let Some(host) = world.any_up().and_then(|id| world.hosts.get_mut(&id)) {
                host.cut_until = now + *span;
            }
        }
        Fault::MachineReboots => {
            let boots = world.between(Duration::from_secs(5), Duration::from_secs(40));
            if let Some(host) = world.any_up().and_then(|id| world.hosts.get_mut(&id)) {
                host.state = HostState::Boots(Some(now + boots));
                host.agent().rebooted();
                host.wedged = host.wedged.once_booted();
            }
        }
        Fault::TaskDies => {
            if let Some(id) = world.any_up() {
                let mut rng = world.rng.fork();
                if let Some(host) = world.hosts.get_mut(&id) {
                    host.agent().crash_a_task(&mut rng, now);
                }
            }
        }
        Fault::ZoneLosesMachines(share) => {
            for id in of_a_zone(&mut world, *share) {
                die(&mut world, &id);
            }
        }
        Fault::ZoneIsDark(share, span) => {
            for id in of_a_zone(&mut world, *share) {
                let back = now + *span + world.between(Duration::ZERO, Duration::from_secs(20));
                if let Some(host) = world.hosts.get_mut(&id) {
                    host.state = HostState::Boots(Some(back));
                    host.agent().rebooted();
                    host.wedged = host.wedged.once_booted();
                }
            }
        }
        Fault::ControllerIsCut(span) => {
            let broken = &mut world.broken;
            if now >= broken.machines {
                broken.machines_since = now;
            }
            broken.machines = now + *span;
        }
        Fault::ProviderIsAway(span) => world.broken.provider = now + *span,
        Fault::ProviderIsDeaf(span) => world.broken.lost_answers = (now + *span, 5),
        Fault::ZoneIsFull(span) => {
            let dies = world.any_up();
            if let Some(zone) =
                dies.as_ref().and_then(|id| world.hosts.get(id)).map(|it| it.order.zone.clone())
            {
                world.broken.full.insert(zone, now + *span);
            }
            dies.iter().for_each(|id| die(&mut world, id));
        }
        Fault::NamesAreAway(span) => {
            world.broken.names = now + *span;
            one_in_two_dies(&mut world);
        }
        Fault::NamesAreDeaf(span) => {
            world.broken.names_answers = now + *span;
            one_in_two_dies(&mut world);
        }
        // What breaks while a machine is replaced breaks in the middle of something.
        Fault::StoreIsFull(span) => {
            world.broken.store = now + *span;
            one_in_two_dies(&mut world);
        }
        Fault::StoreIsDeaf(span) => world.broken.store_answers = now + *span,
        Fault::ControllerDies(..) => one_in_two_dies(&mut world),
        Fault::MachineFlaps | Fault::ControllerStalls(_) | Fault::ClockIsWrong(..) => {}
    }
}

fn wedge(world: &mut crate::world::World, how: Wedged) {
    if let Some(host) = world.any_up().and_then(|id| world.hosts.get_mut(&id)) {
        host.wedged = how;
    }
}

/// Now and then a machine dies as well.
fn one_in_two_dies(world: &mut crate::world::World) {
    if world.chance(50)
        && let Some(id) = world.any_up()
    {
        die(world, &id);
    }
}

fn die(world: &mut crate::world::World, id: &MachineId) {
    if let Some(host) = world.hosts.get_mut(id) {
        host.state = HostState::Dead;
        host.agent().end();
    }
}

/// So many in a hundred of the machines of one zone that run.
fn of_a_zone(world: &mut crate::world::World, share: u8) -> Vec<MachineId> {
    let Some(zone) =
        world.any_up().and_then(|id| world.hosts.get(&id)).map(|host| host.order.zone.clone())
    else {
        return Vec::new();
    };
    let of_it = world
        .hosts
        .iter()
        .filter(|(_, host)| host.order.zone == zone && host.state == HostState::Up);
    let mut ids: Vec<MachineId> = of_it.map(|(id, _)| id.clone()).collect();
    world.rng.shuffle(&mut ids);
    ids.truncate(ids.len() * usize::from(share) / 100);
    ids
}
