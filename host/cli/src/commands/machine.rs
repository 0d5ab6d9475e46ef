//! `cerebro machine`.

use super::effects;
use crate::arguments::{Machine as Command, Maintain};
use crate::fault::Fault;
use crate::output::{Output, table};
use crate::style::{Tone, paint, printable};
use cerebro_api::Client;
use cerebro_api::body::{DrainRequest, MachineView, MaintainRequest};
use cerebro_api::call::Provenance;
use cerebro_model::{Attempt, DeathCertificate, MachineId, PeerWord, Seconds, Tombstone, Verdict};

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::List => output.show(&client.machines().await?, |machines| {
            let row = |view: &MachineView| {
                let (machine, free) = (&view.machine, &view.free);
                vec![
                    machine.id.to_string(),
                    machine.zone.to_string(),
                    view.word().to_owned(),
                    machine.address.map_or("-".to_owned(), |address| address.to_string()),
                    view.instances.to_string(),
                    format!("{}/{}", free.cpu, machine.capacity.cpu),
                    format!("{}/{}", free.mem.get(), machine.capacity.mem.get()),
                    printable(&view.details()),
                ]
            };
            let heads =
                ["MACHINE", "ZONE", "STATE", "ADDRESS", "TASKS", "CORES FREE", "MB FREE", "WHY"];
            table(&heads, &machines.iter().map(row).collect::<Vec<_>>())
        }),
        Command::Show { id } => show(client, output, &id).await,
        Command::Join(options) => super::join::run(client, output, *options).await,
        Command::Adopt { id, reason } => shown(output, client.adopt_machine(&id, &reason).await?),
        Command::Lock { id, reason } => shown(output, client.lock_machine(&id, &reason).await?),
        Command::Unlock { id } => shown(output, client.unlock_machine(&id).await?),
        Command::Drain { id, reason, force } => {
            shown(output, client.drain_machine(&id, &DrainRequest { reason, force }).await?)
        }
        Command::Undrain { id } => shown(output, client.undrain_machine(&id).await?),
        Command::Maintain(Maintain { id, end: true, .. }) => {
            shown(output, client.end_maintenance(&id).await?)
        }
        Command::Maintain(Maintain { id, reason, lasts, drain, force, .. }) => {
            // The command line asks for both, unless it ends one.
            let (reason, lasts) = (reason.unwrap_or_default(), lasts.unwrap_or(Seconds::new(0)));
            let request = MaintainRequest { reason, lasts, drain, force };
            shown(output, client.maintain_machine(&id, &request).await?)
        }
        Command::Remove { id, reason, stray: true, .. } => {
            client.end_stray(&id, &reason).await?;
            anstream::eprintln!("{id} is gone for good");
            Ok(())
        }
        Command::Remove { id, reason, force, .. } => {
            shown(output, client.remove_machine(&id, &DrainRequest { reason, force }).await?)
        }
        Command::Kill { id } => {
            client.kill_machine(&id).await?;
            anstream::eprintln!(
                "{id} was killed; `cerebro events -f` shows what Cerebro does about it"
            );
            Ok(())
        }
    }
}

/// What a machine is now.
fn shown(output: Output, view: MachineView) -> Result<(), Fault> {
    output.show(&view, |view| {
        let (id, word, details) = (&view.machine.id, view.word(), printable(&view.details()));
        let details = if details.is_empty() { details } else { format!(" ({details})") };
        format!("{id} is {word}{details}")
    })
}

