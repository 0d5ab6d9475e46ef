//! `cerebro:recipe/command`.

mod check;
mod confine;
mod contain;
mod guards;
mod launch;
mod listen;
mod outcome;
mod planned;

use super::{Scope, State};
use crate::bindings::interfaces::command::Host;
pub(crate) use crate::bindings::interfaces::command::Spec;
use crate::bindings::interfaces::types::Error;
use crate::limiter::MOST_OUTPUTS;
use cerebro_model::Action;
use guards::Guarded;
use wasmtime::component::Resource;

pub use outcome::Outcome;

/// A command with nothing but its words.
pub(crate) fn plain(argv: Vec<String>) -> Spec {
    Spec {
        argv,
        env: Vec::new(),
        cwd: None,
        user: None,
        group: None,
        umask: None,
        stdin: None,
        timeout: None,
        guards: Vec::new(),
        success: Vec::new(),
        semantics: None,
    }
}

impl Scope {
    pub(super) async fn run_command(&self, spec: Spec) -> Result<Outcome, Error> {
        let program = spec.argv.first().cloned().unwrap_or_default();
        if let Some(semantics) = &spec.semantics {
            check::check(semantics)?;
            if let Some(undo) = &semantics.undo {
                self.may_run(undo, spec.user.as_deref())?;
            }
        }
        let unless = match self.guarded(&spec).await? {
            Guarded::Holds(why) => {
                return Ok(Outcome { program, skipped: Some(why), ..Outcome::default() });
            }
            Guarded::Unknown(why) => Some(why),
            Guarded::Open => None,
        };
        // A plan has the same words for what may not be run.
        self.may_run(&spec.argv, spec.user.as_deref())?;
        let semantics = spec.semantics.as_ref();
        if semantics.is_some_and(|semantics| semantics.query) {
            return match self.has_planned() {
                true => Ok(self.unknown(&spec, "it reads what the plan has changed")),
                // It is held to reading, in a plan too.
                false => self.execute(&spec).await,
            };
        }
        let contain = semantics.map(|semantics| semantics.contain.clone()).unwrap_or_default();
        let action = Action::Run {
            argv: spec.argv.clone(),
            user: spec.user.clone(),
            undo: semantics.and_then(|semantics| semantics.undo.clone()),
            irreversible: semantics.is_some_and(|semantics| semantics.irreversible),
            contained: !contain.is_empty(),
        };
        if self.is_plan() {
            return self.plan_command(&spec, action, unless).await;
        }
        let ended = match contain.as_slice() {
            [] => self.effect(action, self.execute(&spec)).await,
            directories => self.effect(action, self.execute_contained(&spec, directories)).await,
        };
        // Without a plan it is always done.
        Ok(ended?.unwrap_or_default())
    }
}

impl Host for State {
    async fn run(&mut self, spec: Spec) -> wasmtime::Result<Result<Resource<Outcome>, Error>> {
        let (scope, asked, about) = (self.scope(), spec.clone(), spec.argv.join(" "));
        match scope.asked("command.run", about, &asked, scope.run_command(spec)).await? {
            Ok(outcome) if self.limiter.keep_output(outcome.size()) => {
                Ok(Ok(self.table.push(outcome)?))
            }
            Ok(_) => Ok(Err(Error::TooLarge(format!(
                "commands wrote more than {MOST_OUTPUTS} bytes that are all kept at a time: drop \
                 the outcomes that are no longer of use"
            )))),
            Err(error) => Ok(Err(error)),
        }
    }
}
