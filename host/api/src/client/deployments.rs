//! Deployments, and what their recipes would do, did and left behind.

use super::{ANSWER, Client, ClientError};
use crate::body::{DeployRequest, PauseDeploymentRequest};
use crate::call::{Provenance, Wanted};
use crate::deployment::{DeploymentCalls, PlanReport};
use crate::paths;
use bytes::Bytes;
use cerebro_model::{Deployment, DeploymentId, InstanceId, JobName, MachineId};
use futures::{Stream, StreamExt};
use reqwest::Method;
use std::time::Duration;

/// How long plans of a whole fleet may take: somewhat more than the controller gives its agents.
const PLANS: Duration = Duration::from_secs(150);
/// How long what all agents tell may take.
const CALLS: Duration = Duration::from_secs(45);

impl Client {
    /// Triggers a deployment.
    pub async fn deploy(
        &self,
        job: &JobName,
        request: &DeployRequest,
    ) -> Result<Deployment, ClientError> {
        self.json(self.ask(Method::POST, &paths::job_deployments(job)).json(request)).await
    }

    /// What that deployment would do, wherever it would go.
    pub async fn plan(
        &self,
        job: &JobName,
        request: &DeployRequest,
    ) -> Result<PlanReport, ClientError> {
        let path = paths::job_plans(job);
        self.json(self.ask(Method::POST, &path).timeout(PLANS).json(request)).await
    }

    /// Takes a job's newest deployment back.
    pub async fn roll_back(&self, id: &DeploymentId) -> Result<Deployment, ClientError> {
        self.json(self.ask(Method::POST, &paths::deployment_rollback(id))).await
    }

    /// Holds a deployment that is on its way.
    pub async fn pause_deployment(
        &self,
        id: &DeploymentId,
        request: &PauseDeploymentRequest,
    ) -> Result<Deployment, ClientError> {
        self.json(self.ask(Method::POST, &paths::deployment_pause(id)).json(request)).await
    }

    /// Lets a paused deployment go on.
    pub async fn resume_deployment(&self, id: &DeploymentId) -> Result<Deployment, ClientError> {
        self.json(self.ask(Method::POST, &paths::deployment_resume(id))).await
    }

    /// Lets a deployment go on from its canary.
    pub async fn promote(&self, id: &DeploymentId) -> Result<Deployment, ClientError> {
        self.json(self.ask(Method::POST, &paths::deployment_promote(id))).await
    }

    /// Takes a deployment out of the queue.
    pub async fn cancel(&self, id: &DeploymentId) -> Result<Deployment, ClientError> {
        self.json(self.ask(Method::POST, &paths::deployment_cancel(id))).await
    }

    /// Every kept deployment, newest first.
    pub async fn deployments(&self) -> Result<Vec<Deployment>, ClientError> {
        self.json(self.ask(Method::GET, paths::DEPLOYMENTS)).await
    }

    /// One deployment.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, ClientError> {
        self.json(self.ask(Method::GET, &paths::deployment(id))).await
    }

    /// What a deployment's recipe did, as the agents tell.
    pub async fn deployment_calls(
        &self,
        id: &DeploymentId,
        wanted: Wanted,
    ) -> Result<DeploymentCalls, ClientError> {
        let asked = self.ask(Method::GET, &paths::deployment_calls(id)).query(&wanted);
        self.json(asked.timeout(CALLS)).await
    }

    /// The recording of a deployment's call for an instance, piece by piece.
    pub async fn recording(
        &self,
        id: &DeploymentId,
        instance: &InstanceId,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let path = paths::deployment_recording(id, instance);
        let answer = self.send(self.ask(Method::GET, &path).timeout(PLANS)).await?;
        let base = self.base.clone();
        let unreachable = move |source| ClientError::Unreachable { base: base.clone(), source };
        Ok(answer.bytes_stream().map(move |piece| piece.map_err(&unreachable)))
    }

    /// Who wrote a path of a machine last.
    pub async fn why(&self, machine: &MachineId, path: &str) -> Result<Provenance, ClientError> {
        let request = self.ask(Method::GET, &paths::machine_why(machine)).timeout(ANSWER * 2);
        self.json(request.query(&[("path", path)])).await
    }

    /// What has changed on a machine since Cerebro wrote it.
    pub async fn drift(&self, machine: &MachineId) -> Result<Vec<Provenance>, ClientError> {
        self.json(self.ask(Method::GET, &paths::machine_drift(machine)).timeout(CALLS)).await
    }
}
