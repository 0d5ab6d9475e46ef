//! The API under `/v1`, one file per resource, and the page beside it.

mod agents;
mod blobs;
pub(crate) mod calls;
pub(crate) mod deployments;
mod events;
mod explain;
mod extract;
pub(crate) mod held;
mod jobs;
mod joins;
mod machine_life;
mod machines;
mod metrics;
mod names;
mod pauses;
pub(crate) mod plans;
mod recipes;
mod repair;
mod secrets;
mod status;
mod strays;
mod tasks;
mod what_if;
mod zones;

use crate::cluster::links::LinkError;
use crate::cluster::{AgentError, ApprovalError, ChangeError, Cluster, PauseError, SecretError};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::{PROBLEM_JSON, Problem, paths};
use cerebro_model::MoveError;
use cerebro_store::{BlobError, CommitError, StoreError};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

/// The largest word of an agent that joins, in bytes: it holds all that its machine runs, each with its job.
const LARGEST_JOIN: usize = 64 << 20;

/// What every handler gets.
type Shared = axum::extract::State<Arc<Cluster>>;

/// An answer, or the problem that stands in its way.
type Answer<T> = Result<T, Refusal>;

/// A problem as an answer.
#[derive(Debug)]
pub struct Refusal(Problem);

impl Refusal {
    /// A problem with a status and what failed, why, and what to do next.
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(status.as_u16(), detail))
    }

    fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is plain data: it always serializes.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::Commit(CommitError::Conflict { .. }) => StatusCode::CONFLICT,
            ChangeError::Commit(CommitError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            ChangeError::Commit(_) => StatusCode::SERVICE_UNAVAILABLE,
            ChangeError::Record(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ChangeError::Doubt(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let what = match &error {
            ChangeError::Commit(CommitError::Unavailable(_)) => {
                "it may or may not have been changed; look before you try again"
            }
            _ => "nothing was changed",
        };
        Self::new(status, format!("{what}: {error}"))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::TooLarge { limit } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the upload is larger than {} MiB, the limit of the cluster's store; nothing of it was kept: make it \
                     smaller, or let the recipe fetch it from elsewhere",
                    limit >> 20
                ),
            ),
            BlobError::Io { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the upload was not kept: {error}"),
            ),
        }
    }
}

impl From<AgentError> for Refusal {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Unknown(_) => Self::not_found(error.to_string()),
            AgentError::WrongToken(_) => Self::new(StatusCode::UNAUTHORIZED, error.to_string()),
            AgentError::GivenUp(_)
            | AgentError::NotJoined(_)
            | AgentError::TooLate(..)
            | AgentError::RunsOtherThings(..) => Self::new(StatusCode::CONFLICT, error.to_string()),
            AgentError::Change(error) => error.into(),
        }
    }
}

impl From<MoveError> for Refusal {
    fn from(error: MoveError) -> Self {
        Self::new(StatusCode::CONFLICT, error.to_string())
    }
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::NoMaster { .. } | LinkError::Circle(_) => Self::invalid(error.to_string()),
            LinkError::Needed { .. } => Self::new(StatusCode::CONFLICT, error.to_string()),
        }
    }
}

impl From<PauseError> for Refusal {
    fn from(error: PauseError) -> Self {
        match error {
            PauseError::Change(error) => error.into(),
            PauseError::NotPaused(_) => Self::not_found(error.to_string()),
            PauseError::Unknown(..) | PauseError::Words(_) | PauseError::Span => {
                Self::invalid(error.to_string())
            }
        }
    }
}

