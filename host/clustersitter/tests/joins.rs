//! Machines that an operator joins by hand: ordered, joined once and in time, used, and never ended.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod fleet;

use cerebro_api::ClientError;
use cerebro_api::body::{DrainRequest, Heartbeat, JoinRequest, MachineView};
use cerebro_api::join::{JoinOrder, JoinOrderRequest};
use cerebro_model::{
    Capacity, Cores, Digest, EventKind, MachineId, MachineStats, Megabytes, Origin, Timestamp,
};
use fleet::{Fleet, job, until};
use futures::StreamExt;
use std::time::Duration;

fn ordered(host: &str) -> JoinOrderRequest {
    JoinOrderRequest {
        host: host.to_owned(),
        zone: "z-1".parse().unwrap(),
        capacity: Capacity {
            cpu: Cores::from_millis(2000),
            mem: Megabytes::new(500),
            disk: Megabytes::new(500),
        },
        labels: [("disk".parse().unwrap(), "ssd".parse().unwrap())].into(),
        joins_within: 900,
    }
}

fn status<T: std::fmt::Debug>(result: Result<T, ClientError>) -> u16 {
    match result {
        Err(ClientError::Refused(problem)) => problem.status,
        other => panic!("expected a refusal: {other:?}"),
    }
}

fn joins(token: &str, own: Option<&str>) -> JoinRequest {
    JoinRequest {
        token: token.to_owned(),
        own_token: own.map(str::to_owned),
        address: "127.0.0.1".parse().unwrap(),
        also_at: Vec::new(),
        port: 1,
        pid: 7,
        version: "0".to_owned(),
        term: 0,
        runs: Vec::new(),
    }
}

async fn view(fleet: &Fleet, id: &MachineId) -> Option<MachineView> {
    fleet.client.machine(id).await.ok()
}

async fn is_gone(fleet: &Fleet, id: &MachineId) {
    until(&format!("{id} is gone"), || async { view(fleet, id).await.is_none().then_some(()) })
        .await;
}

