//! `cerebro machine join`: a machine that exists, over SSH.
//!
//! Who is let in looks first. Only then is the machine ordered from the controller, with what it was found to have; so
//! that one which cannot be joined is none of the cluster's. One that is joined already gets what it lacks, and no
//! more.

mod order;

use crate::arguments::{Join, Keeper};
use crate::fault::{ERROR, Fault};
use crate::output::Output;
use crate::style::{Tone, paint, printable};
use cerebro_api::Client;
use cerebro_api::body::{DrainRequest, MachineView};
use cerebro_bootstrap::ssh::{
    Connection, Facts, HostKey, Init, Installed, Key, Order, Outcome, Progress, Report, SshError,
    Step, Target, default_keys, install,
};
use cerebro_bootstrap::{SetupError, Start};
use cerebro_model::{MachineId, Timestamp};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

/// From one look whether the machine has joined to the next.
const LOOKS_EVERY: Duration = Duration::from_millis(300);

/// What became of it.
#[derive(Debug, Serialize)]
struct Joined {
    #[serde(flatten)]
    machine: MachineView,
    /// Whether anything was changed on the machine.
    changed: bool,
    notes: Vec<String>,
    steps: Vec<Step>,
}

pub async fn run(client: &Client, output: Output, options: Join) -> Result<(), Fault> {
    let is_verbose = options.verbose;
    let mut report = Report::new(|progress| tell(progress, is_verbose));
    let target = target(&options)?;
    let connection = Connection::open(&target, &mut report).await?;
    let joined = join(client, &options, &connection, &mut report).await;
    connection.close().await;
    let (machine, Installed { changed, notes }) = joined?;
    let steps = report.steps().to_vec();
    output.show(&Joined { machine, changed, notes, steps }, |joined| {
        let Joined { machine, changed, notes, .. } = joined;
        let (id, word) = (&machine.machine.id, machine.word());
        let did = if *changed { "" } else { "; nothing was changed" };
        let notes: String = notes.iter().map(|note| format!("\nnote: {note}")).collect();
        format!("{} is {id}, {word} in {}{did}{notes}", options.host, machine.machine.zone)
    })
}

impl From<SshError> for Fault {
    fn from(error: SshError) -> Self {
        let mut words = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            words.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self::new(ERROR, words)
    }
}

impl From<SetupError> for Fault {
    fn from(error: SetupError) -> Self {
        Self::new(ERROR, error.to_string())
    }
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

fn target(options: &Join) -> Result<Target, Fault> {
    let known = || match &options.known_hosts {
        Some(file) => Ok(file.clone()),
        None => home().map(|home| home.join(".ssh/known_hosts")).ok_or_else(|| {
            Fault::new(ERROR, "HOME is not set")
                .hint("name a file with --known-hosts, or pass --host-key")
        }),
    };
    let host_key = match &options.host_key {
        Some(print) => HostKey::Pinned(print.clone()),
        None => HostKey::Known { file: known()?, accept_new: options.accept_new },
    };
    let keys = match options.keys.as_slice() {
        [] => default_keys(home().as_deref(), std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from)),
        files => files.iter().cloned().map(Key::File).collect(),
    };
    Ok(Target {
        host: options.host.clone(),
        port: options.port,
        user: options.user.clone(),
        keys,
        host_key,
        answers_within: Target::ANSWERS_WITHIN,
    })
}

async fn join(
    client: &Client,
    options: &Join,
    connection: &Connection,
    report: &mut Report<'_>,
) -> Result<(MachineView, Installed), Fault> {
    let facts = connection.look(report).await?;
    // Only for as long as it takes to send what is in it.
    let directory = tempfile::tempdir()
        .map_err(|error| Fault::new(ERROR, format!("cannot make a directory: {error}")))?;
    let there = whose(client, options, &facts).await?;
    let heard_before = match &there {
        There::Ours(_, view) => view.last_heartbeat,
        There::Nobody | There::Forgotten(_) => None,
    };
    let (setup, is_new, replaces) = match there {
        There::Ours(start, view) => {
            let setup = order::again(client, options, &directory, &start, &view).await?;
            (setup, false, Some(start))
        }
        There::Nobody => (order::new(client, options, &facts, &directory).await?, true, None),
        There::Forgotten(start) => {
            (order::new(client, options, &facts, &directory).await?, true, Some(start))
        }
    };
    let id = setup.machine.clone();
    let init = match options.init {
        Keeper::Systemd => Init::Systemd,
        Keeper::None => Init::None,
    };
    let order = Order { setup, init, joins_within: options.joins_within.duration(), replaces };
    let joined = has_joined(client, &id, heard_before);
    let done = install(connection, &facts, &order, joined, report).await;
    match done {
        Ok(installed) => Ok((client.machine(&id).await?, installed)),
        Err(error) => Err(given_up(client, &id, is_new, error).await),
    }
}

