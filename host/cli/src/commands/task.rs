//! `cerebro task`.

use crate::arguments::Task as Command;
use crate::fault::Fault;
use crate::output::{Output, line, table};
use cerebro_api::Client;
use cerebro_api::body::TaskView;
use futures::StreamExt;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::List => output.show(&client.tasks().await?, |tasks| {
            let row = |view: &TaskView| {
                let (instance, status) = (&view.instance, view.status.as_ref());
                let ports = instance.ports.iter().map(|(name, port)| format!("{name}={port}"));
                vec![
                    instance.id.to_string(),
                    instance.machine.to_string(),
                    view.version.as_ref().map_or("-".to_owned(), ToString::to_string),
                    status.map_or("unknown".to_owned(), |status| status.phase.to_string()),
                    status
                        .and_then(|status| status.pid)
                        .map_or("-".to_owned(), |pid| pid.to_string()),
                    status.map_or("-".to_owned(), |status| status.restarts.to_string()),
                    view.address.map_or("-".to_owned(), |address| address.to_string()),
                    ports.collect::<Vec<_>>().join(","),
                ]
            };
            let heads =
                ["TASK", "MACHINE", "VERSION", "STATE", "PID", "RESTARTS", "ADDRESS", "PORTS"];
            table(&heads, &tasks.iter().map(row).collect::<Vec<_>>())
        }),
        Command::Logs { id, follow, stream, tail } => {
            let mut lines = client.task_log(&id, &stream, tail, follow).await?;
            while let Some(next) = lines.next().await {
                line(&next?)?;
            }
            Ok(())
        }
    }
}
