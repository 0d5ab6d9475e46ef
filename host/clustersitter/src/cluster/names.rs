//! What is published, and what of it is known to be answered.

use super::{ChangeError, Cluster, event};
use crate::records::{Change, NewEvent};
use cerebro_api::name::NameView;
use cerebro_dns::DnsProvider;
use cerebro_dns::advice::Via;
use cerebro_model::{ClusterName, EventKind, JobName, Publication, Subject, ZoneName};
use cerebro_planner::cluster::Named;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where names are published, and under whose mark.
#[derive(Clone)]
pub struct Dns {
    /// Where.
    pub provider: Arc<dyn DnsProvider>,
    /// This cluster's name: what bears another one's is not touched.
    pub cluster: ClusterName,
    /// How clients come to ask there.
    pub via: Via,
}

impl Cluster {
    /// Records what is to be published, before anybody is told.
    pub fn publish(
        &self,
        publication: Publication,
        reason: &str,
        decided: impl FnOnce(Change) -> Change,
    ) -> Result<(), ChangeError> {
        self.change(|state| {
            let name = publication.name();
            let before = state.records.names.get(&name).map_or(0, |it| it.revision);
            // What was planned by an earlier record is planned again.
            if publication.revision != before + 1 {
                return Ok((Change::default(), ()));
            }
            let told = event(EventKind::NameChanged, about(&publication.job), reason);
            Ok((decided(Change::default().name(&name, Some(publication)).event(told)), ()))
        })
    }

    /// What is published, by name.
    pub fn names(&self) -> Vec<NameView> {
        let state = self.state();
        let names = state.kept.fleet().names.iter();
        let view = |(name, named): (&String, &Named)| NameView {
            name: name.clone(),
            publication: named.publication.clone(),
            is_answered: named.said == Some(named.publication.revision),
        };
        names.map(view).collect()
    }

    /// The addresses that are published of a job, by zone; none if there is no such job.
    pub fn published(&self, job: &JobName) -> Option<BTreeMap<ZoneName, BTreeSet<IpAddr>>> {
        let state = self.state();
        state.records.jobs.get(job)?;
        let of_job = state.records.names.values().filter(|it| it.job == *job);
        let serving = of_job.filter(|it| !it.members.is_empty());
        let addresses = |it: &Publication| {
            it.members.values().flat_map(|member| member.addresses.iter().copied()).collect()
        };
        Some(serving.map(|it| (it.zone.clone(), addresses(it))).collect())
    }

    /// What is recorded, and not known to be answered.
    pub fn unsaid(&self) -> Vec<Publication> {
        let state = self.state();
        let names = state.kept.fleet().names.values();
        let unsaid = names.filter(|it| it.said != Some(it.publication.revision));
        unsaid.map(|it| it.publication.clone()).collect()
    }

    /// A revision is answered now, and what was answered before may be kept for so long.
    pub fn said(&self, name: &str, revision: u64, kept: Duration) {
        let now = self.now();
        self.state().kept.said(name, revision, now, kept);
        self.wake();
    }

    /// Forgets a name under which nothing is published any more, unless something is again.
    pub fn forget_name(&self, publication: &Publication) -> Result<(), ChangeError> {
        let name = publication.name();
        self.change(|state| {
            let is_same = state.records.names.get(&name) == Some(publication);
            let change = Change::default();
            Ok((if is_same { change.name(&name, None) } else { change }, ()))
        })
    }
}

/// An event about a job's names.
pub fn about_name(kind: EventKind, publication: &Publication, words: String) -> NewEvent {
    event(kind, about(&publication.job), words)
}

fn about(job: &JobName) -> Subject {
    Subject { job: Some(job.clone()), ..Subject::default() }
}
