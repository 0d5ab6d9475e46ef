//! Which agents are listened to, and what those are told that are not.
//!
//! An agent does what it is told, also to stop everything. So that is said only to one that shows the
//! token of a machine which was given up: never for want of a record. A store that was lost, or made
//! from an older backup, knows less than the agents do.

use super::{ChangeError, Cluster, State, about_machine, event};
use crate::records::MachineRecord;
use cerebro_model::{Digest, EventKind, MachineDesired, MachineId, Timestamp};

/// Why an agent is not listened to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No machine of ours.
    #[error(
        "no machine {0} is known here: it was made by another cluster, or by this one and its record is lost; its agent \
         goes on with what it runs, until someone stops it there"
    )]
    Unknown(MachineId),
    /// Not that machine's agent.
    #[error(
        "the token is not that of machine {0}: an agent of another machine, or of an earlier one of that name"
    )]
    WrongToken(MachineId),
    /// Its machine was given up.
    #[error("machine {0} was given up: its agent should stop what it runs")]
    GivenUp(MachineId),
    /// It has to join first.
    #[error("the agent of machine {0} has not joined: it goes on with what it runs, and joins")]
    NotJoined(MachineId),
    /// Its time to join is over.
    #[error("machine {0} was to be joined until {1}, and is expected no longer: order it anew")]
    TooLate(MachineId, Timestamp),
    /// It runs what this store cannot take over.
    #[error("machine {0} cannot be taken over with what it runs, and its agent goes on: {1}")]
    RunsOtherThings(MachineId, String),
    /// Its word could not be kept.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Cluster {
    pub(super) fn authenticate<'s>(
        state: &'s State,
        id: &MachineId,
        token: &str,
    ) -> Result<&'s MachineRecord, AgentError> {
        let Some(record) = state.records.machines.get(id) else {
            // Of a machine that is gone, only the digest of its token is kept.
            return Err(match state.records.gone.get(id) {
                Some(gone) if gone.token == Digest::of(token.as_bytes()) => {
                    AgentError::GivenUp(id.clone())
                }
                _ => AgentError::Unknown(id.clone()),
            });
        };
        if !record.token.is(token) {
            return Err(AgentError::WrongToken(id.clone()));
        }
        match record.machine.state.runs() || record.machine.state.is_pending() {
            true => Ok(record),
            false => Err(AgentError::GivenUp(id.clone())),
        }
    }

    /// What an agent should run, by its token: nothing if its machine was given up. Who is not known is
    /// told nothing at all, and goes on.
    pub fn desired_by(&self, id: &MachineId, token: &str) -> Result<MachineDesired, AgentError> {
        let is_pending = Self::authenticate(&self.state(), id, token)
            .map(|record| record.machine.state.is_pending());
        match is_pending {
            Ok(true) => Err(AgentError::NotJoined(id.clone())),
            Ok(false) | Err(AgentError::GivenUp(_)) => Ok(self.desired(id)),
            Err(error) => {
                self.show_unknown(id, &error)?;
                Err(error)
            }
        }
    }

    /// Tells once that an agent shows up which is not known here.
    fn show_unknown(&self, id: &MachineId, error: &AgentError) -> Result<(), ChangeError> {
        // Anybody can ask in any name: enough is enough.
        const MOST: usize = 1000;
        {
            let unknown = &mut self.state().observed.unknown;
            if unknown.len() >= MOST || !unknown.insert(id.clone()) {
                return Ok(());
            }
        }
        let message = format!("an agent shows up as {id}, and is told nothing: {error}");
        self.tell(vec![event(EventKind::MachineUnknown, about_machine(id), message)])
    }
}
