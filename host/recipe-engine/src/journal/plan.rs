//! What a call would do.

use super::effect::{Action, Class, Effect};
use serde::{Deserialize, Serialize};
use sha2::Digest;
use std::sync::{Mutex, PoisonError};

/// How sure a line of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The number of the call that it is part of.
    pub call: u32,
    /// How sure it is.
    pub sure: Sureness,
    /// What it is.
    #[serde(flatten)]
    pub effect: Effect,
    /// How a file's text changes, in the unified form; none if it is no text, or holds a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// What more a person should know: the bound of a command, or on what the line rests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where a plan ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The component's digest.
    pub component: String,
    /// What it would do.
    pub lines: Vec<Line>,
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
    pub fn digest(&self) -> String {
        // A plan is of strings and numbers, and so can be written.
        let text = serde_json::to_vec(self).unwrap_or_default();
        sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A plan that is being made.
#[derive(Default)]
pub(crate) struct Planning(Mutex<State>);

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    /// What the lines from here on rest on.
    assumed: Vec<String>,
    cut: Option<String>,
}

impl Planning {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An effect would take place.
    pub(crate) fn note(&self, call: u32, effect: Effect, diff: Option<String>) {
        let sure = match effect.action.class() {
            Class::Reversible => Sureness::Certain,
            Class::Compensable => Sureness::Bounded,
            Class::Opaque => Sureness::Unbounded,
        };
        self.note_as(call, sure, effect, diff, Vec::new());
    }

    /// An effect would take place, and this is how sure that is. Answers its number, from 1.
    pub(crate) fn note_as(
        &self,
        call: u32,
        sure: Sureness,
        effect: Effect,
        diff: Option<String>,
        mut notes: Vec<String>,
    ) -> usize {
        let mut state = self.state();
        notes.extend(state.assumed.iter().cloned());
        let effect = effect.told();
        state.lines.push(Line { call, sure, effect, diff, notes });
        state.lines.len()
    }

    /// Whether something of this kind would have been done up to here.
    pub(crate) fn has(&self, is: impl Fn(&Action) -> bool) -> bool {
        self.state().lines.iter().any(|line| is(&line.effect.action))
    }

    /// What comes from here on rests on this.
    pub(crate) fn assume(&self, what: String) {
        self.state().assumed.push(what);
    }

    /// Whether anything would have changed up to here.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().lines.is_empty()
    }

    /// The component asks for what nobody can know: the plan ends here.
    pub(crate) fn cut(&self, why: String) {
        self.state().cut.get_or_insert(why);
    }

    /// Why the plan ends here, if it does.
    pub(crate) fn why_cut(&self) -> Option<String> {
        self.state().cut.clone()
    }

    /// The plan.
    pub(crate) fn finish(&self, component: String, failed: Option<String>) -> Plan {
        let mut state = self.state();
        let end = match (state.cut.take(), failed) {
            (Some(why), _) => PlanEnd::Cut(why),
            (None, Some(why)) => PlanEnd::Fails(why),
            (None, None) => PlanEnd::Whole,
        };
        Plan { component, lines: std::mem::take(&mut state.lines), end }
    }
}
