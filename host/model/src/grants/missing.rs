//! What a component wants and its job does not grant.

use super::denied::quoted;
use super::{Grants, NamePattern};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A line of grants.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct Line {
    /// The key below `grants`.
    pub key: String,
    /// The value, as JSON.
    pub value: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grants.{}: {}", self.key, self.value)
    }
}

impl Grants {
    /// The lines of `wants` that these grants do not cover, in the order of the keys: those to add.
    /// A line that several of these only cover together counts as missing.
    pub fn missing(&self, wants: &Self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut add = |key: &str, value: String| lines.push(Line { key: key.to_owned(), value });
        let reading = || self.read.iter().chain(&self.write);
        for want in &wants.read {
            if !reading().any(|own| own.covers(want.as_str())) {
                add("read", quoted(want.as_str()));
            }
        }
        for want in &wants.write {
            if !self.write.iter().any(|own| own.covers(want.as_str())) {
                add("write", quoted(want.as_str()));
            }
        }
        for want in &wants.commands {
            if !self.commands.iter().any(|own| own.includes(want)) {
                // What was parsed from text can be written as text.
                add("commands", serde_json::to_string(want).unwrap_or_default());
            }
        }
        for want in &wants.hosts {
            if !self.hosts.iter().any(|own| own.includes(want)) {
                add("hosts", quoted(&want.to_string()));
            }
        }
        for want in &wants.urls {
            if !self.urls.iter().any(|own| own.includes(want)) {
                add("urls", quoted(&String::from(want.clone())));
            }
        }
        let mut names = |key: &str, own: &[NamePattern], wants: &[NamePattern]| {
            for want in wants {
                // A `*` of the one can only stand where the other has one.
                if !own.iter().any(|own| own.covers(want.as_str())) {
                    add(key, quoted(want.as_str()));
                }
            }
        };
        names("packages", &self.packages, &wants.packages);
        names("services", &self.services, &wants.services);
        names("users", &self.users, &wants.users);
        names("tasks", &self.tasks, &wants.tasks);
        for want in wants.secrets.iter().filter(|want| !self.secrets.contains(want)) {
            add("secrets", quoted(want.as_str()));
        }
        lines
    }
}
