//! What recipes and health checks in Rust share: the host's interfaces, options and templates.
//!
//! A recipe is a type that implements `Guest`, named to [`recipe!`]; a health check likewise, named
//! to [`health_check!`].

mod bindings;
mod change;
pub mod edit;
pub mod error;
pub mod options;
pub mod report;
pub mod template;
pub mod values;

/// The host's interfaces, as `wit/` describes them.
pub mod host {
    pub use crate::bindings::cerebro::recipe::{
        archive, artifact, command, context, facts, files, health, kv, log, net, notify, packages,
        release, secret, services, task, types, users,
    };
}

#[doc(hidden)]
pub use wit_bindgen;

/// Makes a type that implements `Guest` the recipe that this component is.
#[macro_export]
macro_rules! recipe {
    ($guest:ident) => {
        $crate::component!("recipe", $guest, {
            "cerebro:recipe/artifact@0.1.0": ::cerebro_recipe::host::artifact,
            "cerebro:recipe/archive@0.1.0": ::cerebro_recipe::host::archive,
            "cerebro:recipe/release@0.1.0": ::cerebro_recipe::host::release,
            "cerebro:recipe/packages@0.1.0": ::cerebro_recipe::host::packages,
            "cerebro:recipe/services@0.1.0": ::cerebro_recipe::host::services,
            "cerebro:recipe/users@0.1.0": ::cerebro_recipe::host::users,
            "cerebro:recipe/notify@0.1.0": ::cerebro_recipe::host::notify,
        });
    };
}

/// Makes a type that implements `Guest` the health check that this component is.
#[macro_export]
macro_rules! health_check {
    ($guest:ident) => {
        $crate::component!("health-check", $guest, {
            "cerebro:recipe/health@0.1.0": ::cerebro_recipe::host::health,
        });
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! component {
    ($world:literal, $guest:ident, { $($own:tt)* }) => {
        #[allow(missing_docs, clippy::all, reason = "generated")]
        mod bindings {
            $crate::wit_bindgen::generate!({
                path: "../../wit",
                world: $world,
                runtime_path: "cerebro_recipe::wit_bindgen::rt",
                with: {
                    "cerebro:recipe/types@0.1.0": ::cerebro_recipe::host::types,
                    "cerebro:recipe/context@0.1.0": ::cerebro_recipe::host::context,
                    "cerebro:recipe/log@0.1.0": ::cerebro_recipe::host::log,
                    "cerebro:recipe/files@0.1.0": ::cerebro_recipe::host::files,
                    "cerebro:recipe/command@0.1.0": ::cerebro_recipe::host::command,
                    "cerebro:recipe/net@0.1.0": ::cerebro_recipe::host::net,
                    "cerebro:recipe/facts@0.1.0": ::cerebro_recipe::host::facts,
                    "cerebro:recipe/task@0.1.0": ::cerebro_recipe::host::task,
                    "cerebro:recipe/secret@0.1.0": ::cerebro_recipe::host::secret,
                    "cerebro:recipe/kv@0.1.0": ::cerebro_recipe::host::kv,
                    $($own)*
                },
            });
            use super::$guest;
            export!($guest);
        }
        use bindings::Guest;
    };
}
