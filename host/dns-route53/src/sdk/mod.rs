//! The provider, by the SDK.

mod api;
mod check;

use crate::batch::{Act, Step, batches, fence};
use crate::present::Present;
use crate::settings::{Route53Settings, SettingsError};
use api::Api;
use async_trait::async_trait;
use cerebro_aws::sdk::{Access, Account, Carrier};
use cerebro_aws::{Calls, Counts, Failure, Kind, Patience, Speed};
use cerebro_dns::{DnsError, DnsProvider, Group, Listed, Mark, Records};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// There is one Route 53, and it is called as one of this region.
const REGION: &str = "us-east-1";

/// What a [`Route53Dns`] needs to know.
#[derive(Debug, Clone)]
pub struct Route53Config {
    /// The administrator's word.
    pub settings: Route53Settings,
    /// By what right, where the settings do not say.
    pub access: Option<Access>,
    /// What carries calls; connections, if it is not said.
    pub carrier: Option<Arc<dyn Carrier>>,
    /// How long is waited for Route 53.
    pub patience: Patience,
    /// How often it is asked whether all name servers answer by a change.
    pub poll: Duration,
    /// How many calls are made.
    pub speed: Speed,
}

impl Route53Config {
    /// By these settings, with times and speeds that suit Amazon.
    pub fn new(settings: Route53Settings) -> Self {
        Self {
            settings,
            access: None,
            carrier: None,
            patience: Patience::default(),
            poll: Duration::from_secs(2),
            // Half of what Route 53 lets through: the account has other users.
            speed: Speed { burst: 25, per_second: 5.0 },
        }
    }
}

/// Names at Route 53.
#[derive(Clone)]
pub struct Route53Dns(Arc<Inner>);

struct Inner {
    settings: Route53Settings,
    api: Api,
    poll: Duration,
    /// Ids of zones, by their names.
    ids: Mutex<BTreeMap<String, String>>,
    /// The last change of each group that is not known to be answered by all name servers.
    pending: Mutex<BTreeMap<Group, String>>,
}

impl Route53Dns {
    /// Opens it. Nothing is asked of Route 53 yet: [`check`](Self::check) does that.
    pub async fn open(config: Route53Config) -> Result<Self, SettingsError> {
        let Route53Config { settings, access, carrier, patience, poll, speed } = config;
        settings.check()?;
        let account = Account {
            region: REGION.to_owned(),
            endpoint: settings.endpoint.clone(),
            access: access.unwrap_or(Access::Usual { profile: settings.profile.clone() }),
            carrier,
            patience,
        };
        let api = Api::new(&account.config().await, Calls::new(patience), speed);
        let known =
            settings.zones.iter().filter_map(|zone| Some((zone.name.clone(), zone.id.clone()?)));
        let ids = Mutex::new(known.collect());
        let pending = Mutex::default();
        Ok(Self(Arc::new(Inner { settings, api, poll, ids, pending })))
    }

    /// The policy that whoever Cerebro runs as needs, as JSON.
    pub fn policy(&self) -> String {
        crate::policy::policy(&self.0.settings)
    }
}

impl Inner {
    /// The id of the zone that a group is in.
    async fn zone(&self, group: &Group, doing: &str) -> Result<String, DnsError> {
        let refused = |why: String| DnsError::Refused { doing: doing.to_owned(), why };
        let Some(zone) = self.settings.zone_of(group) else {
            let names: Vec<&str> = self.settings.zones.iter().map(|it| it.name.as_str()).collect();
            return Err(refused(format!(
                "it is in none of the hosted zones that may be published in, {}: give the job a `dns_basename` in one, \
                 or add `[[route53.zones]]`",
                names.join(", ")
            )));
        };
        let known =
            self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(&zone.name).cloned();
        if let Some(id) = known {
            return Ok(id);
        }
        let found = self.api.zones_named(&zone.name).await.map_err(|it| error(doing, &it))?;
        let kind = if zone.private { "private" } else { "public" };
        let mut ids = found.into_iter().filter(|it| it.is_private == zone.private).map(|it| it.id);
        let id = match (ids.next(), ids.next()) {
            (Some(id), None) => id,
            (None, _) => {
                return Err(refused(format!(
                    "this account has no {kind} hosted zone `{}`",
                    zone.name
                )));
            }
            (Some(one), Some(other)) => {
                return Err(refused(format!(
                    "this account has several {kind} hosted zones `{}`, as {one} and {other}: give the `id` of the one \
                     that is meant",
                    zone.name
                )));
            }
        };
        self.ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(zone.name.clone(), id.clone());
        Ok(id)
    }

    async fn present(&self, zone: &str, group: &Group, doing: &str) -> Result<Present, DnsError> {
        let found = self.api.sets(zone, group).await.map_err(|it| error(doing, &it))?;
        Ok(Present::of(group, &found))
    }

    /// Does a batch. The inner error is that what is there is not what it takes for granted.
    async fn done(
        &self,
        zone: &str,
        group: &Group,
        steps: &[Step],
        doing: &str,
    ) -> Result<Result<(), Failure>, DnsError> {
        match self.api.change(zone, steps).await {
            Ok(change) => {
                if self.settings.in_sync_within.is_some() {
                    let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                    pending.insert(group.clone(), change);
                }
                Ok(Ok(()))
            }
            Err(failure) if failure.kind == Kind::Conflict => Ok(Err(failure)),
            Err(failure) => Err(error(doing, &failure)),
        }
    }

