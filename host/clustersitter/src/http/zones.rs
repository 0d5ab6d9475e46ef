//! Zones: how many machines each has, changed while the cluster runs.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared};
use crate::cluster::{Cluster, event};
use crate::records::Change;
use axum::Json;
use cerebro_api::body::ZoneView;
use cerebro_api::{Problem, paths};
use cerebro_model::{EventKind, Subject, ZoneChange, ZoneName};

/// Every zone that the controller was started with.
#[utoipa::path(get, path = paths::ZONES, responses((status = 200, body = Vec<ZoneView>)))]
pub async fn list(cluster: Shared) -> Json<Vec<ZoneView>> {
    Json(cluster.zones())
}

/// One zone.
#[utoipa::path(get, path = "/v1/zones/{zone}", params(("zone" = String, Path)),
    responses((status = 200, body = ZoneView), (status = 404, body = Problem)))]
pub async fn get(cluster: Shared, Path(zone): Path<ZoneName>) -> Answer<Json<ZoneView>> {
    find(&cluster, &zone).map(Json)
}

fn find(cluster: &Cluster, zone: &ZoneName) -> Answer<ZoneView> {
    let mut zones = cluster.zones();
    match zones.iter().position(|view| view.settings.zone == *zone) {
        Some(at) => Ok(zones.swap_remove(at)),
        None => {
            let known: Vec<_> = zones.iter().map(|view| view.settings.zone.as_str()).collect();
            Err(Refusal::not_found(format!(
                "this cluster has no zone `{zone}`; it has: {}. A zone comes with `--zone` of the cluster sitter",
                known.join(", ")
            )))
        }
    }
}

/// Changes how many machines a zone has; what is not named stays. It counts at once, and from then on
/// instead of what the controller is started with.
#[utoipa::path(patch, path = "/v1/zones/{zone}", params(("zone" = String, Path)), request_body = ZoneChange,
    responses((status = 200, body = ZoneView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn change(
    cluster: Shared,
    Path(zone): Path<ZoneName>,
    Body(change): Body<ZoneChange>,
) -> Answer<Json<ZoneView>> {
    find(&cluster, &zone)?;
    cluster.change(|state| {
        // As they are now: somebody else may change them too.
        let before = cluster.settings(state, &zone).ok_or_else(|| {
            Refusal::not_found(format!("this cluster has no zone `{zone}` any more"))
        })?;
        let settings =
            before.changed(&change).map_err(|error| Refusal::invalid(error.to_string()))?;
        if settings == before {
            return Ok::<_, Refusal>((Change::default(), ()));
        }
        let told = event(EventKind::ZoneChanged, Subject::default(), settings.in_words());
        Ok((Change::default().zone(settings).event(told), ()))
    })?;
    get(cluster, Path(zone)).await
}