/// Whose agent a machine has.
enum There {
    /// Nobody's.
    Nobody,
    /// This cluster's, and it has joined.
    Ours(Start, Box<MachineView>),
    /// This cluster's, which has forgotten it, or gave it up, or waits for it no longer.
    Forgotten(Start),
}

/// Ids are of one cluster only, so that it is the controller's address that tells.
async fn whose(client: &Client, options: &Join, facts: &Facts) -> Result<There, Fault> {
    let Some(start) = facts.agent.clone() else { return Ok(There::Nobody) };
    let advertised = client.agent_kit().await?.controller;
    let own = [Some(advertised.as_str()), Some(client.base()), options.controller.as_deref()];
    if !own.iter().flatten().any(|own| own.trim_end_matches('/') == start.controller) {
        return Err(SshError::Taken { host: options.host.clone(), there: start }.into());
    }
    let found = match client.machine(&start.machine).await {
        Ok(view) => Some(view),
        Err(error) if error.status() == Some(404) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(match found {
        Some(view) if view.machine.state.runs() => There::Ours(start, Box::new(view)),
        Some(_) | None => There::Forgotten(start),
    })
}

/// Until the controller says that it has joined, and has heard it since.
async fn has_joined(client: &Client, id: &MachineId, heard_before: Option<Timestamp>) {
    loop {
        // A controller that does not answer for a moment has not said no.
        let is_heard = client.machine(id).await.is_ok_and(|view| {
            view.machine.state.runs() && !view.suspect && view.last_heartbeat > heard_before
        });
        if is_heard {
            return;
        }
        sleep(LOOKS_EVERY).await;
    }
}

/// What failed; and what becomes of the machine that was ordered.
async fn given_up(client: &Client, id: &MachineId, is_new: bool, error: SshError) -> Fault {
    let may_still_join = matches!(error, SshError::NeverJoined { .. } | SshError::AgentDied { .. });
    let fault = Fault::from(error);
    if !is_new {
        return fault;
    }
    if may_still_join {
        return fault.hint(format!(
            "it is expected as {id} for a while: once the cause is removed, its agent joins by itself, or do this again"
        ));
    }
    take_back(client, id).await;
    fault
}

/// Has a machine forgotten that was ordered, and that nothing was made of.
async fn take_back(client: &Client, id: &MachineId) {
    let request = DrainRequest { reason: "it was not joined".to_owned(), force: false };
    match client.remove_machine(id, &request).await {
        Ok(_) => {}
        Err(error) if error.status() == Some(404) => {}
        // It is forgotten by itself when its time is over.
        Err(error) => anstream::eprintln!("{id} is still expected: {error}"),
    }
}

/// Shows a step as it goes, on standard error.
fn tell(progress: Progress<'_>, is_verbose: bool) {
    let Progress::Done(step) = progress else { return };
    let tone = match step.outcome {
        Outcome::Failed => Tone::Removed,
        Outcome::Changed => Tone::Changed,
        Outcome::Found | Outcome::Unchanged => Tone::Faint,
    };
    let (word, what) = (paint(tone, &format!("{:<9}", step.outcome.word())), printable(&step.what));
    anstream::eprintln!("{word} {what} ({:.1} s)", step.took.as_secs_f64());
    if is_verbose && !step.command.is_empty() {
        indented("$ ", &step.command);
    }
    if is_verbose || step.outcome == Outcome::Failed {
        indented("", &step.output);
    }
}

fn indented(mark: &str, text: &str) {
    for line in text.lines() {
        anstream::eprintln!("            {mark}{}", printable(line));
    }
}
