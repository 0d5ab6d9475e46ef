//! How instances are made.

use super::base64::decoded;
use super::{Ec2, Instance, InstanceState, OWNER, describe, response};
use crate::api::{ApiError, Done, Params};
use crate::xml::Xml;
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest user data, in bytes before they are encoded.
const LARGEST_USER_DATA: usize = 16_384;

/// What was asked for, checked.
pub(super) struct Asked {
    count: u32,
    image: String,
    instance_type: String,
    zone: String,
    subnet: String,
    tags: BTreeMap<String, String>,
    user_data: Vec<u8>,
    is_spot: bool,
}

impl Ec2 {
    pub(super) fn run_instances(
        &mut self,
        params: &Params,
        now: Duration,
    ) -> Result<Done, ApiError> {
        let token = params.get("ClientToken").map(str::to_owned);
        if let Some(token) = &token {
            if token.is_empty() || token.len() > 64 || !token.is_ascii() {
                return Err(invalid("The client token has more than 64 ASCII characters"));
            }
            if let Some(known) = self.known(token, params, now)? {
                return Ok(known);
            }
        }
        let asked = self.asked(params)?;
        if let Err(error) = self.room_for(&asked, now) {
            // The token is bound to what was asked for, also if nothing came of it.
            self.tokens.extend(token.map(|token| (token, (params.clone(), Vec::new()))));
            return Err(error);
        }
        let mut ids = Vec::new();
        for _ in 0..asked.count {
            ids.push(self.make(&asked, params, token.clone(), now));
        }
        if let Some(token) = token {
            self.tokens.insert(token, (params.clone(), ids.clone()));
        }
        let made = ids.iter().filter_map(|id| self.instances.get(id));
        Ok(Done { body: answer(made, now), touched: ids })
    }

    /// The answer to a request that was made before by the same token.
    fn known(&self, token: &str, params: &Params, now: Duration) -> Result<Option<Done>, ApiError> {
        let Some((before, ids)) = self.tokens.get(token) else { return Ok(None) };
        if before != params {
            let message = "Arguments on this idempotent request are inconsistent with arguments used in previous \
                           request(s).";
            return Err(ApiError::new(400, "IdempotentParameterMismatch", message));
        }
        let made: Vec<&Instance> = ids.iter().filter_map(|id| self.instances.get(id)).collect();
        let has_ended = |it: &&Instance| it.state(now) == InstanceState::Terminated;
        // One that is not listed any more has ended too.
        if !ids.is_empty() && made.iter().all(has_ended) {
            let message = "The client token you have provided is associated with a terminated instance. Please use a \
                           different client token.";
            return Err(ApiError::new(400, "IdempotentInstanceTerminated", message));
        }
        let is_made = !ids.is_empty();
        Ok(is_made.then(|| Done::read(answer(made.into_iter(), now))))
    }

