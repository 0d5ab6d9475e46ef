//! Now and then, and once at the start, it is looked whether a machine is there twice: what a controller that lost its notes
//! may have come to. Only whoever leads ends anything, and nobody while automation stands still.

use crate::cluster::{Cluster, event};
use crate::executor::Failed;
use cerebro_model::{EventKind, PauseScope, Subject};
use std::sync::Arc;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_secs(600);

/// Sweeps for ever.
pub async fn run(cluster: Arc<Cluster>) {
    let mut told = None;
    loop {
        let swept = once(&cluster).await;
        if let Some((kind, words)) = words(&swept, &mut told)
            && let Err(error) = cluster.tell(vec![event(kind, Subject::default(), words)])
        {
            tracing::error!("what a sweep has come to could not be told: {error}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Sweeps once, if this controller leads and may: what was ended.
pub async fn once(cluster: &Cluster) -> Result<Vec<String>, Failed> {
    let stands_still = cluster.pauses().iter().any(|pause| pause.scope == PauseScope::Cluster);
    if stands_still || cluster.observes_only() {
        return Ok(Vec::new());
    }
    cluster.leads()?;
    crate::executor::asked(cluster.provider.sweep()).await
}

/// What there is to tell: what was ended, and a failure only if it is another one than before.
fn words(
    swept: &Result<Vec<String>, Failed>,
    told: &mut Option<String>,
) -> Option<(EventKind, String)> {
    match swept {
        Ok(ended) => {
            *told = None;
            let ended = (!ended.is_empty()).then(|| ended.join(", "))?;
            let words = format!(
                "machines were there twice, as after notes of what was made are lost; the younger of each is terminated: {ended}"
            );
            Some((EventKind::MachineTerminated, words))
        }
        Err(why) => {
            let words = format!("it could not be looked whether machines are there twice: {why}");
            let is_news = told.replace(words.clone()) != Some(words.clone());
            is_news.then_some((EventKind::ProviderFailed, words))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, WallClock};
    use async_trait::async_trait;
    use cerebro_api::body::PauseRequest;
    use cerebro_machines::{CreateMachine, MachineProvider, Presence, ProviderError};
    use cerebro_model::{Capacity, Cores, MachineId, Megabytes};
    use cerebro_planner::cluster::{Limits, Policy};
    use cerebro_store::{Blobs, SqliteStore, Store};
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// Has ended a double whenever it is asked, and counts that.
    #[derive(Default)]
    struct Doubles(AtomicU32);

    #[async_trait]
    impl MachineProvider for Doubles {
        fn name(&self) -> &str {
            "doubles"
        }
        async fn create(&self, _: &CreateMachine) -> Result<(), ProviderError> {
            Ok(())
        }
        async fn describe(&self, _: &MachineId) -> Result<Presence, ProviderError> {
            Ok(Presence::Running)
        }
        async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
            Ok(Vec::new())
        }
        async fn sweep(&self) -> Result<Vec<String>, ProviderError> {
            self.0.fetch_add(1, Relaxed);
            Ok(vec!["i-2".to_owned()])
        }
        async fn destroy(&self, _: &MachineId) -> Result<(), ProviderError> {
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_ended_while_automation_stands_still_or_another_leads() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("store")).unwrap());
        let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
        let capacity = Capacity {
            cpu: Cores::from_millis(1000),
            mem: Megabytes::new(100),
            disk: Megabytes::ZERO,
        };
        let policy = Policy {
            zones: BTreeMap::new(),
            machine_capacity: capacity,
            started_at: WallClock.now(),
            suspect_after: Duration::from_secs(1),
            join_within: Duration::from_secs(1),
            breaker_percent: 30,
            limits: Limits::default(),
            publishes: false,
        };
        let provider = Arc::new(Doubles::default());
        let cluster = Cluster::open(store.clone(), blobs, provider.clone(), policy).unwrap();
        assert_eq!(once(&cluster).await.unwrap(), ["i-2"]);
        let (author, reason, seconds) = ("me".to_owned(), "a look".to_owned(), 60);
        let scope = PauseScope::Cluster;
        cluster.pause(PauseRequest { scope: scope.clone(), author, reason, seconds }).unwrap();
        assert_eq!(once(&cluster).await.unwrap(), Vec::<String>::new());
        cluster.end_pause(&scope, "seen", None).unwrap();
        cluster.observe_only(true, "me").unwrap();
        assert_eq!(once(&cluster).await.unwrap(), Vec::<String>::new());
        cluster.observe_only(false, "me").unwrap();
        assert_eq!(once(&cluster).await.unwrap(), ["i-2"]);
        store.take_term().unwrap();
        assert!(matches!(once(&cluster).await, Err(Failed::Lead(_))));
        assert_eq!(provider.0.load(Relaxed), 2);
    }

    #[test]
    fn what_was_ended_is_told_and_a_failure_once() {
        let mut told = None;
        assert_eq!(words(&Ok(Vec::new()), &mut told), None);
        let (kind, text) = words(&Ok(vec!["i-1".to_owned()]), &mut told).unwrap();
        assert_eq!(kind, EventKind::MachineTerminated);
        assert!(text.ends_with("terminated: i-1"), "{text}");
        assert_eq!(words(&Err(Failed::Late), &mut told).unwrap().0, EventKind::ProviderFailed);
        assert_eq!(words(&Err(Failed::Late), &mut told), None);
        assert_eq!(words(&Ok(Vec::new()), &mut told), None);
        assert!(words(&Err(Failed::Late), &mut told).is_some());
    }
}
