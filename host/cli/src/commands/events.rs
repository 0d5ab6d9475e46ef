//! `cerebro events`.

use crate::fault::Fault;
use crate::output::Output;
use cerebro_api::Client;
use cerebro_model::Event;
use futures::StreamExt;

pub async fn run(client: &Client, output: Output, follow: bool) -> Result<(), Fault> {
    let latest = client.events(50).await?;
    if !follow {
        return output
            .show(&latest, |events| events.iter().map(words).collect::<Vec<_>>().join("\n"));
    }
    let mut last = 0;
    for event in &latest {
        output.show_next(event, words)?;
        last = event.seq;
    }
    let mut stream = client.follow_events(last).await?;
    while let Some(event) = stream.next().await {
        output.show_next(&event?, words)?;
    }
    Ok(())
}

/// An event on one line.
pub fn words(event: &Event) -> String {
    let at = event.at.to_string();
    let time = at.get(11..23).unwrap_or(&at);
    // `cerebro explain decision` takes it.
    let decision = event.decision.as_ref().map_or(String::new(), |id| format!(" [{id}]"));
    format!("{time}  {:<21}  {}{decision}", event.kind.to_string(), event.message)
}