    pub(super) fn asked(&self, params: &Params) -> Result<Asked, ApiError> {
        let account = &self.account;
        let required = |name: &str| {
            params.get(name).map(str::to_owned).ok_or_else(|| {
                let message = format!("The request must contain the parameter {name}");
                ApiError::new(400, "MissingParameter", message)
            })
        };
        let (least, most) = (params.number("MinCount")?, params.number("MaxCount")?);
        let count = match (least, most) {
            (Some(least), Some(most)) if 1 <= least && least <= most => most,
            _ => return Err(invalid("MinCount and MaxCount are needed, 1 at least")),
        };
        let image = required("ImageId")?;
        let Some(found) = account.images.get(&image) else {
            return Err(not_found("InvalidAMIID", "image id", &image));
        };
        let instance_type = required("InstanceType")?;
        let Some(kind) = account.type_of(&instance_type) else {
            return Err(invalid(format!("Invalid value '{instance_type}' for InstanceType.")));
        };
        if kind.architecture != found.architecture {
            return Err(invalid(format!(
                "The architecture '{}' of the specified instance type does not match the architecture '{}' of the \
                 specified AMI.",
                kind.architecture, found.architecture
            )));
        }
        let key = params.get("KeyName");
        if let Some(key) = key.filter(|it| !account.key_pairs.contains(*it)) {
            return Err(not_found("InvalidKeyPair", "key pair", key));
        }
        for group in params.list("SecurityGroupId") {
            if !account.groups.contains(group) {
                return Err(not_found("InvalidGroup", "security group", group));
            }
        }
        if let Some(profile) = params.get("IamInstanceProfile.Name")
            && !account.profiles.contains(profile)
        {
            return Err(invalid(format!(
                "Value ({profile}) for parameter iamInstanceProfile.name is invalid"
            )));
        }
        let (zone, subnet) = self.place(params)?;
        if !account.is_offered(&zone, &instance_type) {
            let message = format!(
                "Your requested instance type ({instance_type}) is not supported in your requested Availability \
                 Zone ({zone})."
            );
            return Err(ApiError::new(400, "Unsupported", message));
        }
        match params.get("Ipv6AddressCount") {
            None => {}
            Some("1") if account.subnets.get(&subnet).is_some_and(|it| it.has_ipv6) => {}
            Some("1") => {
                let message = format!("The subnet '{subnet}' does not have an IPv6 CIDR block");
                return Err(invalid(message));
            }
            Some(count) => {
                return Err(invalid(format!("Invalid value '{count}' for Ipv6AddressCount")));
            }
        }
        let user_data = match params.get("UserData") {
            None => Vec::new(),
            Some(text) => {
                decoded(text).ok_or_else(|| invalid("Invalid BASE64 encoding of user data"))?
            }
        };
        if user_data.len() > LARGEST_USER_DATA {
            return Err(invalid("User data is limited to 16384 bytes"));
        }
        let is_spot = match params.get("InstanceMarketOptions.MarketType") {
            None => false,
            Some("spot") => true,
            Some(other) => return Err(invalid(format!("Invalid market type {other}"))),
        };
        let tags = tags(params)?;
        Ok(Asked { count, image, instance_type, zone, subnet, tags, user_data, is_spot })
    }

    fn place(&self, params: &Params) -> Result<(String, String), ApiError> {
        let zone = params.get("Placement.AvailabilityZone");
        if let Some(zone) = zone.filter(|it| !self.account.zones.contains(*it)) {
            return Err(invalid(format!("Invalid availability zone: [{zone}]")));
        }
        if let Some(id) = params.get("SubnetId") {
            let Some(subnet) = self.account.subnets.get(id) else {
                return Err(not_found("InvalidSubnetID", "subnet ID", id));
            };
            if zone.is_some_and(|zone| zone != subnet.zone) {
                return Err(invalid(format!(
                    "The subnet {id} is not in the zone that was asked for"
                )));
            }
            if subnet.free_addresses == 0 {
                let message = format!("There are not enough free addresses in subnet '{id}'.");
                return Err(ApiError::new(400, "InsufficientFreeAddressesInSubnet", message));
            }
            return Ok((subnet.zone.clone(), id.to_owned()));
        }
        let of_zone = |zone: &str| {
            let mut all = self.account.subnets.iter();
            all.find(|(_, subnet)| zone == subnet.zone || zone.is_empty())
        };
        let Some((id, subnet)) = of_zone(zone.unwrap_or_default()) else {
            let message = "No default subnet for the zone that was asked for";
            return Err(ApiError::new(400, "MissingInput", message));
        };
        Ok((subnet.zone.clone(), id.clone()))
    }

    fn room_for(&mut self, asked: &Asked, now: Duration) -> Result<(), ApiError> {
        let vcpus_of = |name: &str| self.account.type_of(name).map_or(0, |it| it.vcpus);
        if let Some(quota) = self.account.vcpu_quota {
            let alive = self.instances.values().filter(|it| it.state(now).is_alive());
            let used: u32 = alive.map(|it| vcpus_of(&it.instance_type)).sum();
            if used + asked.count * vcpus_of(&asked.instance_type) > quota {
                return Err(ApiError::quota());
            }
        }
        let place = (asked.zone.clone(), asked.instance_type.clone());
        let account = &mut self.account;
        let room = if asked.is_spot { &mut account.spot_room } else { &mut account.room };
        if let Some(room) = room.get_mut(&place) {
            *room = room.checked_sub(asked.count).ok_or_else(ApiError::no_capacity)?;
        }
        if let Some(subnet) = account.subnets.get_mut(&asked.subnet) {
            subnet.free_addresses = subnet.free_addresses.saturating_sub(asked.count);
        }
        Ok(())
    }

