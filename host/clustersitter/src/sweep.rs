//! Now and then, and once at the start, it is looked whether a machine is there twice: what a controller that lost its notes
//! may have come to. Only whoever leads ends anything, and nobody while automation stands still. And whether there are
//! machines that no record tells of: these are told; and ended, where the records tell that they were given up.

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
        look_for_strays(&cluster).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Sweeps once, if this controller leads and may: what was ended.
pub async fn once(cluster: &Cluster) -> Result<Vec<String>, Failed> {
    if !may_end(cluster) {
        return Ok(Vec::new());
    }
    cluster.leads()?;
    crate::executor::asked(cluster.provider.sweep()).await
}

fn may_end(cluster: &Cluster) -> bool {
    let stands_still = cluster.pauses().iter().any(|pause| pause.scope == PauseScope::Cluster);
    !stands_still && !cluster.observes_only()
}

/// Looks for machines that no record tells of.
async fn look_for_strays(cluster: &Cluster) {
    let listed = match crate::executor::asked(cluster.provider.list()).await {
        Ok(listed) => listed,
        // The next one comes; that the provider is away, others tell.
        Err(why) => return tracing::debug!("machines could not be listed: {why}"),
    };
    let untold = |error| tracing::error!("what is listed and not known could not be told: {error}");
    let orphans = match cluster.listed(&listed, may_end(cluster)) {
        Ok(orphans) => orphans,
        Err(error) => return untold(error),
    };
    for (id, intent) in orphans {
        // Each may take its time.
        if !may_end(cluster) {
            break;
        }
        let why = match cluster.end_orphan(&id, &intent).await {
            Ok(true) => continue,
            Ok(false) => "it was made by another intent".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!("{id} was given up, is there, and was not ended: {why}");
        // Whatever it is, a person should know.
        if let Err(error) = cluster.tell_strays(&[id]) {
            untold(error);
        }
    }
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
    use crate::cluster::ChangeError;
    use crate::records::{Change, Gone};
    use async_trait::async_trait;
    use cerebro_api::body::PauseRequest;
    use cerebro_machines::{CreateMachine, Intent, MachineProvider, Presence, ProviderError};
    use cerebro_model::{Capacity, Cores, Digest, MachineId, Megabytes};
    use cerebro_planner::cluster::{Limits, Policy};
    use cerebro_store::{Blobs, SqliteStore, Store};
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// Has ended a double whenever it is asked, and counts that; and has what no record tells of.
    #[derive(Default)]
    struct Doubles(AtomicU32, Mutex<Vec<MachineId>>);

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
            Ok(self.1.lock().unwrap().clone())
        }
        async fn is_made_by(&self, _: &MachineId, by: &Intent) -> Result<bool, ProviderError> {
            Ok(*by == Intent::of("ours"))
        }
        async fn sweep(&self) -> Result<Vec<String>, ProviderError> {
            self.0.fetch_add(1, Relaxed);
            Ok(vec!["i-2".to_owned()])
        }
        async fn destroy(&self, id: &MachineId, _: Option<&Intent>) -> Result<(), ProviderError> {
            self.1.lock().unwrap().retain(|it| it != id);
            Ok(())
        }
    }

    struct World {
        store: Arc<SqliteStore>,
        provider: Arc<Doubles>,
        cluster: Cluster,
        _dir: tempfile::TempDir,
    }

    fn world() -> World {
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
        World { store, provider, cluster, _dir: dir }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_no_record_tells_of_is_told_of_once_and_ended_only_if_a_person_wants_that() {
        let World { provider, cluster, .. } = &world();
        let (stray, other): (MachineId, MachineId) =
            ("m-7".parse().unwrap(), "m-8".parse().unwrap());
        let told = || cluster.events(0, 100).unwrap().len();
        *provider.1.lock().unwrap() = vec![stray.clone()];
        look_for_strays(cluster).await;
        assert_eq!((cluster.strays().len(), told()), (0, 0), "one listing says nothing");
        for _ in 0..3 {
            look_for_strays(cluster).await;
        }
        assert_eq!((cluster.strays()[0].machine.clone(), told()), (stray.clone(), 1));
        let faults = cluster.faults();
        assert!(faults[0].contains("cerebro machine remove m-7 --stray"), "{faults:?}");
        // Only what is there, and not known, is ended; and it is told before.
        let error = cluster.end_stray(&other, "why").await.unwrap_err();
        assert!(error.to_string().contains("it has m-7"), "{error}");
        cluster.end_stray(&stray, "why").await.unwrap();
        assert_eq!((cluster.strays().len(), told()), (0, 3));
        assert!(provider.1.lock().unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_given_up_and_is_there_all_the_same_is_ended_unless_it_is_another_one() {
        let World { provider, cluster, .. } = &world();
        let ids: Vec<MachineId> = (1..=3).map(MachineId::nth).collect();
        // The third one's provider did not know it by an intent.
        for (id, intent) in ids.iter().zip([Some("ours"), Some("another's"), None]) {
            let given_up = cluster.change(|state| {
                let (machine, token) = (id.clone(), Digest::of(b"token"));
                let gone = Gone { machine, at: state.now, token, intent: intent.map(Intent::of) };
                Ok::<_, ChangeError>((Change::default().gone(id, Some(gone)), ()))
            });
            given_up.unwrap();
        }
        *provider.1.lock().unwrap() = ids.clone();
        cluster.observe_only(true, "me").unwrap();
        look_for_strays(cluster).await;
        look_for_strays(cluster).await;
        assert_eq!(cluster.strays().len(), 3, "while nothing may be ended, all are told of");
        cluster.observe_only(false, "me").unwrap();
        look_for_strays(cluster).await;
        assert_eq!(*provider.1.lock().unwrap(), ids[1..]);
        let left: Vec<MachineId> = cluster.strays().into_iter().map(|it| it.machine).collect();
        assert_eq!(left, ids[1..]);
        let told = |kind: EventKind| {
            let events = cluster.events(0, 100).unwrap();
            events.into_iter().filter(|it| it.kind == kind).count()
        };
        assert_eq!((told(EventKind::MachineStray), told(EventKind::MachineTerminated)), (3, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_that_was_given_up_is_ended_after_the_second_listing() {
        let World { provider, cluster, .. } = &world();
        let id = MachineId::nth(1);
        let given_up = cluster.change(|state| {
            let (machine, token) = (id.clone(), Digest::of(b"token"));
            let gone = Gone { machine, at: state.now, token, intent: Some(Intent::of("ours")) };
            Ok::<_, ChangeError>((Change::default().gone(&id, Some(gone)), ()))
        });
        given_up.unwrap();
        *provider.1.lock().unwrap() = vec![id.clone()];
        look_for_strays(cluster).await;
        assert_eq!(*provider.1.lock().unwrap(), [id], "a listing may lag behind");
        look_for_strays(cluster).await;
        assert!(provider.1.lock().unwrap().is_empty());
        assert!(cluster.strays().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_ended_while_automation_stands_still_or_another_leads() {
        let World { store, provider, cluster, .. } = &world();
        assert_eq!(once(cluster).await.unwrap(), ["i-2"]);
        let (author, reason, seconds) = ("me".to_owned(), "a look".to_owned(), 60);
        let scope = PauseScope::Cluster;
        cluster.pause(PauseRequest { scope: scope.clone(), author, reason, seconds }).unwrap();
        assert_eq!(once(cluster).await.unwrap(), Vec::<String>::new());
        cluster.end_pause(&scope, "seen", None).unwrap();
        cluster.observe_only(true, "me").unwrap();
        assert_eq!(once(cluster).await.unwrap(), Vec::<String>::new());
        cluster.observe_only(false, "me").unwrap();
        assert_eq!(once(cluster).await.unwrap(), ["i-2"]);
        store.take_term().unwrap();
        assert!(matches!(once(cluster).await, Err(Failed::Lead(_))));
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
