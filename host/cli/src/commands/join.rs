//! `cerebro machine join`: a machine that exists, over SSH.
//!
//! Who is let in looks first. Only then is the machine ordered from the controller, with what it was found to have; so
//! that one which cannot be joined is none of the cluster's. One that is joined already gets what it lacks, and no
//! more.

use crate::arguments::{Join, Keeper};
use crate::fault::{CONFLICT, ERROR, Fault};
use crate::output::Output;
use crate::style::{Tone, paint, printable};
use cerebro_api::Client;
use cerebro_api::body::{DrainRequest, MachineView};
use cerebro_api::join::{AgentProgram, JOINS_WITHIN, JoinOrder, JoinOrderRequest};
use cerebro_api::paths;
use cerebro_bootstrap::ssh::{
    Connection, Facts, HostKey, Init, Installed, Key, Order, Outcome, Progress, Report, SshError,
    Step, Target, default_keys, install,
};
use cerebro_bootstrap::{JoinToken, Program, Setup, SetupError, Source, Start};
use cerebro_model::{Capacity, Cores, MachineId, Megabytes, Timestamp, ZoneName};
use futures::StreamExt;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

/// From one look whether the machine has joined to the next.
const LOOKS_EVERY: Duration = Duration::from_millis(300);
/// The least memory that is left for the machine's own system, in MB.
const FOR_THE_SYSTEM: u64 = 256;

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
            let setup = again(client, options, &directory, &start, &view).await?;
            (setup, false, Some(start))
        }
        There::Nobody => (new(client, options, &facts, &directory).await?, true, None),
        There::Forgotten(start) => {
            (new(client, options, &facts, &directory).await?, true, Some(start))
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

/// What is to be on a machine that has joined before: the same, by programs of now.
async fn again(
    client: &Client,
    options: &Join,
    directory: &TempDir,
    start: &Start,
    view: &MachineView,
) -> Result<Setup, Fault> {
    if options.zone.as_ref().is_some_and(|zone| *zone != view.machine.zone) {
        let (id, zone) = (&view.machine.id, &view.machine.zone);
        let message = format!("{} is {id} already, and stands in {zone}", options.host);
        let remove = format!("`cerebro machine remove {id}`, then join it anew");
        return Err(Fault::new(CONFLICT, message).hint(remove));
    }
    let programs = client.agent_kit().await?.programs;
    let controller = options.controller.clone().unwrap_or_else(|| start.controller.clone());
    let programs = sources(client, options, directory, &controller, programs).await?;
    // It has a token of its own.
    let token = JoinToken::new("");
    let setup =
        Setup::new(start.machine.clone(), start.zone.clone(), &controller, token, programs)?;
    Ok(setup.at(options.address))
}

/// What is to be on a machine that is new: the controller is asked to expect it.
async fn new(
    client: &Client,
    options: &Join,
    facts: &Facts,
    directory: &TempDir,
) -> Result<Setup, Fault> {
    let request = JoinOrderRequest {
        host: options.host.clone(),
        zone: zone(client, options).await?,
        capacity: capacity(options, facts),
        labels: options.labels.iter().cloned().collect(),
        joins_within: JOINS_WITHIN,
    };
    let JoinOrder { machine, join_token, controller, programs, .. } =
        client.order_join(&request).await?;
    let made = async {
        let controller = reachable(options, &controller)?;
        let programs = sources(client, options, directory, &controller, programs).await?;
        let token = JoinToken::new(join_token);
        let setup =
            Setup::new(machine.clone(), request.zone.clone(), &controller, token, programs)?;
        Ok::<_, Fault>(setup.at(options.address))
    };
    match made.await {
        Ok(setup) => Ok(setup),
        Err(fault) => {
            take_back(client, &machine).await;
            Err(fault)
        }
    }
}

async fn zone(client: &Client, options: &Join) -> Result<ZoneName, Fault> {
    if let Some(zone) = &options.zone {
        return Ok(zone.clone());
    }
    let zones = client.zones().await?;
    match zones.as_slice() {
        [only] => Ok(only.settings.zone.clone()),
        zones => {
            let names: Vec<_> = zones.iter().map(|zone| zone.settings.zone.as_str()).collect();
            let message = format!("the cluster has {} zones: {}", zones.len(), names.join(", "));
            Err(Fault::new(ERROR, message)
                .hint("say by --zone which of them the machine stands in"))
        }
    }
}

/// What it has to give: what was found, but for what somebody says, and for what its own system needs.
fn capacity(options: &Join, facts: &Facts) -> Capacity {
    let system = (facts.memory_mb / 10).max(FOR_THE_SYSTEM);
    let found = Capacity {
        cpu: Cores::from_millis(facts.cores.saturating_mul(1000)),
        mem: Megabytes::new(facts.memory_mb.saturating_sub(system)),
        disk: Megabytes::new(facts.disk_mb),
    };
    Capacity {
        cpu: options.cpus.unwrap_or(found.cpu),
        mem: options.mem.unwrap_or(found.mem),
        disk: options.disk.unwrap_or(found.disk),
    }
}

/// The controller's address as the machine reaches it. Its own loopback is nobody else's.
fn reachable(options: &Join, controller: &str) -> Result<String, Fault> {
    let given = options.controller.as_deref().unwrap_or(controller);
    let host = given.split_once("://").map_or(given, |(_, rest)| rest);
    let is_own = |host: &str| {
        ["127.", "localhost", "[::1]", "0.0.0.0", "[::]"].iter().any(|own| host.starts_with(own))
    };
    if options.controller.is_none() && is_own(host) && !is_own(&options.host) {
        let message = format!(
            "the controller says that it is reached at {given}, and {} cannot do that",
            options.host
        );
        return Err(Fault::new(ERROR, message).hint(
            "start the cluster sitter with --listen on an address that other machines reach (and --advertise, if they \
             reach it at another one), or say by --controller how this machine does",
        ));
    }
    Ok(given.to_owned())
}

/// Where the machine gets the programs from: the controller, or this machine in between.
async fn sources(
    client: &Client,
    options: &Join,
    directory: &TempDir,
    controller: &str,
    programs: Vec<AgentProgram>,
) -> Result<Vec<Program>, Fault> {
    let mut all = Vec::new();
    for AgentProgram { name, digest, size, architecture } in programs {
        let source = match options.upload {
            false => {
                let base = controller.trim_end_matches('/');
                Source::Url(format!("{base}{}", paths::agent_program(&digest)))
            }
            true => {
                let file = directory.path().join(digest.to_string());
                download(client, &digest, &file).await?;
                Source::File(file)
            }
        };
        let architecture = architecture.map(|it| it.parse()).transpose();
        let architecture =
            architecture.map_err(|error| Fault::new(ERROR, format!("{name}: {error}")))?;
        all.push(Program { name: name.parse()?, digest, size, architecture, source });
    }
    Ok(all)
}

async fn download(
    client: &Client,
    digest: &cerebro_model::Digest,
    file: &Path,
) -> Result<(), Fault> {
    let unwritten = |error| Fault::new(ERROR, format!("cannot write {}: {error}", file.display()));
    let mut to = tokio::fs::File::create(file).await.map_err(unwritten)?;
    let mut pieces = std::pin::pin!(client.agent_program(digest).await?);
    while let Some(piece) = pieces.next().await {
        to.write_all(&piece?).await.map_err(unwritten)?;
    }
    to.flush().await.map_err(unwritten)
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
