//! Commands as they stand in a job file.

use super::CommandPattern;
use crate::grants::PathPattern;
use crate::grants::bound::CommandBound;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

/// As it stands in a job file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a command: words such as \"/usr/bin/app reload\", or {\"argv\": […], \"user\": \"…\", \"writes\": […], \"network\": false}"
)]
pub(super) enum Written {
    /// The program and its arguments, with blanks between.
    Words(String),
    /// The same word by word, with the user and a bound.
    Object(CommandObject),
}

/// A command word by word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandObject {
    /// The program and its arguments.
    pub(super) argv: Vec<String>,
    /// The user that it must be run as, spelled as the component does; any if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// The directories that it can write to, beside a `/tmp` of its own; all is read-only elsewhere.
    /// As its user may if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) writes: Option<Vec<PathPattern>>,
    /// Whether it has the network, and the sockets of the machine's services. It has if it is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<bool>,
}

/// The words with blanks between, if they can be told apart again.
pub(super) fn words_of(argv: &[String]) -> Option<String> {
    let simple = |word: &String| !word.is_empty() && !word.contains(NOT_IN_WORDS);
    argv.iter().all(simple).then(|| argv.join(" "))
}

/// What would have a reader of words think of a shell's rules.
const NOT_IN_WORDS: fn(char) -> bool =
    |c| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '\0');

impl TryFrom<Written> for CommandPattern {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Words(text) => Self::try_from(text),
            Written::Object(CommandObject { argv, user, writes, network }) => {
                Self::parse(&argv, user, CommandBound::new(writes, network))
            }
        }
    }
}

impl TryFrom<String> for CommandPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let argv: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if argv.iter().any(|word| word.contains(NOT_IN_WORDS)) {
            return Err(format!(
                "`{text}` is not a command to grant: no shell reads it, so quotes and backslashes \
                 mean nothing; write the words one by one: {{\"argv\": [\"…\", \"…\"]}}"
            ));
        }
        Self::parse(&argv, None, None)
    }
}

impl From<CommandPattern> for Written {
    fn from(pattern: CommandPattern) -> Self {
        let argv = pattern.argv();
        match (words_of(&argv), pattern.user, pattern.bound) {
            (Some(words), None, None) => Self::Words(words),
            (_, user, bound) => {
                let network = bound.as_ref().filter(|bound| !bound.network).map(|_| false);
                let writes = bound.and_then(|bound| bound.writes);
                Self::Object(CommandObject { argv, user, writes, network })
            }
        }
    }
}

impl PartialSchema for CommandPattern {
    fn schema() -> RefOr<Schema> {
        Written::schema()
    }
}

impl ToSchema for CommandPattern {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((CommandObject::name().into(), CommandObject::schema()));
        CommandObject::schemas(schemas);
    }
}
