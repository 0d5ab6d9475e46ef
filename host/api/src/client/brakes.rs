//! What holds Cerebro back, and how it is.

use super::{Client, ClientError};
use crate::body::{Approval, MachineView, PauseRequest, RepairModeRequest, Status};
use crate::paths;
use cerebro_model::{MachineId, Pause, PauseScope, Proposal, Tombstone};
use reqwest::Method;

impl Client {
    /// What is not as it should be, and what holds Cerebro back.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.json(self.ask(Method::GET, paths::STATUS)).await
    }

    /// Machines that were given up lately, the newest first.
    pub async fn tombstones(&self) -> Result<Vec<Tombstone>, ClientError> {
        self.json(self.ask(Method::GET, paths::TOMBSTONES)).await
    }

    /// Repairs that wait for a person.
    pub async fn proposals(&self) -> Result<Vec<Proposal>, ClientError> {
        self.json(self.ask(Method::GET, paths::PROPOSALS)).await
    }

    /// Approves a repair.
    pub async fn approve(&self, id: &str, author: &str) -> Result<Proposal, ClientError> {
        let approval = Approval { author: author.to_owned() };
        let path = paths::proposal_approval(id);
        self.json(self.ask(Method::POST, &path).json(&approval)).await
    }

    /// Has repairs only proposed, or done without being asked.
    pub async fn observe_only(&self, observe_only: bool, author: &str) -> Result<(), ClientError> {
        let request = RepairModeRequest { observe_only, author: author.to_owned() };
        self.send(self.ask(Method::PUT, paths::REPAIR_MODE).json(&request)).await.map(drop)
    }

    /// One machine.
    pub async fn machine(&self, id: &MachineId) -> Result<MachineView, ClientError> {
        self.json(self.ask(Method::GET, &paths::machine(id))).await
    }

    /// The pauses that are in force.
    pub async fn pauses(&self) -> Result<Vec<Pause>, ClientError> {
        self.json(self.ask(Method::GET, paths::PAUSES)).await
    }

    /// Pauses the cluster, a zone or a job.
    pub async fn pause(&self, request: &PauseRequest) -> Result<Pause, ClientError> {
        self.json(self.ask(Method::PUT, paths::PAUSES).json(request)).await
    }

    /// Ends a pause.
    pub async fn resume(&self, scope: &PauseScope, author: &str) -> Result<(), ClientError> {
        let request = self.ask(Method::DELETE, paths::PAUSES).query(&[("author", author)]);
        let request = match scope {
            PauseScope::Cluster => request,
            PauseScope::Zone(zone) => request.query(&[("zone", zone.as_str())]),
            PauseScope::Job(job) => request.query(&[("job", job.as_str())]),
        };
        self.send(request).await.map(drop)
    }
}
