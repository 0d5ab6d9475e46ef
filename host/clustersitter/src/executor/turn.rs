//! Moves machines on in their lives.

use super::Executor;
use crate::cluster::{ChangeError, State, about_machine, event, graves};
use crate::records::{Change, MachineRecord};
use cerebro_model::{
    DeathCertificate, EventKind, Machine, MachineId, MachineState, MoveError, Timestamp,
};
use cerebro_planner::cluster::Turn;

impl Executor {
    /// Moves a machine on in its life, if there is still a way: an operator may have been faster.
    fn advance(
        &self,
        id: &MachineId,
        kind: EventKind,
        words: String,
        to: impl FnOnce(&Machine, Timestamp) -> Result<Machine, MoveError>,
    ) -> Result<(), ChangeError> {
        self.change(|state| Ok((moved(state, id, kind, words, to).0, ())))
    }

    /// Gives a machine up that all witnesses speak against. One that is taken to hang may have been heard
    /// since the planner looked: then it does not.
    pub(super) fn declare_lost(
        &self,
        id: &MachineId,
        certificate: DeathCertificate,
        reason: &str,
    ) -> Result<(), ChangeError> {
        let is_back = self.cluster.state().heard_after(id, certificate.last_heartbeat);
        if is_back && !certificate.verdict.is_gone() {
            return Ok(());
        }
        let words = format!("{id} is lost: {reason}");
        self.give_up(id, EventKind::MachineLost, words, |it| it.lost(certificate))
    }

    /// Gives a machine up, and remembers it: once, for there is one way there only.
    pub(super) fn give_up(
        &self,
        id: &MachineId,
        kind: EventKind,
        words: String,
        to: impl FnOnce(&Machine) -> Result<Machine, MoveError>,
    ) -> Result<(), ChangeError> {
        self.change(|state| {
            let why = words.clone();
            let (change, machine) = moved(state, id, kind, words, |machine, _| to(machine));
            Ok(match machine {
                Some(machine) => (graves::bury(state, change, &machine, &why, state.now), ()),
                None => (change, ()),
            })
        })
    }

    /// Records the next turn in a machine's life.
    pub(super) fn turn(&self, id: &MachineId, turn: Turn, reason: &str) -> Result<(), ChangeError> {
        match turn {
            Turn::Drained => {
                let words = format!("{id} is drained: {reason}");
                self.advance(id, EventKind::MachineDrained, words, |it, now| it.drained(now))
            }
            Turn::Maintained => {
                let words = format!("{id} is drained, and in maintenance from now on: {reason}");
                self.advance(id, EventKind::MaintenanceBegun, words, |it, now| {
                    it.maintained_as_asked(now)
                })
            }
            Turn::MaintenanceOver => {
                let words = format!("the maintenance of {id} is over: {reason}");
                self.advance(id, EventKind::MaintenanceOver, words, Machine::maintained_until)
            }
            Turn::Terminated => {
                // What is placed on it since the planner looked keeps it, unless it is dead.
                let state = self.cluster.state();
                let is_lost = |it: &Machine| matches!(it.state, MachineState::Lost { .. });
                let record = state.records.machines.get(id);
                let is_lost = record.is_some_and(|record| is_lost(&record.machine));
                if !is_lost && !state.is_free(id) {
                    return Ok(());
                }
                drop(state);
                let words = format!("{id} is terminated: {reason}");
                let to = |machine: &Machine, _| machine.terminating(reason.to_owned());
                self.advance(id, EventKind::MachineTerminating, words, to)
            }
        }
    }
}

/// A machine moved on, if there is a way; and what of that is to be recorded.
fn moved(
    state: &State,
    id: &MachineId,
    kind: EventKind,
    words: String,
    to: impl FnOnce(&Machine, Timestamp) -> Result<Machine, MoveError>,
) -> (Change, Option<Machine>) {
    let Some(record) = state.records.machines.get(id) else { return (Change::default(), None) };
    let machine = match to(&record.machine, state.now) {
        Ok(machine) => machine,
        Err(why) => {
            tracing::info!("not done: {why}");
            return (Change::default(), None);
        }
    };
    let record = MachineRecord { machine: machine.clone(), ..record.clone() };
    let told = event(kind, about_machine(id), words);
    (Change::default().machine(id, Some(record)).event(told), Some(machine))
}
