//! What operators ask of machines and zones, with agents: locks, drains, maintenance, removal, limits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod fleet;

use cerebro_api::body::{DrainRequest, JoinRequest, MachineView, MaintainRequest};
use cerebro_api::{ClientError, Problem};
use cerebro_model::{Assignment, EventKind, MachineId, Seconds, ZoneChange};
use fleet::{Fleet, job, until};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Refused(problem)) => problem,
        other => panic!("expected a refusal: {other:?}"),
    }
}

fn m(n: u64) -> MachineId {
    MachineId::nth(n)
}

async fn view(fleet: &Fleet, id: &MachineId) -> Option<MachineView> {
    let machines = fleet.client.machines().await.unwrap();
    machines.into_iter().find(|view| view.machine.id == *id)
}

async fn is(fleet: &Fleet, id: &MachineId, word: &str) {
    until(&format!("{id} is {word}"), || async {
        view(fleet, id).await.is_some_and(|it| it.machine.state.word() == word).then_some(())
    })
    .await;
}

async fn is_gone(fleet: &Fleet, id: &MachineId) {
    until(&format!("{id} is gone"), || async { view(fleet, id).await.is_none().then_some(()) })
        .await;
}

async fn on(fleet: &Fleet, id: &MachineId) -> usize {
    let tasks = fleet.client.tasks().await.unwrap();
    tasks.iter().filter(|task| task.instance.machine == *id).count()
}

async fn told(fleet: &Fleet, kind: EventKind, words: &str) {
    until(&format!("{kind} with `{words}` is told"), || async {
        let events = fleet.client.events(1000).await.unwrap();
        events.iter().any(|it| it.kind == kind && it.message.contains(words)).then_some(())
    })
    .await;
}

fn maintenance(reason: &str, seconds: u64) -> MaintainRequest {
    let (reason, lasts) = (reason.to_owned(), Seconds::new(seconds));
    MaintainRequest { reason, lasts, drain: false, force: false }
}

