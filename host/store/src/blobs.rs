//! Components and artifacts: files named by the SHA-256 of what is in them.

use cerebro_model::Digest;
use sha2::Digest as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a blob was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is larger than the limit.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The disk said no.
    #[error("{path} cannot be written")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.display().to_string();
    move |source| BlobError::Io { path, source }
}

/// A directory of blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    /// Opens `directory`, made if it is not there; what a crash left half written goes.
    pub fn open(directory: &Path) -> Result<Self, BlobError> {
        let partial = directory.join("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(at(&partial))?;
        }
        fs::create_dir_all(&partial).map_err(at(&partial))?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Where the blob lies; it may not be there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    /// Whether it is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// What lies in `directory`, by digest. Nothing is made or cleaned, and files that are not named
    /// by a digest are not told.
    pub fn list(directory: &Path) -> io::Result<Vec<Digest>> {
        let named = |entry: io::Result<fs::DirEntry>| match entry {
            Ok(entry) => entry.file_name().to_str()?.parse().ok().map(Ok),
            Err(error) => Some(Err(error)),
        };
        let mut all: Vec<Digest> = match fs::read_dir(directory) {
            Ok(entries) => entries.filter_map(named).collect::<io::Result<_>>()?,
            // Nothing was ever uploaded.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        all.sort();
        Ok(all)
    }

    /// The digest of what a file holds, and its size in bytes.
    pub fn digest_of(path: &Path) -> io::Result<(Digest, u64)> {
        let (mut file, mut hasher) = (File::open(path)?, sha2::Sha256::new());
        let size = io::copy(&mut file, &mut hasher)?;
        Ok((Digest::from_bytes(hasher.finalize().into()), size))
    }

    /// Begins a blob of at most `limit` bytes.
    pub fn writer(&self, limit: u64) -> Result<BlobWriter, BlobError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path =
            self.directory.join("partial").join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::create(&path).map_err(at(&path))?;
        Ok(BlobWriter {
            blobs: self.clone(),
            path,
            file,
            hasher: sha2::Sha256::new(),
            size: 0,
            limit,
        })
    }
}

/// A blob that is being written; dropped before [`finish`](Self::finish), it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    blobs: Blobs,
    path: PathBuf,
    file: File,
    hasher: sha2::Sha256,
    size: u64,
    limit: u64,
}

impl BlobWriter {
    /// Adds `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(BlobError::TooLarge { limit: self.limit });
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(at(&self.path))
    }

    /// Makes it durable under its digest.
    pub fn finish(self) -> Result<(Digest, u64), BlobError> {
        let digest = Digest::from_bytes(self.hasher.clone().finalize().into());
        let target = self.blobs.path(&digest);
        self.file.sync_all().map_err(at(&self.path))?;
        fs::rename(&self.path, &target).map_err(at(&target))?;
        File::open(&self.blobs.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(at(&target))?;
        Ok((digest, self.size))
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // After `finish` the name is gone already.
        let _ = fs::remove_file(&self.path);
    }
}
