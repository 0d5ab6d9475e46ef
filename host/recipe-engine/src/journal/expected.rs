//! A plan that a call is held to: each effect must be the next one of the plan, on what the plan has
//! found there.

use cerebro_model::{Effect, Form, Plan, PlanEnd, PlanLine, Seen};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A plan, and how far it is carried out.
pub(crate) struct Expected {
    plan: Plan,
    /// Whether a plan that was cut may be gone beyond.
    beyond: bool,
    at: Mutex<At>,
}

#[derive(Default)]
struct At {
    next: usize,
    /// Why it was left, if it was: then nothing more is done.
    departed: Option<String>,
}

impl Expected {
    pub(crate) fn new(plan: Plan, beyond: bool) -> Self {
        Self { plan, beyond, at: Mutex::default() }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the plan was left, if it was.
    pub(crate) fn departed(&self) -> Option<String> {
        self.at().departed.clone()
    }

    /// Passes over what is planned before `effect` and there already: it need not be done, as where
    /// another instance of the machine has done the same.
    pub(crate) fn pass(&self, effect: &Effect, is_there: impl Fn(&Effect) -> bool) {
        let mut at = self.at();
        let is_other = |line: &&PlanLine| line.effect.action != effect.action;
        while let Some(line) = self.plan.lines.get(at.next).filter(is_other)
            && is_there(&line.effect)
        {
            at.next += 1;
        }
    }

    /// Takes the next effect; answers why it must not take place. After one that must not, none may.
    pub(crate) fn take(&self, effect: &Effect) -> Result<(), String> {
        let mut at = self.at();
        if let Some(why) = &at.departed {
            return Err(why.clone());
        }
        let now = effect.clone().told();
        // What may be just so already may be left out.
        let left_out = |line: &&PlanLine| line.over_unknown && !is_of(line, &now);
        at.next += self.plan.lines.iter().skip(at.next).take_while(left_out).count();
        let checked = self.check(at.next, &now);
        match &checked {
            Ok(()) => at.next += 1,
            Err(why) => at.departed = Some(why.clone()),
        }
        checked
    }

    /// Whether the effect is the plan's next one, of which `done` came before it.
    fn check(&self, done: usize, now: &Effect) -> Result<(), String> {
        let n = done + 1;
        let Some(line) = self.plan.lines.get(done) else {
            return match &self.plan.end {
                PlanEnd::Cut(_) if self.beyond => Ok(()),
                PlanEnd::Cut(why) => Err(format!(
                    "the plan ends before `{}`, since {why}: plan again, or let it go beyond the plan",
                    now.action
                )),
                _ => {
                    Err(format!("`{}` is not in the plan, which has ended: plan again", now.action))
                }
            };
        };
        let planned = &line.effect;
        if planned.action != now.action {
            let (was, is) = (&planned.action, &now.action);
            return Err(format!(
                "#{n} was planned as `{was}`, and would be `{is}` now: plan again"
            ));
        }
        if !line.over_unknown && planned.before != as_planned(&now.before, &planned.before) {
            let path = now.action.path().unwrap_or_default();
            let (was, is) = (words(planned.before.as_ref()), words(now.before.as_ref()));
            return Err(format!(
                "#{n} `{}`: `{path}` is not as the plan found it, {was}, but {is}: plan again",
                now.action
            ));
        }
        if !is_of(line, now) {
            let (was, is) = (words(planned.after.as_ref()), words(now.after.as_ref()));
            return Err(format!(
                "#{n} `{}` was planned to leave {was}, and would leave {is} now: plan again",
                now.action
            ));
        }
        Ok(())
    }
}

/// Whether an effect is the one of this line.
fn is_of(line: &PlanLine, now: &Effect) -> bool {
    let planned = &line.effect;
    let mut after = as_planned(&now.after, &planned.after);
    if line.over_unknown
        && let (Some(after), Some(planned)) = (&mut after, &planned.after)
    {
        // What is there keeps mode and owner where nothing else was asked for.
        (after.mode, after.uid, after.gid) = (planned.mode, planned.uid, planned.gid);
    }
    planned.action == now.action && planned.after == after
}

fn as_planned(seen: &Option<Seen>, planned: &Option<Seen>) -> Option<Seen> {
    match (seen.clone(), planned) {
        (Some(seen), Some(planned)) => Some(seen.as_planned(planned)),
        (seen, _) => seen,
    }
}

/// What is at a path, as far as the host has looked.
fn words(seen: Option<&Seen>) -> String {
    let Some(seen) = seen else { return "nothing".to_owned() };
    let mut words = match (seen.form, &seen.target) {
        (Form::File, _) => "a file".to_owned(),
        (Form::Directory, _) => "a directory".to_owned(),
        (Form::Link, Some(target)) => return format!("a link to {target}"),
        (Form::Link, None) => "a link".to_owned(),
        (Form::Special, _) => "a special file".to_owned(),
    };
    if let Some(size) = seen.size {
        words.push_str(&format!(" of {size} bytes"));
    }
    if let Some(digest) = &seen.digest {
        words.push_str(&format!(" ({})", digest.get(..12).unwrap_or(digest)));
    }
    words + &format!(" with mode {:04o} of {}", seen.mode, seen.owner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_model::{Action, Sureness};

    fn directory(path: &str) -> Effect {
        Effect::of(Action::Directory { path: path.to_owned() })
    }

    fn expected(end: PlanEnd, beyond: bool) -> Expected {
        let line = |path: &str| PlanLine {
            call: 1,
            sure: Sureness::Certain,
            effect: directory(path),
            over_unknown: false,
            diff: None,
            notes: Vec::new(),
        };
        let plan = Plan { component: String::new(), lines: vec![line("/a"), line("/b")], end };
        Expected::new(plan, beyond)
    }

    #[test]
    fn who_has_left_the_plan_does_nothing_more() {
        let expected = expected(PlanEnd::Whole, false);
        assert_eq!(expected.take(&directory("/a")), Ok(()));
        let why = expected.take(&directory("/x")).unwrap_err();
        assert!(why.contains("#2 was planned as `directory /b`"), "{why}");
        // The next of the plan is refused too: what it would be done after is missing.
        assert_eq!(expected.take(&directory("/b")), Err(why.clone()));
        assert_eq!(expected.departed(), Some(why));
    }

    #[test]
    fn what_is_there_as_it_was_planned_is_passed_over() {
        let expected = expected(PlanEnd::Whole, false);
        let b = directory("/b");
        expected.pass(&b, |_| false);
        assert!(expected.take(&b).is_err(), "`/a` comes first");
        let expected = self::expected(PlanEnd::Whole, false);
        expected.pass(&b, |planned| *planned == directory("/a"));
        assert_eq!(expected.take(&b), Ok(()));
        // What is to be done next is not passed over, whatever is there.
        let expected = self::expected(PlanEnd::Whole, false);
        expected.pass(&directory("/a"), |_| true);
        assert_eq!(expected.take(&directory("/a")), Ok(()));
    }

    #[test]
    fn only_beyond_a_cut_may_more_be_done() {
        let cut = || PlanEnd::Cut("it asked".to_owned());
        for (end, beyond, may) in
            [(PlanEnd::Whole, true, false), (cut(), false, false), (cut(), true, true)]
        {
            let expected = expected(end, beyond);
            for path in ["/a", "/b"] {
                assert_eq!(expected.take(&directory(path)), Ok(()));
            }
            assert_eq!(expected.take(&directory("/c")).is_ok(), may);
        }
    }
}
