//! `cerebro zone`.

use crate::arguments::{Zone as Command, ZoneSet};
use crate::fault::Fault;
use crate::output::{Output, table};
use cerebro_api::Client;
use cerebro_api::body::ZoneView;
use cerebro_model::ZoneChange;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::List => output.show(&client.zones().await?, |zones| {
            let row = |view: &ZoneView| {
                let settings = &view.settings;
                vec![
                    settings.zone.to_string(),
                    view.machines.to_string(),
                    view.without_work.to_string(),
                    settings.min.to_string(),
                    settings.max.to_string(),
                    settings.idle.map_or("any".to_owned(), |idle| idle.to_string()),
                    settings.idle_for.to_string(),
                    if view.is_set { "zone set" } else { "--zone" }.to_owned(),
                ]
            };
            let heads = ["ZONE", "MACHINES", "WITHOUT WORK", "MIN", "MAX", "IDLE", "AFTER", "BY"];
            table(&heads, &zones.iter().map(row).collect::<Vec<_>>())
        }),
        Command::Set(ZoneSet { zone, min, max, idle, idle_for }) => {
            let idle = idle.map(|idle| idle.0);
            let change = ZoneChange { min, max, idle, idle_for };
            output.show(&client.change_zone(&zone, &change).await?, |view| view.settings.in_words())
        }
    }
}
