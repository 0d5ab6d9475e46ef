//! What recipes did here: a directory for each call, with its journal, what it replaced, and its
//! recording. The calls of the last deployments are kept, so that they can be taken back.

use crate::agent::Agent;
use cerebro_model::{DeploymentId, InstanceId, JobName};
use cerebro_recipe_engine::{Journal, Record, forget_call};
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

    /// Whether a call for a deployment has come to a good end here, changed something, and stands.
    pub fn stands_well(&self, deployment: &DeploymentId) -> bool {
        let ended_well = |call: &Kept| match Journal::open(&call.directory) {
            Ok(Some(journal)) => {
                let well = |record: &Record| matches!(record, Record::End { error: None, .. });
                !journal.is_rolled_back() && journal.records.iter().any(well)
            }
            Ok(None) | Err(_) => false,
        };
        self.all().iter().any(|call| call.deployment == *deployment && ended_well(call))
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

/// A call, whose it was, and when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub instance: InstanceId,
    pub call: Kept,
    /// Microseconds since 1970.
    at: i64,
}

/// The calls for every instance of a job on this machine of which this holds, newest first: they share
/// its files, and so one may have built on what another left.
///
/// One whose journal cannot be read is told of when it is to be taken back.
pub fn of_job(agent: &Agent, job: &JobName, holds: impl Fn(&Kept, &Journal) -> bool) -> Vec<Begun> {
    let instances = agent.table.map(|entry| entry.record.assignment.instance.clone());
    let calls = instances.into_iter().filter(|instance| instance.job == *job).map(|instance| {
        let all = Calls::of(agent, &instance.id).all();
        (instance.id, all)
    });
    newest_first(calls, holds)
}

fn newest_first(
    calls: impl Iterator<Item = (InstanceId, Vec<Kept>)>,
    holds: impl Fn(&Kept, &Journal) -> bool,
) -> Vec<Begun> {
    let mut begun = Vec::new();
    for (instance, calls) in calls {
        // A clock that was set back must not turn an instance's own calls round.
        let mut latest = i64::MIN;
        for call in calls {
            let Ok(Some(journal)) = Journal::open(&call.directory) else { continue };
            latest = journal.begin().map_or(latest, |begin| begin.at.max(latest));
            if holds(&call, &journal) {
                begun.push(Begun { instance: instance.clone(), call, at: latest });
            }
        }
    }
    // Stable: of one instance's, begun at once, the later stays behind the earlier until it is turned.
    begun.sort_by_key(|it| it.at);
    begun.reverse();
    begun
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
        calls.forget(Path::new("/"));
        assert!(calls.all().is_empty());
    }
}
