//! Components and artifacts from the cluster's store, by digest, kept on the machine.

use crate::cache;
use cerebro_api::{Client, ClientError, MAX_UPLOAD};
use cerebro_model::Digest;
use cerebro_recipe_engine::{Part, is_kept};
use futures::StreamExt;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::spawn_blocking;

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
        if kept(digest, &path).await? {
            // One that cannot be touched is used all the same; only its age is not right.
            let _ = cache::touch(&path);
            return Ok(path);
        }
        let turn = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.retain(|_, turn| Arc::strong_count(turn) > 1);
            under_way.entry(digest).or_default().clone()
        };
        let _turn = turn.lock().await;
        if !kept(digest, &path).await? {
            self.download(digest, &path).await?;
        }
        Ok(path)
    }

    /// Goes on with what came before a break.
    async fn download(&self, digest: Digest, path: &Path) -> Result<(), FetchError> {
        let disk = |source| FetchError::Disk { path: path.to_owned(), source };
        let client = self.client.as_ref().ok_or(FetchError::NoStore(digest))?;
        let at = path.with_extension("part");
        let part = spawn_blocking(move || Part::open(&at)).await.map_err(io::Error::other);
        let mut part = part.and_then(|opened| opened).map_err(disk)?;
        // One that is whole was only never put in its place.
        while part.digest() != digest {
            let there = part.length();
            part = fill(client, digest, part, disk).await?;
            let came = part.digest();
            if came == digest {
                break;
            }
            part.clear().map_err(disk)?;
            // What was there from before may be what is wrong with it.
            if there == 0 {
                return Err(FetchError::Wrong { wanted: digest, came });
            }
        }
        part.keep(path).map_err(disk)
    }
}

/// Whether it is there, and whole.
async fn kept(digest: Digest, path: &Path) -> Result<bool, FetchError> {
    let at = path.to_owned();
    let looked = spawn_blocking(move || is_kept(&at, digest)).await.map_err(io::Error::other);
    let disk = |source| FetchError::Disk { path: path.to_owned(), source };
    looked.and_then(|looked| looked).map_err(disk)
}

/// Fetches what is missing of `part`.
async fn fill(
    client: &Client,
    digest: Digest,
    mut part: Part,
    disk: impl Fn(io::Error) -> FetchError,
) -> Result<Part, FetchError> {
    let unreachable = |source: ClientError| match source.status() {
        Some(404) => FetchError::NotFound(digest),
        _ => FetchError::Unreachable { digest, source },
    };
    let there = part.length();
    let asked = match client.blob_from(&digest, there).await {
        // There is no more of it, and so what is there is something else.
        Err(error) if error.status() == Some(416) => client.blob_from(&digest, 0).await,
        asked => asked,
    };
    let (left_out, mut pieces) = asked.map_err(unreachable)?;
    if left_out < there {
        part.clear().map_err(&disk)?;
    }
    let (filling, mut size) = (part.fill(), left_out);
    let received = loop {
        match pieces.next().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(unreachable(error)),
            Some(Ok(piece)) => {
                size += piece.len() as u64;
                if size > MAX_UPLOAD || !filling.take(piece).await {
                    break Ok(());
                }
            }
        }
    };
    // What has come is kept, however it ended.
    let part = filling.end().await.map_err(disk)?;
    received.map(|()| part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// Answers each request with the next of these, and tells which range was asked for.
    fn serve(answers: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let mut ranges = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<_> =
                    lines.map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
                let range = head.iter().find_map(|line| line.strip_prefix("range: "));
                ranges.push(range.unwrap_or_default().to_owned());
                stream.write_all(&answer).unwrap();
            }
            ranges
        });
        (base, serving)
    }

    fn answer(status: &str, length: usize, content: &[u8]) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), content].concat()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_broke_off_is_gone_on_with_and_what_was_damaged_is_fetched_anew() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 249) as u8).collect();
        let digest = Digest::of(&content);
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join(digest.to_string()).with_extension("part");

        let (base, serving) = serve(vec![
            answer("200 OK", content.len(), &content[..40_000]),
            answer("206 Partial Content", 60_000, &content[40_000..]),
        ]);
        let blobs = Blobs::open(dir.path().to_owned(), Some(Client::new(&base).unwrap())).unwrap();
        assert!(blobs.file(digest).await.unwrap_err().may_pass());
        assert_eq!(std::fs::metadata(&part).unwrap().len(), 40_000);
        let path = blobs.file(digest).await.unwrap();
        assert!(std::fs::read(&path).unwrap() == content && !part.exists());
        assert_eq!(serving.join().unwrap(), ["", "bytes=40000-"]);

        std::fs::remove_file(&path).unwrap();
        std::fs::write(&part, vec![0; 40_000]).unwrap();
        let (base, serving) = serve(vec![
            answer("206 Partial Content", 60_000, &content[40_000..]),
            answer("200 OK", content.len(), &content),
        ]);
        let blobs = Blobs::open(dir.path().to_owned(), Some(Client::new(&base).unwrap())).unwrap();
        let path = blobs.file(digest).await.unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
        assert_eq!(serving.join().unwrap(), ["bytes=40000-", ""]);
        // It is here: nobody is asked.
        blobs.file(digest).await.unwrap();
    }
}
