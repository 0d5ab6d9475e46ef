//! `cerebro:recipe/artifact`.

use super::{Scope, State};
use crate::bindings::interfaces::artifact::{Host, HostArtifact};
use crate::bindings::interfaces::types::Error;
use crate::kept::is_kept;
use cerebro_model::Digest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio::task::spawn_blocking;
use wasmtime::component::Resource;

/// An artifact that is on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Artifact {
    pub(super) digest: Digest,
    pub(super) path: PathBuf,
    size: u64,
}

impl Scope {
    async fn fetch_artifact(&self, sha256: &str) -> Result<Artifact, Error> {
        let digest: Digest = sha256.parse().map_err(|e| Error::Invalid(format!("{e}")))?;
        let path = self.call.agent.artifact(digest).await?;
        Artifact::at(digest, path).await
    }

    /// What `url` gives, if that has this digest.
    async fn download(&self, url: &str, sha256: &str) -> Result<Artifact, Error> {
        let digest: Digest = sha256.parse().map_err(|e| Error::Invalid(format!("{e}")))?;
        self.allowed(|grants| grants.fetch(url))?;
        let store = self.call.agent.artifacts();
        let path = store.join(digest.to_string());
        let looked_at = path.clone();
        let is_there = spawn_blocking(move || is_kept(&looked_at, digest)).await;
        let is_there = is_there.map_err(|error| Error::Failed(error.to_string()))?;
        let failed = |error| Error::Failed(format!("look at the artifact `{digest}`: {error}"));
        if !is_there.map_err(failed)? {
            self.download_to(url, digest, &path).await?;
        }
        Artifact::at(digest, path).await
    }
}

impl Artifact {
    async fn at(digest: Digest, path: PathBuf) -> Result<Self, Error> {
        let found = tokio::fs::metadata(&path)
            .await
            .map_err(|e| Error::Failed(format!("look at the artifact `{digest}`: {e}")))?;
        Ok(Self { digest, path, size: found.len() })
    }
}

impl Host for State {
    async fn fetch(
        &mut self,
        sha256: String,
    ) -> wasmtime::Result<Result<Resource<Artifact>, Error>> {
        let scope = self.scope();
        let work = scope.fetch_artifact(&sha256);
        match scope.asked("artifact.fetch", &sha256, &sha256, work).await? {
            Ok(artifact) => Ok(Ok(self.table.push(artifact)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn download(
        &mut self,
        url: String,
        sha256: String,
    ) -> wasmtime::Result<Result<Resource<Artifact>, Error>> {
        let scope = self.scope();
        let work = scope.download(&url, &sha256);
        match scope.asked("artifact.download", &url, &(&url, &sha256), work).await? {
            Ok(artifact) => Ok(Ok(self.table.push(artifact)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl HostArtifact for State {
    async fn digest(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<String> {
        Ok(self.table.get(&artifact)?.digest.to_string())
    }

    async fn size(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&artifact)?.size)
    }

    async fn drop(&mut self, artifact: Resource<Artifact>) -> wasmtime::Result<()> {
        self.table.delete(artifact)?;
        Ok(())
    }
}
