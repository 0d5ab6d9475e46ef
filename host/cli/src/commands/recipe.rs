//! `cerebro recipe` and `cerebro artifact`.

use super::{read, recipe_inspect};
use crate::arguments::{Artifact, Recipe as Command};
use crate::fault::{ERROR, Fault};
use crate::output::{Output, table};
use cerebro_api::Client;
use cerebro_model::{Recipe, RecipeName};
use std::path::Path;

pub async fn run(client: &Client, output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::Push { name, file } => {
            let recipe = client.put_recipe(&name, read(&file)?).await?;
            output.show(&recipe, describe)
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
        Command::Run { arguments } => Err(super::recipe_run::run(&arguments)),
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
    let Recipe { name, kind, digest, size, imports, uploaded_at } = recipe;
    let mut text = format!(
        "{name}: {kind}, {size} bytes, uploaded {uploaded_at}\n  sha256 {digest}\n  imports"
    );
    for import in imports {
        text.push_str(&format!("\n    {import}"));
    }
    text
}

pub async fn artifact(client: &Client, output: Output, command: Artifact) -> Result<(), Fault> {
    let Artifact::Push { file } = command;
    let artifact = client.post_artifact(read(&file)?).await?;
    output.show(&artifact, |artifact| artifact.digest.to_string())
}
