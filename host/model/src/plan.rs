//! What a call would do.

use crate::{Digest, Effect};
use serde::{Deserialize, Serialize};

/// How sure a line of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sureness {
    /// It happens just so.
    Certain,
    /// It happens; what comes of it nobody can know, but it cannot go beyond a bound.
    Bounded,
    /// It happens; what comes of it nobody can know.
    Unbounded,
}

/// One effect of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanLine {
    /// The number of the call that it is part of.
    pub call: u32,
    /// How sure it is.
    pub sure: Sureness,
    /// What it is.
    #[serde(flatten)]
    pub effect: Effect,
    /// Whether nobody can know how it was there before: it may be just so, and then nothing is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over_unknown: bool,
    /// How a file's text changes, in the unified form; none if it is no text, or holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// What more a person should know: the bound of a command, or on what the line rests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where a plan ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanEnd {
    /// Where the call ends.
    Whole,
    /// Where the component asks for what nobody can know yet.
    Cut(String),
    /// Where the call fails, as it would when it is made.
    Fails(String),
}

/// What a call would do, in its order, on this machine as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// The component's digest.
    pub component: String,
    /// What it would do.
    pub lines: Vec<PlanLine>,
    /// Where the plan ends.
    pub end: PlanEnd,
}

impl Plan {
    /// The exit code that says what there is: 0 nothing to do, 10 certain changes, 11 with what
    /// nobody can know, 12 a plan that is cut, 1 a call that fails.
    pub fn exit_code(&self) -> u8 {
        match self.end {
            PlanEnd::Fails(_) => 1,
            PlanEnd::Cut(_) => 12,
            PlanEnd::Whole if self.lines.is_empty() => 0,
            PlanEnd::Whole if self.lines.iter().all(|line| line.sure == Sureness::Certain) => 10,
            PlanEnd::Whole => 11,
        }
    }

    /// What is the same for machines of which the same is planned.
    pub fn digest(&self) -> Digest {
        // A plan is of strings and numbers, and so can be written.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The mark before a line, as in `docs/deployments.md`.
impl PlanLine {
    /// `+` for what is made, `~` for what is changed, `-` for what goes, `?` for what nobody can know
    /// within a bound, and `!` for what nobody can know.
    pub fn mark(&self) -> char {
        match (self.sure, &self.effect.before, &self.effect.after) {
            (_, _, None) if self.over_unknown => '-',
            _ if self.over_unknown => '~',
            (Sureness::Bounded, ..) => '?',
            (Sureness::Unbounded, ..) => '!',
            (Sureness::Certain, None, Some(_)) => '+',
            (Sureness::Certain, Some(_), None) => '-',
            (Sureness::Certain, ..) => '~',
        }
    }

    /// Whether nothing bounds what it may do.
    pub fn is_unbounded(&self) -> bool {
        self.sure == Sureness::Unbounded
    }

    /// How mode, owner and target change, in words; empty if they do not.
    pub fn changes(&self) -> String {
        let (Some(before), Some(after)) = (&self.effect.before, &self.effect.after) else {
            let new = self.effect.after.as_ref();
            let target = new.and_then(|seen| seen.target.as_ref());
            return match (target, new) {
                (Some(target), _) => format!("leads to {target}"),
                (None, Some(seen)) => {
                    format!("mode {:04o}, owner {}", seen.mode, seen.owner())
                }
                (None, None) => String::new(),
            };
        };
        let mut changes = Vec::new();
        if before.target != after.target {
            let name = |seen: &crate::Seen| seen.target.clone().unwrap_or_default();
            changes.push(format!("leads to {}, not {}", name(after), name(before)));
        }
        if before.form == after.form && before.mode != after.mode {
            changes.push(format!("mode {:04o} -> {:04o}", before.mode, after.mode));
        }
        if (before.uid, before.gid) != (after.uid, after.gid) {
            changes.push(format!("owner {} -> {}", before.owner(), after.owner()));
        }
        if let (Some(was), Some(is)) = (before.size, after.size)
            && self.diff.is_none()
            && before.digest != after.digest
        {
            changes.push(format!("{was} -> {is} bytes"));
        }
        changes.join(", ")
    }
}

impl std::fmt::Display for PlanLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.mark(), self.effect.action)?;
        if self.is_unbounded() {
            f.write_str("  UNBOUNDED")?;
        }
        match self.changes() {
            changes if changes.is_empty() => Ok(()),
            changes => write!(f, "  ({changes})"),
        }
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told: &[String] = &[];
        for (n, line) in self.lines.iter().enumerate() {
            writeln!(f, "#{} {line}", n + 1)?;
            // What a line rests on rests what follows on too: it is said once.
            for note in line.notes.iter().filter(|note| !told.contains(note)) {
                writeln!(f, "      {note}")?;
            }
            told = &line.notes;
            for text in line.diff.iter().flat_map(|diff| {
                diff.lines().skip_while(|line| line.starts_with("---") || line.starts_with("+++"))
            }) {
                writeln!(f, "      {text}")?;
            }
        }
        let count =
            |mark: &[char]| self.lines.iter().filter(|line| mark.contains(&line.mark())).count();
        let (made, changed, gone, unknown) =
            (count(&['+']), count(&['~']), count(&['-']), count(&['?', '!']));
        match &self.end {
            PlanEnd::Cut(why) => writeln!(f, "... the plan is exact up to here: {why}")?,
            PlanEnd::Fails(why) => writeln!(f, "... the recipe would fail here: {why}")?,
            PlanEnd::Whole if self.lines.is_empty() => return write!(f, "Nothing to do."),
            PlanEnd::Whole => {}
        }
        write!(
            f,
            "Plan: {made} to make, {changed} to change, {gone} to remove, {unknown} of which nobody can know the outcome."
        )
    }
}
