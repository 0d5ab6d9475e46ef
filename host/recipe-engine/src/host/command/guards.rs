//! Reasons not to run a command.

use super::super::Scope;
use super::confine::Hold;
use super::{Outcome, plain};
use crate::bindings::interfaces::command::{Guard, Spec};
use crate::bindings::interfaces::types::{Change, Error};

impl Scope {
    /// Why the command need not run, if a guard holds.
    pub(super) async fn guarded(&self, spec: &Spec) -> Result<Option<String>, Error> {
        for guard in &spec.guards {
            match guard {
                Guard::Creates(path) => {
                    let wanted = path.clone();
                    if self.with_tree(move |tree| tree.stat(&wanted)).await?.is_some() {
                        return Ok(Some(format!("`{path}` exists")));
                    }
                }
                Guard::Unless(argv) => {
                    let question = Spec {
                        env: spec.env.clone(),
                        cwd: spec.cwd.clone(),
                        user: spec.user.clone(),
                        group: spec.group.clone(),
                        timeout: spec.timeout,
                        ..plain(argv.clone())
                    };
                    if self.ask_guard(&question).await?.code() == 0 {
                        return Ok(Some(format!("`{}` ended with code 0", argv.join(" "))));
                    }
                }
                Guard::UnlessChanged(changes) => {
                    if changes.iter().all(|change| matches!(change, Change::Unchanged)) {
                        return Ok(Some("nothing that it depends on has changed".to_owned()));
                    }
                }
                Guard::Other(other) => {
                    return Err(Error::Invalid(format!("this Cerebro has no guard `{other}`")));
                }
            }
        }
        Ok(None)
    }

    /// Runs a command that only reads, or as it is granted where this machine cannot see to that.
    async fn ask_guard(&self, question: &Spec) -> Result<Outcome, Error> {
        self.may_run(&question.argv, question.user.as_deref())?;
        let sandbox = self.sandbox(Hold::Reading).await?;
        match self.launch(question, &self.log, true, sandbox).await {
            Err(Error::Unsupported(_)) => self.execute(question).await,
            asked => asked,
        }
    }
}
