//! What operators ask of a machine: to be locked, drained, maintained, removed.

use super::extract::{Json as Body, Path};
use super::{Answer, Refusal, Shared, machines};
use crate::cluster::{AdoptError, Cluster, about_machine, event};
use crate::executor::{Failed, chain};
use crate::records::{Change, MachineRecord};
use axum::Json;
use axum::http::StatusCode;
use cerebro_api::Problem;
use cerebro_api::body::{Because, DrainRequest, MachineView, MaintainRequest};
use cerebro_machines::ProviderError;
use cerebro_model::{
    AfterDrain, Drain, EventKind, Lock, Machine, MachineId, MachineState, Maintenance, MoveError,
};
use cerebro_planner::cluster::stuck;

/// The longest that a machine is left alone without being asked again.
const LONGEST: u64 = 30 * 24 * 3600;

/// Moves a machine on, with an event; then shows it.
async fn change(
    cluster: Shared,
    id: MachineId,
    kind: EventKind,
    words: String,
    to: impl FnOnce(&Machine) -> Result<Machine, MoveError>,
) -> Answer<Json<MachineView>> {
    cluster.change(|state| {
        let record = state.records.machines.get(&id).ok_or_else(|| machines::unknown(&id))?;
        let machine = to(&record.machine)?;
        if machine == record.machine {
            return Ok::<_, Refusal>((Change::default(), ()));
        }
        let record = MachineRecord { machine, ..record.clone() };
        let told = event(kind, about_machine(&id), words);
        Ok((Change::default().machine(&id, Some(record)).event(told), ()))
    })?;
    machines::get(cluster, Path(id)).await
}

fn said(reason: String) -> Answer<String> {
    match reason.trim() {
        "" => Err(Refusal::invalid("`reason` is empty: say why, for whoever finds it like this")),
        reason => Ok(reason.to_owned()),
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Locks a machine: nothing that Cerebro does terminates it until it is unlocked.
#[utoipa::path(put, path = "/v1/machines/{id}/lock", params(("id" = String, Path)), request_body = Because,
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn lock(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(Because { reason }): Body<Because>,
) -> Answer<Json<MachineView>> {
    let lock = Lock { reason: said(reason)?, at: cluster.now() };
    let words = format!("{id} is locked against being terminated: {}", lock.reason);
    change(cluster, id, EventKind::MachineLocked, words, |it| it.locked(lock)).await
}

/// Takes a machine over that this cluster made, and whose record is lost, with what it runs. It is locked
/// until somebody unlocks it.
#[utoipa::path(post, path = "/v1/machines/{id}/adoption", params(("id" = String, Path)), request_body = Because,
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 502, body = Problem)))]
pub async fn adopt(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(Because { reason }): Body<Because>,
) -> Answer<Json<MachineView>> {
    let status = |error: &AdoptError| match error {
        AdoptError::Provider {
            source: Failed::Provider(ProviderError::Unknown { .. }), ..
        }
        | AdoptError::Gone { .. } => StatusCode::NOT_FOUND,
        AdoptError::Provider { .. } => StatusCode::BAD_GATEWAY,
        _ => StatusCode::CONFLICT,
    };
    match cluster.adopt(&id, &said(reason)?).await {
        Ok(()) => machines::get(cluster, Path(id)).await,
        Err(AdoptError::Change(error)) => Err(error.into()),
        Err(error) => Err(Refusal::new(status(&error), chain(&error))),
    }
}

/// Unlocks a machine.
#[utoipa::path(delete, path = "/v1/machines/{id}/lock", params(("id" = String, Path)),
    responses((status = 200, body = MachineView), (status = 404, body = Problem)))]
pub async fn unlock(cluster: Shared, Path(id): Path<MachineId>) -> Answer<Json<MachineView>> {
    let words = format!("{id} is unlocked");
    change(cluster, id, EventKind::MachineUnlocked, words, |it| Ok(it.unlocked_again())).await
}

/// Refuses to begin what would not come to an end, and says all that stands in the way.
fn check_room(cluster: &Cluster, id: &MachineId, force: bool) -> Answer<()> {
    if force {
        return Ok(());
    }
    let stuck = stuck(cluster.fleet(), &cluster.policy(), id, cluster.now())?;
    if stuck.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = stuck.iter().map(ToString::to_string).collect();
    let detail = format!(
        "{id} is not drained, and nothing was changed: {}. Make room, or begin anyway with `force`: what has \
         nowhere to go stays until there is room",
        all.join("; ")
    );
    Err(Refusal::new(StatusCode::CONFLICT, detail))
}