const OWN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_kept_and_its_token_is_good_once() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    let order = fleet.client.order_join(&ordered("box.example.com")).await.unwrap();
    let JoinOrder { machine, join_token, join_by, controller, programs } = order;
    assert_eq!((machine.as_str(), controller.as_str()), ("m-2", fleet.client.base()));
    assert!(join_by > Timestamp::from_millis(0) && programs.len() == 2);
    let expected = view(&fleet, &machine).await.unwrap();
    assert_eq!(expected.word(), "pending");
    assert!(expected.details().contains("joined by hand: box.example.com"));
    assert!(matches!(expected.machine.origin, Origin::Joined { .. }));
    let shown = serde_json::to_string(&expected).unwrap();
    assert!(!shown.contains(&join_token), "nobody else is told the token");

    // A controller that was killed in between expects it all the same, and makes nothing of it.
    let fleet = fleet.restarted(data.path(), 1).await;
    assert!(!fleet.machines.has(&machine));
    let join = |token: String, own: Option<&'static str>| {
        let (client, machine) = (fleet.client.clone(), machine.clone());
        async move { client.join(&machine, &joins(&token, own)).await }
    };
    assert_eq!(status(join("wrong".to_owned(), Some(OWN)).await), 401);
    for weak in ["", "short"] {
        assert_eq!(status(join(join_token.clone(), Some(weak)).await), 401);
    }
    join(join_token.clone(), Some(OWN)).await.unwrap();
    join(join_token.clone(), Some(OWN)).await.unwrap();
    assert_eq!(status(join(join_token.clone(), Some(OTHER)).await), 401);
    assert_eq!(status(join(join_token.clone(), None).await), 401);
    assert_eq!(status(join(OWN.to_owned(), Some(OTHER)).await), 401);
    join(OWN.to_owned(), None).await.unwrap();
    let beat =
        |token: &str| Heartbeat { token: token.to_owned(), pid: 7, stats: MachineStats::default() };
    fleet.client.heartbeat(&machine, &beat(OWN)).await.unwrap();
    assert_eq!(status(fleet.client.heartbeat(&machine, &beat(&join_token)).await), 401);
    assert_eq!(view(&fleet, &machine).await.unwrap().word(), "active");
    assert!(!fleet.machines.has(&machine), "no provider has made it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_wrongly_is_refused_with_words() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    let order = |request: JoinOrderRequest| {
        let client = fleet.client.clone();
        async move { client.order_join(&request).await }
    };
    let good = ordered("box");
    let elsewhere = JoinOrderRequest { zone: "z-9".parse().unwrap(), ..good.clone() };
    assert_eq!(status(order(elsewhere).await), 404);
    for joins_within in [0, 3601] {
        assert_eq!(status(order(JoinOrderRequest { joins_within, ..good.clone() }).await), 422);
    }
    for host in ["", "a\nb"] {
        let request = JoinOrderRequest { host: host.to_owned(), ..good.clone() };
        assert_eq!(status(order(request).await), 422);
    }
    let own = [("machine".parse().unwrap(), "m-1".parse().unwrap())].into();
    assert_eq!(status(order(JoinOrderRequest { labels: own, ..good }).await), 422);
    assert_eq!(fleet.client.machines().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_programs_are_served_as_they_are() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    let kit = fleet.client.agent_kit().await.unwrap();
    assert_eq!(kit.controller, fleet.client.base());
    let names: Vec<_> = kit.programs.iter().map(|program| program.name.as_str()).collect();
    assert_eq!(names, ["machinesitter", "tasksitter"]);
    for program in kit.programs {
        let pieces = fleet.client.agent_program(&program.digest).await.unwrap();
        let bytes = pieces.fold(Vec::new(), |mut all, piece| async move {
            all.extend(piece.unwrap());
            all
        });
        let bytes = bytes.await;
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (program.digest, program.size));
    }
    let none = fleet.client.agent_program(&Digest::of(b"none")).await;
    assert_eq!(status(none.map(|_| ())), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_used_and_once_removed_only_forgotten() {
    let data = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(data.path(), 1).await;
    let order = fleet.client.order_join(&ordered("box")).await.unwrap();
    let id = order.machine;
    fleet.client.join(&id, &joins(&order.join_token, Some(OWN))).await.unwrap();
    fleet.run_agent(id.clone(), OWN.to_owned()).await;
    // Two fit on each machine, and the zone may have one more.
    fleet.define(&job(4)).await;
    fleet.succeed("1").await;
    let machines = fleet.client.machines().await.unwrap();
    assert_eq!(machines.iter().map(|view| view.instances).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(status(fleet.client.kill_machine(&id).await), 409);

    fleet.define(&job(2)).await;
    fleet.succeed("2").await;
    // Whoever asked the provider to end it would be refused.
    fleet.machines.refuse(true);
    fleet.client.remove_machine(&id, &DrainRequest::default()).await.unwrap();
    is_gone(&fleet, &id).await;
    let events = fleet.client.events(1000).await.unwrap();
    let told = |kind: EventKind| {
        events
            .iter()
            .filter(|it| it.kind == kind && it.subject.machine.as_ref() == Some(&id))
            .count()
    };
    assert_eq!((told(EventKind::MachineExpected), told(EventKind::MachineJoined)), (1, 1));
    assert_eq!((told(EventKind::MachineTerminated), told(EventKind::ProviderFailed)), (1, 0));
    // Should its agent show up, it is told to run nothing.
    let desired = fleet.client.desired(&id, OWN, None, Duration::ZERO).await.unwrap();
    assert!(desired.assignments.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_does_not_join_and_is_not_expected_any_more() {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 1).await;
    let request = JoinOrderRequest { joins_within: 1, ..ordered("box") };
    let order = fleet.client.order_join(&request).await.unwrap();
    is_gone(&fleet, &order.machine).await;
    let late = fleet.client.join(&order.machine, &joins(&order.join_token, Some(OWN))).await;
    assert_eq!(status(late), 409);
    let events = fleet.client.events(1000).await.unwrap();
    let words = "was to be joined by hand until";
    assert!(
        events
            .iter()
            .any(|it| it.kind == EventKind::MachineTerminating && it.message.contains(words))
    );
    assert!(fleet.client.tombstones().await.unwrap().is_empty(), "nothing was lost");

    // One that was taken back before is not, either.
    let order = fleet.client.order_join(&ordered("box")).await.unwrap();
    fleet.client.remove_machine(&order.machine, &DrainRequest::default()).await.unwrap();
    is_gone(&fleet, &order.machine).await;
    let late = fleet.client.join(&order.machine, &joins(&order.join_token, Some(OWN))).await;
    assert_eq!(status(late), 409);
}

/// A provider knows a machine by what it was made with, whatever its agent shows since: otherwise it would be taken for
/// another one of its name, and left running for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_made_is_destroyed_although_its_agent_has_a_token_of_its_own() {
    let data = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::alone(data.path(), 1).await;
    let id = MachineId::nth(1);
    until("m-1 is made", || async { fleet.machines.has(&id).then_some(()) }).await;
    let token = fleet.machines.token(&id);
    fleet.client.join(&id, &joins(&token, Some(OWN))).await.unwrap();
    assert_eq!(status(fleet.client.join(&id, &joins(&token, Some(OTHER))).await), 401);
    fleet.run_agent(id.clone(), OWN.to_owned()).await;
    fleet.client.remove_machine(&id, &DrainRequest::default()).await.unwrap();
    is_gone(&fleet, &id).await;
    assert!(!fleet.machines.has(&id), "it is forgotten, and still there");
}

/// What its agent proves itself with only the agent knows then; what was kept with the machine is a digest of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_agent_has_a_token_of_its_own_is_taken_over_by_that_alone() {
    let (lost, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fleet = Fleet::alone(lost.path(), 1).await;
    let id = MachineId::nth(1);
    until("m-1 is made", || async { fleet.machines.has(&id).then_some(()) }).await;
    let token = fleet.machines.token(&id);
    assert_eq!(fleet.machines.proof(&id), None, "it has not joined yet");
    fleet.client.join(&id, &joins(&token, Some(OWN))).await.unwrap();
    let kept = || async { fleet.machines.proof(&id) };
    assert_eq!(until("it is kept", kept).await, Digest::of(OWN.as_bytes()));

    // A new store, and a controller that is killed between adopting and joining.
    let fleet = fleet.anew(data.path(), 1).await;
    until("another one is made", || async { fleet.machines.has(&MachineId::nth(2)).then_some(()) })
        .await;
    // Whoever obeys a later controller would not listen, whatever is recorded here.
    fleet.machines.made_in(&id, 99);
    match fleet.client.adopt_machine(&id, "lost").await {
        Err(ClientError::Refused(problem)) => {
            assert!(problem.status == 409 && problem.detail.contains("store begin"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    fleet.machines.made_in(&id, 1);
    fleet.client.adopt_machine(&id, "lost").await.unwrap();
    let machines = fleet.machines.clone();
    fleet.stop().await;
    let fleet = Fleet::with(data.path(), 1, machines).await;
    assert_eq!(view(&fleet, &id).await.unwrap().word(), "pending");
    let digest = Digest::of(OWN.as_bytes()).to_string();
    for (shown, own) in
        [(&token, None), (&token, Some(OTHER)), (&digest, None), (&digest, Some(OTHER))]
    {
        assert_eq!(
            status(fleet.client.join(&id, &joins(shown, own)).await),
            401,
            "{shown} {own:?}"
        );
    }
    fleet.client.join(&id, &joins(OWN, None)).await.unwrap();
    assert_eq!(view(&fleet, &id).await.unwrap().word(), "active");
    let beat = Heartbeat { token: OWN.to_owned(), pid: 7, stats: MachineStats::default() };
    fleet.client.heartbeat(&id, &beat).await.unwrap();

    // It is known as the machine that it is: once it may be ended, it is.
    fleet.client.unlock_machine(&id).await.unwrap();
    let mut fleet = fleet;
    fleet.run_agent(id.clone(), OWN.to_owned()).await;
    fleet.client.remove_machine(&id, &DrainRequest::default()).await.unwrap();
    is_gone(&fleet, &id).await;
    assert!(!fleet.machines.has(&id), "it is forgotten, and still there");
}
