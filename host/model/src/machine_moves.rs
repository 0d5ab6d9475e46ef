//! The moves in a machine's life: no other ones construct.

use crate::{
    AfterDrain, DeathCertificate, Drain, Lock, Machine, MachineId, MachineState, Maintenance,
    Timestamp,
};

/// Why a machine does not move on in its life.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// There is no way from where it is.
    #[error("{machine} is {is}: it cannot {to}")]
    NoWay {
        /// The machine.
        machine: MachineId,
        /// Its state, in one word.
        is: &'static str,
        /// What it was to do.
        to: &'static str,
    },
    /// It is locked.
    #[error("{machine} is locked against being terminated ({reason}): unlock it first")]
    Locked {
        /// The machine.
        machine: MachineId,
        /// Why it is locked.
        reason: String,
    },
    /// It is nobody's to terminate.
    #[error(
        "{machine} was joined by hand, and is never terminated: `cerebro machine remove {machine}` has it forgotten"
    )]
    Joined {
        /// The machine.
        machine: MachineId,
    },
}

impl Machine {
    fn to(&self, state: MachineState) -> Self {
        Self { state, ..self.clone() }
    }

    fn no_way(&self, to: &'static str) -> MoveError {
        MoveError::NoWay { machine: self.id.clone(), is: self.state.word(), to }
    }

    fn unlocked(&self) -> Result<(), MoveError> {
        match &self.lock {
            None => Ok(()),
            Some(Lock { reason, .. }) => {
                Err(MoveError::Locked { machine: self.id.clone(), reason: reason.clone() })
            }
        }
    }

    /// Its agent has joined for the first time.
    pub fn joined(&self, at: Timestamp) -> Result<Self, MoveError> {
        match self.state {
            MachineState::Pending => Ok(self.to(MachineState::Active { since: at })),
            _ => Err(self.no_way("join for the first time")),
        }
    }

    /// It is to be drained, or another thing is to follow its drain.
    pub fn draining(&self, drain: Drain) -> Result<Self, MoveError> {
        if drain.then == AfterDrain::Remove {
            self.unlocked()?;
        }
        match &self.state {
            MachineState::Active { since } => {
                Ok(self.to(MachineState::Draining { since: *since, drain }))
            }
            // It goes on; what follows is looked at anew.
            MachineState::Draining { since, drain: before } => {
                let drain = Drain { begun_at: before.begun_at, ..drain };
                Ok(self.to(MachineState::Draining { since: *since, drain }))
            }
            // Its agent may well be away: nothing is held against that before it was waited for.
            MachineState::Maintenance { .. } => {
                Ok(self.to(MachineState::Draining { since: drain.begun_at, drain }))
            }
            _ => Err(self.no_way("be drained")),
        }
    }

    /// Nothing is on it any more.
    pub fn drained(&self, at: Timestamp) -> Result<Self, MoveError> {
        match &self.state {
            MachineState::Draining { since, drain } => {
                let drain = Drain { drained_at: Some(at), ..drain.clone() };
                Ok(self.to(MachineState::Draining { since: *since, drain }))
            }
            _ => Err(self.no_way("have been drained")),
        }
    }

    /// It is drained no longer, and takes instances again.
    pub fn undrained(&self) -> Result<Self, MoveError> {
        match self.state {
            MachineState::Draining { since, .. } => Ok(self.to(MachineState::Active { since })),
            _ => Err(self.no_way("be taken out of a drain")),
        }
    }

    /// It is left alone from now on, or for another time.
    pub fn maintained(&self, maintenance: Maintenance) -> Result<Self, MoveError> {
        match self.state {
            MachineState::Active { .. }
            | MachineState::Draining { .. }
            | MachineState::Maintenance { .. } => {
                Ok(self.to(MachineState::Maintenance { maintenance }))
            }
            _ => Err(self.no_way("be maintained")),
        }
    }

    /// It is drained, and the maintenance begins that was to follow.
    pub fn maintained_as_asked(&self, at: Timestamp) -> Result<Self, MoveError> {
        match &self.state {
            MachineState::Draining {
                drain: Drain { then: AfterDrain::Maintain { reason, lasts }, .. },
                ..
            } => {
                let (until, reason) = (at.after(lasts.duration()), reason.clone());
                self.maintained(Maintenance { begun_at: at, until, reason })
            }
            _ => Err(self.no_way("begin a maintenance that nobody asked for")),
        }
    }

    /// Its maintenance is over.
    pub fn maintained_until(&self, at: Timestamp) -> Result<Self, MoveError> {
        match self.state {
            MachineState::Maintenance { .. } => Ok(self.to(MachineState::Active { since: at })),
            _ => Err(self.no_way("come out of maintenance")),
        }
    }

