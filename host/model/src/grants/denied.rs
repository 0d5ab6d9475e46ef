//! What an attempt that is not allowed is told.

use std::fmt;

/// An attempt that is not allowed. Its text names the import, what was attempted, and the very line
/// to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The interface by which it was attempted, such as `cerebro:recipe/files`.
    pub import: &'static str,
    /// What was attempted, such as "writing `/etc/passwd`".
    pub what: String,
    /// The key that would allow it: below `grants` of the job, or in the component's wants.
    pub key: &'static str,
    /// The value to add there, as JSON. Where nothing could allow it, why.
    pub line: String,
    pub(super) by: By,
}

/// Who does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The job: it does not grant it.
    Job,
    /// The component: it does not declare that it wants it.
    Component,
    /// Nobody could.
    Nature,
}

impl Denied {
    pub(super) fn new(key: &'static str, what: String, line: String) -> Self {
        Self { import: import_of(key), what, key, line, by: By::Job }
    }

    /// What no grant can allow, and why.
    pub(super) fn never(key: &'static str, what: String, why: &str) -> Self {
        Self { import: import_of(key), what, key, line: why.to_owned(), by: By::Nature }
    }

    /// The same, attempted by way of another interface than is usual for such a thing.
    #[must_use]
    pub fn at(self, import: &'static str) -> Self {
        Self { import, ..self }
    }

    /// The same, for what the job grants and the component did not declare.
    pub(super) fn undeclared(self) -> Self {
        let by = if self.by == By::Job { By::Component } else { self.by };
        Self { by, ..self }
    }
}

fn import_of(key: &str) -> &'static str {
    match key {
        "commands" => "cerebro:recipe/command",
        "hosts" => "cerebro:recipe/net",
        "urls" => "cerebro:recipe/artifact",
        "packages" => "cerebro:recipe/packages",
        "services" => "cerebro:recipe/services",
        "users" => "cerebro:recipe/users",
        "secrets" => "cerebro:recipe/secret",
        "tasks" => "cerebro:recipe/task",
        _ => "cerebro:recipe/files",
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { import, what, key, line, by } = self;
        match by {
            By::Job => write!(
                f,
                "`{import}`: {what} is not granted; to allow it, add {line} to `grants.{key}` of the job"
            ),
            By::Component => write!(
                f,
                "`{import}`: {what} is granted by the job, but the component does not declare that \
                 it wants it; to allow it, add {line} to `{key}` of the component's wants"
            ),
            By::Nature => write!(f, "`{import}`: {what} cannot be granted: {line}"),
        }
    }
}

impl std::error::Error for Denied {}

/// A value as it stands in a job file.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
