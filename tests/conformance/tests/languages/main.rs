//! The examples in each language, by `examples/SPEC.md`.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod http_check;
mod new;
mod plan;
mod release;
mod replay;
mod rollback;

use cerebro_conformance::{Language, Table, component};
use cerebro_recipe_engine::Component;

/// An example's component, with its size and its time to compile in the table.
async fn noted(table: &mut Table, language: Language, name: &str) -> Component {
    let (component, size, took) = component(language, name).await;
    table.note("size", format!("{:.2} MB", size as f64 / 1e6));
    table.note("compile or load", format!("{:.2} s", took.as_secs_f64()));
    component
}
