//! EC2 of one region, call by call.

use super::{Speeds, convert};
use crate::choose::{Pattern, TypeInfo};
use crate::identity::CLUSTER;
use crate::launch::{Launch, Market};
use crate::presence::{Instance, State};
use crate::settings::ZoneSettings;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, Filter, HttpTokensState, IamInstanceProfileSpecification,
    InstanceInterruptionBehavior, InstanceMarketOptionsRequest, InstanceMetadataEndpointState,
    InstanceMetadataOptionsRequest, LocationType, MarketType, Placement, ResourceType,
    ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tag, TagSpecification, VolumeType,
};
use cerebro_aws::sdk::{OnlyWhatPasses, base64, failure};
use cerebro_aws::{Calls, Failure, Kind, Lane};
use cerebro_model::ClusterName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long types and images are remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Types of instances that were asked for, by what was asked.
type Types = BTreeMap<String, (Instant, Arc<Vec<TypeInfo>>)>;
/// When a listing was asked for, and what it shows.
type Listing = (Duration, Arc<Vec<Instance>>);

/// One region's EC2.
pub(super) struct Region {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) calls: Arc<Calls>,
    pub(super) look: Lane,
    pub(super) change: Lane,
    pub(super) run: Lane,
    /// One lists, the others wait for what it finds.
    listing: Mutex<Option<Listing>>,
    types: Mutex<Types>,
}

/// An image, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) architecture: String,
    pub(super) root_device: Option<String>,
    pub(super) size_gib: u32,
    pub(super) is_available: bool,
}

/// All of a launch that does not change from one attempt to the next.
pub(super) struct Order<'a> {
    pub(super) settings: &'a ZoneSettings,
    pub(super) image: &'a Image,
    pub(super) availability_zone: &'a str,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) user_data: String,
    pub(super) disk_gib: u32,
}

impl Region {
    pub(super) fn new(
        name: &str,
        config: &aws_config::SdkConfig,
        calls: Arc<Calls>,
        speeds: Speeds,
    ) -> Self {
        let retries = OnlyWhatPasses::<RunInstancesError>::default();
        let config = aws_sdk_ec2::config::Builder::from(config).retry_classifier(retries).build();
        Self {
            name: name.to_owned(),
            client: Client::from_conf(config),
            calls,
            look: Lane::new(speeds.look),
            change: Lane::new(speeds.change),
            run: Lane::new(speeds.run),
            listing: Mutex::default(),
            types: Mutex::default(),
        }
    }

    /// The instances of a cluster, as they were listed at that time or later.
    pub(super) async fn listed(
        &self,
        cluster: &ClusterName,
        since: Duration,
        opened: Instant,
    ) -> Result<Listing, Failure> {
        let mut kept = self.listing.lock().await;
        if let Some(listing) = kept.as_ref().filter(|(at, _)| *at >= since) {
            return Ok(listing.clone());
        }
        let at = opened.elapsed();
        let listing = (at, Arc::new(self.list(cluster).await?));
        *kept = Some(listing.clone());
        Ok(listing)
    }

