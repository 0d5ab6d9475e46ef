//! What follows from what a listing shows of a machine, and from what it does not.

use crate::identity::{Owner, Told};
use cerebro_machines::Intent;
use cerebro_model::MachineId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It is being switched off.
    Stopping,
    /// It is off, and can be started again.
    Stopped,
    /// It is being ended for good: until that is done, its programs may still run.
    ShuttingDown,
    /// It has ended for good.
    Terminated,
}

impl State {
    /// By its name at AWS. One that nobody has heard of yet counts as running: nothing is made in its place.
    pub fn of(name: &str) -> Self {
        match name {
            "pending" => Self::Pending,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "shutting-down" => Self::ShuttingDown,
            "terminated" => Self::Terminated,
            _ => Self::Running,
        }
    }

    /// Whether it goes on, or can.
    pub fn is_alive(self) -> bool {
        !matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// An instance of ours, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Such as `i-0123456789abcdef0`.
    pub id: String,
    /// Which machine it is.
    pub owner: Owner,
    /// What its tags tell besides.
    pub told: Told,
    /// What it does.
    pub state: State,
    /// Why it ended, in AWS's words.
    pub reason: Option<String>,
    /// When it was launched, in seconds since the epoch.
    pub launched: i64,
    /// Its type.
    pub instance_type: String,
    /// Its availability zone.
    pub availability_zone: String,
    /// Its address inside.
    pub private: Option<IpAddr>,
    /// Its addresses outside: IPv4 by translation, IPv6 as they are.
    pub public: Vec<IpAddr>,
}

/// What a listing says of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is there.
    There,
    /// It is being ended, and may still run.
    Ending(String),
    /// It has ended for good, and how that is known.
    Ended(String),
    /// It is not listed.
    Absent,
}

/// What a listing says of a machine, by those of its instances that it has.
pub fn look<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Look {
    let mut look = Look::Absent;
    for instance in instances {
        let id = &instance.id;
        match (instance.state, &look) {
            (state, _) if state.is_alive() => return Look::There,
            (State::ShuttingDown, _) => {
                look =
                    Look::Ending(format!("instance `{id}` is being terminated; it may still run"));
            }
            (_, Look::Absent) => {
                let why = instance.reason.as_deref().unwrap_or("nobody knows why");
                look = Look::Ended(format!("instance `{id}` is terminated ({why})"));
            }
            _ => {}
        }
    }
    look
}

/// All but the eldest of each machine's living instances of one intent: there was to be one.
pub fn doubles(instances: &[Instance]) -> Vec<&Instance> {
    let mut eldest: BTreeMap<(&MachineId, &Intent), &Instance> = BTreeMap::new();
    let mut doubles = Vec::new();
    for instance in instances.iter().filter(|it| it.state.is_alive()) {
        let key = (&instance.owner.machine, &instance.owner.intent);
        let age = |it: &Instance| (it.launched, it.id.clone());
        match eldest.get_mut(&key) {
            None => drop(eldest.insert(key, instance)),
            Some(known) if age(instance) < age(known) => {
                doubles.push(std::mem::replace(known, instance));
            }
            Some(_) => doubles.push(instance),
        }
    }
    doubles
}

/// When a machine that listings do not show is believed not to be there: AWS's listings lag behind, and what was just
/// made is not in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// So many listings in a row.
    pub looks: u32,
    /// The first and the last of them so far apart.
    pub grace: Duration,
}

/// Machines that listings did not show.
#[derive(Debug, Default)]
pub struct Absences(BTreeMap<MachineId, Absence>);

#[derive(Debug)]
struct Absence {
    first: Duration,
    last: Duration,
    looks: u32,
}

impl Absences {
    /// A listing shows it.
    pub fn seen(&mut self, machine: &MachineId) {
        self.0.remove(machine);
    }

    /// A whole listing that was made at this time does not: whether that is believed. The same one counts once.
    pub fn missed(&mut self, machine: &MachineId, listed: Duration, doubt: Doubt) -> bool {
        let first = Absence { first: listed, last: listed, looks: 1 };
        let absence = self.0.entry(machine.clone()).or_insert(first);
        if listed > absence.last {
            absence.last = listed;
            absence.looks = absence.looks.saturating_add(1);
        }
        absence.looks >= doubt.looks && absence.last - absence.first >= doubt.grace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, machine: &str, intent: &str, launched: i64, state: State) -> Instance {
        let owner = Owner { machine: machine.parse().unwrap(), intent: Intent::of(intent) };
        Instance {
            id: id.to_owned(),
            owner,
            told: Told::default(),
            state,
            reason: None,
            launched,
            instance_type: String::new(),
            availability_zone: String::new(),
            private: None,
            public: Vec::new(),
        }
    }

    fn of(states: &[State]) -> Look {
        let all: Vec<_> = states.iter().map(|it| instance("i-1", "m-1", "a", 0, *it)).collect();
        look(&all)
    }

    #[test]
    fn whatever_may_run_again_is_there() {
        for state in [State::Pending, State::Running, State::Stopping, State::Stopped] {
            assert_eq!(of(&[state]), Look::There);
            assert_eq!(of(&[State::Terminated, state]), Look::There);
        }
        assert_eq!(State::of("a state of the year 2040"), State::Running);
    }

    #[test]
    fn what_is_being_ended_has_not_ended() {
        assert!(matches!(of(&[State::ShuttingDown]), Look::Ending(_)));
        assert!(matches!(of(&[State::Terminated, State::ShuttingDown]), Look::Ending(_)));
        assert!(matches!(of(&[State::ShuttingDown, State::Terminated]), Look::Ending(_)));
        assert!(matches!(of(&[State::Terminated]), Look::Ended(_)));
        assert_eq!(of(&[]), Look::Absent);
    }

    #[test]
    fn absence_is_believed_only_when_it_lasts() {
        let (machine, mut absences) = ("m-1".parse().unwrap(), Absences::default());
        let doubt = Doubt { looks: 3, grace: Duration::from_secs(10) };
        let missed =
            |absences: &mut Absences, at| absences.missed(&machine, Duration::from_secs(at), doubt);
        assert!(!missed(&mut absences, 0));
        assert!(!missed(&mut absences, 60), "two looks are not three");
        assert!(!missed(&mut absences, 60), "the same listing counts once");
        assert!(missed(&mut absences, 61));
        absences.seen(&"m-1".parse().unwrap());
        for at in 100..110 {
            assert!(!missed(&mut absences, at), "{at}");
        }
        assert!(missed(&mut absences, 110));
    }

    #[test]
    fn of_doubles_the_eldest_is_no_double() {
        let all = [
            instance("i-3", "m-1", "a", 30, State::Running),
            instance("i-1", "m-1", "a", 10, State::Running),
            instance("i-2", "m-1", "a", 10, State::Pending),
            instance("i-0", "m-1", "a", 1, State::Terminated),
            instance("i-4", "m-1", "b", 40, State::Running),
            instance("i-5", "m-2", "a", 50, State::Running),
        ];
        let mut found: Vec<_> = doubles(&all).into_iter().map(|it| it.id.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["i-2", "i-3"]);
    }
}
