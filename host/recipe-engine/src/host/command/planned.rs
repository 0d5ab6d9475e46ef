//! What a plan has for a command, which it does not run.

use super::super::Scope;
use super::Spec;
use super::confine::Hold;
use super::listen::Kept;
use super::outcome::{Outcome, is_success};
use crate::bindings::interfaces::types::Error;
use cerebro_model::{Action, Sureness};

impl Scope {
    /// Notes a command, and what it may do.
    pub(super) async fn plan_command(
        &self,
        spec: &Spec,
        action: Action,
        unless: Option<String>,
    ) -> Result<Outcome, Error> {
        let may_not_run = unless.is_some();
        let mut notes: Vec<String> = unless.into_iter().collect();
        let hold = self.hold_of(spec);
        let (writes, network) = match &hold {
            Hold::Bound(bound) => (bound.writes.clone(), bound.network),
            _ => (None, true),
        };
        let mut paths: Option<Vec<String>> =
            writes.map(|writes| writes.iter().map(|path| path.as_str().to_owned()).collect());
        if let Action::Run { contained: true, .. } = &action {
            let contain = spec.semantics.as_ref().map(|semantics| semantics.contain.clone());
            paths = contain;
        }
        let sure = match (&paths, network) {
            (Some(_), false) => Sureness::Bounded,
            _ => Sureness::Unbounded,
        };
        notes.push(match &paths {
            None => "writes whatever its user may".to_owned(),
            Some(paths) if paths.is_empty() => "writes nothing".to_owned(),
            Some(paths) => format!("writes within {}", paths.join(", ")),
        });
        notes.push(if network { "has the network" } else { "has no network" }.to_owned());
        notes.push(match &action {
            Action::Run { undo: Some(undo), .. } => format!("undone by {}", undo.join(" ")),
            Action::Run { contained: true, .. } => "what it writes can be undone".to_owned(),
            Action::Run { irreversible: true, .. } => {
                "irreversible: nothing before it is rolled back".to_owned()
            }
            _ => "cannot be undone".to_owned(),
        });
        let is_bounded = paths.is_some();
        let n = self.note(action, sure, notes);
        for path in paths.into_iter().flatten() {
            let why = format!("#{n} may have written there");
            self.with_tree(move |tree| tree.taint(&path, &why)).await?;
        }
        let semantics = spec.semantics.as_ref();
        let assumption = semantics.and_then(|semantics| semantics.assume.as_ref());
        if let Some(plan) = self.ledger().plan() {
            let ends = if may_not_run { "if it runs, ends" } else { "ends" };
            let code = assumption.map_or(0, |assumption| assumption.exit_code);
            let besides = match is_bounded {
                true => "",
                false => " and leaves alone what Cerebro looks at",
            };
            plan.assume(format!("assuming that #{n} {ends} with {code}{besides}"));
        }
        Ok(match assumption {
            Some(assumption) => assumed(spec, assumption.exit_code, &assumption.stdout),
            None => self.unknown(spec, &format!("what follows depends on the outcome of #{n}")),
        })
    }

    /// The outcome of a command that a plan cannot run.
    pub(super) fn unknown(&self, spec: &Spec, why: &str) -> Outcome {
        let assumption = spec.semantics.as_ref().and_then(|semantics| semantics.assume.as_ref());
        if let Some(assumption) = assumption {
            return assumed(spec, assumption.exit_code, &assumption.stdout);
        }
        let program = spec.argv.first().cloned().unwrap_or_default();
        let unknown = Some(format!("`{program}` did not run: {why}"));
        Outcome { unknown, program, is_success: true, ..Outcome::default() }
    }
}

fn assumed(spec: &Spec, exit_code: i32, stdout: &[u8]) -> Outcome {
    Outcome {
        program: spec.argv.first().cloned().unwrap_or_default(),
        exit_code,
        is_success: is_success(spec, exit_code),
        stdout: Kept { bytes: stdout.to_vec(), truncated: false },
        ..Outcome::default()
    }
}
