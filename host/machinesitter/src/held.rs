//! The plan that a deployment is held to on this machine.

use crate::agent::Agent;
use crate::blobs::FetchError;
use cerebro_api::deployment::{NoPlan, PlanReport};
use cerebro_model::{Assignment, Digest, HeldTo};
use cerebro_recipe_engine::Journaling;
use std::path::PathBuf;

/// Why a recipe is not run that is to be held to a plan.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// The plans are not here.
    #[error("cannot have the plan that it is held to")]
    Fetch(#[from] FetchError),
    /// They cannot be read from the machine's cache.
    #[error("cannot read the plan that it is held to from `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// They are something else.
    #[error("what it is held to, {digest}, is no plan: plan again")]
    Strange {
        /// What it is called.
        digest: Digest,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// None of them is for this instance on this machine.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
}

/// The same journal, held to the plan of this instance on this machine. One that has none may go on
/// only if it may go beyond the plan.
pub async fn hold(
    agent: &Agent,
    assignment: &Assignment,
    journaling: Journaling,
) -> Result<Journaling, HeldError> {
    let Some(HeldTo { plans, beyond }) = assignment.deployment.held_to else {
        return Ok(journaling);
    };
    let path = agent.blobs.file(plans).await?;
    let bytes = tokio::fs::read(&path).await;
    let bytes = bytes.map_err(|source| HeldError::Read { path, source })?;
    let report: PlanReport = serde_json::from_slice(&bytes)
        .map_err(|source| HeldError::Strange { digest: plans, source })?;
    match report.plan_for(&assignment.instance.id, &agent.settings.machine) {
        Ok(plan) => Ok(journaling.held_to(plan.into_owned(), beyond)),
        Err(_) if beyond => Ok(journaling),
        Err(none) => Err(none.into()),
    }
}
