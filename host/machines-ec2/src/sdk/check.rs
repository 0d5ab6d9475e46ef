//! Whether settings, credentials and permissions are right, without making or ending anything.

use super::create::disk_gib;
use super::region::{Image, Order, Region};
use super::{Ec2Provider, Inner};
use crate::identity::{AGENT, CLUSTER};
use crate::launch::{Launch, Market};
use crate::presence::Instance;
use crate::settings::ZoneSettings;
use crate::zone::Place;
use aws_sdk_ec2::types::Tag;
use cerebro_aws::sdk::failure;
use cerebro_aws::{Failure, Finding, Kind};
use cerebro_machines::CreateMachine;
use cerebro_model::ZoneName;
use std::collections::BTreeMap;

impl Ec2Provider {
    /// Looks at everything that a machine like this one needs, whichever zone it is for: credentials, each permission by a dry
    /// run, images, key pairs, groups, subnets, types and user data of each zone.
    pub async fn check(&self, like: &CreateMachine) -> Vec<Finding> {
        let inner = &self.0;
        let mut findings = Vec::new();
        for region in inner.regions.values() {
            let cluster = &inner.config.cluster;
            let what = format!("credentials and permission to list instances in {}", region.name);
            let instances = match region.listed(cluster, inner.opened.elapsed(), inner.opened).await
            {
                Ok((_, instances)) => instances,
                Err(failure) => {
                    findings.push(Finding::wrong(what, failure.to_string()));
                    continue;
                }
            };
            findings.push(Finding::fine(what));
            let alive = instances.iter().find(|it| it.state.is_alive());
            findings.extend(inner.check_changes(region, alive).await);
            for (zone, place) in inner.places.iter().filter(|(_, it)| it.region == region.name) {
                let Some(settings) = inner.config.settings.zones.get(zone) else { continue };
                let request = CreateMachine { zone: zone.clone(), ..like.clone() };
                let ground = Ground { region, zone, place, settings, request };
                findings.extend(inner.check_zone(&ground).await);
            }
        }
        findings
    }
}

impl Inner {
    /// Permissions for what is done to an instance; they depend on its tags, so it takes one of ours.
    async fn check_changes(&self, region: &Region, instance: Option<&Instance>) -> Vec<Finding> {
        let what = |name: &str| format!("permission `ec2:{name}` in {}", region.name);
        let names = ["TerminateInstances", "RebootInstances", "StartInstances", "CreateTags"];
        let Some(instance) = instance else {
            let why = "it can be tried once there is a machine";
            return names.iter().map(|name| Finding::untried(what(name), why)).collect();
        };
        let (client, id) = (&region.client, &instance.id);
        let [terminate, reboot, start, tag] = names;
        let tried = [
            (terminate, {
                let request = client.terminate_instances().instance_ids(id).dry_run(true);
                let sent = async { request.send().await.map_err(|it| failure(terminate, it)) };
                region.calls.make(terminate, &region.change, sent).await.map(drop)
            }),
            (reboot, {
                let request = client.reboot_instances().instance_ids(id).dry_run(true);
                let sent = async { request.send().await.map_err(|it| failure(reboot, it)) };
                region.calls.make(reboot, &region.change, sent).await.map(drop)
            }),
            (start, {
                let request = client.start_instances().instance_ids(id).dry_run(true);
                let sent = async { request.send().await.map_err(|it| failure(start, it)) };
                region.calls.make(start, &region.change, sent).await.map(drop)
            }),
            (tag, {
                let request = client.create_tags().resources(id).dry_run(true);
                let request = request.tags(Tag::builder().key(AGENT).value("").build());
                let sent = async { request.send().await.map_err(|it| failure(tag, it)) };
                region.calls.make(tag, &region.change, sent).await.map(drop)
            }),
        ];
        tried.into_iter().map(|(name, answer)| dry(what(name), answer)).collect()
    }

    async fn check_zone(&self, ground: &Ground<'_>) -> Vec<Finding> {
        let Ground { region, zone, settings, .. } = ground;
        let mut findings = Vec::new();
        findings.extend(ground.key_pair().await);
        findings.extend(ground.groups().await);
        findings.extend(ground.subnets().await);
        let what = format!("image `{}` of {zone}", settings.image);
        let image = match region.image(&settings.image).await {
            Ok(image) if image.is_available => image,
            Ok(_) => {
                findings.push(Finding::wrong(what, "it is not available: wait, or take another"));
                return findings;
            }
            Err(failure) => {
                findings.push(Finding::wrong(what, failure.to_string()));
                return findings;
            }
        };
        findings.push(Finding::fine(format!("{what}, for {}", image.architecture)));
        let what = format!("user data of machines in {zone}");
        findings.push(match (self.config.user_data)(&ground.request, &image.architecture) {
            Ok(text) => Finding::fine(format!("{what}, {} bytes", text.len())),
            Err(why) => Finding::wrong(what, why),
        });
        let availability_zone = &ground.place.availability_zone;
        let types =
            self.types(ground.request.capacity, settings, region, availability_zone, &image).await;
        let what = format!("types of instances in {zone}");
        match types.map_err(|why| why.into_error("choose one".to_owned())) {
            Ok(types) => {
                findings.push(Finding::fine(format!("{what}: {}", types.join(", "))));
                if let Some(best) = types.into_iter().next() {
                    findings.push(self.check_run(ground, &image, best).await);
                }
            }
            Err(error) => findings.push(Finding::wrong(what, error.to_string())),
        }
        findings
    }

