//! `cerebro recipe` and `cerebro artifact`.

use super::become_program::become_program;
use super::{read, recipe_inspect};
use crate::arguments::{Artifact, Recipe as Command};
use crate::fault::{ERROR, Fault};
use crate::output::{Output, table};
use cerebro_api::Client;
use cerebro_api::body::PushedRecipe;
use cerebro_model::{Recipe, RecipeName};
use std::path::Path;

/// The program that has the engine.
const ENGINE: &str = "machinesitter";

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::Push { name, file } => {
            let component = recipe_inspect::with_sidecar(&file, read(&file)?)?;
            output.show(&client.put_recipe(&name, component).await?, describe_pushed)
        }
        Command::New(options) => super::recipe_new::run(&options),
        Command::List => output.show(&client.recipes().await?, |recipes| {
            let row = |r: &Recipe| {
                vec![r.name.to_string(), r.kind.to_string(), r.digest.short(), r.size.to_string()]
            };
            table(
                &["NAME", "KIND", "DIGEST", "BYTES"],
                &recipes.iter().map(row).collect::<Vec<_>>(),
            )
        }),
        Command::Run { arguments } => Err(become_program(ENGINE, "run-component", &arguments)),
        Command::Record(what) => super::deployment::record(client, what).await,
        Command::Replay { arguments } => {
            Err(become_program(ENGINE, "replay-component", &arguments))
        }
        Command::Inspect { component } if Path::new(&component).is_file() => {
            let report = recipe_inspect::look(Path::new(&component))?;
            output.show(&report, recipe_inspect::describe)
        }
        Command::Inspect { component } => {
            let name = component.parse::<RecipeName>().map_err(|error| {
                let message = format!("`{component}` is neither a file nor a name: {error}");
                Fault::new(ERROR, message)
            })?;
            output.show(&client.recipe(&name).await?, describe)
        }
    }
}

fn describe(recipe: &Recipe) -> String {
    let report = recipe_inspect::uploaded(recipe);
    let (name, uploaded_at) = (&recipe.name, recipe.uploaded_at);
    format!("{name}: {}\n  uploaded {uploaded_at}", recipe_inspect::describe(&report))
}

fn describe_pushed(pushed: &PushedRecipe) -> String {
    let mut text = describe(&pushed.recipe);
    for missing in &pushed.missing {
        text.push_str(&format!(
            "\n  {} goes on with what it has; before its next deployment, add to it what this \
             component may have of what it wants:",
            missing.job
        ));
        text.extend(missing.lines.iter().map(|line| format!("\n  + {line}")));
    }
    text
}

pub async fn artifact(client: &Client, output: Output, command: Artifact) -> Result<(), Fault> {
    let Artifact::Push { file } = command;
    let artifact = client.post_artifact(read(&file)?).await?;
    output.show(&artifact, |artifact| artifact.digest.to_string())
}
