//! `cerebro machine`.

use super::effects;
use crate::arguments::Machine as Command;
use crate::fault::Fault;
use crate::output::{Output, table};
use crate::style::{Tone, paint, printable};
use cerebro_api::Client;
use cerebro_api::body::MachineView;
use cerebro_api::call::Provenance;
use cerebro_model::MachineId;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::List => output.show(&client.machines().await?, |machines| {
            let row = |view: &MachineView| {
                let (machine, free) = (&view.machine, &view.free);
                vec![
                    machine.id.to_string(),
                    machine.zone.to_string(),
                    machine.state.word().to_owned(),
                    machine.address.map_or("-".to_owned(), |address| address.to_string()),
                    view.instances.to_string(),
                    format!("{}/{}", free.cpu, machine.capacity.cpu),
                    format!("{}/{}", free.mem.get(), machine.capacity.mem.get()),
                ]
            };
            let heads = ["MACHINE", "ZONE", "STATE", "ADDRESS", "TASKS", "CORES FREE", "MB FREE"];
            table(&heads, &machines.iter().map(row).collect::<Vec<_>>())
        }),
        Command::Kill { id } => {
            client.kill_machine(&id).await?;
            anstream::eprintln!(
                "{id} was killed; `cerebro events -f` shows what Cerebro does about it"
            );
            Ok(())
        }
    }
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
