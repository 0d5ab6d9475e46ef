//! What operators ask of machines and zones.

use super::{Client, ClientError};
use crate::body::{Because, DrainRequest, MachineView, MaintainRequest, StrayView, ZoneView};
use crate::join::{AgentKit, JoinOrder, JoinOrderRequest};
use crate::paths;
use bytes::Bytes;
use cerebro_model::{Digest, MachineId, ZoneChange, ZoneName};
use futures::{Stream, StreamExt};
use reqwest::Method;
use serde::Serialize;
use std::time::Duration;

impl Client {
    async fn machine_to(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<MachineView, ClientError> {
        let request = self.ask(method, path);
        self.json(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Has a machine expected that is joined by hand.
    pub async fn order_join(&self, request: &JoinOrderRequest) -> Result<JoinOrder, ClientError> {
        self.json(self.ask(Method::POST, paths::MACHINES).json(request)).await
    }

    /// What agents on other machines are made of.
    pub async fn agent_kit(&self) -> Result<AgentKit, ClientError> {
        // Their digests may be taken first.
        self.json(self.ask(Method::GET, paths::AGENT).timeout(Duration::from_secs(60))).await
    }

    /// The bytes of one of them, piece by piece.
    pub async fn agent_program(
        &self,
        digest: &Digest,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let request = self.ask(Method::GET, &paths::agent_program(digest));
        let base = self.base.clone();
        let unreachable = move |source| ClientError::Unreachable { base: base.clone(), source };
        let answer = self.send(request.timeout(Duration::from_secs(600))).await?;
        Ok(answer.bytes_stream().map(move |piece| piece.map_err(&unreachable)))
    }

    /// Takes a machine over whose record is lost, with what it runs.
    pub async fn adopt_machine(
        &self,
        id: &MachineId,
        reason: &str,
    ) -> Result<MachineView, ClientError> {
        let because = Because { reason: reason.to_owned() };
        self.machine_to(Method::POST, &paths::machine_adoption(id), Some(&because)).await
    }

    /// Locks a machine against being terminated.
    pub async fn lock_machine(
        &self,
        id: &MachineId,
        reason: &str,
    ) -> Result<MachineView, ClientError> {
        let because = Because { reason: reason.to_owned() };
        self.machine_to(Method::PUT, &paths::machine_lock(id), Some(&because)).await
    }

    /// Unlocks it.
    pub async fn unlock_machine(&self, id: &MachineId) -> Result<MachineView, ClientError> {
        self.machine_to(Method::DELETE, &paths::machine_lock(id), None::<&()>).await
    }

    /// Has a machine drained.
    pub async fn drain_machine(
        &self,
        id: &MachineId,
        request: &DrainRequest,
    ) -> Result<MachineView, ClientError> {
        self.machine_to(Method::PUT, &paths::machine_drain(id), Some(request)).await
    }

    /// Has it take instances again.
    pub async fn undrain_machine(&self, id: &MachineId) -> Result<MachineView, ClientError> {
        self.machine_to(Method::DELETE, &paths::machine_drain(id), None::<&()>).await
    }

    /// Has a machine left alone for a time.
    pub async fn maintain_machine(
        &self,
        id: &MachineId,
        request: &MaintainRequest,
    ) -> Result<MachineView, ClientError> {
        self.machine_to(Method::PUT, &paths::machine_maintenance(id), Some(request)).await
    }

    /// Ends that.
    pub async fn end_maintenance(&self, id: &MachineId) -> Result<MachineView, ClientError> {
        self.machine_to(Method::DELETE, &paths::machine_maintenance(id), None::<&()>).await
    }

    /// Has a machine drained, destroyed and forgotten.
    pub async fn remove_machine(
        &self,
        id: &MachineId,
        request: &DrainRequest,
    ) -> Result<MachineView, ClientError> {
        self.machine_to(Method::DELETE, &paths::machine(id), Some(request)).await
    }

    /// Machines that the provider has, and that no record tells of.
    pub async fn strays(&self) -> Result<Vec<StrayView>, ClientError> {
        self.json(self.ask(Method::GET, paths::STRAYS)).await
    }

    /// Has one of them ended.
    pub async fn end_stray(&self, id: &MachineId, reason: &str) -> Result<(), ClientError> {
        let because = Because { reason: reason.to_owned() };
        self.send(self.ask(Method::DELETE, &paths::stray(id)).json(&because)).await.map(drop)
    }

    /// Every zone.
    pub async fn zones(&self) -> Result<Vec<ZoneView>, ClientError> {
        self.json(self.ask(Method::GET, paths::ZONES)).await
    }

    /// Changes how many machines a zone has.
    pub async fn change_zone(
        &self,
        zone: &ZoneName,
        change: &ZoneChange,
    ) -> Result<ZoneView, ClientError> {
        self.json(self.ask(Method::PATCH, &paths::zone(zone)).json(change)).await
    }
}
