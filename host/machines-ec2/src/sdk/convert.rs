//! What the SDK's types say, in ours.

use super::region::Image;
use crate::choose::TypeInfo;
use crate::identity::{Owner, Told};
use crate::presence::{Instance, State};
use aws_sdk_ec2::types::{self, ImageState, InstanceTypeInfo};
use cerebro_model::ClusterName;

/// An instance, if its tags say that it is ours.
pub(super) fn instance(cluster: &ClusterName, it: &types::Instance) -> Option<Instance> {
    let tags = || it.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
    let owner = Owner::by_tags(cluster, tags())?;
    let address = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let public = [address(it.public_ip_address()), address(it.ipv6_address())];
    Some(Instance {
        id: it.instance_id()?.to_owned(),
        owner,
        told: Told::by_tags(tags()),
        state: state(it),
        reason: it
            .state_reason()
            .and_then(|reason| reason.message().or(reason.code()))
            .map(str::to_owned),
        launched: it.launch_time().map(|at| at.secs()).unwrap_or_default(),
        instance_type: it.instance_type().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        availability_zone: it
            .placement()
            .and_then(|it| it.availability_zone())
            .unwrap_or_default()
            .to_owned(),
        private: address(it.private_ip_address()),
        public: public.into_iter().flatten().collect(),
    })
}

/// What an instance does.
pub(super) fn state(it: &types::Instance) -> State {
    let name = it.state().and_then(|state| state.name());
    State::of(name.map(|name| name.as_str()).unwrap_or_default())
}

/// An image.
pub(super) fn image(it: &types::Image) -> Image {
    let root_device = it.root_device_name().map(str::to_owned);
    let is_root =
        |device: &&types::BlockDeviceMapping| device.device_name() == it.root_device_name();
    let size = it
        .block_device_mappings()
        .iter()
        .find(is_root)
        .and_then(|device| device.ebs()?.volume_size());
    Image {
        architecture: it.architecture().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        root_device,
        size_gib: size.and_then(|size| u32::try_from(size).ok()).unwrap_or_default(),
        is_available: it.state() == Some(&ImageState::Available),
    }
}

/// A type of instance, if enough is said of it.
pub(super) fn type_info(it: &InstanceTypeInfo) -> Option<TypeInfo> {
    let architectures = it.processor_info()?.supported_architectures();
    let has_accelerators = it.gpu_info().is_some()
        || it.fpga_info().is_some()
        || it.inference_accelerator_info().is_some()
        || it.media_accelerator_info().is_some()
        || it.neuron_info().is_some();
    Some(TypeInfo {
        name: it.instance_type()?.as_str().to_owned(),
        vcpus: u32::try_from(it.v_cpu_info()?.default_v_cpus()?).ok()?,
        memory: u64::try_from(it.memory_info()?.size_in_mib()?).ok()?,
        architectures: architectures.iter().map(|it| it.as_str().to_owned()).collect(),
        is_current: it.current_generation().unwrap_or_default(),
        is_bare_metal: it.bare_metal().unwrap_or_default(),
        has_accelerators,
        is_burstable: it.burstable_performance_supported().unwrap_or_default(),
    })
}
