//! Listings of what there is apart from instances.

use super::run::not_found;
use super::{Ec2, InstanceType, filters, page, response};
use crate::api::{ApiError, Done, Params};
use crate::xml::Xml;

impl Ec2 {
    pub(super) fn describe_instance_types(&self, params: &Params) -> Result<Done, ApiError> {
        let named = params.list("InstanceType");
        if let Some(name) = named.iter().find(|name| self.account.type_of(name).is_none()) {
            let message = format!("The following supplied instance types do not exist: [{name}]");
            return Err(ApiError::new(400, "InvalidInstanceType", message));
        }
        let filters = filters(params)?;
        let mut found = Vec::new();
        for kind in &self.account.types {
            let is_named = named.is_empty() || named.contains(&kind.name.as_str());
            if is_named && filters.pass(|name| has(kind, name))? {
                found.push(written(kind));
            }
        }
        let (found, token) = page(found, params, (5, 100), self.account.longest_page)?;
        let inner =
            Xml::new().items("instanceTypeSet", "item", found).some("nextToken", token.as_deref());
        Ok(Done::read(response("DescribeInstanceTypes", inner)))
    }

    pub(super) fn describe_offerings(&self, params: &Params) -> Result<Done, ApiError> {
        if params.get("LocationType") != Some("availability-zone") {
            let message = "Only the location type 'availability-zone' is known here";
            return Err(ApiError::new(400, "InvalidParameterValue", message));
        }
        let filters = filters(params)?;
        let mut found = Vec::new();
        for zone in &self.account.zones {
            for kind in &self.account.types {
                let of = |name: &str| match name {
                    "location" => Some(vec![zone.clone()]),
                    "instance-type" => Some(vec![kind.name.clone()]),
                    _ => None,
                };
                if filters.pass(of)? && self.account.is_offered(zone, &kind.name) {
                    let inner = Xml::new().text("instanceType", &kind.name);
                    let place = inner.text("locationType", "availability-zone");
                    found.push(place.text("location", zone));
                }
            }
        }
        let (found, token) = page(found, params, (5, 1000), self.account.longest_page)?;
        let inner = Xml::new()
            .items("instanceTypeOfferingSet", "item", found)
            .some("nextToken", token.as_deref());
        Ok(Done::read(response("DescribeInstanceTypeOfferings", inner)))
    }

    pub(super) fn describe_images(&self, params: &Params) -> Result<Done, ApiError> {
        let mut found = Vec::new();
        for id in params.list("ImageId") {
            let image = self.account.images.get(id);
            let image = image.ok_or_else(|| not_found("InvalidAMIID", "image id", id))?;
            found.push(
                Xml::new()
                    .text("imageId", id)
                    .text("imageState", &image.state)
                    .text("architecture", &image.architecture)
                    .text("rootDeviceType", "ebs")
                    .text("rootDeviceName", &image.root_device),
            );
        }
        Ok(Done::read(response("DescribeImages", Xml::new().items("imagesSet", "item", found))))
    }

    pub(super) fn describe_key_pairs(&self, params: &Params) -> Result<Done, ApiError> {
        let mut found = Vec::new();
        for name in params.list("KeyName") {
            if !self.account.key_pairs.contains(name) {
                return Err(not_found("InvalidKeyPair", "key pair", name));
            }
            found.push(Xml::new().text("keyName", name));
        }
        Ok(Done::read(response("DescribeKeyPairs", Xml::new().items("keySet", "item", found))))
    }

    pub(super) fn describe_groups(&self, params: &Params) -> Result<Done, ApiError> {
        let mut found = Vec::new();
        for id in params.list("GroupId") {
            if !self.account.groups.contains(id) {
                return Err(not_found("InvalidGroup", "security group", id));
            }
            found.push(Xml::new().text("groupId", id).text("groupName", "a group"));
        }
        let inner = Xml::new().items("securityGroupInfo", "item", found);
        Ok(Done::read(response("DescribeSecurityGroups", inner)))
    }

    pub(super) fn describe_subnets(&self, params: &Params) -> Result<Done, ApiError> {
        let named = params.list("SubnetId");
        if let Some(id) = named.iter().find(|id| !self.account.subnets.contains_key(**id)) {
            return Err(not_found("InvalidSubnetID", "subnet ID", id));
        }
        let filters = filters(params)?;
        let mut found = Vec::new();
        for (id, subnet) in &self.account.subnets {
            let of = |name: &str| match name {
                "availability-zone" => Some(vec![subnet.zone.clone()]),
                "default-for-az" => Some(vec!["true".to_owned()]),
                _ => None,
            };
            if (named.is_empty() || named.contains(&id.as_str())) && filters.pass(of)? {
                found.push(
                    Xml::new()
                        .text("subnetId", id)
                        .text("availabilityZone", &subnet.zone)
                        .text("availableIpAddressCount", &subnet.free_addresses.to_string())
                        .text("state", "available"),
                );
            }
        }
        Ok(Done::read(response("DescribeSubnets", Xml::new().items("subnetSet", "item", found))))
    }
}

fn has(kind: &InstanceType, name: &str) -> Option<Vec<String>> {
    Some(vec![match name {
        "instance-type" => kind.name.clone(),
        "processor-info.supported-architecture" => kind.architecture.clone(),
        "current-generation" => kind.is_current.to_string(),
        "vcpu-info.default-vcpus" => kind.vcpus.to_string(),
        "bare-metal" => kind.is_bare_metal.to_string(),
        _ => return None,
    }])
}

fn written(kind: &InstanceType) -> Xml {
    let architectures = Xml::new().text("item", &kind.architecture);
    let processor = Xml::new().within("supportedArchitectures", architectures);
    let gpus = match kind.gpus {
        0 => Xml::new(),
        some => {
            let gpu = Xml::new().text("name", "A10G").text("count", &some.to_string());
            let inner = Xml::new().items("gpus", "item", [gpu]);
            Xml::new().within("gpuInfo", inner)
        }
    };
    Xml::new()
        .text("instanceType", &kind.name)
        .text("currentGeneration", &kind.is_current.to_string())
        .text("bareMetal", &kind.is_bare_metal.to_string())
        .within("processorInfo", processor)
        .within("vCpuInfo", Xml::new().text("defaultVCpus", &kind.vcpus.to_string()))
        .within("memoryInfo", Xml::new().text("sizeInMiB", &kind.memory.to_string()))
        .text("burstablePerformanceSupported", &kind.name.starts_with('t').to_string())
        .and(gpus)
}
