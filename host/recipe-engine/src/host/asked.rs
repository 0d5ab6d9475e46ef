//! One call of the component's: numbered, recorded, or answered from a recording; and the effects of
//! the machine's own tools, told to the ledger.

use super::Scope;
use crate::bindings::interfaces::types::Error;
use crate::journal::Moment;
use crate::tape::{Answered, Departure, Tape};
use cerebro_model::{Action, Effect, Sureness};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// A plan ends where the component asks for what nobody can know.
#[derive(Debug, thiserror::Error)]
#[error("the plan ends here: {0}")]
pub(crate) struct Cut(pub(crate) String);

/// A replay leaves its recording.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Departed(pub(crate) Departure);

impl Scope {
    /// Answers a call: by doing `work`, or from a recording.
    pub(super) async fn told<T: Serialize + DeserializeOwned>(
        &self,
        function: &str,
        about: impl Display,
        arguments: &impl Serialize,
        work: impl Future<Output = T>,
    ) -> wasmtime::Result<T> {
        let n = self.ledger.next_call();
        let answer = match &self.tape {
            Tape::Off => work.await,
            Tape::Recording(recorder) => {
                recorder.asked(n, function, &about.to_string(), arguments);
                let answer = work.await;
                recorder.answered(n, &answer);
                answer
            }
            Tape::Playing(player) => {
                match player.answer(n, function, &about.to_string(), arguments) {
                    Answered::Is(answer) => answer,
                    Answered::Departed(departure) => {
                        return Err(wasmtime::Error::new(Departed(departure)));
                    }
                }
            }
        };
        match self.ledger.plan().and_then(|plan| plan.why_cut()) {
            Some(why) => Err(wasmtime::Error::new(Cut(why))),
            None => Ok(answer),
        }
    }

    /// Like [`Scope::told`], for what may fail.
    pub(super) async fn asked<T: Serialize + DeserializeOwned>(
        &self,
        function: &str,
        about: impl Display,
        arguments: &impl Serialize,
        work: impl Future<Output = Result<T, Error>>,
    ) -> wasmtime::Result<Result<T, Error>> {
        self.told(function, about, arguments, work).await
    }

    /// Does something to the machine that is no effect on files, once the journal tells of it. In a
    /// plan it is noted, and nothing is answered.
    pub(super) async fn effect<T>(
        &self,
        action: Action,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Error> {
        let effect = Effect::of(action);
        if let Some(plan) = self.ledger.plan() {
            plan.note(self.ledger.call(), effect, None);
            return Ok(None);
        }
        if self.ledger.writer().is_none() {
            return work.await.map(Some);
        }
        let (ledger, tree) = (self.ledger.clone(), self.tree.clone());
        // It waits for the disk.
        let begun = tokio::task::spawn_blocking(move || {
            ledger.pass(&effect, |planned| tree.is_there(planned));
            ledger.begin(effect, Moment::default())
        });
        let open = begun.await.unwrap_or_else(|error| Err(Error::Failed(error.to_string())))?;
        let done = work.await;
        let why = done.as_ref().err().map(|error| super::words(error).to_owned());
        self.ledger.done(open, Vec::new(), None, why)?;
        done.map(Some)
    }

    /// In a plan: this would be done, and it is this sure. Answers the line's number.
    pub(super) fn note(&self, action: Action, sure: Sureness, notes: Vec<String>) -> usize {
        let call = self.ledger.call();
        let note = |plan: &crate::journal::Planning| {
            plan.note_as(call, sure, Effect::of(action), None, notes)
        };
        self.ledger.plan().map_or(0, note)
    }

    /// Whether the machine is only looked at.
    pub(super) fn is_plan(&self) -> bool {
        self.ledger.plan().is_some()
    }

    /// In a plan: the component asks for what nobody can know.
    pub(super) fn cut(&self, why: String) -> wasmtime::Error {
        if let Some(plan) = self.ledger.plan() {
            plan.cut(why.clone());
        }
        wasmtime::Error::new(Cut(why))
    }
}
