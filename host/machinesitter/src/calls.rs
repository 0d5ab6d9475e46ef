//! What recipes did here: a directory for each call, with its journal, what it replaced, and its
//! recording. The calls of the last deployments are kept, so that they can be taken back.

use crate::agent::Agent;
use cerebro_model::{DeploymentId, InstanceId};
use cerebro_recipe_engine::{Journal, forget_call};
use std::fs;
use std::path::{Path, PathBuf};

/// Deployments whose calls are kept for an instance.
const DEPLOYMENTS: usize = 5;

/// The calls of one instance.
pub struct Calls(PathBuf);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub deployment: DeploymentId,
    /// Which try it was, from 1.
    pub attempt: u32,
    pub directory: PathBuf,
}

impl Calls {
    pub fn of(agent: &Agent, id: &InstanceId) -> Self {
        Self::below(&agent.disk.task_dir(id))
    }

    fn below(task: &Path) -> Self {
        Self(task.join("calls"))
    }

    /// Those that are kept, oldest first.
    pub fn all(&self) -> Vec<Kept> {
        let kept = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let (deployment, attempt) = name.rsplit_once('.')?;
            let (deployment, attempt) = (deployment.parse().ok()?, attempt.parse().ok()?);
            Some(Kept { deployment, attempt, directory: entry.path() })
        };
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut all: Vec<Kept> = entries.filter_map(kept).collect();
        all.sort_by(|a, b| {
            (a.deployment.ordinal(), a.attempt).cmp(&(b.deployment.ordinal(), b.attempt))
        });
        all
    }

    /// The directory of the next call for a deployment.
    pub fn next(&self, deployment: &DeploymentId) -> PathBuf {
        let tries = self.all().into_iter().filter(|call| call.deployment == *deployment);
        let attempt = tries.map(|call| call.attempt).max().unwrap_or(0) + 1;
        self.0.join(format!("{deployment}.{attempt}"))
    }

    /// Those that nobody lived to end.
    pub fn open(&self) -> Vec<Kept> {
        let is_open = |call: &Kept| match Journal::open(&call.directory) {
            Ok(Some(journal)) => !journal.is_closed(),
            // One that cannot be read is told of when it is to be taken back.
            Ok(None) | Err(_) => false,
        };
        self.all().into_iter().filter(is_open).collect()
    }

    /// Those of a deployment that have not been taken back, newest first.
    pub fn standing(&self, deployment: &DeploymentId) -> Vec<Kept> {
        let mut calls: Vec<Kept> = self.all().into_iter().rev().collect();
        calls.retain(|call| {
            call.deployment == *deployment
                && matches!(Journal::open(&call.directory), Ok(Some(journal)) if !journal.is_rolled_back())
        });
        calls
    }

    /// Forgets the calls of old deployments: they cannot be taken back any longer.
    pub fn prune(&self, root: &Path) {
        let all = self.all();
        let mut deployments: Vec<&DeploymentId> = all.iter().map(|call| &call.deployment).collect();
        deployments.dedup();
        let old = deployments.len().saturating_sub(DEPLOYMENTS);
        let old = &deployments[..old];
        for call in all.iter().filter(|call| old.contains(&&call.deployment)) {
            forget(root, &call.directory);
        }
    }

    /// Forgets all of them: the instance goes.
    pub fn forget(&self, root: &Path) {
        self.all().iter().for_each(|call| forget(root, &call.directory));
    }
}

fn forget(root: &Path, directory: &Path) {
    if let Err(error) = forget_call(root, directory) {
        // It takes room, and is tried again with the next.
        let directory = directory.display();
        tracing::warn!(%error, "what a call in `{directory}` did cannot be forgotten");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_the_last_deployments_are_kept_each_try_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let calls = Calls::below(dir.path());
        for ordinal in 1..=7 {
            let deployment = DeploymentId::nth(ordinal);
            for attempt in 1..=2 {
                let directory = calls.next(&deployment);
                assert!(directory.ends_with(format!("calls/{deployment}.{attempt}")));
                fs::create_dir_all(directory).unwrap();
            }
        }
        calls.prune(Path::new("/"));
        let kept: Vec<_> =
            calls.all().iter().filter_map(|call| call.deployment.ordinal()).collect();
        assert_eq!(kept, [3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
        assert!(calls.open().is_empty());
        calls.forget(Path::new("/"));
        assert!(calls.all().is_empty());
    }
}
