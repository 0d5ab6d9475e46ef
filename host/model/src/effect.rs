//! What a recipe does to a machine, effect by effect: in journals, plans and reports.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The class of an effect, fixed by the function that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Its exact inverse is known.
    Reversible,
    /// An inverse is known by name, which may not be exact.
    Compensable,
    /// Nobody knows what it does.
    Opaque,
}

/// What is done, and to what. Paths are those that links lead to, as the machine has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Action {
    /// A file gets new content.
    Write {
        /// The file.
        path: String,
        /// The names of the secrets that it holds.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
    },
    /// A directory is made.
    Directory {
        /// The directory.
        path: String,
    },
    /// A symbolic link is made, or leads elsewhere.
    Link {
        /// The link.
        path: String,
    },
    /// A mode or an owner is set.
    Attributes {
        /// The file or directory.
        path: String,
    },
    /// A file, a link, or a directory with all that is in it goes.
    Remove {
        /// What goes.
        path: String,
    },
    /// Something gets another name.
    Rename {
        /// What it was called.
        path: String,
        /// What it is called then.
        to: String,
    },
    /// A directory gets what an artifact holds.
    Unpack {
        /// The directory.
        path: String,
        /// The artifact's digest.
        artifact: String,
    },
    /// A value is kept, or forgotten.
    Remember {
        /// Its key.
        key: String,
        /// What was kept before.
        was: Option<Vec<u8>>,
    },
    /// Something is to be done at the end.
    AtEnd {
        /// What.
        action: Later,
    },
    /// A command runs.
    Run {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The user that it runs as, if it is not the agent's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The command that undoes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Vec<String>>,
        /// Whether nothing before it may be taken back once it was run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        irreversible: bool,
        /// Whether it wrote to copies only, of which what it wrote became effects of their own.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        contained: bool,
    },
    /// Packages are installed, changed or removed.
    Packages {
        /// What is done, a line for each.
        steps: Vec<String>,
        /// The names of those that were not installed before.
        new: Vec<String>,
    },
    /// A service is started, stopped, restarted, reloaded, enabled or disabled.
    Service {
        /// Its name; empty for the service manager itself.
        name: String,
        /// What is done, in words.
        steps: Vec<String>,
        /// Whether it ran before, and whether it was enabled.
        was: Option<(bool, bool)>,
    },
    /// A user or a group is made, changed or removed.
    Account {
        /// Its name.
        name: String,
        /// Whether it is a group.
        group: bool,
        /// What is done, in words.
        step: String,
        /// Whether it was not there before.
        new: bool,
    },
    /// A task is signalled or restarted.
    Task {
        /// Its name; none for the instance's own.
        name: Option<String>,
        /// What is done, in words.
        step: String,
    },
}

impl Action {
    /// The class of what does this.
    pub fn class(&self) -> Class {
        match self {
            Self::Run { .. } => Class::Opaque,
            Self::Task { step, .. } if step != "restart" => Class::Opaque,
            Self::Packages { .. }
            | Self::Service { .. }
            | Self::Account { .. }
            | Self::Task { .. } => Class::Compensable,
            _ => Class::Reversible,
        }
    }

    /// The path that it changes, if it is one of files.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Write { path, .. }
            | Self::Directory { path }
            | Self::Link { path }
            | Self::Attributes { path }
            | Self::Remove { path }
            | Self::Rename { path, .. }
            | Self::Unpack { path, .. } => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, .. } => write!(f, "write {path}"),
            Self::Directory { path } => write!(f, "directory {path}"),
            Self::Link { path } => write!(f, "link {path}"),
            Self::Attributes { path } => write!(f, "attributes {path}"),
            Self::Remove { path } => write!(f, "remove {path}"),
            Self::Rename { path, to } => write!(f, "rename {path} to {to}"),
            Self::Unpack { path, artifact } => {
                write!(f, "unpack {} into {path}", artifact.get(..12).unwrap_or(artifact))
            }
            Self::Remember { key, .. } => write!(f, "remember {key}"),
            Self::AtEnd { action } => write!(f, "at the end: {action}"),
            Self::Run { argv, user: None, .. } => write!(f, "run {}", argv.join(" ")),
            Self::Run { argv, user: Some(user), .. } => {
                write!(f, "run {} as {user}", argv.join(" "))
            }
            Self::Packages { steps, .. } => write!(f, "packages: {}", steps.join(", ")),
            Self::Service { name, steps, .. } => write!(f, "service {name}: {}", steps.join(", ")),
            Self::Account { name, group, step, .. } => {
                let what = if *group { "group" } else { "user" };
                write!(f, "{what} {name}: {step}")
            }
            Self::Task { name, step } => match name {
                Some(name) => write!(f, "task {name}: {step}"),
                None => write!(f, "the instance's own task: {step}"),
            },
        }
    }
}

