//! Jobs.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared};
use crate::cluster::{event, links};
use crate::records::Change;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cerebro_api::body::JobView;
use cerebro_api::{Problem, paths};
use cerebro_model::{EventKind, Job, JobName, JobRecord, PauseScope, Subject};

/// Every job.
#[utoipa::path(get, path = paths::JOBS, responses((status = 200, body = Vec<JobView>)))]
pub async fn list(cluster: Shared) -> Json<Vec<JobView>> {
    Json(cluster.jobs())
}

/// One job.
#[utoipa::path(get, path = "/v1/jobs/{job}", params(("job" = String, Path)),
    responses((status = 200, body = JobView), (status = 404, body = Problem)))]
pub async fn get(cluster: Shared, Path(name): Path<JobName>) -> Answer<Response> {
    let view = cluster.job(&name).ok_or_else(|| unknown(&name))?;
    Ok((etag(view.record.revision), Json(view)).into_response())
}

/// Defines a job, or changes it. What runs of it changes with its next deployment.
#[utoipa::path(put, path = "/v1/jobs/{job}", request_body = Job,
    params(("job" = String, Path), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = JobView), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn put(
    cluster: Shared,
    Path(name): Path<JobName>,
    headers: HeaderMap,
    Body(job): Body<Job>,
) -> Answer<Response> {
    if job.dns_basename != name {
        let detail = format!(
            "the path says `{name}`, the job's `dns_basename` `{}`: they must agree",
            job.dns_basename
        );
        return Err(Refusal::invalid(detail));
    }
    cluster.change(|state| {
        let present = state.records.jobs.get(&name);
        check(&headers, &name, present)?;
        links::check(&state.records, &job)?;
        if present.is_some_and(|record| record.job == job) {
            return Ok::<_, Refusal>((Change::default(), ()));
        }
        let revision = present.map_or(1, |record| record.revision + 1);
        let message = match present {
            None => format!("{name} was defined"),
            Some(_) => format!("{name} was changed (revision {revision})"),
        };
        let record = JobRecord { job, revision, changed_at: state.now };
        let told = event(EventKind::JobChanged, about(&name), message);
        Ok((Change::default().job(&name, Some(record)).event(told), ()))
    })?;
    let view = cluster.job(&name).ok_or_else(|| unknown(&name))?;
    Ok((etag(view.record.revision), Json(view)).into_response())
}

/// Deletes a job; its instances end.
#[utoipa::path(delete, path = "/v1/jobs/{job}", params(("job" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn delete(cluster: Shared, Path(name): Path<JobName>) -> Answer<StatusCode> {
    cluster.change(|state| {
        if !state.records.jobs.contains_key(&name) {
            return Err(unknown(&name));
        }
        links::check_deleted(&state.records, &name)?;
        let told = event(
            EventKind::JobDeleted,
            about(&name),
            format!("{name} was deleted; its instances end"),
        );
        let pause = PauseScope::Job(name.clone());
        Ok((Change::default().job(&name, None).no_pause(pause).event(told), ()))
    })?;
    Ok(StatusCode::NO_CONTENT)
}

pub fn unknown(name: &JobName) -> Refusal {
    Refusal::not_found(format!("no job is named `{name}`"))
}

fn about(name: &JobName) -> Subject {
    Subject { job: Some(name.clone()), ..Subject::default() }
}

fn etag(revision: u64) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{revision}\""))]
}

/// Two who change one job at the same time must not undo each other's work unseen.
fn check(headers: &HeaderMap, name: &JobName, present: Option<&JobRecord>) -> Answer<()> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let raced = |detail: String| Err(Refusal::new(StatusCode::PRECONDITION_FAILED, detail));
    if let (Some("*"), Some(record)) = (header(header::IF_NONE_MATCH), present) {
        let revision = record.revision;
        return raced(format!(
            "`{name}` exists already, at revision {revision}: read it, then change that revision"
        ));
    }
    if let Some(expected) = header(header::IF_MATCH) {
        let found = present.map(|record| format!("\"{}\"", record.revision));
        if found.as_deref() != Some(expected) {
            let is = found.map_or("it does not exist".to_owned(), |found| {
                format!("it is at revision {found}")
            });
            return raced(format!(
                "`{name}` was changed by someone else meanwhile: you saw revision {expected}, now {is}; read it again"
            ));
        }
    }
    Ok(())
}
