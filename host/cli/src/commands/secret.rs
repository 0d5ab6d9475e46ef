//! `cerebro secret`.

use super::read;
use crate::arguments::Secret as Command;
use crate::fault::{ERROR, Fault};
use crate::output::{Output, table};
use cerebro_api::Client;
use cerebro_api::body::SecretView;
use cerebro_model::Secret;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read, Stdin, stdin};
use std::path::Path;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::Set { name, file, trim } => {
            let mut bytes = bytes(file.as_deref()).await?;
            if trim {
                let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
                bytes.truncate(end.map_or(0, |at| at + 1));
            }
            let secret = Secret::try_from(bytes)
                .map_err(|error| Fault::new(ERROR, format!("{name} was not set: {error}")))?;
            let view = client.put_secret(&name, secret).await?;
            output.show(&view, |view| match &*view.jobs {
                [] => format!("{name} set, {} bytes; no job is granted it yet", view.size),
                jobs => format!("{name} set, {} bytes, for {}", view.size, words(jobs)),
            })
        }
        Command::List => output.show(&client.secrets().await?, |secrets| {
            let row = |view: &SecretView| {
                let jobs = if view.jobs.is_empty() { "-".to_owned() } else { words(&view.jobs) };
                vec![
                    view.name.to_string(),
                    view.size.to_string(),
                    view.changed_at.to_string(),
                    jobs,
                ]
            };
            let heads = ["SECRET", "BYTES", "CHANGED", "GRANTED TO"];
            table(&heads, &secrets.iter().map(row).collect::<Vec<_>>())
        }),
        Command::Remove { name } => {
            client.delete_secret(&name).await?;
            anstream::eprintln!("{name} removed; machines that were given it may have it still");
            Ok(())
        }
    }
}

fn words(jobs: &[cerebro_model::JobName]) -> String {
    jobs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The file's bytes, or those of standard input.
async fn bytes(file: Option<&Path>) -> Result<Vec<u8>, Fault> {
    if let Some(file) = file {
        return read(file);
    }
    let silence = stdin().is_terminal().then(Silence::begin).flatten();
    if silence.is_some() {
        anstream::eprintln!("Type the secret, then Enter and Ctrl-D (or --file, or a pipe):");
    }
    // A thread, since nothing else can be told to stop reading a terminal.
    let (sender, bytes) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // One more than a secret may have is enough to refuse it.
        let most = Secret::LARGEST as u64 + 1;
        let outcome = stdin().lock().take(most).read_to_end(&mut bytes).map(|_| bytes);
        // Nobody waits for it once the command has ended.
        let _ = sender.send(outcome);
    });
    tokio::select! {
        read = bytes => match read {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                Err(Fault::new(ERROR, format!("cannot read standard input: {error}")))
            }
            Err(_) => Err(Fault::new(ERROR, "cannot read standard input")),
        },
        _ = tokio::signal::ctrl_c() => Err(Fault::new(ERROR, "nothing was set")),
    }
}

/// A terminal that does not show what is typed; dropped, it does again.
struct Silence {
    terminal: Stdin,
    before: Termios,
}

impl Silence {
    /// None if it cannot be: then what is typed is seen.
    fn begin() -> Option<Self> {
        let terminal = stdin();
        let before = tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSANOW, &silent).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing anyway.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}
