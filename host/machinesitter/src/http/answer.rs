//! Refusals, and requests whose faults are told as such.

use crate::own::OwnError;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::{PROBLEM_JSON, Problem};
use serde::de::DeserializeOwned;

/// Why something is not done.
#[derive(Debug)]
pub struct Refusal(StatusCode, String);

impl Refusal {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(status, detail.into())
    }

    /// The machine has no such task.
    pub fn unknown(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("this machine has no task `{name}`"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, PROBLEM_JSON)];
        (self.0, kind, Json(Problem::new(self.0.as_u16(), self.1))).into_response()
    }
}

impl From<OwnError> for Refusal {
    fn from(error: OwnError) -> Self {
        let status = match &error {
            OwnError::Unknown(_) => StatusCode::NOT_FOUND,
            OwnError::Exists(_) => StatusCode::CONFLICT,
            OwnError::Invalid(_) | OwnError::NoPort(_) => StatusCode::UNPROCESSABLE_ENTITY,
            OwnError::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
            OwnError::Sitter { .. } => StatusCode::SERVICE_UNAVAILABLE,
            OwnError::DoesNotEnd { .. } => StatusCode::GATEWAY_TIMEOUT,
        };
        Self(status, crate::disk::chain(&error))
    }
}

impl From<PathRejection> for Refusal {
    fn from(error: PathRejection) -> Self {
        Self(error.status(), error.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(error: QueryRejection) -> Self {
        Self(error.status(), error.body_text())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(error: JsonRejection) -> Self {
        Self(error.status(), error.body_text())
    }
}

/// A part of the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Ok(Self(axum::extract::Path::from_request_parts(parts, state).await?.0))
    }
}

/// What follows the question mark.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Ok(Self(axum::extract::Query::from_request_parts(parts, state).await?.0))
    }
}

/// A body of JSON.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        Ok(Self(Json::<T>::from_request(request, state).await?.0))
    }
}
