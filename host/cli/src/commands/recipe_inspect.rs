//! `cerebro recipe inspect FILE`: what a component can do, before anyone has it.

use super::read;
use crate::fault::{ERROR, Fault};
use cerebro_model::{Digest, Grants, Recipe, Unbounded};
use cerebro_recipe_inspect::{Inspection, embed_wants, inspect, interface_of};
use serde::Serialize;
use std::path::Path;

/// What is told of a component.
#[derive(Debug, Serialize)]
pub struct Report {
    kind: String,
    language: String,
    size: u64,
    digest: Digest,
    imports: Vec<Import>,
    /// What it declares that it wants; none if it declares nothing.
    wants: Option<Grants>,
    /// What of that has no bound.
    unbounded: Vec<Unbounded>,
}

#[derive(Debug, Serialize)]
struct Import {
    name: String,
    /// The worst that its functions do.
    effects: Option<String>,
    /// The keys of `grants` that say how much.
    grants: Vec<String>,
    /// It is not there unless one of them is.
    gated: bool,
}

/// Looks at the component in a file.
pub fn look(file: &Path) -> Result<Report, Fault> {
    let bytes = read(file)?;
    let found = inspect(&bytes).map_err(|error| {
        let source = std::error::Error::source(&error);
        let source = source.map_or_else(String::new, |source| format!(": {source}"));
        Fault::new(ERROR, format!("{}: {error}{source}", file.display()))
    })?;
    Ok(report(found, Digest::of(&bytes)))
}

/// The same for what a cluster has.
pub fn uploaded(recipe: &Recipe) -> Report {
    Report {
        kind: recipe.kind.to_string(),
        language: recipe.language.clone(),
        size: recipe.size,
        digest: recipe.digest,
        imports: recipe.imports.iter().map(|name| import(name)).collect(),
        unbounded: recipe.wants.as_ref().map(Grants::unbounded).unwrap_or_default(),
        wants: recipe.wants.clone(),
    }
}

/// A component with what it wants put in, where `NAME.wants.json` lies beside `NAME.wasm`.
pub fn with_sidecar(file: &Path, component: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let sidecar = file.with_extension("wants.json");
    if !sidecar.is_file() {
        return Ok(component);
    }
    let at_fault = |error: String| Fault::new(ERROR, format!("{}: {error}", sidecar.display()));
    let wants = serde_json::from_slice(&read(&sidecar)?);
    let wants =
        wants.map_err(|error| at_fault(format!("not what a job's `grants` are: {error}")))?;
    embed_wants(&component, &wants).map_err(|error| at_fault(error.to_string()))
}

fn import(name: &str) -> Import {
    let interface = interface_of(name);
    let keys = interface.map(|interface| interface.grants).unwrap_or_default();
    Import {
        name: name.to_owned(),
        effects: interface.map(|interface| interface.effects.to_string()),
        grants: keys.iter().map(|key| (*key).to_owned()).collect(),
        gated: interface.is_some_and(|interface| interface.gated),
    }
}

fn report(found: Inspection, digest: Digest) -> Report {
    let wants = found.wants.as_deref().cloned();
    Report {
        kind: found.kind.to_string(),
        language: found.language.to_string(),
        size: found.size,
        digest,
        imports: found.imports.iter().map(|name| import(name)).collect(),
        unbounded: wants.as_ref().map(Grants::unbounded).unwrap_or_default(),
        wants,
    }
}

/// In words.
pub fn describe(report: &Report) -> String {
    let Report { kind, language, size, digest, imports, wants, unbounded } = report;
    let mut text = format!("{kind} in {language}, {size} bytes\n  sha256 {digest}\n  imports");
    for import in imports {
        text.push_str(&format!("\n    {}", import.name));
        if let Some(effects) = &import.effects {
            text.push_str(&format!("  {effects}"));
        }
        if !import.grants.is_empty() {
            let needed = if import.gated { "needs" } else { "asks for" };
            text.push_str(&format!(
                "  ({needed} `grants.{}`)",
                import.grants.join("` or `grants.")
            ));
        }
    }
    match wants {
        None => text.push_str("\n  declares nothing: the job's grants alone bind it"),
        Some(wants) => {
            text.push_str("\n  wants");
            let value = serde_json::to_value(wants).unwrap_or_default();
            for (key, values) in value.as_object().into_iter().flatten() {
                for value in values.as_array().into_iter().flatten() {
                    text.push_str(&format!("\n    {key}: {value}"));
                }
            }
        }
    }
    for found in unbounded {
        text.push_str(&format!("\n  {found}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_model::ComponentKind;
    use cerebro_recipe_inspect::Language;
    use std::sync::Arc;

    #[test]
    fn what_a_component_can_do_is_told_with_what_it_takes() {
        let wants: Grants =
            serde_json::from_str(r#"{"commands": ["/bin/sh"], "write": ["/opt/app"]}"#).unwrap();
        let imports =
            ["cerebro:recipe/command@0.1.0", "cerebro:recipe/net@0.1.0", "wasi:io/poll@0.2.6"];
        let found = Inspection {
            kind: ComponentKind::Recipe,
            imports: imports.map(str::to_owned).into(),
            exports: Vec::new(),
            size: 7,
            language: Language::Go,
            wants: Some(Arc::new(wants)),
        };
        let text = describe(&report(found, Digest::of(b"x")));
        for part in [
            "recipe in go, 7 bytes",
            "recipe/command@0.1.0  opaque  (needs `grants.commands`)",
            "recipe/net@0.1.0  query  (asks for `grants.hosts`)",
            "write: \"/opt/app\"",
            "UNBOUNDED: grants.commands `",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(look(Path::new("/nowhere.wasm")).is_err());
    }
}
