//! What each interface of `cerebro:recipe` can do to a machine.

use crate::imports::cerebro_interface;
use std::fmt;

/// What sort of thing the functions of an interface do: the worst of them counts. The names are
/// those of `wit/world.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effects {
    /// Nothing outside the call.
    None,
    /// Looks.
    Query,
    /// Brings content to the machine's own store.
    Fetch,
    /// Changes the machine in a way whose exact inverse the host knows.
    Reversible,
    /// Changes the machine by way of one of its own managers.
    Compensable,
    /// May do anything that its grant lets it do.
    Opaque,
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Query => "query",
            Self::Fetch => "fetch",
            Self::Reversible => "reversible",
            Self::Compensable => "compensable",
            Self::Opaque => "opaque",
        })
    }
}

/// What is known of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as in `cerebro:recipe/<name>`.
    pub name: &'static str,
    /// What it can do.
    pub effects: Effects,
    /// The keys below `grants` that say how much, one or the other.
    pub grants: &'static [&'static str],
    /// Whether it is only linked if one of these keys holds something; otherwise each call asks.
    pub gated: bool,
}

const fn interface(
    name: &'static str,
    effects: Effects,
    grants: &'static [&'static str],
    gated: bool,
) -> Interface {
    Interface { name, effects, grants, gated }
}

/// The interfaces of `cerebro:recipe`, of which this Cerebro speaks 0.1.
const INTERFACES: [Interface; 19] = [
    interface("types", Effects::None, &[], false),
    interface("health", Effects::None, &[], false),
    interface("context", Effects::Query, &[], false),
    interface("facts", Effects::Query, &[], false),
    interface("log", Effects::None, &[], false),
    interface("files", Effects::Reversible, &["read", "write"], true),
    interface("artifact", Effects::Fetch, &["urls"], false),
    interface("archive", Effects::Reversible, &["write"], true),
    interface("release", Effects::Reversible, &["write"], true),
    interface("command", Effects::Opaque, &["commands"], true),
    interface("packages", Effects::Compensable, &["packages"], false),
    interface("services", Effects::Compensable, &["services"], false),
    interface("users", Effects::Compensable, &["users"], false),
    interface("task", Effects::Opaque, &["tasks"], false),
    interface("notify", Effects::Opaque, &["commands", "services", "tasks"], false),
    interface("secret", Effects::Query, &["secrets"], true),
    interface("net", Effects::Query, &["hosts"], false),
    interface("kv", Effects::Reversible, &[], false),
    // Bound to the grants of hosts and URLs by the engine.
    interface("wasi:http", Effects::Opaque, &["urls", "hosts"], false),
];

/// The interface of this name.
pub(crate) fn known(name: &str) -> Option<&'static Interface> {
    INTERFACES.iter().find(|interface| interface.name == name && !name.contains(':'))
}

/// What is known of `import`: what it does, and which grants say how much. None of what does nothing
/// to a machine.
pub fn interface_of(import: &str) -> Option<&'static Interface> {
    match cerebro_interface(import) {
        Some(name) => known(name),
        None => INTERFACES.iter().find(|interface| {
            interface.name.contains(':')
                && import.strip_prefix(interface.name).is_some_and(|rest| rest.starts_with('/'))
        }),
    }
}
