//! What follows for a machine that its provider calls running and that nobody reaches, with agents.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod fleet;

use cerebro_api::body::TaskView;
use cerebro_model::{
    DeathCertificate, EventKind, Lock, Machine, MachineId, Moves, PeerWord, Sight, Verdict,
};
use cerebro_store::{Batch, SqliteStore, Store};
use fleet::{Fleet, job, until};
use std::sync::atomic::Ordering::Relaxed;

/// Has a machine given up that hangs, and is locked, so that it is not destroyed.
fn give_up(store: &SqliteStore, id: &MachineId) {
    let key = format!("machine/{id}");
    let entry = store.get(&key).unwrap().unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
    let machine: Machine = serde_json::from_value(record["machine"].clone()).unwrap();
    let at = machine.created_at;
    let peer = PeerWord {
        peer: MachineId::nth(9),
        at,
        sight: Sight::Silent,
        said: "no answer in time".to_owned(),
    };
    let certificate = DeathCertificate {
        at,
        verdict: Verdict::Hangs,
        last_heartbeat: None,
        probe: "no answer in time".to_owned(),
        provider: "the machine runs".to_owned(),
        peers: vec![peer],
        attempts: Vec::new(),
    };
    let locked = machine.locked(Lock { reason: "evidence".to_owned(), at }).unwrap();
    let lost = locked.lost(certificate).unwrap();
    record["machine"] = serde_json::to_value(lost).unwrap();
    let fence = store.take_term().unwrap();
    store.commit(fence, Batch::new().put(key, serde_json::to_vec(&record).unwrap())).unwrap();
}

async fn only_task(fleet: &Fleet) -> Option<TaskView> {
    let mut tasks = fleet.client.tasks().await.unwrap();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    tasks.pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_given_up_and_returns_runs_nothing_and_what_must_be_alone_waits_for_that()
 {
    let data = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(data.path(), 2).await;
    let mut alone = job(1);
    alone.placement.moves = Moves::StopFirst;
    fleet.define(&alone).await;
    fleet.succeed("1").await;
    let before = only_task(&fleet).await.unwrap().instance;
    let machine = before.machine.clone();

    // Nothing is heard of what runs anywhere.
    fleet.ways.deaf.store(true, Relaxed);
    let fleet = fleet.restarted_on(data.path(), 2, |store| give_up(store, &machine)).await;
    let waits = until("it has another place", || async {
        only_task(&fleet).await.map(|it| it.instance).filter(|it| it.machine != machine)
    })
    .await;
    let left = waits.leaving.as_ref().unwrap();
    assert_eq!((&left.machine, left.moves), (&machine, Moves::StopFirst));
    let told = until("why it waits is told", || async {
        let faults = fleet.client.status().await.unwrap().faults;
        faults.into_iter().find(|it| it.contains("must never run twice"))
    })
    .await;
    assert!(told.contains(&format!("may run on {machine}")), "{told}");
    let token = |id: &MachineId| fleet.machines.token(id);
    for id in [&machine, &waits.machine] {
        let desired = fleet.client.desired(id, &token(id), None, Default::default()).await.unwrap();
        assert_eq!(desired.assignments, [], "{id} is told to run nothing");
    }

    // The machine that was given up shows up, and says that nothing runs there.
    fleet.ways.deaf.store(false, Relaxed);
    let after = until("it serves elsewhere", || async {
        let serves = |it: &TaskView| it.status.as_ref().is_some_and(|it| it.phase.is_well());
        only_task(&fleet).await.filter(|it| it.instance.leaving.is_none() && serves(it))
    })
    .await;
    assert_eq!(after.instance.machine, waits.machine);
    let desired = fleet.client.desired(&machine, &token(&machine), None, Default::default()).await;
    assert_eq!(desired.unwrap().assignments, []);
    let events = fleet.client.events(1000).await.unwrap();
    let moved = events.iter().find(|it| it.kind == EventKind::InstanceMoved).unwrap();
    assert!(moved.message.contains(&format!("has ended on {machine}, and starts on")), "{moved:?}");
    // It is locked: it is there, and given up.
    assert!(fleet.machines.has(&machine));
    let view = fleet.client.machine(&machine).await.unwrap();
    assert!(view.details().contains("nobody reaches it"), "{}", view.details());
}
