//! A plan that is being made.

use cerebro_model::{Action, Class, Effect, Plan, PlanEnd, PlanLine, Sureness};
use std::sync::{Mutex, PoisonError};

/// A plan that is being made.
#[derive(Default)]
pub(crate) struct Planning(Mutex<State>);

#[derive(Default)]
struct State {
    lines: Vec<PlanLine>,
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
        notes: Vec<String>,
    ) -> usize {
        self.push(PlanLine { call, sure, effect, over_unknown: false, diff, notes })
    }

    /// An effect would take place, unless all is so already: nobody can know what is there before.
    pub(crate) fn note_over(&self, call: u32, effect: Effect, why: &str) {
        let notes = vec![format!("nobody can know what is there before: {why}")];
        let (sure, over_unknown, diff) = (Sureness::Bounded, true, None);
        self.push(PlanLine { call, sure, effect, over_unknown, diff, notes });
    }

    fn push(&self, mut line: PlanLine) -> usize {
        let mut state = self.state();
        line.notes.extend(state.assumed.iter().cloned());
        line.effect = line.effect.told();
        state.lines.push(line);
        state.lines.len()
    }

    /// Where something of this kind would have been done up to here.
    pub(crate) fn find(&self, is: impl Fn(&Action) -> bool) -> Option<usize> {
        self.state().lines.iter().position(|line| is(&line.effect.action))
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
