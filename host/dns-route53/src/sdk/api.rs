//! Route 53, call by call.

use crate::batch::{Act, Step};
use crate::present::Found;
use crate::text;
use aws_sdk_route53::Client;
use aws_sdk_route53::error::BuildError;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType,
};
use cerebro_aws::sdk::failure;
use cerebro_aws::{Calls, Failure, Kind, Lane, Speed};
use cerebro_dns::Group;

/// Route 53.
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) calls: Calls,
    pub(super) lane: Lane,
}

/// A hosted zone that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) id: String,
    pub(super) is_private: bool,
}

impl Api {
    pub(super) fn new(config: &aws_config::SdkConfig, calls: Calls, speed: Speed) -> Self {
        Self { client: Client::new(config), calls, lane: Lane::new(speed) }
    }

    /// The hosted zones of a name.
    pub(super) async fn zones_named(&self, name: &str) -> Result<Vec<Zone>, Failure> {
        const CALL: &str = "ListHostedZonesByName";
        let mut zones = Vec::new();
        let (mut from_name, mut from_id) = (name.to_owned(), None);
        loop {
            let request = self
                .client
                .list_hosted_zones_by_name()
                .dns_name(&from_name)
                .set_hosted_zone_id(from_id.clone());
            let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
            let page = self.calls.make(CALL, &self.lane, sent).await?;
            for zone in page.hosted_zones() {
                if text::name(zone.name()) != name {
                    return Ok(zones);
                }
                let id = zone.id().trim_start_matches("/hostedzone/").to_owned();
                let is_private = zone.config().is_some_and(|config| config.private_zone());
                zones.push(Zone { id, is_private });
            }
            match (page.is_truncated(), page.next_dns_name()) {
                (true, Some(next)) => {
                    let next_id = page.next_hosted_zone_id().map(str::to_owned);
                    advanced(CALL, (from_name.as_str(), &from_id), (next, &next_id))?;
                    (from_name, from_id) = (next.to_owned(), next_id);
                }
                _ => return Ok(zones),
            }
        }
    }

    /// All record sets at the names of a group and below: they follow each other in a listing. The SDK has no pages
    /// for it.
    pub(super) async fn sets(&self, zone: &str, group: &Group) -> Result<Vec<Found>, Failure> {
        const CALL: &str = "ListResourceRecordSets";
        let group = group.name();
        let below = format!(".{group}");
        let mut found = Vec::new();
        let (mut name, mut kind, mut identifier) = (group.clone(), None, None);
        loop {
            let request = self
                .client
                .list_resource_record_sets()
                .hosted_zone_id(zone)
                .start_record_name(&name)
                .set_start_record_type(kind.clone())
                .set_start_record_identifier(identifier.clone());
            let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
            let page = self.calls.make(CALL, &self.lane, sent).await?;
            for set in page.resource_record_sets() {
                let set_name = text::name(set.name());
                if set_name != group && !set_name.ends_with(&below) {
                    return Ok(found);
                }
                found.push(read(set));
            }
            let Some(next) = page.next_record_name().filter(|_| page.is_truncated()) else {
                return Ok(found);
            };
            let next_kind = page.next_record_type().cloned();
            let next_identifier = page.next_record_identifier().map(str::to_owned);
            let (before, after) = ((&kind, &identifier), (&next_kind, &next_identifier));
            advanced(CALL, (name.as_str(), &before), (next, &after))?;
            (name, kind, identifier) = (next.to_owned(), next_kind, next_identifier);
        }
    }

    /// Does a batch: the id of the change.
    pub(super) async fn change(&self, zone: &str, steps: &[Step]) -> Result<String, Failure> {
        const CALL: &str = "ChangeResourceRecordSets";
        let batch = batch(steps).map_err(|error| Failure {
            call: CALL,
            kind: Kind::Refused,
            code: None,
            message: error.to_string(),
            request: None,
        })?;
        let request =
            self.client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        let done = self.calls.make(CALL, &self.lane, sent).await?;
        let id = done.change_info().map(|info| info.id().trim_start_matches("/change/").to_owned());
        id.ok_or_else(|| Failure {
            call: CALL,
            kind: Kind::Broken,
            code: None,
            message: "the answer names no change".to_owned(),
            request: None,
        })
    }

    /// Whether all name servers answer by a change.
    pub(super) async fn is_in_sync(&self, change: &str) -> Result<bool, Failure> {
        const CALL: &str = "GetChange";
        let request = self.client.get_change().id(change);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        let found = self.calls.make(CALL, &self.lane, sent).await?;
        Ok(found.change_info().is_some_and(|info| *info.status() == ChangeStatus::Insync))
    }
}

/// That the next page is another one.
fn advanced<T: PartialEq>(
    call: &'static str,
    from: (&str, &T),
    to: (&str, &T),
) -> Result<(), Failure> {
    if from == to {
        let message = "the next page is this one again".to_owned();
        return Err(Failure { call, kind: Kind::Broken, code: None, message, request: None });
    }
    Ok(())
}

fn batch(steps: &[Step]) -> Result<ChangeBatch, BuildError> {
    let mut changes = Vec::new();
    for step in steps {
        let records = step.values.iter().map(|it| ResourceRecord::builder().value(it).build());
        let set = ResourceRecordSet::builder()
            .name(&step.name)
            .r#type(RrType::from(step.kind))
            .ttl(step.ttl.into())
            .set_resource_records(Some(records.collect::<Result<_, _>>()?))
            .build()?;
        let action = match step.act {
            Act::Create => ChangeAction::Create,
            Act::Delete => ChangeAction::Delete,
        };
        changes.push(Change::builder().action(action).resource_record_set(set).build()?);
    }
    ChangeBatch::builder().set_changes(Some(changes)).build()
}

fn read(set: &ResourceRecordSet) -> Found {
    Found {
        name: set.name().to_owned(),
        kind: set.r#type().as_str().to_owned(),
        ttl: set.ttl().and_then(|ttl| u32::try_from(ttl).ok()),
        values: set.resource_records().iter().map(|it| it.value().to_owned()).collect(),
        is_simple: set.set_identifier().is_none() && set.alias_target().is_none(),
    }
}
