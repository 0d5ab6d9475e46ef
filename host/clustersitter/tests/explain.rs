//! What is decided is kept with what it goes by, explained, and planned again to the same; also by another
//! controller, after a crash, and where the log cannot be written.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
mod fleet;

use cerebro_api::ClientError;
use cerebro_api::body::DrainRequest;
use cerebro_api::explain::{DecisionSummary, Replay};
use cerebro_clustersitter::clock::Clock;
use cerebro_clustersitter::cluster::Cluster;
use cerebro_clustersitter::decisions::{DECISIONS, DecisionLog, LogLimits, read, replay};
use cerebro_clustersitter::executor::Executor;
use cerebro_clustersitter::probe::HttpProbe;
use cerebro_model::{
    Capacity, Cores, Event, EventKind, MachineId, Megabytes, Seconds, Timestamp, WhatIf,
};
use cerebro_planner::cluster::{Again, Limits, Policy, ZonePolicy, compare};
use cerebro_store::{Blobs, SqliteStore};
use fleet::{Fleet, Machines, job, until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

async fn events(fleet: &Fleet, kind: EventKind) -> Vec<Event> {
    let all = fleet.client.events(1000).await.unwrap();
    all.into_iter().filter(|event| event.kind == kind).collect()
}

fn status<T: std::fmt::Debug>(result: Result<T, ClientError>) -> u16 {
    result.unwrap_err().status().unwrap()
}

fn last_segment(log: &Path) -> PathBuf {
    let all = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    all.max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_kept_explained_and_the_same_again_also_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path(), directory.path().join(DECISIONS));
    let fleet = Fleet::start(data, 3).await;
    fleet.define(&job(2)).await;
    let good = fleet.succeed("1.0").await;
    *fleet.ways.bad.lock().unwrap() = "2.0".to_owned();
    let bad = fleet.deploy("2.0").await;
    fleet.ended(&bad.id).await;
    let request = DrainRequest { reason: "a disk".to_owned(), force: false };
    let on = fleet.client.tasks().await.unwrap()[0].instance.machine.clone();
    fleet.client.drain_machine(&on, &request).await.unwrap();
    until("it is drained", || async {
        let drained = events(&fleet, EventKind::MachineDrained).await;
        (!drained.is_empty()).then_some(())
    })
    .await;

    // What was told says which decision it comes from.
    let kinds = [
        EventKind::MachineProvisioning,
        EventKind::InstancePlaced,
        EventKind::DeploymentSucceeded,
        EventKind::DeploymentFailed,
        EventKind::MachineDrained,
    ];
    for kind in kinds {
        for event in events(&fleet, kind).await {
            let id = event.decision.clone().unwrap_or_else(|| panic!("{event:?}"));
            let view = fleet.client.decision(&id).await.unwrap();
            assert_eq!(view.again, Replay::Same, "{view:?}");
            assert!(!view.saw.is_empty() && view.at <= event.at, "{view:?}");
        }
    }
    let asked_for = events(&fleet, EventKind::DeploymentStarted).await;
    assert_eq!(asked_for[0].decision, None, "a person decided that");
    let placed = &events(&fleet, EventKind::InstancePlaced).await[0];
    let view = fleet.client.decision(placed.decision.as_ref().unwrap()).await.unwrap();
    let rests_on: Vec<_> = view.decided.iter().flat_map(|it| it.rests_on.clone()).collect();
    assert!(rests_on.iter().any(|it| it.contains("others that had room too: 2")), "{view:?}");
    assert!(view.words().ends_with("planned again: the same"), "{}", view.words());

    // How things stand, with what was decided last about them.
    let name = job(2).dns_basename;
    let explained = fleet.client.explain_job(&name).await.unwrap();
    assert!(explained.should[0].contains("2 in z-1 with 1.0"), "{explained:?}");
    assert!(explained.is[0].contains("2 have a machine, 2 are healthy"), "{explained:?}");
    let of_job =
        |it: &DecisionSummary| it.decided.iter().all(|it| it.about.job.as_ref() == Some(&name));
    assert!(!explained.decisions.is_empty() && explained.decisions.iter().all(of_job));
    let explained = fleet.client.explain_machine(&on).await.unwrap();
    assert!(explained.is[0].contains("it is draining in z-1"), "{explained:?}");
    let drained = explained.decisions.iter().flat_map(|it| &it.decided);
    assert!(drained.clone().any(|it| it.what == format!("{on} is drained")), "{explained:?}");
    let found = fleet.client.decisions(Some(&on), None, 1).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(status(fleet.client.decision(&"9-1".parse().unwrap()).await), 404);
    assert_eq!(status(fleet.client.explain_machine(&MachineId::nth(99)).await), 404);
    assert_eq!(status(fleet.client.explain_job(&"x.y".parse().unwrap()).await), 404);

    // What if: nothing comes of asking.
    let before = fleet.client.machines().await.unwrap().len();
    let other = fleet.client.tasks().await.unwrap()[0].instance.machine.clone();
    let event = WhatIf::MachineLost { machine: other.clone() };
    let foreseen = fleet.client.what_if(&event).await.unwrap();
    assert_eq!(foreseen.given_up[0].machine, other, "{foreseen:?}");
    assert_eq!(foreseen.hit[0].job, name);
    let gone = WhatIf::MachineLost { machine: MachineId::nth(99) };
    assert_eq!(status(fleet.client.what_if(&gone).await), 404);
    let away = WhatIf::ControllerLost { lasts: Seconds::new(60) };
    assert!(!fleet.client.what_if(&away).await.unwrap().stands_still.is_empty());
    assert_eq!(fleet.client.machines().await.unwrap().len(), before);

    // After a crash in the middle of writing, what was whole is read, and the next controller goes on.
    fleet.stop().await;
    let whole = replay::all(&log).unwrap();
    assert!(whole.others.is_empty() && whole.torn.is_empty(), "{whole:?}");
    assert!(whole.same >= 5, "{whole:?}");
    let last = last_segment(&log);
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 3]).unwrap();
    let cut = replay::all(&log).unwrap();
    assert_eq!((cut.same, cut.others.len(), cut.torn.len()), (whole.same - 1, 0, 1));
    let fleet = Fleet::alone(data, 4).await;
    until("the next one decides", || async {
        let all = fleet.client.decisions(None, None, 500).await.unwrap();
        all.iter().any(|it| it.id.parts().0 == 2).then_some(())
    })
    .await;
    let view = fleet.client.explain_job(&name).await.unwrap();
    assert!(view.decisions.iter().all(|it| it.id.parts().0 == 1), "{view:?}");
    let at = good.created_at;
    assert!(view.decisions.iter().all(|it| it.at >= at));
    fleet.stop().await;

    // By another policy, another thing is decided: that is told, and where.
    let first = read::find(&log, &"1-1".parse().unwrap()).unwrap();
    let mut look = first.look.unwrap();
    look.policy.zones.values_mut().for_each(|zone| zone.min = 1);
    let decided = first.head.decisions().unwrap();
    let Again::Differs { at, then, now } = compare(&decided, &look.plan().decisions) else {
        panic!("it is the same");
    };
    assert_eq!(at, 0);
    assert_eq!(now.unwrap(), "a machine is made in z-1: z-1 should have 1 machines");
    assert_eq!(then.unwrap(), "a machine is made in z-1: z-1 should have 3 machines");
}

