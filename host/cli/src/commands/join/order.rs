//! What is to be on a machine that is joined: asked of the controller, by what was found there.

use super::take_back;
use crate::arguments::Join;
use crate::fault::{CONFLICT, ERROR, Fault};
use cerebro_api::body::MachineView;
use cerebro_api::join::{AgentProgram, JOINS_WITHIN, JoinOrder, JoinOrderRequest};
use cerebro_api::{Client, paths};
use cerebro_bootstrap::ssh::Facts;
use cerebro_bootstrap::{Architecture, JoinToken, Program, Setup, Source, Start};
use cerebro_model::{Capacity, Cores, Digest, Megabytes, ZoneName};
use futures::StreamExt;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// The least memory that is left for the machine's own system, in MB.
const FOR_THE_SYSTEM: u64 = 256;

/// What is to be on a machine that has joined before: the same, by programs of now.
pub async fn again(
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
    Ok(setup.at(options.address).with_ipv6(options.ipv6))
}

/// What is to be on a machine that is new: the controller is asked to expect it.
pub async fn new(
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
        Ok::<_, Fault>(setup.at(options.address).with_ipv6(options.ipv6))
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
        let architecture = architecture.map(|it| it.parse::<Architecture>()).transpose();
        let architecture =
            architecture.map_err(|error| Fault::new(ERROR, format!("{name}: {error}")))?;
        all.push(Program { name: name.parse()?, digest, size, architecture, source });
    }
    Ok(all)
}

async fn download(client: &Client, digest: &Digest, file: &Path) -> Result<(), Fault> {
    let unwritten = |error| Fault::new(ERROR, format!("cannot write {}: {error}", file.display()));
    let mut to = tokio::fs::File::create(file).await.map_err(unwritten)?;
    let mut pieces = std::pin::pin!(client.agent_program(digest).await?);
    while let Some(piece) = pieces.next().await {
        to.write_all(&piece?).await.map_err(unwritten)?;
    }
    to.flush().await.map_err(unwritten)
}
