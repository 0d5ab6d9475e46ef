//! What is published in DNS, and what an administrator should have there beside.

use super::extract::Path;
use super::{Answer, Refusal, Shared};
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::name::{NameAdvice, NameView};
use cerebro_api::{Problem, paths};
use cerebro_dns::advice::{At, Lookup, Standing, advise};
use cerebro_model::JobName;
use std::time::Duration;

/// How long is waited for this host's resolver.
const PATIENCE: Duration = Duration::from_secs(3);

/// The resolver of this host, which says nothing of aliases.
struct System;

#[async_trait::async_trait]
impl Lookup for System {
    async fn at(&self, name: &str) -> At {
        // With a final dot: no search list adds anything.
        let asked = tokio::net::lookup_host((format!("{name}."), 0));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(found)) => At::Addresses(found.map(|it| it.ip()).collect()),
            Ok(Err(_)) => At::Nothing,
            Err(_) => At::Unknown {
                why: format!("this host's resolver has no answer within {} s", PATIENCE.as_secs()),
            },
        }
    }
}

/// What is published of each job in each zone.
#[utoipa::path(get, path = paths::NAMES, responses((status = 200, body = Vec<NameView>)))]
pub async fn list(cluster: Shared) -> Json<Vec<NameView>> {
    Json(cluster.names())
}

/// What is at a job's own name, as the controller's host finds it, and what should be.
#[utoipa::path(get, path = "/v1/names/{job}/advice", params(("job" = String, Path)),
    responses((status = 200, body = NameAdvice), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn advice(cluster: Shared, Path(job): Path<JobName>) -> Answer<Json<NameAdvice>> {
    let Some(dns) = &cluster.dns else {
        let how = "no names are published; `clustersitter --dns ADDRESS` or `--dns-update` has them published";
        return Err(Refusal::new(StatusCode::CONFLICT, how));
    };
    let published = cluster
        .published(&job)
        .ok_or_else(|| Refusal::not_found(format!("there is no job `{job}`")))?;
    let advice = advise(&job, &published, &dns.via, &System).await;
    let is_right = advice.standing == Standing::Right;
    Ok(Json(NameAdvice { job, is_right, words: advice.words, records: advice.records }))
}
