//! What recipes and health checks in Rust are written with.
//!
//! A recipe is a type that implements [`Recipe`], named to [`recipe!`]; a health check likewise,
//! with [`HealthCheck`] and [`health_check!`]. Both ask a [`Host`] for things: in a component that
//! is the [`Machine`], in tests a `FakeHost`.

mod bindings;
mod change;
mod command;
pub mod component;
pub mod edit;
pub mod error;
#[cfg(not(target_family = "wasm"))]
mod fake;
mod file;
mod machine;
pub mod options;
pub mod report;
pub mod template;
pub mod values;

pub use command::Command;
pub use component::{HealthCheck, Recipe};
#[cfg(not(target_family = "wasm"))]
pub use fake::{Answer, FakeHost, Tree};
pub use file::{Directory, File};
pub use machine::{Effect, Host, Machine, Outcome, Source};

/// The host's interfaces, as `wit/` describes them.
pub mod host {
    pub use crate::bindings::cerebro::recipe::{
        archive, artifact, command, context, facts, files, health, kv, log, net, notify, packages,
        release, secret, services, task, types, users,
    };
}

#[doc(hidden)]
pub use wit_bindgen;

/// The examples of the guide compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sdk.md")]
struct Guide;
