//! `cerebro:recipe/types`.

use super::State;
use crate::bindings::interfaces::types::{Change, Error, Host, HostEffect};
use serde::{Deserialize, Serialize};
use wasmtime::component::Resource;

/// What came of a compensable effect; nothing in a plan, where it is not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Effect(Option<Change>);

impl State {
    /// Answers a call for an effect: does it, and gives the component what came of it.
    pub(super) async fn effect(
        &mut self,
        function: &str,
        about: &str,
        arguments: &impl Serialize,
        work: impl Future<Output = Result<Option<Change>, Error>>,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        let scope = self.scope();
        let done = async { work.await.map(Effect) };
        Ok(match scope.asked(function, about, arguments, done).await? {
            Ok(effect) => Ok(self.table.push(effect)?),
            Err(error) => Err(error),
        })
    }
}

impl Host for State {}

impl HostEffect for State {
    async fn change(&mut self, effect: Resource<Effect>) -> wasmtime::Result<Change> {
        let change = self.table.get(&effect)?.0.clone();
        let why = "what it changes is known once it was done";
        change.ok_or_else(|| self.scope.cut(why.to_owned()))
    }

    async fn drop(&mut self, effect: Resource<Effect>) -> wasmtime::Result<()> {
        self.table.delete(effect)?;
        Ok(())
    }
}
