//! `cerebro status`, `pause` and `resume`: how the cluster is, and what holds it back.

use crate::arguments::{Pause as PauseOptions, Repair, Resume, Scope, Switch};
use crate::fault::Fault;
use crate::output::{Output, table};
use crate::style::printable;
use cerebro_api::Client;
use cerebro_api::body::{PauseRequest, Status};
use cerebro_model::{Pause, PauseScope, Proposal};

pub async fn status(client: &Client, output: Output) -> Result<(), Fault> {
    output.show(&client.status().await?, |Status { term, faults, pauses, observe_only }| {
        let mut lines = match faults.is_empty() {
            true => vec![format!("all is well (term {term})")],
            false => vec![format!("not as it should be (term {term}):")],
        };
        lines.extend(faults.iter().map(|fault| format!("  {}", printable(fault))));
        if *observe_only {
            lines.push("repairs are only proposed: cerebro repair list shows them".to_owned());
        }
        if !pauses.is_empty() {
            let rows: Vec<_> = pauses.iter().map(row).collect();
            lines.extend([String::new(), table(&["PAUSED", "BY", "UNTIL", "WHY"], &rows)]);
        }
        lines.join("\n")
    })
}

fn row(pause: &Pause) -> Vec<String> {
    let (author, reason) = (printable(&pause.author), printable(&pause.reason));
    vec![pause.scope.to_string(), author, pause.until.to_string(), reason]
}

pub async fn pause(client: &Client, output: Output, options: PauseOptions) -> Result<(), Fault> {
    let request = PauseRequest {
        scope: scope(options.scope),
        author: options.author,
        reason: options.reason,
        seconds: options.span.as_secs(),
    };
    output.show(&client.pause(&request).await?, |pause| printable(&pause.to_string()))
}

pub async fn resume(client: &Client, options: Resume) -> Result<(), Fault> {
    let scope = scope(options.scope);
    client.resume(&scope, &options.author).await?;
    anstream::eprintln!("{scope} is no longer paused");
    Ok(())
}

pub async fn repair(client: &Client, output: Output, command: Repair) -> Result<(), Fault> {
    match command {
        Repair::List => output.show(&client.proposals().await?, |proposals| {
            let row = |it: &Proposal| {
                let waits = if it.approved { "approved" } else { &it.waits };
                vec![it.id.clone(), it.zone.to_string(), waits.to_owned(), printable(&it.why)]
            };
            table(
                &["REPAIR", "ZONE", "WAITS, BECAUSE", "WHY"],
                &proposals.iter().map(row).collect::<Vec<_>>(),
            )
        }),
        Repair::Approve { ids, author } => {
            for id in &ids {
                client.approve(id, &author).await?;
                anstream::eprintln!("{id} is approved; `cerebro events -f` shows what comes of it");
            }
            Ok(())
        }
        Repair::ObserveOnly { switch, author } => {
            client.observe_only(switch == Switch::On, &author).await?;
            anstream::eprintln!(
                "{}",
                match switch {
                    Switch::On => "repairs are only proposed; `cerebro repair list` shows them",
                    Switch::Off => "repairs are done without being asked",
                }
            );
            Ok(())
        }
    }
}

fn scope(given: Scope) -> PauseScope {
    match (given.job, given.zone) {
        (Some(job), _) => PauseScope::Job(job),
        (None, Some(zone)) => PauseScope::Zone(zone),
        (None, None) => PauseScope::Cluster,
    }
}
