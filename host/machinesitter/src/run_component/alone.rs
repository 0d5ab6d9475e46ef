//! What a lone component is given in an agent's place.

use super::{RunFault, failed};
use async_trait::async_trait;
use cerebro_model::{Digest, Secret, SecretName};
use cerebro_recipe_engine::{Agent, AgentError, TaskStatus, TaskUsage};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The artifacts and secrets of the command line.
pub struct Alone {
    artifacts: PathBuf,
    given: Vec<Digest>,
    secrets: BTreeMap<String, Secret>,
}

impl Alone {
    /// With copies of `files` in the directory `artifacts`, beside those of earlier runs.
    pub fn new(
        artifacts: PathBuf,
        files: &[PathBuf],
        secrets: Vec<(SecretName, Secret)>,
    ) -> Result<Self, RunFault> {
        fs::create_dir_all(&artifacts).map_err(failed("make", &artifacts))?;
        let keep = |file: &PathBuf| {
            let kept = File::open(file).and_then(|from| keep(from, &artifacts));
            kept.map_err(failed("keep the artifact", file))
        };
        let given = files.iter().map(keep).collect::<Result<_, _>>()?;
        let secrets = secrets.into_iter().map(|(name, secret)| (name.into(), secret)).collect();
        Ok(Self { artifacts, given, secrets })
    }

    /// The digest of the first artifact.
    pub fn first(&self) -> Option<Digest> {
        self.given.first().copied()
    }
}

/// Copies a file to where its digest names it, so that nobody changes it meanwhile.
fn keep(mut from: File, directory: &Path) -> io::Result<Digest> {
    // One run at a time has the directory; what one that was killed left is begun anew.
    let new = directory.join("new");
    let (mut to, mut hasher) = (File::create(&new)?, sha2::Sha256::new());
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece)? {
            0 => break,
            read => {
                hasher.update(&piece[..read]);
                to.write_all(&piece[..read])?;
            }
        }
    }
    let digest = Digest::from_bytes(hasher.finalize().into());
    fs::rename(new, directory.join(digest.to_string()))?;
    Ok(digest)
}

fn no_tasks<T>() -> Result<T, AgentError> {
    let why = "`cerebro recipe run` runs a component alone: there are no tasks";
    Err(AgentError::Unsupported(why.to_owned()))
}

#[async_trait]
impl Agent for Alone {
    async fn artifact(&self, digest: Digest) -> Result<PathBuf, AgentError> {
        let path = self.artifacts.join(digest.to_string());
        if path.is_file() {
            return Ok(path);
        }
        let given: String = self.given.iter().map(|digest| format!(" `{digest}`")).collect();
        let given = if given.is_empty() { " none".to_owned() } else { given };
        Err(AgentError::NotFound(format!(
            "no artifact has the digest `{digest}`: give its file by --artifact (given:{given})"
        )))
    }

    fn artifacts(&self) -> &Path {
        &self.artifacts
    }

    async fn task(&self, _: Option<&str>) -> Result<Option<TaskStatus>, AgentError> {
        no_tasks()
    }

    async fn task_usage(&self, _: Option<&str>) -> Result<Option<TaskUsage>, AgentError> {
        no_tasks()
    }

    async fn task_output(
        &self,
        _: Option<&str>,
        _: bool,
        _: usize,
    ) -> Result<Vec<String>, AgentError> {
        no_tasks()
    }

    async fn signal_task(&self, _: Option<&str>, _: i32) -> Result<(), AgentError> {
        no_tasks()
    }

    async fn restart_task(&self, _: Option<&str>) -> Result<(), AgentError> {
        no_tasks()
    }

    async fn secret(&self, name: &str) -> Result<Vec<u8>, AgentError> {
        let secret = self.secrets.get(name).map(|secret| secret.reveal().to_vec());
        secret.ok_or_else(|| {
            AgentError::NotFound(format!(
                "there is no secret `{name}`: --secret {name}=@FILE gives it"
            ))
        })
    }
}
