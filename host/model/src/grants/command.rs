//! Commands: a program, its arguments, and whom it may run as.

mod written;

use super::bound::CommandBound;
use super::glob::{matches, matches_word};
use super::path::{is_at_or_below, is_plain};
use serde::{Deserialize, Serialize};
use std::fmt;
use written::{CommandObject, Written, words_of};

/// A command that may be run, written as words or as an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct CommandPattern {
    program: Program,
    words: Vec<String>,
    /// Whether more arguments may follow.
    open: bool,
    user: Option<String>,
    /// What it is held to; nothing if it is left out.
    bound: Option<CommandBound>,
}

/// The path of a program, or a directory of programs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    /// Without a slash at its end; `*` in a part stands for any characters of it.
    path: String,
    /// Whether the programs below are meant.
    below: bool,
}

impl CommandPattern {
    /// Whether a program with its arguments may be run as `user`, or as whoever runs the agent.
    pub fn covers(&self, argv: &[String], user: Option<&str>) -> bool {
        let Some((program, arguments)) = argv.split_first() else { return false };
        self.program.covers(program)
            && self.covers_arguments(arguments)
            && self.user.as_deref().is_none_or(|own| user == Some(own))
    }

    fn covers_arguments(&self, arguments: &[String]) -> bool {
        let enough = match self.open {
            true => arguments.len() >= self.words.len(),
            false => arguments.len() == self.words.len(),
        };
        enough
            && self.words.iter().zip(arguments).all(|(word, argument)| covers_word(word, argument))
    }

    /// Whether all that `other` covers is covered by this. A `*` of the other's is taken for a
    /// character: then a `*` of this stands where it does, and covers whatever it covers.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let program = match (self.program.below, other.program.below) {
            (true, true) => {
                self.program.path == other.program.path || self.program.covers(&other.program.path)
            }
            (false, true) => false,
            (_, false) => self.program.covers(&other.program.path),
        };
        let open = self.open || !other.open;
        program
            && open
            && self.covers_arguments(&other.words)
            && (self.user.is_none() || self.user == other.user)
            && CommandBound::includes(self.bound.as_ref(), other.bound.as_ref())
    }

    /// What it is held to by a sandbox; none if that is nothing.
    pub fn bound(&self) -> Option<&CommandBound> {
        self.bound.as_ref()
    }

    /// The command that is exactly this, if no longer than can be read.
    pub(super) fn exact(argv: &[String], user: Option<&str>) -> String {
        let argv = match argv.iter().map(|word| word.len() + 1).sum::<usize>() {
            0..=300 => argv,
            _ => argv.get(..1).unwrap_or_default(),
        };
        let written = match (words_of(argv), user) {
            (Some(words), None) => Written::Words(words),
            _ => {
                let (argv, user) = (argv.to_vec(), user.map(str::to_owned));
                Written::Object(CommandObject { argv, user, writes: None, network: None })
            }
        };
        // A struct of strings always can be written.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// The path of the program or the directory of programs, which may hold `*`.
    pub(super) fn program(&self) -> &str {
        &self.program.path
    }

    /// Whether `program` is one that this means, with whatever arguments.
    pub(super) fn means_program(&self, program: &str) -> bool {
        self.program.covers(program)
    }

    /// Whether more than one program is meant.
    pub(super) fn means_many(&self) -> bool {
        self.program.below || self.program.path.contains('*')
    }

    /// The arguments that are asked for.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether any arguments may follow those.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    fn parse(
        argv: &[String],
        user: Option<String>,
        bound: Option<CommandBound>,
    ) -> Result<Self, String> {
        let text = argv.join(" ");
        let wrong = |why: &str| format!("`{text}` is not a command to grant: {why}");
        let Some((program, words)) = argv.split_first() else {
            return Err(wrong("expected a program"));
        };
        let program = Program::parse(program).ok_or_else(|| {
            wrong("expected the program's absolute path first, without `.`, `..` and `**`")
        })?;
        let (words, open) = match words.split_last() {
            None => (words, true),
            Some((last, words)) if last == "**" => (words, true),
            Some(_) => (words, false),
        };
        if words.iter().any(|word| word == "**") {
            return Err(wrong("expected `**` as the last word alone, for any further arguments"));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(wrong("expected words without a zero byte"));
        }
        if user.as_deref().is_some_and(|user| user.is_empty() || user.contains(['\0', '*'])) {
            return Err(wrong("expected the name of one user"));
        }
        Ok(Self { program, words: words.to_vec(), open, user, bound })
    }

    fn argv(&self) -> Vec<String> {
        let end = (self.open && !self.words.is_empty()).then(|| "**".to_owned());
        std::iter::once(self.program.to_string()).chain(self.words.clone()).chain(end).collect()
    }
}

impl Program {
    fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix("/**").or_else(|| text.strip_suffix('/'));
        let path = stem.unwrap_or(text);
        let parts = || path.split('/').skip(1);
        let plain = text.starts_with('/')
            && is_plain(parts())
            && !path.contains("**")
            && (stem.is_some() || !path.is_empty());
        plain.then(|| Self { path: path.to_owned(), below: stem.is_some() })
    }

    fn covers(&self, program: &str) -> bool {
        let mut parts = program.split('/');
        let above =
            self.path.split('/').all(|own| parts.next().is_some_and(|part| matches(own, part)));
        above && self.below == parts.next().is_some()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, if self.below { "/" } else { "" })
    }
}

/// Whether an argument is one that a word means. Where a path is meant, `*` does not lead out of it.
fn covers_word(word: &str, argument: &str) -> bool {
    let climbs = || argument.split(['/', '=', ':', ',']).any(|part| part == "..");
    word == argument || (matches_word(word, argument) && !(word.contains('/') && climbs()))
}

impl fmt::Display for CommandPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argv = self.argv();
        f.write_str(&words_of(&argv).unwrap_or_else(|| format!("{argv:?}")))?;
        if let Some(user) = &self.user {
            write!(f, " as {user}")?;
        }
        match &self.bound {
            Some(bound) => write!(f, ", {bound}"),
            None => Ok(()),
        }
    }
}

/// Whether a pattern of paths, in which `*` stands for any part, may mean something in `tree`.
pub(super) fn may_lie_in(pattern: &str, tree: &str) -> bool {
    // What stands before the first `*` decides; behind it, anything may come.
    match pattern.split_once('*') {
        None => is_at_or_below(pattern, tree),
        Some((start, _)) => is_at_or_below(start, tree) || tree.starts_with(start),
    }
}
