//! `cerebro:recipe/secret`.

use super::State;
use crate::bindings::interfaces::secret::{Host, HostSecret};
use crate::bindings::interfaces::types::Error;
use crate::secrets::SecretId;
use wasmtime::component::Resource;

/// A secret that a component was given.
#[derive(Debug)]
pub struct Secret(SecretId);

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Resource<Secret>, Error>> {
        if let Err(denied) = self.scope.allowed(|grants| grants.secret(&name)) {
            return Ok(Err(denied));
        }
        let value = match self.scope.call.agent.secret(&name).await {
            Ok(value) => value,
            Err(error) => return Ok(Err(error.into())),
        };
        let id = self.scope.secrets.add(&name, value, crate::random()?);
        Ok(Ok(self.table.push(Secret(id))?))
    }
}

impl HostSecret for State {
    async fn placeholder(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        Ok(self.scope.secrets.placeholder(self.table.get(&secret)?.0))
    }

    async fn reveal(&mut self, secret: Resource<Secret>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.scope.secrets.value(self.table.get(&secret)?.0))
    }

    async fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}
