//! Has what is recorded of names published: one change of a name at a time, each by whoever leads, and again after a
//! while if it failed.

use super::Executor;
use super::effects::{FIRST_RETRY, chain};
use crate::cluster::{Cluster, Dns, about_name};
use cerebro_dns::{DnsError, DnsProvider, Group, Mark, Records, Ttl};
use cerebro_model::{EventKind, Publication};
use cerebro_store::CommitError;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long one call may take, beyond what its provider waits of itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// Instances that come or go in one step: more do not fit into one message of some providers'.
const AT_ONCE: usize = 100;

/// What is under way, and known, of each name.
#[derive(Debug, Default)]
pub(super) struct Names {
    standing: BTreeMap<String, Standing>,
    /// Whether all that was recorded before this controller started is answered.
    settled: bool,
}

#[derive(Debug, Default)]
struct Standing {
    is_busy: bool,
    failures: u32,
    not_before: Option<Instant>,
    /// What is answered, if this controller knows.
    there: Option<Records>,
    /// What went wrong, as it was told.
    told: Option<String>,
}

/// Why a name was not changed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{}", chain(.0))]
    Lead(#[from] CommitError),
    #[error("{}", chain(.0))]
    Dns(#[from] DnsError),
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// What is to become of a name.
#[derive(Clone, Copy, PartialEq)]
enum Aim {
    Publish,
    Forget,
}

impl Executor {
    /// Publishes what is recorded, and not known to be answered; also from before a crash.
    pub(super) fn publish_what_differs(&self) {
        let Some(dns) = &self.cluster.dns else { return };
        let unsaid = self.cluster.unsaid();
        if unsaid.is_empty() && !std::mem::replace(&mut lock(&self.names).settled, true) {
            dns.provider.settled();
        }
        for publication in unsaid {
            self.change_name(dns.clone(), publication, Aim::Publish);
        }
    }

    /// Gives a name back of which nothing is published any more.
    pub(super) fn forget_name(&self, name: &str) {
        let Some(dns) = &self.cluster.dns else { return };
        let publication = self.cluster.state().records.names.get(name).cloned();
        let Some(publication) = publication.filter(|it| it.members.is_empty()) else { return };
        self.change_name(dns.clone(), publication, Aim::Forget);
    }

    fn change_name(&self, dns: Dns, publication: Publication, aim: Aim) {
        let name = publication.name();
        let Some(there) = begin(&self.names, &name) else { return };
        let (cluster, names) = (self.cluster.clone(), self.names.clone());
        self.spawn(async move {
            let changed = changed(&cluster, &dns, &publication, there, aim).await;
            let kept = changed.as_ref().map_or(Duration::ZERO, |it| it.kept);
            let changed = changed.map(|it| it.there);
            let told = end(&names, &name, &changed);
            match (changed, aim) {
                (Ok(_), Aim::Publish) => cluster.said(&name, publication.revision, kept),
                (Ok(_), Aim::Forget) => {
                    lock(&names).standing.remove(&name);
                    if let Err(error) = cluster.forget_name(&publication) {
                        tracing::warn!(
                            "{name} is published no longer, and is not forgotten: {error}"
                        );
                    }
                }
                (Err(_), _) => {}
            }
            if let Some((kind, words)) = told
                && let Err(error) = cluster.tell(vec![about_name(kind, &publication, words)])
            {
                tracing::error!("what has come of {name} could not be told: {error}");
            }
        });
    }
}

fn lock(names: &Mutex<Names>) -> MutexGuard<'_, Names> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known to be there; none if a change is under way, or the last one failed too recently.
fn begin(names: &Mutex<Names>, name: &str) -> Option<Option<Records>> {
    let mut names = lock(names);
    let standing = names.standing.entry(name.to_owned()).or_default();
    let too_soon = standing.not_before.is_some_and(|at| Instant::now() < at);
    if standing.is_busy || too_soon {
        return None;
    }
    standing.is_busy = true;
    Some(standing.there.clone())
}

/// Keeps what came of a change; answers what is to be told of it: a failure once, and its end.
fn end(
    names: &Mutex<Names>,
    name: &str,
    changed: &Result<Records, Failed>,
) -> Option<(EventKind, String)> {
    let mut names = lock(names);
    let standing = names.standing.get_mut(name)?;
    standing.is_busy = false;
    match changed {
        Ok(there) => {
            standing.there = Some(there.clone());
            (standing.failures, standing.not_before) = (0, None);
            let was = standing.told.take()?;
            Some((EventKind::NamePublished, format!("{name} is published again, after: {was}")))
        }
        Err(why) => {
            // Whatever failed, what is there is looked up again.
            standing.there = None;
            let wait = FIRST_RETRY * 2u32.pow(standing.failures.min(6));
            standing.failures += 1;
            standing.not_before = Some(Instant::now() + wait.min(Duration::from_secs(60)));
            let is_usual =
                standing.failures == 1 && matches!(why, Failed::Dns(error) if error.is_transient());
            let why = why.to_string();
            if is_usual || standing.told.as_ref() == Some(&why) {
                return None;
            }
            standing.told = Some(why.clone());
            let words = format!("{name} cannot be published: {why}; it is tried again and again");
            Some((EventKind::NameFailed, words))
        }
    }
}

/// A name that was changed.
struct Changed {
    /// What is there now.
    there: Records,
    /// How long what was answered before may still be kept.
    kept: Duration,
}

/// Has a name changed, if this controller still leads.
async fn changed(
    cluster: &Cluster,
    dns: &Dns,
    publication: &Publication,
    there: Option<Records>,
    aim: Aim,
) -> Result<Changed, Failed> {
    let Publication { job, zone, .. } = publication;
    let group = Group { zone: zone.clone(), job: job.clone() };
    let mark = Mark { cluster: dns.cluster.clone(), job: job.clone(), epoch: cluster.term() };
    let provider: &dyn DnsProvider = &*dns.provider;
    cluster.leads()?;
    let there = match there {
        Some(there) => there,
        None => {
            answered(provider, provider.claim(&group, &mark)).await?;
            answered(provider, provider.list(&group)).await?.records
        }
    };
    let wanted = records(&group, publication);
    if aim == Aim::Forget {
        answered(provider, provider.withdraw(&group, &mark, &there)).await?;
        return Ok(Changed { there: wanted, kept: Duration::ZERO });
    }
    let ttl = there.longest_ttl().max(publication.ttl.span());
    let mut there = there;
    while there != wanted {
        let next = there.step_towards(&group, &wanted, AT_ONCE);
        answered(provider, provider.publish(&group, &mark, &there, &next)).await?;
        there = next;
    }
    // Whoever was answered last may go by that for as long as it said; nobody, if nobody asked.
    let kept = provider.last_answered(&group).map_or(ttl, |ago| ttl.saturating_sub(ago));
    Ok(Changed { there: wanted, kept })
}

/// What a provider answers, if it does in time.
async fn answered<T>(
    provider: &dyn DnsProvider,
    call: impl Future<Output = Result<T, DnsError>>,
) -> Result<T, Failed> {
    let patience = PATIENCE + provider.waits();
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failed::Late(patience)),
    }
}

