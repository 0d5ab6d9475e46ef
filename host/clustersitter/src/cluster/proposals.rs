//! Repairs that wait for a person, and whether all of them do.

use super::{ChangeError, Cluster, about_machine, event};
use crate::records::{Change, RepairMode};
use cerebro_model::{EventKind, Proposal, Subject};

/// Why a repair is not approved.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// It is not proposed.
    #[error(
        "nothing was approved: `{0}` is not proposed, or no longer; what is, `cerebro repair list` shows"
    )]
    NotProposed(String),
    /// It could not be recorded.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Cluster {
    /// Repairs that wait for a person.
    pub fn proposals(&self) -> Vec<Proposal> {
        self.state().observed.proposals.clone()
    }

    /// A person says yes: it is done with the next look, if it still applies then for the same reason.
    pub fn approve(&self, id: &str, author: &str) -> Result<Proposal, ApprovalError> {
        let found = self.proposals().into_iter().find(|it| it.id == id);
        let proposal = found.ok_or_else(|| ApprovalError::NotProposed(id.to_owned()))?;
        let message = format!("{author} approved {id}: {}", proposal.why);
        let about = about_machine(&proposal.machine);
        // Whose word it was is on record before anything comes of it.
        self.tell(vec![event(EventKind::RepairApproved, about, message)])?;
        self.state().kept.approve(&proposal);
        self.wake();
        Ok(Proposal { approved: true, ..proposal })
    }

    /// Whether repairs are only proposed.
    pub fn observes_only(&self) -> bool {
        let mode = &self.state().records.repair_mode;
        mode.as_ref().map_or(self.policy.limits.observe_only, |mode| mode.observe_only)
    }

    /// Has repairs only proposed, or done.
    pub fn observe_only(&self, observe_only: bool, author: &str) -> Result<(), ChangeError> {
        if self.observes_only() == observe_only {
            return Ok(());
        }
        self.change(|state| {
            let message = match observe_only {
                true => format!("{author} has repairs only proposed: each waits to be approved"),
                false => format!("{author} has repairs done again without being asked"),
            };
            let told = event(EventKind::RepairMode, Subject::default(), message);
            let mode = RepairMode { observe_only, author: author.to_owned(), since: state.now };
            Ok((Change::default().repair_mode(mode).event(told), ()))
        })
    }
}
