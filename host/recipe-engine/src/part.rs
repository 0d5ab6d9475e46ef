//! A file on its way to the machine: what has come of it outlives a break, and is gone on with.

use crate::kept;
use bytes::Bytes;
use cerebro_model::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

/// Pieces that may wait to be written.
const WAITING: usize = 16;

/// What has come so far. Nobody else can open it meanwhile.
pub struct Part {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    length: u64,
}

impl Part {
    /// What is at `path`, made if there is nothing. Waits for whoever else has it, and reads all of it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let mut file = options.create(true).truncate(false).read(true).write(true).open(path)?;
        file.lock()?;
        let (mut hasher, mut length, mut piece) = (Sha256::new(), 0, vec![0; 1 << 17]);
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => {
                    hasher.update(&piece[..read]);
                    length += read as u64;
                }
            }
        }
        Ok(Self { file, path: path.to_owned(), hasher, length })
    }

    /// How many bytes have come.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Begins anew.
    pub fn clear(&mut self) -> io::Result<()> {
        (self.hasher, self.length) = (Sha256::new(), 0);
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// The digest of what has come.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hasher.clone().finalize().into())
    }

    /// It is whole, and from now on at `path`.
    pub fn keep(self, path: &Path) -> io::Result<()> {
        kept::keep(&self.file, &self.path, path)
    }

    /// Takes more of it: to hash and to write goes on beside what brings the next piece.
    pub fn fill(mut self) -> Filling {
        let (pieces, mut waiting) = mpsc::channel::<Bytes>(WAITING);
        let filling = spawn_blocking(move || {
            while let Some(piece) = waiting.blocking_recv() {
                self.file.write_all(&piece)?;
                self.hasher.update(&piece);
                self.length += piece.len() as u64;
            }
            Ok(self)
        });
        Filling { pieces, filling }
    }
}

/// A part that is being filled. Dropped, it still writes what it has taken.
pub struct Filling {
    pieces: mpsc::Sender<Bytes>,
    filling: JoinHandle<io::Result<Part>>,
}

impl Filling {
    /// Takes the next piece; answers whether it takes more.
    pub async fn take(&self, piece: Bytes) -> bool {
        self.pieces.send(piece).await.is_ok()
    }

    /// The part, with all that was taken.
    pub async fn end(self) -> io::Result<Part> {
        drop(self.pieces);
        self.filling.await.map_err(io::Error::other)?
    }
}