    async fn list(&self, cluster: &ClusterName) -> Result<Vec<Instance>, Failure> {
        const CALL: &str = "DescribeInstances";
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .describe_instances()
                .filters(filter(&format!("tag:{CLUSTER}"), [cluster.as_str()]))
                .max_results(1000)
                .set_next_token(token.clone());
            let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
            let page = self.calls.make(CALL, &self.look, sent).await?;
            for instance in page.reservations().iter().flat_map(|it| it.instances()) {
                // Its own tags count, not that it was listed.
                all.extend(convert::instance(cluster, instance));
            }
            match following(CALL, token, page.next_token())? {
                None => return Ok(all),
                next => token = next,
            }
        }
    }

    /// What an instance does, whatever its tags; nothing, if there is none.
    pub(super) async fn state_of(&self, id: &str) -> Result<Option<State>, Failure> {
        const CALL: &str = "DescribeInstances";
        let request = self.client.describe_instances().instance_ids(id);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        match self.calls.make(CALL, &self.look, sent).await {
            Ok(found) => {
                let mut instances = found.reservations().iter().flat_map(|it| it.instances());
                Ok(instances.next().map(convert::state))
            }
            Err(failure) if failure.kind == Kind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn image(&self, id: &str) -> Result<Image, Failure> {
        const CALL: &str = "DescribeImages";
        let request = self.client.describe_images().image_ids(id);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        let found = self.calls.make(CALL, &self.look, sent).await?;
        let Some(image) = found.images().first() else {
            let (kind, code) = (Kind::NotFound, None);
            let message = format!("there is no image `{id}` that this account may use");
            return Err(Failure { call: CALL, kind, code, message, request: None });
        };
        Ok(convert::image(image))
    }

    /// The types that a zone offers for an architecture, with that many virtual CPUs if that is said, and like one of these
    /// patterns if there are some.
    pub(super) async fn types(
        &self,
        availability_zone: &str,
        architecture: &str,
        vcpus: Option<(u32, u32)>,
        allow: &[Pattern],
    ) -> Result<Arc<Vec<TypeInfo>>, Failure> {
        let allow: Vec<String> = allow.iter().map(ToString::to_string).collect();
        let key = format!("{availability_zone} {architecture} {vcpus:?} {allow:?}");
        let mut kept = self.types.lock().await;
        if let Some((at, types)) = kept.get(&key).filter(|(at, _)| at.elapsed() < REMEMBERED) {
            tracing::trace!("types of {key} are {:?} old", at.elapsed());
            return Ok(Arc::clone(types));
        }
        let mut filters = vec![filter("processor-info.supported-architecture", [architecture])];
        if let Some((least, most)) = vcpus {
            let numbers: Vec<String> = (least..=most).map(|it| it.to_string()).collect();
            filters.push(filter("vcpu-info.default-vcpus", numbers.iter().map(String::as_str)));
        }
        match allow.is_empty() {
            true => filters.push(filter("current-generation", ["true"])),
            false => filters.push(filter("instance-type", allow.iter().map(String::as_str))),
        }
        let types = self.described_types(filters).await?;
        let offered = self.offered(availability_zone).await?;
        let types = types.into_iter().filter(|it| offered.contains(&it.name)).collect();
        let types = Arc::new(types);
        kept.insert(key, (Instant::now(), Arc::clone(&types)));
        Ok(types)
    }

    async fn described_types(&self, filters: Vec<Filter>) -> Result<Vec<TypeInfo>, Failure> {
        const CALL: &str = "DescribeInstanceTypes";
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .describe_instance_types()
                .set_filters(Some(filters.clone()))
                .max_results(100)
                .set_next_token(token.clone());
            let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
            let page = self.calls.make(CALL, &self.look, sent).await?;
            all.extend(page.instance_types().iter().filter_map(convert::type_info));
            match following(CALL, token, page.next_token())? {
                None => return Ok(all),
                next => token = next,
            }
        }
    }

    async fn offered(&self, availability_zone: &str) -> Result<Vec<String>, Failure> {
        const CALL: &str = "DescribeInstanceTypeOfferings";
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .describe_instance_type_offerings()
                .location_type(LocationType::AvailabilityZone)
                .filters(filter("location", [availability_zone]))
                .max_results(1000)
                .set_next_token(token.clone());
            let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
            let page = self.calls.make(CALL, &self.look, sent).await?;
            let names = page.instance_type_offerings().iter().filter_map(|it| it.instance_type());
            all.extend(names.map(|it| it.as_str().to_owned()));
            match following(CALL, token, page.next_token())? {
                None => return Ok(all),
                next => token = next,
            }
        }
    }

    /// Makes an instance, or answers with the one that was made by this token before.
    pub(super) async fn run(
        &self,
        order: &Order<'_>,
        launch: &Launch,
        token: &str,
    ) -> Result<String, Failure> {
        const CALL: &str = "RunInstances";
        let request = self.run_request(order, launch).client_token(token);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        let made = self.calls.make(CALL, &self.run, sent).await?;
        let id = made.instances().first().and_then(|it| it.instance_id());
        id.map(str::to_owned).ok_or_else(|| Failure {
            call: CALL,
            // It may have been made all the same.
            kind: Kind::Broken,
            code: None,
            message: "the answer names no instance".to_owned(),
            request: None,
        })
    }

    pub(super) fn run_request(
        &self,
        order: &Order<'_>,
        launch: &Launch,
    ) -> RunInstancesFluentBuilder {
        let settings = order.settings;
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_endpoint(InstanceMetadataEndpointState::Enabled)
            .http_tokens(HttpTokensState::Required)
            .build();
        let tagged = |kind| {
            let tags =
                order.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
            TagSpecification::builder().resource_type(kind).set_tags(Some(tags.collect())).build()
        };
        let request = self
            .client
            .run_instances()
            .min_count(1)
            .max_count(1)
            .image_id(&settings.image)
            .instance_type(launch.instance_type.as_str().into())
            .set_subnet_id(launch.subnet.clone())
            .placement(Placement::builder().availability_zone(order.availability_zone).build())
            .set_key_name(settings.key_name.clone())
            .set_ipv6_address_count(settings.ipv6.then_some(1))
            .metadata_options(metadata)
            .user_data(base64(&order.user_data))
            .tag_specifications(tagged(ResourceType::Instance))
            .tag_specifications(tagged(ResourceType::Volume))
            // One that switches itself off is gone rather than half there.
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate);
        let request = match settings.security_groups.as_slice() {
            [] => request,
            some => request.set_security_group_ids(Some(some.to_vec())),
        };
        let request = match &settings.instance_profile {
            None => request,
            Some(name) => {
                let profile = IamInstanceProfileSpecification::builder().name(name).build();
                request.iam_instance_profile(profile)
            }
        };
        let request = match &order.image.root_device {
            None => request,
            Some(device) => request.block_device_mappings(root_volume(device, order.disk_gib)),
        };
        match launch.market {
            Market::OnDemand => request,
            Market::Spot => request.instance_market_options(spot()),
        }
    }

    pub(super) async fn terminate(&self, id: &str) -> Result<(), Failure> {
        const CALL: &str = "TerminateInstances";
        let request = self.client.terminate_instances().instance_ids(id);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        self.calls.make(CALL, &self.change, sent).await.map(drop)
    }

    /// Gives an instance a tag, in place of the one of that name.
    pub(super) async fn tag(&self, id: &str, key: &str, value: &str) -> Result<(), Failure> {
        const CALL: &str = "CreateTags";
        let tag = Tag::builder().key(key).value(value).build();
        let request = self.client.create_tags().resources(id).tags(tag);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        self.calls.make(CALL, &self.change, sent).await.map(drop)
    }

    pub(super) async fn reboot(&self, id: &str) -> Result<(), Failure> {
        const CALL: &str = "RebootInstances";
        let request = self.client.reboot_instances().instance_ids(id);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        self.calls.make(CALL, &self.change, sent).await.map(drop)
    }

    pub(super) async fn start(&self, id: &str) -> Result<(), Failure> {
        const CALL: &str = "StartInstances";
        let request = self.client.start_instances().instance_ids(id);
        let sent = async { request.send().await.map_err(|error| failure(CALL, error)) };
        self.calls.make(CALL, &self.change, sent).await.map(drop)
    }
}

pub(super) fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    let values = values.into_iter().map(str::to_owned).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// The token of the next page. One that leads nowhere is no end.
fn following(
    call: &'static str,
    token: Option<String>,
    next: Option<&str>,
) -> Result<Option<String>, Failure> {
    match next.filter(|next| !next.is_empty()) {
        Some(next) if token.as_deref() == Some(next) => {
            let message = "the next page is this one again".to_owned();
            Err(Failure { call, kind: Kind::Broken, code: None, message, request: None })
        }
        next => Ok(next.map(str::to_owned)),
    }
}

fn root_volume(device: &str, gib: u32) -> BlockDeviceMapping {
    let size = i32::try_from(gib).unwrap_or(i32::MAX);
    let volume = EbsBlockDevice::builder()
        .volume_size(size)
        .volume_type(VolumeType::Gp3)
        // It goes with its instance, and costs nothing afterwards.
        .delete_on_termination(true)
        .build();
    BlockDeviceMapping::builder().device_name(device).ebs(volume).build()
}

fn spot() -> InstanceMarketOptionsRequest {
    let options = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .build();
    InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(options)
        .build()
}
