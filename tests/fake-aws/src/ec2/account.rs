//! What an account has, apart from instances, and what it is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A type of instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceType {
    /// Such as `m7i.large`.
    pub name: String,
    /// How many virtual CPUs.
    pub vcpus: u32,
    /// In MiB.
    pub memory: u64,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Whether it is of a current generation.
    pub is_current: bool,
    /// Whether it is a whole host.
    pub is_bare_metal: bool,
    /// How many GPUs it has.
    pub gpus: u32,
}

impl InstanceType {
    /// One of a current generation, without anything particular.
    pub fn new(name: &str, vcpus: u32, memory: u64, architecture: &str) -> Self {
        Self {
            name: name.to_owned(),
            vcpus,
            memory,
            architecture: architecture.to_owned(),
            is_current: true,
            is_bare_metal: false,
            gpus: 0,
        }
    }
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its architecture.
    pub architecture: String,
    /// How its root device is named.
    pub root_device: String,
    /// `available`, or why not.
    pub state: String,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The zone that it is in.
    pub zone: String,
    /// How many addresses are left.
    pub free_addresses: u32,
    /// Whether instances get a public address.
    pub is_public: bool,
    /// Whether it has a range of IPv6.
    pub has_ipv6: bool,
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// From the launch until it runs.
    pub pending: Duration,
    /// From its termination until it is terminated.
    pub shutting_down: Duration,
    /// Until a terminated one is not listed any more.
    pub vanish: Duration,
    /// How far listings lag behind, at most.
    pub lag: Duration,
}

impl Default for Timings {
    /// As was measured and published of the real one.
    fn default() -> Self {
        Self {
            pending: Duration::from_millis(16_500),
            shutting_down: Duration::from_secs(30),
            vanish: Duration::from_secs(3600),
            lag: Duration::from_secs(5),
        }
    }
}

/// What there is, and what is allowed.
#[derive(Debug, Clone)]
pub struct Account {
    /// Availability zones.
    pub zones: BTreeSet<String>,
    /// Types of instances.
    pub types: Vec<InstanceType>,
    /// (zone, type) pairs that are not offered.
    pub not_offered: BTreeSet<(String, String)>,
    /// Images by id.
    pub images: BTreeMap<String, Image>,
    /// Names of key pairs.
    pub key_pairs: BTreeSet<String>,
    /// Ids of security groups.
    pub groups: BTreeSet<String>,
    /// Subnets by id. The first of a zone is its default.
    pub subnets: BTreeMap<String, Subnet>,
    /// Names of instance profiles.
    pub profiles: BTreeSet<String>,
    /// How many more instances there is room for, by (zone, type); where nothing is said, for all.
    pub room: BTreeMap<(String, String), u32>,
    /// The same for the spot market.
    pub spot_room: BTreeMap<(String, String), u32>,
    /// How many virtual CPUs may run.
    pub vcpu_quota: Option<u32>,
    /// How long things take.
    pub timings: Timings,
    /// Pages are not longer than this, whatever is asked for.
    pub longest_page: Option<u32>,
    /// What the addresses of instances begin with, inside.
    pub network: [u8; 2],
}

impl Account {
    /// What a test usually needs: an image `ami-0123456789abcdef0` for x86_64 and `ami-0123456789abcdef1` for arm64, a key
    /// `ops`, a group `sg-0123456789abcdef0`, a profile `cerebro`, and a subnet `subnet-0123456789abcdefa` in zone a, and so on.
    pub fn usual(region: &str) -> Self {
        let zones = ["a", "b", "c"];
        let type_of = |name, vcpus, memory| InstanceType::new(name, vcpus, memory, "x86_64");
        let arm = |name, vcpus, memory| InstanceType::new(name, vcpus, memory, "arm64");
        let types = vec![
            type_of("t3.small", 2, 2048),
            type_of("t3.medium", 2, 4096),
            type_of("m7i.large", 2, 8192),
            type_of("m7i.xlarge", 4, 16_384),
            type_of("c7i.large", 2, 4096),
            type_of("c7i.xlarge", 4, 8192),
            type_of("r7i.large", 2, 16_384),
            InstanceType { is_current: false, ..type_of("m3.large", 2, 7680) },
            InstanceType { is_bare_metal: true, ..type_of("m7i.metal-24xl", 96, 393_216) },
            InstanceType { gpus: 1, ..type_of("g5.xlarge", 4, 16_384) },
            arm("t4g.medium", 2, 4096),
            arm("m7g.large", 2, 8192),
            arm("c7g.large", 2, 4096),
        ];
        let image = |architecture: &str| Image {
            architecture: architecture.to_owned(),
            root_device: "/dev/xvda".to_owned(),
            state: "available".to_owned(),
        };
        let subnet = |letter: &str| {
            let zone = format!("{region}{letter}");
            let subnet = Subnet { zone, free_addresses: 250, is_public: true, has_ipv6: false };
            (format!("subnet-0123456789abcdef{letter}"), subnet)
        };
        Self {
            zones: zones.iter().map(|letter| format!("{region}{letter}")).collect(),
            types,
            not_offered: BTreeSet::new(),
            images: BTreeMap::from([
                ("ami-0123456789abcdef0".to_owned(), image("x86_64")),
                ("ami-0123456789abcdef1".to_owned(), image("arm64")),
            ]),
            key_pairs: ["ops".to_owned()].into(),
            groups: ["sg-0123456789abcdef0".to_owned()].into(),
            subnets: zones.iter().map(|letter| subnet(letter)).collect(),
            profiles: ["cerebro".to_owned()].into(),
            room: BTreeMap::new(),
            spot_room: BTreeMap::new(),
            vcpu_quota: None,
            timings: Timings::default(),
            longest_page: None,
            network: [10, 0],
        }
    }

    /// A type by its name.
    pub fn type_of(&self, name: &str) -> Option<&InstanceType> {
        self.types.iter().find(|it| it.name == name)
    }

    pub(super) fn is_offered(&self, zone: &str, name: &str) -> bool {
        let pair = (zone.to_owned(), name.to_owned());
        self.zones.contains(zone)
            && self.type_of(name).is_some()
            && !self.not_offered.contains(&pair)
    }
}
