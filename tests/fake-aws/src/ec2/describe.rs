//! How instances are listed.

use super::run::not_found;
use super::{Ec2, Instance, InstanceState, OWNER, filters, page, response};
use crate::api::{ApiError, Done, Params};
use crate::xml::Xml;
use std::time::Duration;

impl Ec2 {
    pub(super) fn describe_instances(
        &self,
        params: &Params,
        now: Duration,
    ) -> Result<Done, ApiError> {
        let named = params.list("InstanceId");
        if !named.is_empty() && params.get("MaxResults").is_some() {
            let message = "The parameter instancesSet cannot be used with the parameter maxResults";
            return Err(ApiError::new(400, "InvalidParameterCombination", message));
        }
        if !named.is_empty() {
            self.named_instances(params, now)?;
        }
        let filters = filters(params)?;
        let mut found = Vec::new();
        for instance in self.instances.values() {
            let Some(state) = instance.seen(now) else { continue };
            let is_named = named.is_empty() || named.contains(&instance.id.as_str());
            if is_named && filters.pass(|name| has(instance, state, name))? {
                found.push((instance, state));
            }
        }
        let (found, token) = page(found, params, (5, 1000), self.account.longest_page)?;
        let reservations = found.into_iter().map(|(it, state)| {
            Xml::new()
                .text("reservationId", &it.id.replacen("i-", "r-", 1))
                .text("ownerId", OWNER)
                .items("instancesSet", "item", [instance(it, state)])
        });
        let inner = Xml::new()
            .items("reservationSet", "item", reservations)
            .some("nextToken", token.as_deref());
        Ok(Done::read(response("DescribeInstances", inner)))
    }

    /// The ids that a call names, all of which must be there to be seen.
    pub(super) fn named_instances(
        &self,
        params: &Params,
        now: Duration,
    ) -> Result<Vec<String>, ApiError> {
        self.seen_instances(params.list("InstanceId"), now)
    }

    /// Instances by their ids, all of which have to be seen.
    pub(super) fn seen_instances(
        &self,
        ids: Vec<&str>,
        now: Duration,
    ) -> Result<Vec<String>, ApiError> {
        for id in &ids {
            let digits = id.strip_prefix("i-").unwrap_or_default();
            if digits.len() != 17 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
                let message = format!("Invalid id: \"{id}\"");
                return Err(ApiError::new(400, "InvalidInstanceID.Malformed", message));
            }
            if self.instances.get(*id).and_then(|it| it.seen(now)).is_none() {
                return Err(not_found("InvalidInstanceID", "instance ID", id));
            }
        }
        Ok(ids.into_iter().map(str::to_owned).collect())
    }
}

/// What an instance has, by a filter's name.
fn has(instance: &Instance, state: InstanceState, name: &str) -> Option<Vec<String>> {
    if let Some(key) = name.strip_prefix("tag:") {
        return Some(instance.tags.get(key).cloned().into_iter().collect());
    }
    Some(match name {
        "instance-id" => vec![instance.id.clone()],
        "instance-state-name" => vec![state.wire().1.to_owned()],
        "tag-key" => instance.tags.keys().cloned().collect(),
        "client-token" => instance.client_token.clone().into_iter().collect(),
        "availability-zone" => vec![instance.zone.clone()],
        "instance-type" => vec![instance.instance_type.clone()],
        "subnet-id" => vec![instance.subnet.clone()],
        "image-id" => vec![instance.image.clone()],
        _ => return None,
    })
}

/// An instance as it is written.
pub(super) fn instance(instance: &Instance, state: InstanceState) -> Xml {
    let (code, name) = state.wire();
    let seconds = i64::try_from(instance.launched.as_secs()).unwrap_or_default();
    let launched = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    let launched = launched.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let tags =
        instance.tags.iter().map(|(key, value)| Xml::new().text("key", key).text("value", value));
    let groups = instance.groups.iter().map(|id| Xml::new().text("groupId", id));
    let is_over = matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated);
    let reason = is_over.then_some(instance.reason.as_str());
    let state_reason = match reason {
        None => Xml::new(),
        Some(reason) => {
            let inner = Xml::new().text("code", reason).text("message", reason);
            Xml::new().within("stateReason", inner)
        }
    };
    // An instance that has ended has no addresses any more.
    let (private, public) = match state {
        InstanceState::Terminated => (None, None),
        InstanceState::Pending | InstanceState::Stopped => {
            (Some(instance.private_address.as_str()), None)
        }
        _ => (Some(instance.private_address.as_str()), instance.public_address.as_deref()),
    };
    let tokens = if instance.requires_tokens { "required" } else { "optional" };
    Xml::new()
        .text("instanceId", &instance.id)
        .text("imageId", &instance.image)
        .within("instanceState", Xml::new().text("code", code).text("name", name))
        .text("instanceType", &instance.instance_type)
        .text("launchTime", &launched)
        .within(
            "placement",
            Xml::new().text("availabilityZone", &instance.zone).text("tenancy", "default"),
        )
        .some("keyName", instance.key.as_deref())
        .some("subnetId", (!instance.subnet.is_empty()).then_some(&instance.subnet))
        .some("privateIpAddress", private)
        .some("ipAddress", public)
        .some("ipv6Address", private.and(instance.ipv6_address.as_deref()))
        .some("instanceLifecycle", instance.is_spot.then_some("spot"))
        .some("clientToken", instance.client_token.as_deref())
        .and(state_reason)
        .within("metadataOptions", Xml::new().text("httpTokens", tokens))
        .items("groupSet", "item", groups)
        .items("tagSet", "item", tags)
}
