//! A well-behaved check beside all of it.

use crate::support::{Machine, component, engine};
use cerebro_recipe_engine::CheckStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// From one run to the next.
const INTERVAL: Duration = Duration::from_millis(50);
/// However busy the machine is with other things: later than that it was kept from running.
const LATEST: Duration = Duration::from_secs(15);

pub struct Neighbour {
    ends: Arc<AtomicBool>,
    task: JoinHandle<(u32, Duration)>,
}

impl Neighbour {
    pub async fn start() -> Self {
        let check = component("pass").await;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let task = tokio::spawn(async move {
            let machine = Machine::new();
            let (mut runs, mut latest) = (0, Duration::ZERO);
            while !ended.load(Relaxed) {
                let due = Instant::now() + INTERVAL;
                tokio::time::sleep(INTERVAL).await;
                let report = engine().check(&check, machine.call("{}")).await.unwrap();
                assert_eq!(report.status, CheckStatus::Passing);
                runs += 1;
                latest = latest.max(due.elapsed());
            }
            (runs, latest)
        });
        Self { ends, task }
    }

    /// What became of it; a panic if it did not keep its schedule.
    pub async fn end(self) -> String {
        self.ends.store(true, Relaxed);
        let (runs, latest) = self.task.await.unwrap();
        assert!(latest < LATEST, "a check came {latest:?} too late");
        format!("the check beside them ran {runs} times, at most {latest:?} late")
    }
}
