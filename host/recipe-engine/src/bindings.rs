//! Generated from `wit/`: the host's interfaces once, and what each world exports.
#![allow(missing_docs, clippy::all, unused_qualifications, reason = "generated")]

/// The host's interfaces.
pub mod imports {
    wasmtime::component::bindgen!({
        path: "../../wit",
        // `health` holds types only, so no world imports it by itself.
        inline: "
            package cerebro:host;
            world host {
                include cerebro:recipe/imports@0.1.0;
                import cerebro:recipe/health@0.1.0;
            }
        ",
        world: "cerebro:host/host",
        imports: { default: async | trappable },
        // For recordings.
        additional_derives: [serde::Serialize, serde::Deserialize],
        with: {
            "cerebro:recipe/artifact.artifact": crate::host::artifact::Artifact,
            "cerebro:recipe/command.outcome": crate::host::command::Outcome,
            "cerebro:recipe/secret.secret": crate::host::secret::Secret,
            "cerebro:recipe/types.effect": crate::host::effect::Effect,
        },
    });
}

pub use imports::cerebro::recipe as interfaces;

/// What a recipe exports.
pub mod recipe {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "recipe",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "cerebro:recipe": crate::bindings::interfaces },
    });
}

/// What a health check exports.
pub mod health_check {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "health-check",
        imports: { default: async | trappable },
        exports: { default: async },
        with: { "cerebro:recipe": crate::bindings::interfaces },
    });
}
