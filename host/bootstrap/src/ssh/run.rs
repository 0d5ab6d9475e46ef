//! Commands on a machine: what they are given, what they say, how they end.

use super::connect::Connection;
use super::error::SshError;
use super::report::{Outcome, Report, Step};
use russh::ChannelMsg;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// How much of what a command says is kept.
const KEPT: usize = 64 << 10;
/// In pieces of so many bytes, files are sent.
const PIECE: usize = 32 << 10;

/// What root's shell is to run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shell<'a> {
    /// What comes on its standard input.
    FromInput,
    /// This; its standard input is for what it runs. It is seen by others on the machine, so no secret is in it.
    Script(&'a str),
}

/// What a command finds on its standard input.
pub(super) enum Input<'a> {
    None,
    Text(&'a str),
    File(File),
}

/// How a command ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Ran {
    /// None if it was killed.
    pub code: Option<u32>,
    /// What it wrote to standard output.
    pub out: String,
    /// The same with what it wrote to standard error, in order.
    pub all: String,
}

impl Ran {
    pub fn is_ok(&self) -> bool {
        self.code == Some(0)
    }

    /// The last thing that it said.
    pub fn last_line(&self) -> String {
        let last = self.all.lines().rev().find(|line| !line.trim().is_empty());
        match (last, self.code) {
            (Some(line), _) => line.trim().to_owned(),
            (None, Some(code)) => format!("exit code {code}, and no word"),
            (None, None) => "it was killed".to_owned(),
        }
    }

    /// Whether a disk was full.
    pub fn is_for_want_of_room(&self) -> bool {
        self.all.contains("No space left on device") || self.all.contains("Disk quota exceeded")
    }
}

fn push(kept: &mut Vec<u8>, more: &[u8]) {
    let room = KEPT.saturating_sub(kept.len());
    kept.extend_from_slice(more.get(..room.min(more.len())).unwrap_or_default());
}

impl Connection {
    /// Runs a command as the user.
    pub(super) async fn run_plainly(
        &self,
        command: &str,
        input: Input<'_>,
        doing: &str,
        patience: Duration,
    ) -> Result<Ran, SshError> {
        let running = self.exchange(command, input, doing);
        match timeout(patience, running).await {
            Ok(ran) => ran,
            Err(_) => Err(SshError::Hangs {
                host: self.host.clone(),
                doing: doing.to_owned(),
                within: patience,
            }),
        }
    }

    /// Has root's shell run a script that comes on its standard input.
    pub(super) async fn script(
        &self,
        script: &str,
        doing: &str,
        patience: Duration,
    ) -> Result<Ran, SshError> {
        let command = self.root(Shell::FromInput);
        self.run_plainly(&command, Input::Text(script), doing, patience).await
    }

    async fn exchange(
        &self,
        command: &str,
        input: Input<'_>,
        doing: &str,
    ) -> Result<Ran, SshError> {
        let lost = |source: russh::Error| SshError::Lost {
            host: self.host.clone(),
            doing: doing.to_owned(),
            source: Box::new(source),
        };
        let channel = self.handle().channel_open_session().await.map_err(lost)?;
        channel.exec(true, command).await.map_err(lost)?;
        let (mut hearing, speaking) = channel.split();
        let speak = async {
            match input {
                Input::None => {}
                Input::Text(text) => speaking.data_bytes(text.to_owned()).await?,
                Input::File(file) => send(file, |piece| speaking.data_bytes(piece)).await?,
            }
            speaking.eof().await
        };
        let hear = async {
            let (mut out, mut all, mut code) = (Vec::new(), Vec::new(), None);
            while let Some(message) = hearing.wait().await {
                match message {
                    ChannelMsg::Data { data } => {
                        push(&mut out, &data);
                        push(&mut all, &data);
                    }
                    ChannelMsg::ExtendedData { data, .. } => push(&mut all, &data),
                    ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
                    ChannelMsg::Failure => push(&mut all, b"the SSH server runs no commands"),
                    _ => {}
                }
            }
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Ran { code, out: text(out), all: text(all) }
        };
        let (mut speak, mut hear) = (pin!(speak), pin!(hear));
        let (spoke, ran) = tokio::select! {
            spoke = &mut speak => (spoke, hear.await),
            // One that ends before it has read all reads no more of it, and says why in its own words.
            ran = &mut hear => (Ok(()), ran),
        };
        match spoke {
            Err(source) if ran.code.is_none() => Err(lost(source)),
            _ if ran.code.is_none() && self.handle().is_closed() => {
                Err(lost(russh::Error::Disconnect))
            }
            _ => Ok(ran),
        }
    }

