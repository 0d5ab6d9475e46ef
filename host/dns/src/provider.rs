//! What the controller asks of whoever answers for names.

use crate::{Group, Mark, Records};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where names are published.
///
/// Each call is one step that happens as a whole or not at all, and is safe to repeat. None touches a record
/// that is not its group's, or a group that does not bear the mark that it was given.
#[async_trait]
pub trait DnsProvider: Send + Sync {
    /// The provider's name, such as `embedded`.
    fn name(&self) -> &str;

    /// Puts a mark on a group that has none, or an earlier one of the same cluster and job: from then on
    /// whoever has the earlier one is refused. A group whose names exist without a mark is somebody's, and refused
    /// ([`DnsError::Unmarked`]).
    async fn claim(&self, group: &Group, mark: &Mark) -> Result<(), DnsError>;

    /// Changes a group from what it is known to be to what it should be. Refused if it does not bear exactly this mark
    /// ([`DnsError::Fenced`]), or if what changes has not the addresses that are expected ([`DnsError::Changed`]);
    /// expected TTLs do not matter. That it is as wanted already, as after an answer that was lost, is no error.
    async fn publish(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        wanted: &Records,
    ) -> Result<(), DnsError>;

    /// Removes all of a group with its mark, on the conditions of [`publish`](Self::publish), and if it has no addresses
    /// but those that are expected. That it is gone already is no error.
    async fn withdraw(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
    ) -> Result<(), DnsError>;

    /// How long a call waits, beyond what an answer takes, until what it has changed is answered everywhere.
    fn waits(&self) -> Duration {
        Duration::ZERO
    }

    /// All that was recorded before the controller started is published again: who answers by what this process has
    /// published may begin to.
    fn settled(&self) {}

    /// How long ago, at the least, somebody was last told an address of a group, or of any of its job's: then nobody
    /// keeps an answer that is older. None if the provider does not know: then it may have been just now.
    fn last_answered(&self, _group: &Group) -> Option<Duration> {
        None
    }

    /// How many calls were made to whoever answers for names since the provider was opened, by their name and by how they
    /// ended in a word; none, where none are counted.
    fn calls(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        BTreeMap::new()
    }

    /// What is there of a group now. An error means that it could not be found out, never that nothing is there.
    async fn list(&self, group: &Group) -> Result<Listed, DnsError>;
}

/// What is there of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its mark, if it has one.
    pub mark: Option<Mark>,
    /// Its addresses.
    pub records: Records,
}

/// Why a provider of names did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The group is somebody else's.
    #[error(
        "`{group}` is claimed by another: its TXT record `{}` says `{found}`. Nothing was changed. If it is a cluster \
         that is no more, remove that record; else give the job another `dns_basename`", group.mark_name()
    )]
    Foreign {
        /// The group.
        group: Group,
        /// What its TXT record says.
        found: String,
    },
    /// Records are there that nobody of ours made.
    #[error(
        "there are records at {} already, without the mark of a cluster ({}). Nothing was changed. Remove them, or \
         give the job another `dns_basename`", names.join(" and "), group.mark_name()
    )]
    Unmarked {
        /// The group.
        group: Group,
        /// The names that have records.
        names: Vec<String>,
    },
    /// A later controller has claimed the group, or it is claimed no more.
    #[error(
        "`{group}` does not bear the mark that it was to be changed under, but {found}: it is to be claimed again"
    )]
    Fenced {
        /// The group.
        group: Group,
        /// What it bears.
        found: String,
    },
    /// What is there is not what was expected.
    #[error("`{group}` has changed meanwhile: it is listed again before it is changed ({why})")]
    Changed {
        /// The group.
        group: Group,
        /// What was found out.
        why: String,
    },
    /// The provider refuses, and will do so until a person has done something.
    #[error("cannot {doing}: {why}")]
    Refused {
        /// What was tried.
        doing: String,
        /// Why it was refused, and what to do.
        why: String,
    },
    /// It could not be found out whether it was done, or it was not; the same again may help.
    #[error("cannot {doing} just now: {why}")]
    Unavailable {
        /// What was tried.
        doing: String,
        /// Why not.
        why: String,
    },
}

impl DnsError {
    /// Whether the same may be tried again without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Fenced { .. } | Self::Unavailable { .. })
    }
}
