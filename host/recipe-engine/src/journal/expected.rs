//! A plan that a call is held to: each effect must be the next one of the plan, on what the plan has
//! found there.

use cerebro_model::{Effect, Plan, PlanEnd};
use std::sync::{Mutex, PoisonError};

/// A plan, and how far it is carried out.
pub(crate) struct Expected {
    plan: Plan,
    /// Whether a plan that was cut may be gone beyond.
    beyond: bool,
    next: Mutex<usize>,
}

impl Expected {
    pub(crate) fn new(plan: Plan, beyond: bool) -> Self {
        Self { plan, beyond, next: Mutex::new(0) }
    }

    /// Takes the next effect; answers why it must not take place.
    pub(crate) fn take(&self, effect: &Effect) -> Result<(), String> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (n, now) = (*next + 1, effect.clone().told());
        let Some(line) = self.plan.lines.get(*next) else {
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
        if planned.action != now.action || planned.after != now.after {
            let (was, is) = (&planned.action, &now.action);
            return Err(format!(
                "#{n} was planned as `{was}`, and would be `{is}` now: plan again"
            ));
        }
        if planned.before != now.before {
            let path = now.action.path().unwrap_or_default();
            return Err(format!(
                "#{n} `{}`: `{path}` is not as the plan found it: plan again",
                now.action
            ));
        }
        *next += 1;
        Ok(())
    }
}