async fn running(data: &std::path::Path, machines: u32, instances: u32) -> Fleet {
    let fleet = Fleet::start(data, machines).await;
    fleet.define(&job(instances)).await;
    fleet.succeed("1").await;
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_machine_is_empty_and_takes_instances_again_when_it_may() {
    let data = tempfile::tempdir().unwrap();
    let fleet = running(data.path(), 2, 2).await;
    let request = DrainRequest { reason: "new disk".to_owned(), force: false };
    let begun = fleet.client.drain_machine(&m(1), &request).await.unwrap();
    assert_eq!(begun.details(), "drains: new disk");
    told(&fleet, EventKind::InstanceMoved, "ends on m-1").await;
    told(&fleet, EventKind::MachineDrained, "m-1 is drained").await;
    assert_eq!((on(&fleet, &m(1)).await, on(&fleet, &m(2)).await), (0, 2));
    assert_eq!(view(&fleet, &m(1)).await.unwrap().details(), "drained: new disk");

    // Both are on one machine now, and a third fits on none and would be made.
    fleet.define(&job(5)).await;
    fleet.client.undrain_machine(&m(1)).await.unwrap();
    told(&fleet, EventKind::MachineUndrained, "takes instances again").await;
    fleet.deploy("2").await;
    until("it has work again", || async { (on(&fleet, &m(1)).await == 2).then_some(()) }).await;

    // The other one is full, and the zone may have one more machine only.
    let problem = refused(fleet.client.drain_machine(&m(1), &DrainRequest::default()).await);
    assert!(problem.status == 409 && problem.detail.contains("has nowhere to go"), "{problem}");
    assert_eq!(view(&fleet, &m(1)).await.unwrap().machine.state.word(), "active");
    let force = DrainRequest { force: true, ..DrainRequest::default() };
    fleet.client.drain_machine(&m(1), &force).await.unwrap();
    told(&fleet, EventKind::MachineWaits, "m-1 cannot be drained yet").await;
    let problem = refused(fleet.client.drain_machine(&m(99), &DrainRequest::default()).await);
    assert_eq!(problem.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_goes_on_with_another_controller_wherever_it_was() {
    let data = tempfile::tempdir().unwrap();
    let fleet = running(data.path(), 2, 2).await;
    fleet.ways.deaf.store(true, Relaxed);
    fleet.client.remove_machine(&m(1), &DrainRequest::default()).await.unwrap();
    // Nothing is placed elsewhere yet; it was only asked for.
    let fleet = fleet.restarted(data.path(), 2).await;
    assert_eq!(view(&fleet, &m(1)).await.unwrap().details(), "drains, then is removed");
    fleet.machines.refuse(true);
    fleet.ways.deaf.store(false, Relaxed);
    told(&fleet, EventKind::MachineDrained, "m-1 is drained").await;
    is(&fleet, &m(1), "terminating").await;
    told(&fleet, EventKind::ProviderFailed, "m-1 could not be destroyed").await;
    assert_eq!(refused(fleet.client.undrain_machine(&m(1)).await).status, 409);
    assert_eq!(refused(fleet.client.lock_machine(&m(1), "mine").await).status, 409);

    let token = fleet.machines.token(&m(1));
    let fleet = fleet.restarted(data.path(), 2).await;
    assert!(fleet.machines.has(&m(1)));
    fleet.machines.refuse(false);
    is_gone(&fleet, &m(1)).await;
    assert!(!fleet.machines.has(&m(1)));
    assert_eq!(fleet.client.tasks().await.unwrap().len(), 2);

    // Its agent finds out that it was replaced, also from a controller that never knew it; another
    // agent of that name does not.
    let fleet = fleet.restarted(data.path(), 2).await;
    let desired = fleet.client.desired(&m(1), &token, None, Duration::ZERO).await.unwrap();
    assert_eq!(desired.assignments, []);
    let stranger = fleet.client.desired(&m(1), "another", None, Duration::ZERO).await;
    assert_eq!(refused(stranger).status, 404);
    told(&fleet, EventKind::MachineUnknown, "an agent shows up as m-1, and is told nothing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_machine_is_not_removed_until_it_is_unlocked() {
    let data = tempfile::tempdir().unwrap();
    let fleet = running(data.path(), 2, 1).await;
    assert_eq!(refused(fleet.client.lock_machine(&m(2), " ").await).status, 422);
    let locked = fleet.client.lock_machine(&m(2), "evidence").await.unwrap();
    assert_eq!(locked.details(), "locked: evidence");
    let problem = refused(fleet.client.remove_machine(&m(2), &DrainRequest::default()).await);
    assert!(problem.status == 409 && problem.detail.contains("locked"), "{problem}");
    // It may be drained, and stays.
    fleet.client.drain_machine(&m(2), &DrainRequest::default()).await.unwrap();
    told(&fleet, EventKind::MachineDrained, "m-2 is drained").await;
    fleet.client.unlock_machine(&m(2)).await.unwrap();
    fleet.client.remove_machine(&m(2), &DrainRequest::default()).await.unwrap();
    is_gone(&fleet, &m(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_begins_after_its_drain_and_ends_by_itself() {
    let data = tempfile::tempdir().unwrap();
    let fleet = running(data.path(), 2, 2).await;
    for (reason, seconds) in [("", 60), ("disk", 0), ("disk", 99_999_999)] {
        let request = maintenance(reason, seconds);
        let problem = refused(fleet.client.maintain_machine(&m(1), &request).await);
        assert_eq!(problem.status, 422, "{problem}");
    }

    let view_now = fleet.client.maintain_machine(&m(1), &maintenance("disk", 3600)).await.unwrap();
    assert!(view_now.details().ends_with("disk"), "{}", view_now.details());
    assert_eq!(on(&fleet, &m(1)).await, 1, "what is on it stays");
    let ended = fleet.client.end_maintenance(&m(1)).await.unwrap();
    assert_eq!(ended.machine.state.word(), "active");

    let drained_first = MaintainRequest { drain: true, ..maintenance("disk", 1) };
    fleet.client.maintain_machine(&m(1), &drained_first).await.unwrap();
    told(&fleet, EventKind::MaintenanceBegun, "m-1 is drained, and in maintenance").await;
    told(&fleet, EventKind::MaintenanceOver, "its time is over").await;
    is(&fleet, &m(1), "active").await;
    assert_eq!(on(&fleet, &m(1)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zones_limits_are_changed_live_and_outlive_the_controller() {
    let data = tempfile::tempdir().unwrap();
    let fleet = running(data.path(), 3, 1).await;
    let zone = "z-1".parse().unwrap();
    let change = |text: &str| serde_json::from_str::<ZoneChange>(text).unwrap();
    let before = fleet.client.zones().await.unwrap();
    assert!(before.len() == 1 && !before[0].is_set && before[0].settings.idle.is_none());
    let problem = refused(fleet.client.change_zone(&zone, &change(r#"{"min":9}"#)).await);
    assert!(problem.status == 422 && problem.detail.contains("cannot keep 9"), "{problem}");
    let elsewhere = "z-9".parse().unwrap();
    let problem = refused(fleet.client.change_zone(&elsewhere, &change(r#"{"min":1}"#)).await);
    assert!(problem.status == 404 && problem.detail.contains("it has: z-1"), "{problem}");

    let set = change(r#"{"min":1,"idle":1,"idle_for":1}"#);
    let now = fleet.client.change_zone(&zone, &set).await.unwrap();
    assert!(now.is_set && now.machines == 3 && now.without_work == 2, "{now:?}");
    told(&fleet, EventKind::MachineTerminating, "and 1 without work are kept").await;
    until("one is gone", || async {
        (fleet.client.machines().await.unwrap().len() == 2).then_some(())
    })
    .await;
    // The controller was started with three.
    let fleet = fleet.restarted(data.path(), 3).await;
    let after = fleet.client.zones().await.unwrap();
    assert_eq!((&after[0].settings, after[0].machines), (&now.settings, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_of_a_lost_store_are_left_alone_and_taken_over_with_what_they_run() {
    let (lost, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fleet = running(lost.path(), 2, 2).await;
    let tokens = [m(1), m(2)].map(|id| fleet.machines.token(&id));
    until("what both prove themselves with is kept", || async {
        [m(1), m(2)].iter().all(|id| fleet.machines.proof(id).is_some()).then_some(())
    })
    .await;
    let mut ran = Vec::new();
    for (id, token) in [m(1), m(2)].iter().zip(&tokens) {
        let desired = fleet.client.desired(id, token, None, Duration::ZERO).await.unwrap();
        ran.push(desired.assignments);
    }
    let fleet = fleet.anew(data.path(), 2).await;
    // It makes two machines, which get the names of neither, and ends none.
    until("two others are made", || async {
        (fleet.machines.has(&m(3)) && fleet.machines.has(&m(4))).then_some(())
    })
    .await;
    assert_eq!([m(1), m(2)].map(|id| fleet.machines.token(&id)), tokens);
    told(&fleet, EventKind::ProviderFailed, "m-1 is not made, and another machine is").await;

    let problem = refused(fleet.client.adopt_machine(&m(9), "lost").await);
    assert!(problem.status == 404 && problem.detail.contains("m-9"), "{problem}");
    let problem = refused(fleet.client.adopt_machine(&m(3), "lost").await);
    assert!(problem.status == 409 && problem.detail.contains("known here already"), "{problem}");

    let join = |index: usize, term: u64, runs: &[Assignment]| JoinRequest {
        token: tokens[index].clone(),
        own_token: None,
        address: "127.0.0.1".parse().unwrap(),
        also_at: Vec::new(),
        port: 1,
        pid: 7,
        version: "0".to_owned(),
        term,
        runs: runs.to_vec(),
    };
    for id in [m(1), m(2)] {
        let adopted = fleet.client.adopt_machine(&id, "the store was lost").await.unwrap();
        assert!(adopted.details().contains("locked: adopted: the store was lost"), "{adopted:?}");
    }
    // Whoever has obeyed a later controller would not listen to this one.
    let problem = refused(fleet.client.join(&m(1), &join(0, 99, &ran[0])).await);
    assert!(problem.status == 409 && problem.detail.contains("cerebro store begin"), "{problem}");
    fleet.client.join(&m(1), &join(0, 0, &ran[0])).await.unwrap();
    let desired = fleet.client.desired(&m(1), &tokens[0], None, Duration::ZERO).await.unwrap();
    assert_eq!(desired.assignments, ran[0], "it goes on with just that");

    // What is another thing here is not taken for it, and keeps its agent from obeying.
    let mut other = ran[1].clone();
    other[0].deployment.version = "7".parse().unwrap();
    let problem = refused(fleet.client.join(&m(2), &join(1, 0, &other)).await);
    assert!(
        problem.status == 409 && problem.detail.contains("another deployment here"),
        "{problem}"
    );
    assert!(view(&fleet, &m(2)).await.unwrap().machine.state.is_pending());
    fleet.client.join(&m(2), &join(1, 0, &ran[1])).await.unwrap();
    assert_eq!((on(&fleet, &m(1)).await, on(&fleet, &m(2)).await), (1, 1));
    let job = fleet.client.job(&"a.b".parse().unwrap()).await.unwrap();
    assert_eq!(job.record.job, fleet::job(2));
}
