//! Fetching from a URL, with its digest known: what came before a break is gone on with, and nothing
//! is taken for whole that is not what was meant.

use super::Scope;
use crate::bindings::interfaces::types::Error;
use crate::http::{self, Tls};
use crate::logbook::LogLevel;
use crate::part::Part;
use cerebro_model::Digest;
use reqwest::header::{LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url};
use std::path::Path;
use tokio::task::spawn_blocking;

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
        let at = path.with_extension("part");
        let kept = |error: std::io::Error| {
            Error::Failed(format!("keep what is fetched in `{}`: {error}", at.display()))
        };
        let opening = at.clone();
        let part = spawn_blocking(move || Part::open(&opening)).await;
        let mut part = part.map_err(|e| Error::Failed(e.to_string()))?.map_err(kept)?;
        // Whoever fetched it meanwhile has it whole.
        if path.exists() {
            return Ok(());
        }
        // One that is whole was only never put in its place.
        while part.digest() != digest {
            let there = part.length();
            part = self.fill(url, part, kept).await?;
            let came = part.digest();
            if came == digest {
                break;
            }
            // Nothing of it can be told right from wrong.
            part.clear().map_err(kept)?;
            if there == 0 {
                return Err(Error::Invalid(format!(
                    "`{url}` gives `{came}`, and `{digest}` was asked for: it was changed there, or \
                     the digest is another file's"
                )));
            }
        }
        part.keep(path).map_err(kept)
    }

    /// Fetches what is missing of `part`.
    async fn fill(
        &self,
        url: &str,
        mut part: Part,
        kept: impl Fn(std::io::Error) -> Error,
    ) -> Result<Part, Error> {
        let mut response = self.ask(url, part.length()).await?;
        if part.length() > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // It begins anew: what is there is of no use.
            part.clear().map_err(&kept)?;
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
        let mut there = part.length();
        if there > 0 {
            self.log.write(LogLevel::Info, &format!("`{url}`: going on after {there} bytes"));
        }
        let filling = part.fill();
        let received = loop {
            match response.chunk().await {
                Ok(None) => break Ok(()),
                Err(error) => break Err(Error::Failed(format!("fetch `{url}`: {error}"))),
                Ok(Some(piece)) => {
                    there += piece.len() as u64;
                    if there > LARGEST {
                        let why = format!("`{url}` gives more than {LARGEST} bytes");
                        break Err(Error::TooLarge(why));
                    }
                    if !filling.take(piece).await {
                        break Ok(());
                    }
                }
            }
        };
        // What has come is kept, to be gone on with, however it ended.
        let part = filling.end().await.map_err(kept)?;
        received.map(|()| part)
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
            let client =
                http::client(Tls::of(url.scheme()), Some((&host, &pinned))).map_err(failed)?;
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
