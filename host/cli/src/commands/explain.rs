//! `cerebro explain` and `cerebro simulate`: why, and what if.

use crate::arguments::{Explain, Happens, Simulate};
use crate::fault::{ERROR, Fault};
use crate::output::Output;
use crate::style::printable;
use cerebro_api::Client;
use cerebro_api::explain::{DecisionSummary, DecisionView, Explanation};
use cerebro_model::{Foreseen, Seconds, WhatIf};

pub async fn run(client: &Client, output: Output, command: Explain) -> Result<(), Fault> {
    match command {
        Explain::Job { job } => {
            output.show(&client.explain_job(&job).await?, |it| shown(&Explanation::words(it)))
        }
        Explain::Machine { id } => {
            output.show(&client.explain_machine(&id).await?, |it| shown(&Explanation::words(it)))
        }
        Explain::Decision { id } => {
            output.show(&client.decision(&id).await?, |it| shown(&DecisionView::words(it)))
        }
        Explain::Decisions { machine, job, limit } => {
            let found = client.decisions(machine.as_ref(), job.as_ref(), limit).await?;
            output.show(&found, |found| match &**found {
                [] => "nothing was decided of which there is a log".to_owned(),
                found => {
                    let words: Vec<_> = found.iter().map(DecisionSummary::words).collect();
                    shown(&words.join("\n"))
                }
            })
        }
    }
}

pub async fn simulate(client: &Client, output: Output, asked: Simulate) -> Result<(), Fault> {
    let wrong = |why| Fault::new(ERROR, why);
    let event = match asked.what_if {
        Happens::MachineLost => {
            WhatIf::MachineLost { machine: asked.named("machine").map_err(wrong)? }
        }
        Happens::ZoneLost => WhatIf::ZoneLost { zone: asked.named("zone").map_err(wrong)? },
        Happens::ControllerLost => {
            if asked.what.is_some() {
                let why = "there is one controller: `--what-if controller-lost` names nothing";
                return Err(wrong(why.to_owned()));
            }
            WhatIf::ControllerLost { lasts: Seconds::new(asked.span.as_secs()) }
        }
    };
    output.show(&client.what_if(&event).await?, |it| shown(&Foreseen::words(it)))
}

/// Lines that others wrote the words of.
fn shown(words: &str) -> String {
    words.lines().map(printable).collect::<Vec<_>>().join("\n")
}
