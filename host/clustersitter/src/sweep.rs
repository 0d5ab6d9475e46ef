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
