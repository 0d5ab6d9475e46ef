//! Reasons not to run a command.

use super::super::Scope;
use super::confine::Hold;
use super::plain;
use crate::bindings::interfaces::command::{Guard, Spec};
use crate::bindings::interfaces::types::{Change, Error};

/// What guards say.
pub(super) enum Guarded {
    /// It must run.
    Open,
    /// It need not run, for this reason.
    Holds(String),
    /// In a plan: it runs unless this holds then.
    Unknown(String),
}

impl Scope {
    /// Whether a guard holds, so that the command need not run.
    pub(super) async fn guarded(&self, spec: &Spec) -> Result<Guarded, Error> {
        let mut unknown = None;
        for guard in &spec.guards {
            match guard {
                Guard::Creates(path) => {
                    let wanted = path.clone();
                    if self.with_tree(move |tree| tree.stat(&wanted)).await?.is_some() {
                        return Ok(Guarded::Holds(format!("`{path}` exists")));
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
                    match self.ask_guard(&question).await? {
                        Some(0) => {
                            let why = format!("`{}` ended with code 0", argv.join(" "));
                            return Ok(Guarded::Holds(why));
                        }
                        Some(_) => {}
                        None => {
                            let question = argv.join(" ");
                            unknown = Some(format!("unless `{question}` ends with code 0 then"));
                        }
                    }
                }
                Guard::UnlessChanged(changes) => {
                    if changes.iter().all(|change| matches!(change, Change::Unchanged)) {
                        let why = "nothing that it depends on has changed";
                        return Ok(Guarded::Holds(why.to_owned()));
                    }
                }
                Guard::Other(other) => {
                    return Err(Error::Invalid(format!("this Cerebro has no guard `{other}`")));
                }
            }
        }
        Ok(unknown.map_or(Guarded::Open, Guarded::Unknown))
    }

    /// Runs a command that only reads, or as it is granted where this machine cannot see to that.
    /// Answers its code; in a plan none if that may be another then.
    async fn ask_guard(&self, question: &Spec) -> Result<Option<i32>, Error> {
        self.may_run(&question.argv, question.user.as_deref())?;
        if self.has_planned() {
            return Ok(None);
        }
        let sandbox = self.sandbox(Hold::Reading).await?;
        match self.launch(question, &self.log, true, sandbox).await {
            // A plan changes nothing, and so runs nothing that might.
            Err(Error::Unsupported(_)) if self.is_plan() => Ok(None),
            Err(Error::Unsupported(_)) => Ok(Some(self.execute(question).await?.code())),
            asked => Ok(Some(asked?.code())),
        }
    }

    /// Whether a plan has changed something, which programs do not see.
    pub(super) fn has_planned(&self) -> bool {
        self.ledger().plan().is_some_and(|plan| !plan.is_empty())
    }
}
