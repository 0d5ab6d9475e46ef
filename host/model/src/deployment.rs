//! Deployments: one version of a job, brought to every place where it runs.

use crate::{DeploymentId, Digest, Grants, Job, JobName, RecipeName, Timestamp, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One version of a job, with everything that it means fixed: the job as it was, and the
/// components by digest. It is what an instance runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Deployment {
    /// Its identity; later ones have greater ordinals.
    pub id: DeploymentId,
    /// The job's revision that it was made from.
    pub revision: u64,
    /// The job as it was then; its `recipe_options` already hold what the request added.
    pub job: Job,
    /// What is deployed.
    pub version: Version,
    /// The recipe.
    pub recipe: Digest,
    /// The job's health checks.
    #[schema(value_type = BTreeMap<String, String>)]
    pub checks: BTreeMap<RecipeName, Digest>,
    /// What those components declared that they want, if they declared anything: what an update of
    /// one wants beyond that is shown before it is deployed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Grants>)]
    pub wants: BTreeMap<RecipeName, Grants>,
    /// The deployment that it takes back, if it is a rollback: what that one's recipe did is undone
    /// where it ran, and this one's recipe then finds what it left itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolls_back: Option<DeploymentId>,
    /// How far it is.
    pub state: DeploymentState,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl Deployment {
    /// The job's name.
    pub fn job_name(&self) -> &JobName {
        &self.job.dns_basename
    }

    /// The rollback that takes `undone` back: the same as this one was, with every component.
    #[must_use]
    pub fn restored(&self, id: DeploymentId, undone: DeploymentId, at: Timestamp) -> Self {
        let state = DeploymentState::Running;
        Self { id, rolls_back: Some(undone), state, created_at: at, ..self.clone() }
    }

    /// Whether it brings the same: an instance that has the one has the other.
    pub fn brings_what(&self, other: &Self) -> bool {
        (&self.version, self.recipe) == (&other.version, other.recipe)
            && self.checks == other.checks
            && self.job == other.job
    }
}

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum DeploymentState {
    /// On its way.
    Running,
    /// Every instance has it and is healthy.
    Succeeded {
        /// Since when.
        at: Timestamp,
    },
    /// It was given up; instances that it had not reached keep what they had.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why, with the instance that failed.
        reason: String,
    },
    /// A later one of the same job took its place before it was done.
    Superseded {
        /// The later one.
        by: DeploymentId,
    },
}

impl DeploymentState {
    /// Whether it is still on its way.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running)
    }

    /// Whether every instance got it.
    pub fn has_succeeded(&self) -> bool {
        matches!(self, Self::Succeeded { .. })
    }

    /// One word for a person.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Superseded { .. } => "superseded",
        }
    }
}