    /// Runs a script as one step that finds something out.
    pub(super) async fn find_out(
        &self,
        what: &str,
        script: &str,
        patience: Duration,
        report: &mut Report<'_>,
    ) -> Result<Ran, SshError> {
        report.begins(what);
        let begun = Instant::now();
        let ran = self.script(script, what, patience).await?;
        let outcome = if ran.is_ok() { Outcome::Found } else { Outcome::Failed };
        report.done(Step {
            what: what.to_owned(),
            command: script.to_owned(),
            outcome,
            code: ran.code,
            output: ran.all.clone(),
            took: begun.elapsed(),
        });
        Ok(ran)
    }

    /// Runs something as one step that makes something so; its last line says `unchanged` where that was so already.
    pub(super) async fn make_so(
        &self,
        what: &str,
        shown: &str,
        run: impl Future<Output = Result<Ran, SshError>>,
        report: &mut Report<'_>,
    ) -> Result<Ran, SshError> {
        report.begins(what);
        let begun = Instant::now();
        let ran = run.await?;
        let outcome = match ran.is_ok() {
            false => Outcome::Failed,
            true if ran.out.trim_end().ends_with(UNCHANGED) => Outcome::Unchanged,
            true => Outcome::Changed,
        };
        report.done(Step {
            what: what.to_owned(),
            command: shown.to_owned(),
            outcome,
            code: ran.code,
            output: ran.all.trim_end().trim_end_matches(UNCHANGED).trim_end().to_owned(),
            took: begun.elapsed(),
        });
        Ok(ran)
    }

    /// That a step failed, with the last thing it said.
    pub(super) fn failed(&self, doing: &str, ran: &Ran) -> SshError {
        SshError::Step { host: self.host.clone(), doing: doing.to_owned(), said: ran.last_line() }
    }
}

/// What a script says last that has changed nothing.
pub(super) const UNCHANGED: &str = "unchanged";

/// Sends a file, piece by piece.
async fn send<F: Future<Output = Result<(), russh::Error>>>(
    mut file: impl AsyncRead + Unpin,
    mut to: impl FnMut(Vec<u8>) -> F,
) -> Result<(), russh::Error> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).await?;
        match piece.get(..read) {
            Some(read) if !read.is_empty() => to(read.to_vec()).await?,
            _ => return Ok(()),
        }
    }
}

/// Opens a file to be sent.
pub(super) async fn open(file: &Path) -> Result<File, SshError> {
    let opened = File::open(file).await;
    opened.map_err(|source| SshError::Source { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_what_was_said_last() {
        let ran = |all: &str, code| Ran { code, out: String::new(), all: all.to_owned() };
        assert_eq!(ran("a\nb \n\n", Some(1)).last_line(), "b");
        assert_eq!(ran("", Some(3)).last_line(), "exit code 3, and no word");
        assert_eq!(ran("", None).last_line(), "it was killed");
        assert!(ran("cat: write error: No space left on device", Some(1)).is_for_want_of_room());
    }

    #[test]
    fn of_a_flood_the_beginning_is_kept() {
        let mut kept = Vec::new();
        push(&mut kept, &vec![1; KEPT - 1]);
        push(&mut kept, &[2, 3]);
        push(&mut kept, &[4]);
        assert_eq!((kept.len(), kept.last()), (KEPT, Some(&2)));
    }
}
