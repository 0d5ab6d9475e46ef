//! Events: a page of them, or a live stream.

use super::extract::Query;
use super::{Answer, Shared};
use crate::cluster::Cluster;
use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as Sse, KeepAlive, Sse as Stream};
use axum::response::{IntoResponse, Response};
use cerebro_api::paths;
use cerebro_model::Event;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

/// Events that one answer holds at most.
const PAGE: usize = 1000;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Only those with greater numbers; by default the latest.
    after: Option<u64>,
    /// At most so many.
    limit: Option<usize>,
}

/// The events of the cluster, oldest first; with `Accept: text/event-stream` those to come too.
#[utoipa::path(get, path = paths::EVENTS, params(Which, ("Last-Event-ID" = Option<u64>, Header)),
    responses((status = 200, body = Vec<Event>)))]
pub async fn list(
    cluster: Shared,
    headers: HeaderMap,
    Query(which): Query<Which>,
) -> Answer<Response> {
    let limit = which.limit.unwrap_or(100).min(PAGE);
    let latest =
        |count: usize| Ok::<_, super::Refusal>(cluster.last_event()?.saturating_sub(count as u64));
    let wants_stream =
        headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    if wants_stream {
        let after = match last_event_id(&headers).or(which.after) {
            Some(after) => after,
            None => latest(0)?,
        };
        return Ok(stream(cluster.0, after, |_| true, |_| false).into_response());
    }
    let after = match which.after {
        Some(after) => after,
        None => latest(limit)?,
    };
    Ok(Json(cluster.events(after, limit)?).into_response())
}

/// Where a stream that broke off should go on.
pub fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Events above `after` that are wanted, up to and with the one that is the end.
pub fn stream(
    cluster: Arc<Cluster>,
    after: u64,
    wanted: impl Fn(&Event) -> bool + Send + 'static,
    is_end: impl Fn(&Event) -> bool + Send + 'static,
) -> impl IntoResponse {
    let events = async_stream::stream! {
        let mut follow = cluster.follow();
        let mut last = after;
        loop {
            // What the store has first; the rest comes live, without a gap between.
            while let Ok(page) = cluster.events(last, PAGE) {
                let Some(newest) = page.last().map(|event| event.seq) else { break };
                for event in page {
                    let ends = is_end(&event);
                    if wanted(&event) {
                        yield sse(&event);
                    }
                    if ends {
                        return;
                    }
                }
                last = newest;
            }
            match follow.recv().await {
                // Whatever came, the store has it.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    Stream::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
}

fn sse(event: &Event) -> Result<Sse, Infallible> {
    // An event is plain data: it always serializes, without newlines.
    let data = serde_json::to_string(event).unwrap_or_default();
    Ok(Sse::default().id(event.seq.to_string()).data(data))
}