/// A clock that a test sets, both of its faces alike.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000 + self.0.load(Relaxed))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed).unsigned_abs())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_holds_nothing_up_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join(DECISIONS);
    let clock = Arc::new(SetClock(AtomicI64::new(0)));
    let policy = Policy {
        zones: BTreeMap::from([("z-1".parse().unwrap(), ZonePolicy::new(1, 2))]),
        machine_capacity: Capacity {
            cpu: Cores::from_millis(2000),
            mem: Megabytes::new(1000),
            disk: Megabytes::new(1000),
        },
        started_at: clock.now(),
        suspect_after: Duration::from_secs(3),
        join_within: Duration::from_secs(3600),
        breaker_percent: 30,
        limits: Limits::default(),
        publishes: false,
    };
    let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let blobs = Blobs::open(&directory.path().join("blobs")).unwrap();
    let machines = Arc::new(Machines::default());
    let cluster = Cluster::open(store, blobs, machines.clone(), policy).unwrap();
    let kept = DecisionLog::open(&log, LogLimits::default()).unwrap();
    let cluster = Arc::new(cluster.with_decisions(kept).with_clock(clock.clone()));
    // A file is where the directory was.
    std::fs::remove_dir(&log).unwrap();
    std::fs::write(&log, "").unwrap();
    let probing = Arc::new(HttpProbe::new());
    let executor = Executor::new(cluster.clone(), "http://127.0.0.1:1".to_owned(), probing);
    executor.look().unwrap();
    let told = |kind: EventKind| {
        let events = cluster.events(0, 1000).unwrap();
        events.into_iter().filter(|it| it.kind == kind).collect::<Vec<_>>()
    };
    let made = told(EventKind::MachineProvisioning);
    assert_eq!((made.len(), &made[0].decision), (1, &None), "it is made all the same");
    assert!(told(EventKind::DecisionsUnlogged)[0].message.contains("cannot be explained later"));
    let faults = cluster.faults();
    assert!(faults.iter().any(|it| it.contains("the log of decisions")), "{faults:?}");

    // It is tried again after a while, and told once.
    clock.0.store(60_000, Relaxed);
    executor.look().unwrap();
    assert_eq!(told(EventKind::DecisionsUnlogged).len(), 1);
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    // A controller that stood still doubts itself, which is a look worth keeping, once that has passed before.
    for _ in 0..3 {
        for millis in [31_000, 1000, 1000, 1000, 1000, 1000, 1000, 1000] {
            clock.0.fetch_add(millis, Relaxed);
            executor.look().unwrap();
        }
    }
    assert_eq!(told(EventKind::DecisionsLogged).len(), 1);
    assert!(!cluster.faults().iter().any(|it| it.contains("the log of decisions")));
    let again = replay::all(&log).unwrap();
    assert!(again.same >= 1 && again.others.is_empty(), "{again:?}");
}
