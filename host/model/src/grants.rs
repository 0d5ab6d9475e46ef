//! Grants: what a job lets its recipe and its checks do, and what a component declares that it
//! wants to do. Default: nothing. See `docs/grants.md`.
//!
//! The checks are pure text; that a path which passed cannot lead elsewhere by a link is the
//! business of whoever opens it.

mod allowed;
mod bound;
mod check;
mod command;
mod denied;
mod environment;
mod glob;
mod host;
mod known;
mod missing;
mod name;
mod path;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod unbounded;
mod url;

pub use allowed::Allowed;
pub use bound::CommandBound;
pub use command::CommandPattern;
pub use denied::Denied;
pub use environment::is_treacherous_variable;
pub use host::HostPattern;
pub use missing::Line;
pub use name::NamePattern;
pub use path::PathPattern;
pub use unbounded::Unbounded;
pub use url::UrlPattern;

use crate::SecretName;
use serde::{Deserialize, Serialize};

/// What recipe and checks may do on a machine, beside reading their context and writing a log. The
/// same shape is what a component declares that it wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Trees that may be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<PathPattern>,
    /// Trees that may be read and written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<PathPattern>,
    /// Commands that may be run. A command is not confined by the path grants, but by a bound of its
    /// own if it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandPattern>,
    /// Hosts that may be connected to, beside the instance's own ports, which always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
    /// Pages that may be fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<UrlPattern>,
    /// Packages that may be installed, upgraded, held and removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<NamePattern>,
    /// Services that may be started, stopped, enabled and disabled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<NamePattern>,
    /// Users and groups that may be made, changed and removed, and groups that users may be put in.
    /// Not the users that a command may run as: `commands` says that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<NamePattern>,
    /// Secrets that may be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub secrets: Vec<SecretName>,
    /// Tasks that may be looked at, signalled and started again, beside the instance's own, which
    /// always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<NamePattern>,
}
