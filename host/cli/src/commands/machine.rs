//! `cerebro machine`.

use crate::arguments::Machine as Command;
use crate::fault::Fault;
use crate::output::{Output, table};
use cerebro_api::Client;
use cerebro_api::body::MachineView;

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