    /// Waits until all name servers answer by a group's last change, if that is wanted.
    async fn in_sync(&self, group: &Group, doing: &str) -> Result<(), DnsError> {
        let Some(within) = self.settings.in_sync_within else { return Ok(()) };
        let begun = Instant::now();
        loop {
            let pending =
                self.pending.lock().unwrap_or_else(PoisonError::into_inner).get(group).cloned();
            let Some(change) = pending else { return Ok(()) };
            match self.api.is_in_sync(&change).await {
                Ok(true) => {
                    let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                    pending.remove(group);
                    return Ok(());
                }
                Ok(false) => {}
                // Route 53 forgets changes: those that are answered for long.
                Err(failure) if failure.kind == Kind::NotFound => {
                    let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                    pending.remove(group);
                    return Ok(());
                }
                Err(failure) => return Err(error(doing, &failure)),
            }
            if begun.elapsed() + self.poll > Duration::from_secs(within.into()) {
                let why = format!(
                    "Route 53 has accepted it, and after {within} s not all of its name servers answer by it"
                );
                return Err(DnsError::Unavailable { doing: doing.to_owned(), why });
            }
            tokio::time::sleep(self.poll).await;
        }
    }
}

#[async_trait]
impl DnsProvider for Route53Dns {
    fn name(&self) -> &str {
        "route53"
    }

    fn calls(&self) -> Counts {
        self.0.api.calls.counts()
    }

    fn waits(&self) -> Duration {
        Duration::from_secs(self.0.settings.in_sync_within.unwrap_or_default().into())
    }

    async fn claim(&self, group: &Group, mark: &Mark) -> Result<(), DnsError> {
        let (inner, doing) = (&self.0, format!("claim `{group}`"));
        let zone = inner.zone(group, &doing).await?;
        let present = inner.present(&zone, group, &doing).await?;
        present.may_claim(group, mark)?;
        if present.bears_exactly(mark) {
            return Ok(());
        }
        // Exactly what is there goes, however it is written.
        let old = present.mark_sets.iter().map(|set| Step {
            act: Act::Delete,
            name: group.mark_name(),
            kind: "TXT",
            ttl: set.ttl.unwrap_or_default(),
            values: set.values.clone(),
        });
        let steps: Vec<Step> = old.chain([Step::mark(Act::Create, group, mark)]).collect();
        let Err(refused) = inner.done(&zone, group, &steps, &doing).await? else {
            return inner.in_sync(group, &doing).await;
        };
        // Somebody was faster, or it was us, and the answer was lost.
        let present = inner.present(&zone, group, &doing).await?;
        if present.bears_exactly(mark) {
            return inner.in_sync(group, &doing).await;
        }
        present.may_claim(group, mark)?;
        Err(DnsError::Changed { group: group.clone(), why: refused.to_string() })
    }

    async fn publish(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        wanted: &Records,
    ) -> Result<(), DnsError> {
        let (inner, doing) = (&self.0, format!("publish `{group}`"));
        let zone = inner.zone(group, &doing).await?;
        let batches = batches(group, mark, &expected.changes_to(wanted))
            .map_err(|error| DnsError::Refused { doing: doing.clone(), why: error.to_string() })?;
        for steps in batches {
            let Err(refused) = inner.done(&zone, group, &steps, &doing).await? else { continue };
            let present = inner.present(&zone, group, &doing).await?;
            // It was done before, and the answer was lost.
            if present.bears_exactly(mark)
                && present.records == *wanted
                && present.others.is_empty()
            {
                break;
            }
            return Err(present.why_refused(group, mark, expected, &refused.to_string()));
        }
        inner.in_sync(group, &doing).await
    }

    async fn withdraw(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
    ) -> Result<(), DnsError> {
        let (inner, doing) = (&self.0, format!("withdraw `{group}`"));
        let zone = inner.zone(group, &doing).await?;
        let present = inner.present(&zone, group, &doing).await?;
        if present == Present::default() {
            return inner.in_sync(group, &doing).await;
        }
        // Without its mark, a record that is left would be nobody's for ever.
        if !present.bears_exactly(mark)
            || present.records != *expected
            || !present.others.is_empty()
        {
            return Err(present.why_refused(group, mark, expected, "it is not as expected"));
        }
        let changes = expected.changes_to(&Records::default());
        let mut batches = batches(group, mark, &changes)
            .map_err(|error| DnsError::Refused { doing: doing.clone(), why: error.to_string() })?;
        if let Some(last) = batches.last_mut() {
            // The mark goes with the last of it: it is taken away, and not put back.
            let put_back = fence(group, mark).pop();
            last.retain(|step| Some(step) != put_back.as_ref());
        }
        for steps in batches {
            let Err(refused) = inner.done(&zone, group, &steps, &doing).await? else { continue };
            let present = inner.present(&zone, group, &doing).await?;
            if present == Present::default() {
                break;
            }
            return Err(present.why_refused(group, mark, expected, &refused.to_string()));
        }
        inner.in_sync(group, &doing).await
    }

    async fn list(&self, group: &Group) -> Result<Listed, DnsError> {
        let (inner, doing) = (&self.0, format!("list `{group}`"));
        let zone = inner.zone(group, &doing).await?;
        inner.present(&zone, group, &doing).await?.listed(group)
    }
}

/// A failure of a call as a provider's error: one that a person has to do something about, or one that passes.
fn error(doing: &str, failure: &Failure) -> DnsError {
    let (doing, why) = (doing.to_owned(), failure.to_string());
    match failure.kind.is_transient() {
        true => DnsError::Unavailable { doing, why },
        false => DnsError::Refused { doing, why },
    }
}
