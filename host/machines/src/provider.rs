//! What the controller asks of whoever has machines.

use crate::Intent;
use async_trait::async_trait;
use cerebro_model::{Capacity, Digest, MachineId, ZoneName};
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Calls by their name, and by how they ended in a word: how many.
pub type Calls = BTreeMap<(&'static str, &'static str), u64>;

/// A source of machines.
#[async_trait]
pub trait MachineProvider: Send + Sync {
    /// The provider's name, such as `local`.
    fn name(&self) -> &str;

    /// Creates a machine whose agent then calls the controller. The id is the client token:
    /// asking again, also after a crash, makes no second machine, and none again of one that died.
    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError>;

    /// Whether a machine is there. An error means that it could not be found out, never that the
    /// machine is gone.
    async fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError>;

    /// The machines that this provider made for this cluster and did not destroy, dead or alive.
    async fn list(&self) -> Result<Vec<MachineId>, ProviderError>;

    /// What a machine of this provider's was made as: for a controller that has lost its record of it.
    async fn made(&self, machine: &MachineId) -> Result<Made, ProviderError> {
        Err(ProviderError::Unavailable {
            doing: format!("take `{machine}` over"),
            why: format!("`{}` does not keep what its machines were made as", self.name()),
        })
    }

    /// Whether a machine was made by this intent, and not by another one that gave it the same name.
    async fn is_made_by(
        &self,
        machine: &MachineId,
        intent: &Intent,
    ) -> Result<bool, ProviderError> {
        Ok(self.made(machine).await?.intent == *intent)
    }

    /// Whether this provider has to be told, once a machine's agent has joined, what that proves itself with
    /// ([`keep_proof`](Self::keep_proof)) for [`made`](Self::made) to know it.
    fn keeps_proofs(&self) -> bool {
        false
    }

    /// Keeps with a machine of this intent the digest of the token that its agent proves itself with, for whoever loses
    /// the records. Safe to repeat.
    async fn keep_proof(
        &self,
        _machine: &MachineId,
        _intent: &Intent,
        _token: &Digest,
    ) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Ends a machine's agent, so that what keeps it there starts it again. Its tasks go on. Safe to
    /// repeat.
    async fn restart_agent(&self, machine: &MachineId) -> Result<(), ProviderError> {
        Err(ProviderError::Unavailable {
            doing: format!("start the agent of `{machine}` again"),
            why: format!("`{}` reaches into none of its machines", self.name()),
        })
    }

    /// Ends all that runs on a machine, whatever state that is in, and starts it again as the same one: its id,
    /// its address, its files and its token. Until it runs again [`describe`](Self::describe) calls it
    /// running. Safe to repeat, also after a crash.
    async fn reboot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        Err(ProviderError::Unavailable {
            doing: format!("reboot `{machine}`"),
            why: format!("`{}` can reboot none of its machines", self.name()),
        })
    }

    /// Ends what a machine has more than one of, and answers what that was. To be called now and then by who leads, where
    /// creating may come to a second one: as when what was written down of an attempt is lost.
    async fn sweep(&self) -> Result<Vec<String>, ProviderError> {
        Ok(Vec::new())
    }

    /// How many calls were made to whoever has the machines since the provider was opened; none, where none are counted.
    fn calls(&self) -> Calls {
        Calls::new()
    }

    /// Ends a machine and removes what it leaves; that it is gone already is no error. With an intent, only what was made by
    /// that: another machine of the same name goes on.
    async fn destroy(
        &self,
        machine: &MachineId,
        intent: Option<&Intent>,
    ) -> Result<(), ProviderError>;
}

/// A machine to be created.
#[derive(Debug, Clone)]
pub struct CreateMachine {
    /// Its identity, and the client token of its creation.
    pub id: MachineId,
    /// The zone that it stands in.
    pub zone: ZoneName,
    /// What it has to give.
    pub capacity: Capacity,
    /// The controller's base URL, as the machine reaches it.
    pub controller: String,
    /// What its agent proves itself with when it joins.
    pub join_token: String,
    /// The term of the controller that decided it; 0, if that is not known.
    pub term: u64,
    /// The environment of its agent, on top of a clean one.
    pub environment: BTreeMap<String, String>,
}

/// What a provider knows of a machine of its own, whatever became of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The zone that it stands in.
    pub zone: ZoneName,
    /// What it has to give.
    pub capacity: Capacity,
    /// The term of the controller that decided it; 0, if that is not known.
    pub term: u64,
    /// By which intent.
    pub intent: Intent,
    /// Of the token that its agent proves itself with.
    pub token: Digest,
}

/// Whether a machine is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It runs, as far as its provider can see.
    Running,
    /// It is being ended, by whomever, and will not come back; until that is done, something of it may run.
    Ending {
        /// How the provider knows.
        why: String,
    },
    /// It is not there, and will not come back.
    Gone {
        /// How the provider knows.
        why: String,
    },
}

/// Why a provider could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// A file of the provider's could not be read or written.
    #[error("cannot {doing} `{}`; check that its file system has room and is ours to write", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The machine did not start.
    #[error("machine `{machine}` did not start: {why}; its log is `{}`", log.display())]
    NotStarted {
        /// The machine.
        machine: MachineId,
        /// What its init said.
        why: String,
        /// Where to read on.
        log: PathBuf,
    },
    /// Something of the machine outlived its end.
    #[error("machine `{machine}` did not end: {left}; ask again to go on")]
    NotEnded {
        /// The machine.
        machine: MachineId,
        /// What is left.
        left: String,
    },
    /// A part of the host that the machine needs could not be set up or taken down.
    #[error("cannot {doing} for machine `{machine}`")]
    Host {
        /// What was tried.
        doing: &'static str,
        /// The machine.
        machine: String,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A record that does not belong where it lies.
    #[error("`{}` describes `{found}`; it was not made here, so nothing was done with it", path.display())]
    Foreign {
        /// The record.
        path: PathBuf,
        /// What it describes.
        found: String,
    },
    /// The name is that of another machine.
    #[error(
        "there is a machine `{machine}` already that was made by another intent, as of a store that was lost: it is \
         left as it is; `cerebro machine adopt` takes it over"
    )]
    Taken {
        /// The name.
        machine: MachineId,
    },
    /// A machine that this provider does not have.
    #[error("there is no machine `{machine}` here; the machines are: {known}")]
    Unknown {
        /// The machine asked for.
        machine: MachineId,
        /// Those that there are.
        known: String,
    },
    /// There is no room for the machine where it should stand. Another zone may have some; so may this one, later.
    #[error("cannot make `{machine}`: {zone} has no room for it just now ({why})")]
    NoCapacity {
        /// The machine.
        machine: MachineId,
        /// The zone.
        zone: ZoneName,
        /// What was tried, and what the provider said.
        why: String,
    },
    /// The provider refuses, and will do so until a person has done something.
    #[error("cannot {doing}: {why}")]
    Refused {
        /// What was asked for.
        doing: String,
        /// Why it is refused, and what to do.
        why: String,
    },
    /// What was asked for needs something that this host or this machine does not have.
    #[error("cannot {doing}: {why}")]
    Unavailable {
        /// What was asked for.
        doing: String,
        /// What is missing, and what to do.
        why: String,
    },
}