/// What is done once, at the end of a call, because something changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Later {
    /// A task is restarted.
    RestartTask(String),
    /// A service is restarted.
    RestartService(String),
    /// A service reads its configuration anew.
    ReloadService(String),
    /// A command runs.
    Run(Vec<String>),
}

impl fmt::Display for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartTask(name) => write!(f, "restart the task `{name}`"),
            Self::RestartService(name) => write!(f, "restart the service `{name}`"),
            Self::ReloadService(name) => write!(f, "reload the service `{name}`"),
            Self::Run(argv) => write!(f, "run `{}`", argv.join(" ")),
        }
    }
}

/// What something in a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or named pipe.
    Special,
}

/// How a path is, before or after an effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Seen {
    /// What it is.
    pub form: Form,
    /// Its permission bits; 0 for a link, which has none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Bytes of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The SHA-256 of a file's content, where it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Numbers from here on, but for the last, stand for accounts that a plan makes and that have none yet.
const NOT_YET: u32 = 0xffff_ff00;

/// Stands for the number of the `n`th account that a plan makes.
pub fn account_to_be(n: usize) -> u32 {
    NOT_YET + u32::try_from(n % 255).unwrap_or_default()
}

fn is_to_be(number: u32) -> bool {
    (NOT_YET..u32::MAX).contains(&number)
}

impl Seen {
    /// User and group, as numbers; `new` for what a plan makes.
    pub fn owner(&self) -> String {
        let number = |number| match is_to_be(number) {
            true => "new".to_owned(),
            false => number.to_string(),
        };
        format!("{}:{}", number(self.uid), number(self.gid))
    }

    /// The same, with the accounts that `planned` could not know yet.
    pub fn as_planned(mut self, planned: &Self) -> Self {
        if is_to_be(planned.uid) {
            self.uid = planned.uid;
        }
        if is_to_be(planned.gid) {
            self.gid = planned.gid;
        }
        self
    }

    /// Whether this is what was expected, as far as both know.
    pub fn is(&self, expected: &Self) -> bool {
        let digests = match (&self.digest, &expected.digest) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        let known = |seen: &Self| (seen.form, seen.mode, seen.uid, seen.gid, seen.size);
        known(self) == known(expected) && self.target == expected.target && digests
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's way")]
fn is_zero(mode: &u32) -> bool {
    *mode == 0
}

/// One effect: what is done, and what the host knows of how it was before and is after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Effect {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// How the path was; none if it was not there, or if it is no effect on a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seen>,
    /// How it is then; none if it is gone, or if nobody can know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seen>,
}

impl Effect {
    /// An effect on something else than a path.
    pub fn of(action: Action) -> Self {
        Self { action, before: None, after: None }
    }

    /// The same as it may be told: size and digest of a file that holds a secret say something of it
    /// to whoever guesses.
    pub fn told(mut self) -> Self {
        if matches!(&self.action, Action::Write { secrets, .. } if !secrets.is_empty()) {
            for seen in [&mut self.before, &mut self.after].into_iter().flatten() {
                (seen.size, seen.digest) = (None, None);
            }
        }
        if let Action::Remember { was, .. } = &mut self.action {
            *was = None;
        }
        self
    }
}
