//! `cerebro:recipe/command`.

mod check;
mod confine;
mod contain;
mod guards;
mod launch;
mod listen;
mod outcome;

use super::{Scope, State};
use crate::bindings::interfaces::command::{Host, Spec};
use crate::bindings::interfaces::types::Error;
use crate::limiter::MOST_OUTPUTS;
use wasmtime::component::Resource;

pub use outcome::Outcome;

/// A command with nothing but its words.
pub(super) fn plain(argv: Vec<String>) -> Spec {
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
    async fn run_command(&self, spec: Spec) -> Result<Outcome, Error> {
        let program = spec.argv.first().cloned().unwrap_or_default();
        if let Some(semantics) = &spec.semantics {
            check::check(semantics)?;
            if let Some(undo) = &semantics.undo {
                self.may_run(undo, spec.user.as_deref())?;
            }
        }
        if let Some(why) = self.guarded(&spec).await? {
            return Ok(Outcome { program, skipped: Some(why), ..Outcome::default() });
        }
        match spec.semantics.as_ref().map(|semantics| &semantics.contain) {
            Some(directories) if !directories.is_empty() => {
                self.execute_contained(&spec, directories).await
            }
            _ => self.execute(&spec).await,
        }
    }
}

impl Host for State {
    async fn run(&mut self, spec: Spec) -> wasmtime::Result<Result<Resource<Outcome>, Error>> {
        match self.scope.run_command(spec).await {
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
