//! `cerebro name`.

use crate::arguments::Name as Command;
use crate::fault::Fault;
use crate::output::{Output, table};
use cerebro_api::Client;
use cerebro_api::name::{NameAdvice, NameView};

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::List => output.show(&client.names().await?, |names| {
            let rows: Vec<_> = names.iter().flat_map(rows).collect();
            table(&["NAME", "INSTANCE", "MACHINE", "ADDRESSES", "TTL", "ANSWERED"], &rows)
        }),
        Command::Advice { job } => output.show(&client.name_advice(&job).await?, words),
    }
}

/// A row for each instance, or one that says that there is none.
fn rows(view: &NameView) -> Vec<Vec<String>> {
    let publication = &view.publication;
    let row = |cells: [String; 3]| {
        let [instance, machine, addresses] = cells;
        let ttl = format!("{} s", publication.ttl.seconds());
        let answered = if view.is_answered { "yes" } else { "not yet" }.to_owned();
        vec![view.name.clone(), instance, machine, addresses, ttl, answered]
    };
    if publication.members.is_empty() {
        return vec![row(["-", "-", "-"].map(str::to_owned))];
    }
    let members = publication.members.iter().map(|(number, member)| {
        let addresses: Vec<_> = member.addresses.iter().map(ToString::to_string).collect();
        row([number.to_string(), member.machine.to_string(), addresses.join(" ")])
    });
    members.collect()
}

fn words(advice: &NameAdvice) -> String {
    let records = advice.records.iter().map(|record| format!("\n    {record}"));
    format!("{}{}", advice.words, records.collect::<String>())
}
