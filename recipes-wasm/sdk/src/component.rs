//! What a component is, and what makes it one.

use crate::Host;
use crate::host::health::Report;
use crate::options;
use serde::de::DeserializeOwned;

/// Brings a version of a job onto a machine, and takes it away again. [`recipe!`](crate::recipe)
/// makes a component of it.
pub trait Recipe {
    /// What a job may say. `#[serde(deny_unknown_fields)]` finds what is misspelled.
    type Options: DeserializeOwned;

    /// Makes the machine ready to start the task of this version. Called once per deployment and
    /// instance, and again after a crash: it must be safe to repeat. The error is for people to
    /// read.
    fn deploy(host: &impl Host, options: Self::Options) -> Result<(), String>;

    /// Removes what [`Recipe::deploy`] made, once the instance has left this machine for good.
    fn undeploy(host: &impl Host, options: Self::Options) -> Result<(), String>;
}

/// Tells whether an instance serves. [`health_check!`](crate::health_check) makes a component of
/// it. It may ask the host for what the world `health-check` offers: it looks, and has no packages,
/// services, users, releases, archives and nothing to be done at the end.
pub trait HealthCheck {
    /// What a job may say.
    type Options: DeserializeOwned;

    /// Looks at the instance once. The error says that the check itself could not be made; it
    /// counts as a failure.
    fn check(host: &impl Host, options: Self::Options) -> Result<Report, String>;
}

/// Deploys with the options that the host holds.
pub fn deploy<R: Recipe>(host: &impl Host) -> Result<(), String> {
    R::deploy(host, options::get(host)?)
}

/// Undeploys with the options that the host holds.
pub fn undeploy<R: Recipe>(host: &impl Host) -> Result<(), String> {
    R::undeploy(host, options::get(host)?)
}

/// Checks with the options that the host holds.
pub fn check<C: HealthCheck>(host: &impl Host) -> Result<Report, String> {
    C::check(host, options::get(host)?)
}

/// Makes a type that implements [`Recipe`](crate::Recipe) the recipe that this component is.
#[macro_export]
macro_rules! recipe {
    ($recipe:ident) => {
        $crate::component!("recipe", {
            "cerebro:recipe/artifact@0.1.0": ::cerebro_recipe::host::artifact,
            "cerebro:recipe/archive@0.1.0": ::cerebro_recipe::host::archive,
            "cerebro:recipe/release@0.1.0": ::cerebro_recipe::host::release,
            "cerebro:recipe/packages@0.1.0": ::cerebro_recipe::host::packages,
            "cerebro:recipe/services@0.1.0": ::cerebro_recipe::host::services,
            "cerebro:recipe/users@0.1.0": ::cerebro_recipe::host::users,
            "cerebro:recipe/notify@0.1.0": ::cerebro_recipe::host::notify,
        }, {
            fn deploy() -> Result<(), String> {
                ::cerebro_recipe::component::deploy::<super::$recipe>(&::cerebro_recipe::Machine)
            }
            fn undeploy() -> Result<(), String> {
                ::cerebro_recipe::component::undeploy::<super::$recipe>(&::cerebro_recipe::Machine)
            }
        });
    };
}

/// Makes a type that implements [`HealthCheck`](crate::HealthCheck) the health check that this
/// component is.
#[macro_export]
macro_rules! health_check {
    ($check:ident) => {
        $crate::component!("health-check", {
            "cerebro:recipe/health@0.1.0": ::cerebro_recipe::host::health,
        }, {
            fn check() -> Result<::cerebro_recipe::host::health::Report, String> {
                ::cerebro_recipe::component::check::<super::$check>(&::cerebro_recipe::Machine)
            }
        });
    };
}

/// Declares what this component wants, as JSON like a job's `grants` in a file beside this one: it
/// may then do what its job grants *and* it declares.
#[macro_export]
macro_rules! wants {
    ($file:literal) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            const WANTS: &[u8] = include_bytes!($file);
            #[used]
            // SAFETY: a custom section of this name holds these bytes and nothing that is run.
            #[unsafe(link_section = "cerebro:wants")]
            static SECTION: [u8; WANTS.len()] = *include_bytes!($file);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! component {
    ($world:literal, { $($own:tt)* }, { $($exports:item)* }) => {
        #[allow(missing_docs, clippy::all, unused_qualifications, reason = "generated")]
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
            struct Component;
            impl Guest for Component {
                $($exports)*
            }
            export!(Component);
        }
    };
}
