//! Fetching from a URL, with its digest known: what came before a break is gone on with, and nothing
//! is taken for whole that is not what was meant.

use super::Scope;
use crate::bindings::interfaces::types::Error;
use crate::http;
use crate::logbook::LogLevel;
use cerebro_model::Digest;
use reqwest::header::{LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url};
use sha2::Digest as _;
use std::io::SeekFrom;
use std::path::Path;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 10;
/// Bytes of a file that may be fetched.
const LARGEST: u64 = 16 << 30;

impl Scope {
    /// Fetches what `url` gives to `path`, where it appears whole or not at all.
    pub(super) async fn download_to(
        &self,
        url: &str,
        digest: Digest,
        path: &Path,
    ) -> Result<(), Error> {
        let part = path.with_extension("part");
        let kept = |error: std::io::Error| {
            Error::Failed(format!("keep what is fetched in `{}`: {error}", part.display()))
        };
        // Whoever else fetches it waits: two would write one file.
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(&part)
            .await
            .map_err(kept)?;
        let held = file.try_clone().await.map_err(kept)?.into_std().await;
        let held = tokio::task::spawn_blocking(move || held.lock().map(|()| held)).await;
        let _held = held.map_err(|e| Error::Failed(e.to_string()))?.map_err(kept)?;
        if path.exists() {
            return Ok(());
        }
        let mut hasher = sha2::Sha256::new();
        let mut there = hash(&mut file, &mut hasher).await.map_err(kept)?;
        let mut response = self.ask(url, there).await?;
        if there > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // It begins anew: what is there is of no use.
            (there, hasher) = (0, sha2::Sha256::new());
            file.set_len(0).await.map_err(kept)?;
            file.seek(SeekFrom::Start(0)).await.map_err(kept)?;
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                response = self.ask(url, 0).await?;
            }
        }
        if !response.status().is_success() {
            let status = response.status();
            return Err(match status {
                StatusCode::NOT_FOUND | StatusCode::GONE => {
                    Error::NotFound(format!("`{url}`: the server has no such thing ({status})"))
                }
                _ => Error::Failed(format!("`{url}`: the server answers {status}")),
            });
        }
        if there > 0 {
            self.log.write(LogLevel::Info, &format!("`{url}`: going on after {there} bytes"));
        }
        let broken = |error: reqwest::Error| Error::Failed(format!("fetch `{url}`: {error}"));
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            there += piece.len() as u64;
            if there > LARGEST {
                return Err(Error::TooLarge(format!("`{url}` gives more than {LARGEST} bytes")));
            }
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(kept)?;
        }
        file.sync_all().await.map_err(kept)?;
        let came = Digest::from_bytes(hasher.finalize().into());
        if came != digest {
            // Nothing of it can be told right from wrong.
            file.set_len(0).await.map_err(kept)?;
            return Err(Error::Invalid(format!(
                "`{url}` gives `{came}`, and `{digest}` was asked for: it was changed there, or the \
                 digest is another file's"
            )));
        }
        tokio::fs::rename(&part, path).await.map_err(kept)
    }

    /// Asks for what follows after `from` bytes, where the grants allow each place asked.
    async fn ask(&self, url: &str, from: u64) -> Result<Response, Error> {
        let mut url: Url =
            url.parse().map_err(|error| Error::Invalid(format!("`{url}` is no URL: {error}")))?;
        for _ in 0..=MOST_REDIRECTS {
            self.allowed(|grants| grants.fetch(url.as_str()))?;
            let failed = |error: reqwest::Error| {
                let mut deepest: &dyn std::error::Error = &error;
                while let Some(source) = deepest.source() {
                    deepest = source;
                }
                Error::Failed(format!("fetch `{url}`: {deepest}"))
            };
            let host = url.host_str().unwrap_or_default().to_owned();
            let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = url.port_or_known_default().unwrap_or(0);
            let pinned = self.addresses_of_url(&bare, port).await?;
            let client = http::client(Some((&host, &pinned))).map_err(failed)?;
            let mut request = client.get(url.clone());
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let response = request.send().await.map_err(failed)?;
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            match location.filter(|_| response.status().is_redirection()) {
                None => return Ok(response),
                Some(to) => {
                    url = url.join(to).map_err(|error| {
                        Error::Failed(format!("`{url}` leads to `{to}`, which is no URL: {error}"))
                    })?;
                }
            }
        }
        Err(Error::Failed(format!("more than {MOST_REDIRECTS} redirects, the last to `{url}`")))
    }
}

/// Reads what is there into the hasher; answers how much it is.
async fn hash(file: &mut File, hasher: &mut sha2::Sha256) -> std::io::Result<u64> {
    let (mut size, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(size),
            read => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}