    /// It is given up: all witnesses agree that it is dead, or that nobody reaches it whatever is tried.
    pub fn lost(&self, certificate: DeathCertificate) -> Result<Self, MoveError> {
        match self.state {
            MachineState::Active { .. } | MachineState::Draining { .. } => {
                Ok(self.to(MachineState::Lost { certificate }))
            }
            _ => Err(self.no_way("be declared lost")),
        }
    }

    /// It did not join in time, and is to be destroyed. One that has joined meanwhile is not.
    pub fn never_joined(&self, reason: String) -> Result<Self, MoveError> {
        match self.state {
            MachineState::Pending => self.terminating(reason),
            _ => Err(self.no_way("be given up for not having joined")),
        }
    }

    /// It is to be destroyed. A locked machine never is. One that was joined by hand is forgotten at most, and only if
    /// an operator has said so, or if it never joined.
    pub fn terminating(&self, reason: String) -> Result<Self, MoveError> {
        let may_go = match &self.state {
            MachineState::Pending => true,
            MachineState::Draining { drain, .. } => drain.then == AfterDrain::Remove,
            _ => false,
        };
        match self.origin.is_joined() && !may_go {
            true => Err(MoveError::Joined { machine: self.id.clone() }),
            false => self.ending(reason),
        }
    }

    /// It is lost, was joined by hand, and an operator lets it go.
    pub fn let_go(&self, reason: String) -> Result<Self, MoveError> {
        match self.state {
            MachineState::Lost { .. } if self.origin.is_joined() => self.ending(reason),
            _ => Err(self.no_way("be let go")),
        }
    }

    fn ending(&self, reason: String) -> Result<Self, MoveError> {
        self.unlocked()?;
        let certificate = match &self.state {
            MachineState::Pending | MachineState::Active { .. } | MachineState::Draining { .. } => {
                None
            }
            MachineState::Lost { certificate } => Some(certificate.clone()),
            _ => return Err(self.no_way("be terminated")),
        };
        Ok(self.to(MachineState::Terminating { reason, certificate }))
    }

    /// It is locked, or for another reason. One whose end is recorded is not: it may be gone.
    pub fn locked(&self, lock: Lock) -> Result<Self, MoveError> {
        match &self.state {
            MachineState::Terminating { .. } => Err(self.no_way("be locked any more")),
            MachineState::Draining { drain, .. } if drain.then == AfterDrain::Remove => {
                Err(self
                    .no_way("be locked while it is removed (`cerebro machine undrain` keeps it)"))
            }
            _ => Ok(Self { lock: Some(lock), ..self.clone() }),
        }
    }

    /// It is locked no longer.
    pub fn unlocked_again(&self) -> Self {
        Self { lock: None, ..self.clone() }
    }

    /// Whether it may be destroyed: that is recorded, and it is not locked.
    pub fn may_be_destroyed(&self) -> bool {
        matches!(self.state, MachineState::Terminating { .. }) && self.lock.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capacity, Cores, Megabytes, Verdict};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn pending() -> Machine {
        let capacity = Capacity { cpu: Cores::ZERO, mem: Megabytes::ZERO, disk: Megabytes::ZERO };
        Machine::new(MachineId::nth(1), "z-1".parse().unwrap(), capacity, at(0))
    }

    fn certificate() -> DeathCertificate {
        serde_json::from_value(serde_json::json!({
            "at": at(9), "probe": "refused", "provider": "gone",
        }))
        .unwrap()
    }

    fn drain(then: AfterDrain) -> Drain {
        Drain::new(at(2), "disk".to_owned(), then)
    }

    fn maintenance() -> Maintenance {
        Maintenance { begun_at: at(3), until: at(9), reason: "disk".to_owned() }
    }

    /// One machine in each state.
    fn all() -> Vec<Machine> {
        let active = pending().joined(at(1)).unwrap();
        vec![
            pending(),
            active.draining(drain(AfterDrain::Stay)).unwrap(),
            active.maintained(maintenance()).unwrap(),
            active.lost(certificate()).unwrap(),
            active.terminating("idle".to_owned()).unwrap(),
            active,
        ]
    }

