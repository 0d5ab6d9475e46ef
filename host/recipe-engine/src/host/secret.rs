//! `cerebro:recipe/secret`.

use super::State;
use crate::bindings::interfaces::secret::{Host, HostSecret};
use crate::bindings::interfaces::types::Error;
use crate::secrets::SecretId;
use serde::{Deserialize, Serialize};
use wasmtime::component::Resource;

/// A secret that a component was given.
#[derive(Debug)]
pub struct Secret(SecretId);

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Resource<Secret>, Error>> {
        let scope = self.scope();
        let work = async {
            scope.allowed(|grants| grants.secret(&name))?;
            let value = scope.call.agent.secret(&name).await?;
            let random = crate::random().map_err(|error| Error::Failed(error.to_string()))?;
            let id = scope.secrets.add(&name, value.clone(), random);
            Ok(Given { value, placeholder: scope.secrets.placeholder(id) })
        };
        Ok(match scope.asked("secret.get", &name, &name, work).await? {
            Ok(Given { value, placeholder }) => {
                // In a replay it is known only now, and is none.
                let id = scope.secrets.add_as(&name, value, placeholder);
                Ok(self.table.push(Secret(id))?)
            }
            Err(error) => Err(error),
        })
    }
}

/// What a recording keeps of a secret: a text as long as it is, and what stands for it.
#[derive(Serialize, Deserialize)]
struct Given {
    value: Vec<u8>,
    placeholder: String,
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
