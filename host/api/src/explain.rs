//! Why something was decided, and what is decided next.

use cerebro_model::{DecisionId, Subject, Timestamp};
use serde::{Deserialize, Serialize};

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Decided {
    /// What, in words.
    pub what: String,
    /// Why, in words.
    pub why: String,
    /// What it is about.
    #[serde(flatten)]
    pub about: Subject,
    /// Whether it only looks: a witness is asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_looks: bool,
}

/// Something that was held back, or could not be done, from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Held {
    /// What, and why, in words.
    pub what: String,
    /// What it is about.
    #[serde(flatten)]
    pub about: Subject,
}

/// A look that decided something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DecisionSummary {
    /// Its id: `cerebro explain decision` takes it.
    pub id: DecisionId,
    /// When it was.
    pub at: Timestamp,
    /// What it decided; of a list of those about something, what is about that.
    pub decided: Vec<Decided>,
    /// What it held back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
}

impl DecisionSummary {
    /// In lines, for a person: the id and the time, then what was decided and held.
    pub fn words(&self) -> String {
        let mut lines = vec![format!("{}  {}", self.id, self.at)];
        lines.extend(self.decided.iter().map(|it| format!("  {}: {}", it.what, it.why)));
        lines.extend(self.held.iter().map(|it| format!("  held: {}", it.what)));
        lines.join("\n")
    }
}

/// Something that was decided, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explained {
    /// What was decided.
    #[serde(flatten)]
    pub decided: Decided,
    /// What it rests on, in sentences.
    pub rests_on: Vec<String>,
}

/// What comes of it when the same look is taken again by this controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Replay {
    /// The same.
    Same,
    /// Something else, as may be after an upgrade.
    Differs {
        /// What was decided then at the first place where it differs; none if nothing was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        then: Option<String>,
        /// What is decided there now; none if nothing is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        now: Option<String>,
        /// The version of the cluster sitter that decided it.
        version: String,
    },
    /// What it went by cannot be read.
    Unreadable {
        /// Why.
        why: String,
        /// The version of the cluster sitter that wrote it.
        version: String,
    },
}

impl Replay {
    /// In words.
    pub fn words(&self) -> String {
        let nothing = || "nothing".to_owned();
        match self {
            Self::Same => "planned again: the same".to_owned(),
            Self::Differs { then, now, version } => format!(
                "planned again: it differs (it was decided by version {version})\n  then: {}\n  now:  {}",
                then.clone().unwrap_or_else(nothing),
                now.clone().unwrap_or_else(nothing)
            ),
            Self::Unreadable { why, version } => format!(
                "not planned again: what version {version} wrote of it cannot be read ({why})"
            ),
        }
    }
}

/// A look that decided something, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DecisionView {
    /// Its id.
    pub id: DecisionId,
    /// When it was.
    pub at: Timestamp,
    /// The version of the cluster sitter that took it.
    pub version: String,
    /// What it decided, each with what that rests on.
    pub decided: Vec<Explained>,
    /// What it held back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// What it went by as a whole, in sentences.
    pub saw: Vec<String>,
    /// What comes of it now.
    pub again: Replay,
}

impl DecisionView {
    /// In lines, for a person.
    pub fn words(&self) -> String {
        let mut lines = vec![format!("{} at {}, by version {}", self.id, self.at, self.version)];
        for Explained { decided, rests_on } in &self.decided {
            lines.push(format!("  {}", decided.what));
            lines.push(format!("    why: {}", decided.why));
            lines.extend(rests_on.iter().map(|line| format!("    - {line}")));
        }
        lines.extend(self.held.iter().map(|it| format!("  held: {}", it.what)));
        lines.extend(self.saw.iter().map(|line| format!("  saw: {line}")));
        lines.push(self.again.words());
        lines.join("\n")
    }
}

impl Explanation {
    /// In lines, for a person.
    pub fn words(&self) -> String {
        let mut lines = vec![self.of.clone()];
        let parts = [
            ("should be", &self.should),
            ("is", &self.is),
            ("in the way", &self.in_the_way),
            ("next", &self.next),
        ];
        for (what, said) in parts {
            let nothing = || vec!["nothing".to_owned()];
            let said = if said.is_empty() { nothing() } else { said.clone() };
            lines.push(format!("  {what}:"));
            lines.extend(said.iter().map(|line| format!("    {line}")));
        }
        lines.push("  decided last:".to_owned());
        let indented = |it: &DecisionSummary| format!("    {}", it.words().replace('\n', "\n    "));
        lines.extend(self.decisions.iter().map(indented));
        lines.extend(self.decisions.is_empty().then(|| "    nothing".to_owned()));
        lines.join("\n")
    }
}

/// How a job or a machine stands, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explanation {
    /// What it is about: `job a.b`, `machine m-3`.
    pub of: String,
    /// What should be, in sentences.
    pub should: Vec<String>,
    /// What is.
    pub is: Vec<String>,
    /// What stands in the way; nothing if nothing does.
    pub in_the_way: Vec<String>,
    /// What is decided next, if nothing changes before.
    pub next: Vec<String>,
    /// The last looks that decided something about it, the newest first.
    pub decisions: Vec<DecisionSummary>,
}