/// Drains a machine: nothing new is placed on it, and what is on it moves elsewhere, a batch of each
/// job at a time.
#[utoipa::path(put, path = "/v1/machines/{id}/drain", params(("id" = String, Path)), request_body = DrainRequest,
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn drain(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(DrainRequest { reason, force }): Body<DrainRequest>,
) -> Answer<Json<MachineView>> {
    check_room(&cluster, &id, force)?;
    let words = format!("{id} is to be drained{}", because(&reason));
    let drain = Drain::new(cluster.now(), reason, AfterDrain::Stay);
    change(cluster, id, EventKind::MachineDraining, words, |it| it.draining(drain)).await
}

/// Has a machine take instances again; also one that was to be removed, as long as its end is not
/// recorded.
#[utoipa::path(delete, path = "/v1/machines/{id}/drain", params(("id" = String, Path)),
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn undrain(cluster: Shared, Path(id): Path<MachineId>) -> Answer<Json<MachineView>> {
    let words = format!("{id} takes instances again");
    change(cluster, id, EventKind::MachineUndrained, words, Machine::undrained).await
}

/// Has a machine left alone: no verdict, no repair, nothing new on it, and what is on it stays. That
/// ends by itself.
#[utoipa::path(put, path = "/v1/machines/{id}/maintenance", params(("id" = String, Path)),
    request_body = MaintainRequest,
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn maintain(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(MaintainRequest { reason, lasts, drain, force }): Body<MaintainRequest>,
) -> Answer<Json<MachineView>> {
    let reason = said(reason)?;
    let seconds = lasts.duration().as_secs();
    if seconds == 0 || seconds > LONGEST {
        return Err(Refusal::invalid(format!(
            "a maintenance of {lasts} is not possible: expected up to {} days",
            LONGEST / (24 * 3600)
        )));
    }
    if drain {
        check_room(&cluster, &id, force)?;
        let words = format!("{id} is to be drained, then in maintenance for {lasts}: {reason}");
        let then = AfterDrain::Maintain { reason: reason.clone(), lasts };
        let drain = Drain::new(cluster.now(), reason, then);
        return change(cluster, id, EventKind::MachineDraining, words, |it| it.draining(drain))
            .await;
    }
    let begun_at = cluster.now();
    let until = begun_at.after(lasts.duration());
    let words = format!("{id} is in maintenance until {until}: {reason}");
    let maintenance = Maintenance { begun_at, until, reason };
    change(cluster, id, EventKind::MaintenanceBegun, words, |it| it.maintained(maintenance)).await
}

/// Ends a machine's maintenance before its time.
#[utoipa::path(delete, path = "/v1/machines/{id}/maintenance", params(("id" = String, Path)),
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn end_maintenance(
    cluster: Shared,
    Path(id): Path<MachineId>,
) -> Answer<Json<MachineView>> {
    let words = format!("the maintenance of {id} was ended");
    let now = cluster.now();
    let to = |machine: &Machine| machine.maintained_until(now);
    change(cluster, id, EventKind::MaintenanceOver, words, to).await
}

/// Removes a machine for good, in order: it is drained, what its agent still runs ends, it is
/// destroyed, and forgotten; one that was joined by hand is only forgotten. Each of these is recorded first, so that a controller that starts again
/// goes on from there.
#[utoipa::path(delete, path = "/v1/machines/{id}", params(("id" = String, Path)), request_body = DrainRequest,
    responses((status = 200, body = MachineView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove(
    cluster: Shared,
    Path(id): Path<MachineId>,
    Body(DrainRequest { reason, force }): Body<DrainRequest>,
) -> Answer<Json<MachineView>> {
    let (is_pending, is_let_go) = {
        let state = cluster.state();
        let record = state.records.machines.get(&id).ok_or_else(|| machines::unknown(&id))?;
        let Machine { state, origin, .. } = &record.machine;
        (state.is_pending(), origin.is_joined() && matches!(state, MachineState::Lost { .. }))
    };
    if is_let_go {
        let words =
            format!("{id}, which is lost and was joined by hand, is let go{}", because(&reason));
        let to = |machine: &Machine| machine.let_go("it is lost, and was let go".to_owned());
        return change(cluster, id, EventKind::MachineTerminating, words, to).await;
    }
    if is_pending {
        let words = format!("{id} is removed before it has joined{}", because(&reason));
        let to = |machine: &Machine| machine.terminating("it is to be removed".to_owned());
        return change(cluster, id, EventKind::MachineTerminating, words, to).await;
    }
    check_room(&cluster, &id, force)?;
    let words = format!("{id} is to be removed, once it is drained{}", because(&reason));
    let drain = Drain::new(cluster.now(), reason, AfterDrain::Remove);
    change(cluster, id, EventKind::MachineDraining, words, |it| it.draining(drain)).await
}
