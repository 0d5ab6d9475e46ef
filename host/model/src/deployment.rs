//! Deployments: one version of a job, brought to every place where it runs.

use crate::{
    CanaryStage, Course, DeploymentId, DeploymentPause, Digest, Grants, Job, JobName, RecipeName,
    Timestamp, Version,
};
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
    /// where it ran, and so is all that was deployed after what this one restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolls_back: Option<DeploymentId>,
    /// The deployment that it is made as, if it is a rollback: its recipe finds what that one left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<DeploymentId>,
    /// The plans that its rollout is held to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_to: Option<HeldTo>,
    /// How far it is.
    pub state: DeploymentState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// What has happened to it on its way.
    #[serde(default, skip_serializing_if = "Course::is_empty")]
    pub course: Course,
}

impl Deployment {
    /// The job's name.
    pub fn job_name(&self) -> &JobName {
        &self.job.dns_basename
    }

    /// The rollback that takes `undone` back: the same as this one was, with every component. A plan
    /// that this one was held to was of other machines than are there now.
    #[must_use]
    pub fn restored(&self, id: DeploymentId, undone: DeploymentId, at: Timestamp) -> Self {
        let state = DeploymentState::Running;
        let (rolls_back, restores) = (Some(undone), Some(self.id.clone()));
        let course = Course::default();
        Self {
            id,
            rolls_back,
            restores,
            held_to: None,
            state,
            created_at: at,
            course,
            ..self.clone()
        }
    }

    /// Whether it ever was on its way: one that was cancelled in the queue did nothing.
    pub fn has_begun(&self) -> bool {
        !matches!(self.state, DeploymentState::Queued | DeploymentState::Cancelled { .. })
    }

    /// When it began: when it was asked for, or when its turn in the queue came.
    pub fn begun_at(&self) -> Timestamp {
        self.course.begun_at.unwrap_or(self.created_at)
    }

    /// The pause that it is in, if it is.
    pub fn pause(&self) -> Option<&DeploymentPause> {
        self.course
            .pauses
            .last()
            .filter(|pause| self.state.is_running() && pause.ended_at.is_none())
    }

    /// Whether its canary is out and the other instances wait.
    pub fn is_canary(&self) -> bool {
        self.state.is_running() && self.course.canary == Some(CanaryStage::Out)
    }

    /// Whether it goes no further by itself for now: what it has not reached stays as it is.
    pub fn is_held(&self) -> bool {
        self.pause().is_some() || self.is_canary()
    }

    /// One word for a person: that of its state, or what holds it.
    pub fn word(&self) -> &'static str {
        match (self.pause(), self.is_canary()) {
            (Some(_), _) => "paused",
            (None, true) => "canary",
            (None, false) => self.state.word(),
        }
    }

    /// Whether it brings the same: an instance that has the one has the other.
    pub fn brings_what(&self, other: &Self) -> bool {
        (&self.version, self.recipe) == (&other.version, other.recipe)
            && self.checks == other.checks
            && self.job == other.job
    }
}

/// The plans that a deployment is held to while it is on its way: each recipe does what was planned
/// for its instance, on what the plan found there, or stops before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldTo {
    /// The digest of the answer that gave the plans, as it is in the cluster's store.
    pub plans: Digest,
    /// Whether it may go beyond them: where one was cut, and on an instance that has none.
    #[serde(default)]
    pub beyond: bool,
}

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum DeploymentState {
    /// It waits until what is on its way of the same job has ended.
    Queued,
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
    /// It was taken out of the queue before it began.
    Cancelled {
        /// Since when.
        at: Timestamp,
    },
}

impl DeploymentState {
    /// Whether it is still on its way.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running)
    }

    /// Whether it waits for its turn.
    pub fn is_queued(&self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Whether nothing more comes of it.
    pub fn has_ended(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// Whether every instance got it.
    pub fn has_succeeded(&self) -> bool {
        matches!(self, Self::Succeeded { .. })
    }

    /// One word for a person.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Superseded { .. } => "superseded",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}
