//! `cerebro:recipe/context`.

use super::State;
use crate::bindings::interfaces::context::{Host, Instance, Port};

impl Host for State {
    async fn get(&mut self) -> wasmtime::Result<Instance> {
        let scope = self.scope();
        let context = &scope.call.context;
        let port = |(name, number): (&cerebro_model::PortName, &u16)| Port {
            name: name.to_string(),
            number: *number,
        };
        let work = async {
            Instance {
                job: context.job.to_string(),
                id: context.instance.to_string(),
                number: context.number,
                zone: context.zone.to_string(),
                machine: context.machine.to_string(),
                version: context.version.to_string(),
                previous_version: context.previous_version.as_ref().map(ToString::to_string),
                address: context.address.to_string(),
                ports: context.ports.iter().map(port).collect(),
                root: scope.call.root.to_string_lossy().trim_end_matches('/').to_owned(),
            }
        };
        scope.told("context.get", "", &(), work).await
    }

    async fn options(&mut self) -> wasmtime::Result<String> {
        let scope = self.scope();
        let options = serde_json::to_string(&scope.call.context.options)?;
        scope.told("context.options", "", &(), async { options }).await
    }
}