    fn make(
        &mut self,
        asked: &Asked,
        params: &Params,
        token: Option<String>,
        now: Duration,
    ) -> String {
        let id = self.new_id("i");
        let longest = self.account.timings.lag.as_secs_f64();
        let lag = Duration::from_secs_f64(longest * (0.5 + self.chance.f64() / 2.0));
        let mut instance = Instance::new(&id, now, lag);
        let octets = (self.instances.len() / 250 % 250, self.instances.len() % 250 + 4);
        let [a, b] = self.account.network;
        instance.private_address = format!("{a}.{b}.{}.{}", octets.0, octets.1);
        let is_public = self.account.subnets.get(&asked.subnet).is_some_and(|it| it.is_public);
        instance.public_address = is_public.then(|| format!("203.0.{}.{}", octets.0, octets.1));
        let has_ipv6 = params.get("Ipv6AddressCount").is_some();
        instance.ipv6_address = has_ipv6.then(|| format!("2001:db8::{}:{}", octets.0, octets.1));
        instance.image.clone_from(&asked.image);
        instance.instance_type.clone_from(&asked.instance_type);
        instance.zone.clone_from(&asked.zone);
        instance.subnet.clone_from(&asked.subnet);
        instance.key = params.get("KeyName").map(str::to_owned);
        instance.groups = params.list("SecurityGroupId").into_iter().map(str::to_owned).collect();
        instance.profile = params.get("IamInstanceProfile.Name").map(str::to_owned);
        instance.tags.clone_from(&asked.tags);
        instance.user_data.clone_from(&asked.user_data);
        instance.client_token = token;
        instance.is_spot = asked.is_spot;
        instance.requires_tokens = params.get("MetadataOptions.HttpTokens") == Some("required");
        instance.is_protected = params.flag("DisableApiTermination");
        let size = params.get("BlockDeviceMapping.1.Ebs.VolumeSize").and_then(|it| it.parse().ok());
        let goes = params.get("BlockDeviceMapping.1.Ebs.DeleteOnTermination") != Some("false");
        instance.root_volume = size.map(|size| (size, goes));
        let running = now + self.account.timings.pending;
        instance.enter(running, InstanceState::Running);
        self.instances.insert(id.clone(), instance);
        id
    }
}

fn answer<'a>(made: impl Iterator<Item = &'a Instance>, now: Duration) -> String {
    // Whoever makes one is told at once what it is, whatever listings show.
    let items = made.map(|it| describe::instance(it, it.state(now)));
    let inner = Xml::new()
        .text("reservationId", "r-0123456789abcdef0")
        .text("ownerId", OWNER)
        .items("instancesSet", "item", items);
    response("RunInstances", inner)
}

fn tags(params: &Params) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for n in 1.. {
        let specification = format!("TagSpecification.{n}");
        match params.get(&format!("{specification}.ResourceType")) {
            None => break,
            Some("instance") => {}
            Some(_) => continue,
        }
        read_tags(params, &format!("{specification}.Tag"), &mut tags)?;
    }
    fit(&tags)?;
    Ok(tags)
}

/// Adds the tags that are listed under a name.
pub(super) fn read_tags(
    params: &Params,
    list: &str,
    tags: &mut BTreeMap<String, String>,
) -> Result<(), ApiError> {
    for n in 1.. {
        let Some(key) = params.get(&format!("{list}.{n}.Key")) else { break };
        let value = params.get(&format!("{list}.{n}.Value")).unwrap_or_default();
        if key.starts_with("aws:") || key.len() > 128 || value.len() > 256 {
            return Err(invalid(format!("Tag '{key}' is not valid")));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(invalid(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    Ok(())
}

/// Whether an instance may have so many.
pub(super) fn fit(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    match tags.len() {
        0..=50 => Ok(()),
        _ => Err(ApiError::new(400, "TagLimitExceeded", "More than 50 tags")),
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterValue", message)
}

/// Something that was named and is not there.
pub(super) fn not_found(code: &str, what: &str, id: &str) -> ApiError {
    ApiError::new(400, &format!("{code}.NotFound"), format!("The {what} '{id}' does not exist"))
}
