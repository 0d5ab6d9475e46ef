//! What is asked about names.

use super::{Client, ClientError};
use crate::name::{NameAdvice, NameView};
use crate::paths;
use cerebro_model::JobName;
use reqwest::Method;

impl Client {
    /// What is published.
    pub async fn names(&self) -> Result<Vec<NameView>, ClientError> {
        self.json(self.ask(Method::GET, paths::NAMES)).await
    }

    /// What should be at a job's own name.
    pub async fn name_advice(&self, job: &JobName) -> Result<NameAdvice, ClientError> {
        self.json(self.ask(Method::GET, &paths::name_advice(job))).await
    }
}
