//! `cerebro:recipe/kv`.

use super::{Scope, State};
use crate::bindings::interfaces::kv::Host;
use crate::bindings::interfaces::types::{Change, Error};
use crate::memory::Memory;

impl Scope {
    /// Does something with what is kept, on a thread that may wait for the disk.
    pub(super) async fn with_memory<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (memory, changing) = (Memory::new(&self.call.memory), self.tree.changing());
        let done = tokio::task::spawn_blocking(move || {
            let _changing = changing.hold(memory.directory());
            work(&memory)
        });
        done.await.unwrap_or_else(|error| Err(Error::Failed(error.to_string())))
    }
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(self.scope.with_memory(move |memory| memory.get(&key)).await)
    }

    async fn keys(&mut self) -> wasmtime::Result<Result<Vec<String>, Error>> {
        Ok(self.scope.with_memory(Memory::keys).await)
    }

    async fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<Change, Error>> {
        Ok(self.scope.with_memory(move |memory| memory.set(&key, &value)).await)
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<Change, Error>> {
        Ok(self.scope.with_memory(move |memory| memory.delete(&key)).await)
    }
}