/// A machine, or what is remembered of one that was given up.
async fn show(client: &Client, output: Output, id: &MachineId) -> Result<(), Fault> {
    let buried = client.tombstones().await?.into_iter().find(|it| it.machine == *id);
    match (client.machine(id).await, buried) {
        (Ok(view), None) => output.show(&view, living),
        // While what is left of it is destroyed, both are there.
        (Ok(_), Some(tombstone)) => output.show(&tombstone, dead),
        (Err(error), Some(tombstone)) if error.status() == Some(404) => {
            output.show(&tombstone, dead)
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn living(view: &MachineView) -> String {
    let MachineView { machine, last_heartbeat, instances, comebacks, attempts, .. } = view;
    let mut lines = vec![
        format!("{} in {}: {}", machine.id, machine.zone, view.word()),
        format!("  made {}", machine.created_at),
    ];
    let details = view.details();
    lines.extend((!details.is_empty()).then(|| format!("  {}", printable(&details))));
    let addresses: Vec<_> =
        machine.address.iter().chain(&machine.also_at).map(ToString::to_string).collect();
    lines.extend((!addresses.is_empty()).then(|| format!("  at {}", addresses.join(" and "))));
    lines.extend(last_heartbeat.map(|at| format!("  heard last {at}")));
    lines.push(format!("  {instances} tasks"));
    lines.extend(comebacks.iter().map(|at| format!("  was silent, and heard again {at}")));
    lines.extend(attempts.iter().map(|Attempt { rung, at, why }| {
        format!("  {at}: its provider {}: {}", rung.words(), printable(why))
    }));
    lines.join("\n")
}

fn dead(tombstone: &Tombstone) -> String {
    let Tombstone { machine, zone, created_at, at, why, certificate, instances, gone_at } =
        tombstone;
    let mut lines = vec![
        format!("{machine} in {zone}: given up {at}"),
        format!("  made {created_at}"),
        format!("  {}", printable(why)),
    ];
    if let Some(certificate) = certificate {
        let DeathCertificate { at, verdict, last_heartbeat, probe, provider, peers, attempts } =
            certificate;
        let heard = last_heartbeat
            .map_or("never, since the controller started".to_owned(), |at| at.to_string());
        lines.extend([
            format!("  certificate of {at}"),
            format!("    heard last  {heard}"),
            format!("    probe       {}", printable(probe)),
            format!("    provider    {}", printable(provider)),
        ]);
        lines.extend(peers.iter().map(|PeerWord { peer, at, said, .. }| {
            format!("    {peer:<11} {} at {at}", printable(said))
        }));
        lines.extend(attempts.iter().map(|Attempt { rung, at, .. }| {
            format!("    tried       its provider {} {at}", rung.words())
        }));
        let verdict = match verdict {
            Verdict::Gone => None,
            Verdict::Hangs => Some("nobody reaches it, and its provider calls it running"),
            Verdict::Ending => Some("its provider was ending it"),
        };
        lines.extend(verdict.map(|words| format!("    verdict     {words}")));
    }
    lines.extend(instances.iter().map(|id| format!("  {id} was on it")));
    lines.push(match gone_at {
        Some(at) => format!("  nothing is left of it since {at}"),
        None => "  its provider has not confirmed yet that nothing is left of it".to_owned(),
    });
    lines.join("\n")
}

/// `cerebro why`: who wrote a path last.
pub async fn why(
    client: &Client,
    output: Output,
    machine: &MachineId,
    path: &str,
) -> Result<(), Fault> {
    output.show(&client.why(machine, path).await?, describe)
}

/// `cerebro drift`: what was changed since.
pub async fn drift(client: &Client, output: Output, machine: &MachineId) -> Result<(), Fault> {
    output.show(&client.drift(machine).await?, |found| match &**found {
        [] => format!("{machine}: nothing has changed since Cerebro wrote it"),
        found => found.iter().map(describe).collect::<Vec<_>>().join("\n\n"),
    })
}

fn describe(it: &Provenance) -> String {
    let Provenance { path, instance, deployment, component, call, at, effect, drift } = it;
    let component = component.get(..12).unwrap_or(component);
    let path = paint(Tone::Strong, &printable(path));
    let (action, details) = (effects::action(effect), effects::details(effect, false));
    let details = if details.is_empty() { details } else { format!("  {details}") };
    let mut text = format!(
        "{path}\n  {action}{details}\n  by {deployment} for {instance}, call #{call} of component \
         {component}\n  at {at}"
    );
    match drift {
        None => text.push_str("\n  as it was left"),
        Some(how) => {
            let changed = paint(Tone::Changed, "changed since:");
            text.push_str(&format!("\n  {changed} {}", printable(how)));
        }
    }
    text
}
