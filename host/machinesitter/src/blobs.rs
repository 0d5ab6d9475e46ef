//! Components and artifacts from the cluster's store, by digest, kept on the machine.

use crate::cache;
use cerebro_api::{Client, ClientError, MAX_UPLOAD};
use cerebro_model::Digest;
use futures::StreamExt;
use sha2::Digest as _;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncWriteExt;

/// Why something is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no cluster.
    #[error("`{0}` is not on this machine, and without a controller there is no store to ask")]
    NoStore(Digest),
    /// The store does not have it.
    #[error("the cluster's store does not have `{0}`")]
    NotFound(Digest),
    /// The controller did not answer, or not to the end.
    #[error("cannot fetch `{digest}` from the cluster's store")]
    Unreachable {
        /// What was wanted.
        digest: Digest,
        /// What was met with.
        source: ClientError,
    },
    /// Something else came.
    #[error("what the cluster's store sent for `{wanted}` is `{came}`, or too large")]
    Wrong {
        /// What was wanted.
        wanted: Digest,
        /// What came.
        came: Digest,
    },
    /// The machine could not keep it.
    #[error("cannot keep it in `{}`", .path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl FetchError {
    /// Whether it may be had later, though nobody changes anything.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A cache in front of the cluster's store.
pub struct Blobs {
    directory: PathBuf,
    client: Option<Client>,
    under_way: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl Blobs {
    /// A cache in `directory`, which is made, of what `client` can fetch.
    pub fn open(directory: PathBuf, client: Option<Client>) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory, client, under_way: Mutex::default() })
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file with this content; fetched once, however many ask for it.
    pub async fn file(&self, digest: Digest) -> Result<PathBuf, FetchError> {
        let path = self.directory.join(digest.to_string());
        // One that cannot be touched is used all the same; only its age is not right.
        if path.exists() {
            let _ = cache::touch(&path);
            return Ok(path);
        }
        let turn = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.retain(|_, turn| Arc::strong_count(turn) > 1);
            under_way.entry(digest).or_default().clone()
        };
        let _turn = turn.lock().await;
        if !path.exists() {
            self.download(digest, &path).await?;
        }
        Ok(path)
    }

    async fn download(&self, digest: Digest, path: &Path) -> Result<(), FetchError> {
        let unreachable = |source: ClientError| match source.status() {
            Some(404) => FetchError::NotFound(digest),
            _ => FetchError::Unreachable { digest, source },
        };
        let disk = |source| FetchError::Disk { path: path.to_owned(), source };
        let client = self.client.as_ref().ok_or(FetchError::NoStore(digest))?;
        let mut pieces = client.blob(&digest).await.map_err(unreachable)?;
        let new = path.with_extension("new");
        let mut file = tokio::fs::File::create(&new).await.map_err(disk)?;
        let (mut hasher, mut size) = (sha2::Sha256::new(), 0);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(unreachable)?;
            size += piece.len() as u64;
            if size > MAX_UPLOAD {
                break;
            }
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(disk)?;
        }
        file.sync_all().await.map_err(disk)?;
        let came = Digest::from_bytes(hasher.finalize().into());
        if came != digest {
            return Err(FetchError::Wrong { wanted: digest, came });
        }
        tokio::fs::rename(&new, path).await.map_err(disk)
    }
}
