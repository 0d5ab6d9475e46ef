//! Why.

use super::{Client, ClientError};
use crate::explain::{DecisionSummary, DecisionView, Explanation};
use crate::paths;
use cerebro_model::{DecisionId, Foreseen, JobName, MachineId, WhatIf};
use reqwest::Method;
use std::time::Duration;

/// How long it may take to drive a large fleet through an hour.
const FORESEEN: Duration = Duration::from_secs(120);

impl Client {
    /// The last looks that decided something, about a machine or a job or whatever, the newest first.
    pub async fn decisions(
        &self,
        machine: Option<&MachineId>,
        job: Option<&JobName>,
        limit: usize,
    ) -> Result<Vec<DecisionSummary>, ClientError> {
        let mut request =
            self.ask(Method::GET, paths::DECISIONS).query(&[("limit", limit.to_string())]);
        if let Some(machine) = machine {
            request = request.query(&[("machine", machine.as_str())]);
        }
        if let Some(job) = job {
            request = request.query(&[("job", job.as_str())]);
        }
        self.json(request).await
    }

    /// One look that decided something, explained.
    pub async fn decision(&self, id: &DecisionId) -> Result<DecisionView, ClientError> {
        self.json(self.ask(Method::GET, &paths::decision(id))).await
    }

    /// How a job stands, and why.
    pub async fn explain_job(&self, job: &JobName) -> Result<Explanation, ClientError> {
        self.json(self.ask(Method::GET, &paths::job_explanation(job))).await
    }

    /// What would be if something happened.
    pub async fn what_if(&self, event: &WhatIf) -> Result<Foreseen, ClientError> {
        let request = self.ask(Method::POST, paths::WHAT_IF).timeout(FORESEEN);
        self.json(request.json(event)).await
    }

    /// How a machine stands, and why.
    pub async fn explain_machine(&self, id: &MachineId) -> Result<Explanation, ClientError> {
        self.json(self.ask(Method::GET, &paths::machine_explanation(id))).await
    }
}
