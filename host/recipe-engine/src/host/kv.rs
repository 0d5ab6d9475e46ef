//! `cerebro:recipe/kv`.

use super::{Scope, State};
use crate::bindings::interfaces::kv::Host;
use crate::bindings::interfaces::types::{Change, Error};
use crate::memory::Memory;
use cerebro_model::Action;
use std::collections::BTreeSet;
use std::sync::PoisonError;

impl Scope {
    /// Does something with what is kept, on a thread that may wait for the disk.
    pub(crate) async fn with_memory<T: Send + 'static>(
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

impl Scope {
    /// What a plan takes for the value of a key, if it has one of its own.
    fn planned_value(&self, key: &str) -> Option<Option<Vec<u8>>> {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.values.get(key).cloned()
    }

    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(planned) = self.planned_value(key) {
            return Ok(planned);
        }
        let key = key.to_owned();
        self.with_memory(move |memory| memory.get(&key)).await
    }

    async fn keys(&self) -> Result<Vec<String>, Error> {
        let kept = self.with_memory(Memory::keys).await?;
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: BTreeSet<String> = kept.into_iter().collect();
        for (key, value) in &planned.values {
            match value {
                Some(_) => keys.insert(key.clone()),
                None => keys.remove(key),
            };
        }
        Ok(keys.into_iter().collect())
    }

    /// Keeps a value, or forgets it.
    async fn remember(&self, key: &str, value: Option<Vec<u8>>) -> Result<Change, Error> {
        let before = self.recall(key).await?;
        let change = match (&before, &value) {
            (before, value) if before == value => return Ok(Change::Unchanged),
            (None, _) => Change::Created,
            (Some(_), Some(_)) => Change::Updated,
            (Some(_), None) => Change::Removed,
        };
        let action = Action::Remember { key: key.to_owned(), was: before };
        let (kept, new) = (key.to_owned(), value.clone());
        let work = self.with_memory(move |memory| match &new {
            Some(value) => memory.set(&kept, value),
            None => memory.delete(&kept),
        });
        if self.effect(action, work).await?.is_none() {
            let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            planned.values.insert(key.to_owned(), value);
        }
        Ok(change)
    }
}

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let scope = self.scope();
        scope.asked("kv.get", &key, &key, scope.recall(&key)).await
    }

    async fn keys(&mut self) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let scope = self.scope();
        scope.asked("kv.keys", "", &(), scope.keys()).await
    }

    async fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<Change, Error>> {
        let scope = self.scope();
        let asked = (&key, &value);
        let work = scope.remember(&key, Some(value.clone()));
        scope.asked("kv.set", &key, &asked, work).await
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<Change, Error>> {
        let scope = self.scope();
        scope.asked("kv.delete", &key, &key, scope.remember(&key, None)).await
    }
}
