//! `cerebro:recipe/types`.

use super::State;
use crate::bindings::interfaces::types::{Change, Error, Host, HostEffect};
use wasmtime::component::Resource;

/// What came of a compensable effect.
#[derive(Debug, Clone)]
pub struct Effect(Change);

impl State {
    /// Gives the component what came of an effect.
    pub(super) fn effect(
        &mut self,
        done: Result<Change, Error>,
    ) -> wasmtime::Result<Result<Resource<Effect>, Error>> {
        Ok(match done {
            Ok(change) => Ok(self.table.push(Effect(change))?),
            Err(error) => Err(error),
        })
    }
}

impl Host for State {}

impl HostEffect for State {
    async fn change(&mut self, effect: Resource<Effect>) -> wasmtime::Result<Change> {
        Ok(self.table.get(&effect)?.0.clone())
    }

    async fn drop(&mut self, effect: Resource<Effect>) -> wasmtime::Result<()> {
        self.table.delete(effect)?;
        Ok(())
    }
}