    async fn check_run(
        &self,
        ground: &Ground<'_>,
        image: &Image,
        instance_type: String,
    ) -> Finding {
        const CALL: &str = "RunInstances";
        let Ground { region, zone, place, settings, request } = ground;
        let cluster = (CLUSTER.to_owned(), self.config.cluster.to_string());
        let order = Order {
            settings,
            image,
            availability_zone: &place.availability_zone,
            tags: BTreeMap::from([cluster]),
            user_data: String::new(),
            disk_gib: disk_gib(settings, image, request.capacity),
        };
        let market = if settings.spot { Market::Spot } else { Market::OnDemand };
        let launch = Launch { instance_type, subnet: settings.subnets.first().cloned(), market };
        let request = region.run_request(&order, &launch).dry_run(true);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        let answer = region.calls.make(CALL, &region.run, sent).await.map(drop);
        dry(format!("permission `ec2:{CALL}` and a launch of {launch} in {zone}"), answer)
    }
}

/// What is looked at in one zone.
struct Ground<'a> {
    region: &'a Region,
    zone: &'a ZoneName,
    place: &'a Place,
    settings: &'a ZoneSettings,
    /// A machine of that zone.
    request: CreateMachine,
}

impl Ground<'_> {
    async fn key_pair(&self) -> Option<Finding> {
        const CALL: &str = "DescribeKeyPairs";
        let (region, name) = (self.region, self.settings.key_name.as_ref()?);
        let request = region.client.describe_key_pairs().key_names(name);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        let answer = region.calls.make(CALL, &region.look, sent).await;
        Some(found(format!("key pair `{name}` of {}", self.zone), answer))
    }

    async fn groups(&self) -> Vec<Finding> {
        const CALL: &str = "DescribeSecurityGroups";
        let (region, mut findings) = (self.region, Vec::new());
        for group in &self.settings.security_groups {
            let request = region.client.describe_security_groups().group_ids(group);
            let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
            let answer = region.calls.make(CALL, &region.look, sent).await;
            findings.push(found(format!("security group `{group}` of {}", self.zone), answer));
        }
        findings
    }

    async fn subnets(&self) -> Vec<Finding> {
        const CALL: &str = "DescribeSubnets";
        let (region, mut findings) = (self.region, Vec::new());
        for id in &self.settings.subnets {
            let what = format!("subnet `{id}` of {}", self.zone);
            let request = region.client.describe_subnets().subnet_ids(id);
            let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
            let answer = match region.calls.make(CALL, &region.look, sent).await {
                Ok(answer) => answer,
                Err(failure) => {
                    findings.push(Finding::wrong(what, failure.to_string()));
                    continue;
                }
            };
            let subnet = answer.subnets().first();
            let there = subnet.and_then(|it| it.availability_zone()).unwrap_or("no zone");
            let left = subnet.and_then(|it| it.available_ip_address_count()).unwrap_or_default();
            let wanted = &self.place.availability_zone;
            findings.push(if there != wanted {
                Finding::wrong(what, format!("it is in {there}: take one of {wanted}"))
            } else if left == 0 {
                let why = "it has no address left: end what is not needed, or add another subnet";
                Finding::wrong(what, why)
            } else {
                Finding::fine(format!("{what}, with {left} addresses left"))
            });
        }
        findings
    }
}

/// What a dry run says. That it would have gone through is an error to EC2.
fn dry(what: String, answer: Result<(), Failure>) -> Finding {
    match answer {
        Err(failure) if failure.kind == Kind::DryRun => Finding::fine(what),
        Err(failure) if failure.kind == Kind::NotFound && failure.call != "RunInstances" => {
            Finding::untried(what, failure.to_string())
        }
        Err(failure) => Finding::wrong(what, failure.to_string()),
        Ok(()) => Finding::wrong(what, "EC2 did it, although it was told to try it only"),
    }
}

fn found<T>(what: String, answer: Result<T, Failure>) -> Finding {
    match answer {
        Ok(_) => Finding::fine(what),
        Err(failure) => Finding::wrong(what, failure.to_string()),
    }
}