    #[test]
    fn every_move_that_there_is_and_no_other() {
        type Move<'a> = (&'a str, &'a dyn Fn(&Machine) -> bool, &'a [&'a str]);
        let moves: [Move<'_>; 9] = [
            ("join", &|it| it.joined(at(1)).is_ok(), &["pending"]),
            (
                "drain",
                &|it| it.draining(drain(AfterDrain::Stay)).is_ok(),
                &["active", "draining", "maintenance"],
            ),
            ("drained", &|it| it.drained(at(5)).is_ok(), &["draining"]),
            ("undrain", &|it| it.undrained().is_ok(), &["draining"]),
            (
                "maintain",
                &|it| it.maintained(maintenance()).is_ok(),
                &["active", "draining", "maintenance"],
            ),
            ("end", &|it| it.maintained_until(at(9)).is_ok(), &["maintenance"]),
            ("lose", &|it| it.lost(certificate()).is_ok(), &["active", "draining"]),
            ("never join", &|it| it.never_joined(String::new()).is_ok(), &["pending"]),
            (
                "terminate",
                &|it| it.terminating(String::new()).is_ok(),
                &["pending", "active", "draining", "lost"],
            ),
        ];
        for (name, goes, from) in moves {
            for machine in all() {
                let word = machine.state.word();
                assert_eq!(goes(&machine), from.contains(&word), "{name} from {word}");
            }
        }
    }

    #[test]
    fn a_locked_machine_can_be_neither_terminated_nor_removed_and_one_that_ends_not_locked() {
        let lock = || Lock { reason: "evidence".to_owned(), at: at(4) };
        for machine in all() {
            let Ok(locked) = machine.locked(lock()) else {
                assert_eq!(machine.state.word(), "terminating");
                continue;
            };
            let refused = locked.terminating("idle".to_owned()).unwrap_err();
            assert!(matches!(refused, MoveError::Locked { .. }), "{refused}");
            assert!(refused.to_string().contains("m-1 is locked"), "{refused}");
            assert!(locked.draining(drain(AfterDrain::Remove)).is_err());
            assert_eq!(locked.unlocked_again(), machine);
        }
        let removed = pending().joined(at(1)).unwrap().draining(drain(AfterDrain::Remove)).unwrap();
        assert!(removed.locked(lock()).is_err());
    }

    #[test]
    fn one_that_was_joined_by_hand_ends_only_by_an_operators_word() {
        let joined = |it: Machine| it.joined_by_hand("box".to_owned(), at(900));
        for machine in all().into_iter().map(joined) {
            let word = machine.state.word();
            let ends = machine.terminating("idle".to_owned()).is_ok();
            assert_eq!(ends, word == "pending", "{word}");
            assert_eq!(machine.let_go("gone".to_owned()).is_ok(), word == "lost", "{word}");
        }
        let active = joined(pending()).joined(at(1)).unwrap();
        let error = active.terminating("idle".to_owned()).unwrap_err();
        assert!(matches!(error, MoveError::Joined { .. }), "{error}");
        let removed = active.draining(drain(AfterDrain::Remove)).unwrap();
        assert!(removed.terminating("removed".to_owned()).is_ok());
        let lost = pending().joined(at(1)).unwrap().lost(certificate()).unwrap();
        assert!(lost.let_go("gone".to_owned()).is_err(), "Cerebro made it");
    }

    #[test]
    fn only_a_machine_that_its_provider_calls_gone_runs_nothing_for_sure() {
        let active = pending().joined(at(1)).unwrap();
        for (verdict, may_run) in
            [(Verdict::Gone, false), (Verdict::Hangs, true), (Verdict::Ending, true)]
        {
            let lost = active.lost(DeathCertificate { verdict, ..certificate() }).unwrap();
            let ending = lost.terminating("lost".to_owned()).unwrap();
            assert_eq!([&lost, &ending].map(|it| it.state.may_run_tasks()), [may_run; 2]);
            let text = serde_json::to_string(&ending.state).unwrap();
            assert_eq!(serde_json::from_str::<MachineState>(&text).unwrap(), ending.state);
        }
        assert!(active.state.may_run_tasks());
    }

    #[test]
    fn what_an_older_version_stored_is_read() {
        let read = |text: &str| serde_json::from_str::<MachineState>(text).unwrap();
        assert_eq!(read(r#"{"is":"provisioning"}"#), MachineState::Pending);
        let since = at(1);
        assert_eq!(
            read(&format!(r#"{{"is":"active","since":"{since}"}}"#)),
            MachineState::Active { since }
        );
        let reason = "it has not joined".to_owned();
        assert_eq!(
            read(r#"{"is":"terminating","reason":"it has not joined"}"#),
            MachineState::Terminating { reason, certificate: None }
        );
        for machine in all() {
            let text = serde_json::to_string(&machine.state).unwrap();
            assert_eq!(read(&text), machine.state, "{text}");
        }
    }
}