fn records(group: &Group, publication: &Publication) -> Records {
    let members = publication.members.iter();
    let serving = members.map(|(number, member)| (*number, member.addresses.clone())).collect();
    Records::of(group, Ttl::from(publication.ttl), &serving)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use cerebro_dns::Listed;

    /// Waits for so long, of itself.
    struct Waits(Duration);

    #[async_trait]
    impl DnsProvider for Waits {
        fn name(&self) -> &str {
            "waits"
        }
        async fn claim(&self, _: &Group, _: &Mark) -> Result<(), DnsError> {
            Ok(())
        }
        async fn publish(
            &self,
            _: &Group,
            _: &Mark,
            _: &Records,
            _: &Records,
        ) -> Result<(), DnsError> {
            Ok(())
        }
        async fn withdraw(&self, _: &Group, _: &Mark, _: &Records) -> Result<(), DnsError> {
            Ok(())
        }
        fn waits(&self) -> Duration {
            self.0
        }
        async fn list(&self, _: &Group) -> Result<Listed, DnsError> {
            Ok(Listed::default())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_until_all_answer_is_not_given_up_meanwhile() {
        let minute = Duration::from_secs(60);
        let call = async || {
            tokio::time::sleep(minute).await;
            Ok(())
        };
        answered(&Waits(minute), call()).await.unwrap();
        let late = answered(&Waits(Duration::ZERO), call()).await.unwrap_err();
        assert_eq!(late.to_string(), "no answer within 30 s");
    }
}