impl From<ApprovalError> for Refusal {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::NotProposed(_) => Self::not_found(error.to_string()),
            ApprovalError::Change(error) => error.into(),
        }
    }
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        let status = match error {
            // Not 404, which is to say that there is no such secret, and nothing else.
            SecretError::Agent(AgentError::Unknown(_)) => StatusCode::UNAUTHORIZED,
            SecretError::Agent(error) => return error.into(),
            SecretError::Store(error) => return error.into(),
            SecretError::Elsewhere { .. } | SecretError::Denied { .. } => StatusCode::FORBIDDEN,
            SecretError::Unknown(_) => StatusCode::NOT_FOUND,
        };
        Self::new(status, error.to_string())
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Cerebro", description = "Keeps jobs running on a fleet of machines."),
    components(schemas(Problem))
)]
struct Description;

fn api() -> OpenApiRouter<Arc<Cluster>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(recipes::list))
        .routes(routes!(recipes::upload, recipes::inspect))
        .routes(routes!(blobs::upload))
        .routes(routes!(blobs::download))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::put, jobs::get, jobs::delete))
        .routes(routes!(deployments::trigger))
        .routes(routes!(deployments::list))
        .routes(routes!(deployments::get))
        .routes(routes!(deployments::events))
        .routes(routes!(deployments::roll_back))
        .routes(routes!(deployments::pause))
        .routes(routes!(deployments::resume))
        .routes(routes!(deployments::promote))
        .routes(routes!(deployments::cancel))
        .routes(routes!(plans::plan))
        .routes(routes!(calls::list))
        .routes(routes!(calls::recording))
        .routes(routes!(calls::why))
        .routes(routes!(calls::drift))
        .routes(routes!(machines::list, joins::order))
        .routes(routes!(joins::kit))
        .routes(routes!(joins::program))
        .routes(routes!(machines::get, machine_life::remove))
        .routes(routes!(machine_life::adopt))
        .routes(routes!(machine_life::lock, machine_life::unlock))
        .routes(routes!(machine_life::drain, machine_life::undrain))
        .routes(routes!(machine_life::maintain, machine_life::end_maintenance))
        .routes(routes!(zones::list))
        .routes(routes!(zones::get, zones::change))
        .routes(routes!(names::list))
        .routes(routes!(names::advice))
        .routes(routes!(machines::tombstones))
        .routes(routes!(strays::list))
        .routes(routes!(strays::end))
        .routes(routes!(machines::kill))
        .routes(routes!(machines::label))
        .routes(routes!(agents::join).layer(DefaultBodyLimit::max(LARGEST_JOIN)))
        .routes(routes!(agents::heartbeat))
        .routes(routes!(agents::desired))
        .routes(routes!(agents::report))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::delete))
        .routes(routes!(secrets::read))
        .routes(routes!(pauses::list, pauses::put, pauses::end))
        .routes(routes!(repair::list))
        .routes(routes!(repair::approve))
        .routes(routes!(repair::mode))
        .routes(routes!(status::get))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::logs))
        .routes(routes!(events::list))
        .routes(routes!(explain::list))
        .routes(routes!(explain::decision))
        .routes(routes!(explain::job))
        .routes(routes!(explain::machine))
        .routes(routes!(what_if::ask))
        .routes(routes!(healthz))
        .routes(routes!(metrics::get))
}

/// The whole of what is served.
pub fn router(cluster: Arc<Cluster>) -> Router {
    let (api, description) = api().split_for_parts();
    // It cannot change while we run.
    let description = bytes::Bytes::from(description.to_json().unwrap_or_default());
    let json = move || async move { ([(header::CONTENT_TYPE, "application/json")], description) };
    api.merge(crate::page::router())
        .route(paths::OPENAPI, axum::routing::get(json))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(cluster)
}

/// Whether the controller answers.
#[utoipa::path(get, path = paths::HEALTHZ, responses((status = 200, description = "It does.")))]
async fn healthz() -> &'static str {
    "ok\n"
}

async fn unknown_path(uri: Uri) -> Refusal {
    Refusal::not_found(format!(
        "there is nothing at `{}`; what there is, {} describes",
        uri.path(),
        paths::OPENAPI
    ))
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let detail = format!(
        "`{}` does not take {method}; what it takes, {} describes",
        uri.path(),
        paths::OPENAPI
    );
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
