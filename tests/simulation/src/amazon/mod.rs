//! Amazon, as strict fakes of it behave, and the real providers with the real SDK: only its connections are replaced, by
//! calls in the same process and in simulated time. The account holds much that is others'.

mod calls;
mod notes;
mod wire;

pub use calls::{Calls, Made, Strike};

use crate::cloud::Cloud;
use crate::effects::Effects;
use crate::operator::ZONES;
use crate::run::{Options, Outcome, run_at};
use crate::store::Life;
use crate::world::{HostState, locked};
use anyhow::{Context, Result};
use async_trait::async_trait;
use cerebro_aws::sdk::Access;
use cerebro_dns::{DnsProvider, Group};
use cerebro_dns_route53::{HostedZone, Route53Config, Route53Dns, Route53Settings};
use cerebro_fake_aws::ec2::{Instance, InstanceType};
use cerebro_fake_aws::route53::{Key, RecordSet};
use cerebro_fake_aws::{Clock, Desk, Ec2, Front, Route53, others, real_clock};
use cerebro_machines::{CreateMachine, MachineProvider};
use cerebro_machines_ec2::identity::Note;
use cerebro_machines_ec2::{Ec2Config, Ec2Provider, Ec2Settings};
use cerebro_model::MachineId;
use notes::LivingNotes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wire::Wire;

/// The access key's id.
const KEY: &str = "AKIDEXAMPLE";
/// The hosted zone that the names of all jobs are in.
const DOMAIN: &str = "example.com";
/// The regions of the zones.
const REGIONS: [&str; 2] = ["us-east-1", "us-west-2"];
/// As the cluster is called. Others' instances bear some of its tags.
const CLUSTER: &str = "prod";

/// Runs a seed at Amazon, where some calls fail: what came of it, and all calls that were made.
pub fn run(options: &Options, calls: Calls) -> Result<(Outcome, Vec<Made>)> {
    // The SDK draws from here how long it waits between two tries.
    fastrand::seed(options.seed);
    let mut kept = None;
    let outcome = run_at(options, |effects| {
        let account = Arc::new(Account::new(effects, options.seed, calls)?);
        kept = Some(account.clone());
        Ok(Arc::new(Amazon(account)))
    })?;
    let made = kept.map(|account| locked(&account.calls).made.clone());
    Ok((outcome, made.unwrap_or_default()))
}

/// Machines at EC2 and names at Route 53.
struct Amazon(Arc<Account>);

/// What is there, whoever asks.
struct Account {
    effects: Effects,
    regions: BTreeMap<&'static str, Region>,
    route53: Desk<Route53>,
    hosted_zone: String,
    /// Others' records.
    records: BTreeMap<Key, RecordSet>,
    /// What the controller wants of its machines.
    orders: Mutex<BTreeMap<MachineId, CreateMachine>>,
    /// Instances that were made, and the machines that they are.
    made: Mutex<BTreeMap<String, MachineId>>,
    /// The directory of notes, which outlives every controller.
    notes: Mutex<BTreeMap<MachineId, Note>>,
    calls: Mutex<Calls>,
}

struct Region {
    ec2: Desk<Ec2>,
    /// Others' instances.
    others: BTreeMap<String, Instance>,
}

impl Account {
    fn new(effects: Effects, seed: u64, calls: Calls) -> Result<Self> {
        let times = effects.clone();
        let clock: Clock = Arc::new(move || {
            Duration::from_millis(u64::try_from(times.right_time().millis()).unwrap_or_default())
        });
        // Signatures are by the host's clock: so the SDK has it.
        let front = || Front {
            clock: clock.clone(),
            signing_clock: real_clock(),
            keys: vec![KEY.to_owned()],
            ..Front::open()
        };
        let region = |(n, name): (u64, &'static str)| {
            // Ids are drawn from the seed, and differ from region to region.
            let mut ec2 = Ec2::new(name, seed ^ n << 32);
            ec2.account.types.push(InstanceType::new("m7i.2xlarge", 8, 32_768, "x86_64"));
            let ec2 = Desk::new(ec2, front());
            let others = ec2.with(others::instances);
            (name, Region { ec2, others })
        };
        let mut route53 = Route53::new(seed);
        let hosted_zone = route53.put_zone(DOMAIN, false);
        let zone = route53.zone_mut(&hosted_zone).context("the zone is not there")?;
        let records = others::records(zone);
        Ok(Self {
            effects,
            regions: (0..).zip(REGIONS).map(region).collect(),
            route53: Desk::new(route53, front()),
            hosted_zone,
            records,
            orders: Mutex::default(),
            made: Mutex::default(),
            notes: Mutex::default(),
            calls: Mutex::new(calls),
        })
    }

    /// The region that an instance is in.
    fn region_of(&self, instance: &str) -> Option<&Region> {
        let mut regions = self.regions.values();
        regions.find(|it| it.ec2.with(|ec2, _| ec2.instance(instance).is_some()))
    }
}

/// The settings of an administrator who leaves the choice of types to us.
fn settings() -> Result<Ec2Settings> {
    let zone = serde_json::json!({
        "image": "ami-0123456789abcdef0",
        "key_name": "ops",
        "security_groups": ["sg-0123456789abcdef0"],
        "instance_profile": "cerebro",
    });
    let zones: serde_json::Map<_, _> =
        ZONES.iter().map(|name| ((*name).to_owned(), zone.clone())).collect();
    Ok(serde_json::from_value(serde_json::json!({ "zones": zones }))?)
}

#[async_trait]
impl Cloud for Amazon {
    async fn machines(&self, life: &Arc<Life>) -> Result<Arc<dyn MachineProvider>> {
        let notes = Arc::new(LivingNotes { account: self.0.clone(), life: life.clone() });
        let account = self.0.clone();
        // What an instance begins with tells its agent what it is.
        let user_data = move |request: &CreateMachine, _: &str| {
            locked(&account.orders).insert(request.id.clone(), request.clone());
            Ok(format!("#cloud-config\n# {}\n", request.id))
        };
        let config = Ec2Config {
            access: Some(Access::Key { id: KEY.to_owned(), secret: "secret".to_owned() }),
            carrier: Some(self.way(life)),
            ..Ec2Config::new(CLUSTER.parse()?, settings()?, notes, Arc::new(user_data))
        };
        Ok(Arc::new(Ec2Provider::open(config).await?))
    }

    async fn names(&self, life: &Arc<Life>) -> Result<Arc<dyn DnsProvider>> {
        let zones = vec![HostedZone { name: DOMAIN.to_owned(), id: None, private: false }];
        let config = Route53Config {
            access: Some(Access::Key { id: KEY.to_owned(), secret: "secret".to_owned() }),
            carrier: Some(self.way(life)),
            ..Route53Config::new(Route53Settings { zones, ..Route53Settings::default() })
        };
        Ok(Arc::new(Route53Dns::open(config).await?))
    }

    /// A machine that died is an instance that somebody ended behind everybody's back.
    fn follow(&self) {
        let dead: Vec<String> = {
            let (world, made) = (self.0.effects.world.lock(), locked(&self.0.made));
            let is_dead = |machine: &MachineId| {
                world.hosts.get(machine).is_some_and(|host| host.state == HostState::Dead)
            };
            made.iter().filter(|(_, machine)| is_dead(machine)).map(|(id, _)| id.clone()).collect()
        };
        for id in dead {
            if let Some(region) = self.0.region_of(&id) {
                let reason = "Server.InternalError";
                region.ec2.with(|ec2, now| ec2.terminate_behind_our_back(&id, now, reason));
            }
        }
    }

    /// What Route 53 has accepted: its servers follow within a minute.
    fn addresses(&self, group: &Group) -> BTreeSet<IpAddr> {
        self.0.route53.with(|route53, _| {
            let zone = route53.zone(&self.0.hosted_zone);
            let set = zone.and_then(|zone| zone.get(&group.name(), "A"));
            let values = set.into_iter().flat_map(|set| &set.values);
            values.filter_map(|value| value.parse().ok()).collect()
        })
    }

    fn published(&self) -> BTreeSet<String> {
        self.0.route53.with(|route53, _| {
            let zone = route53.zone(&self.0.hosted_zone);
            let sets = zone.into_iter().flat_map(|zone| zone.sets().keys());
            let ours = sets.filter(|key| key.kind == "A" && !self.0.records.contains_key(*key));
            ours.map(|key| group_of(key.name().trim_end_matches('.'))).collect()
        })
    }

    fn wrong(&self) -> Vec<String> {
        let Account { regions, route53, records, .. } = &*self.0;
        let mut wrong = Vec::new();
        for (name, region) in regions {
            let touched = region.ec2.touched();
            let ids = region
                .ec2
                .with(|ec2, now| others::instances_touched(ec2, now, &region.others, &touched));
            wrong
                .extend(ids.iter().map(|id| format!("{id} in {name} is others', and was touched")));
            let alive: Vec<String> = region.ec2.with(|ec2, now| {
                let alive = ec2.instances().filter(|it| it.state(now).is_alive());
                alive.map(|it| it.id.clone()).collect()
            });
            let (world, made) = (self.0.effects.world.lock(), locked(&self.0.made));
            for id in alive.iter().filter(|id| !region.others.contains_key(*id)) {
                let host = made.get(id).and_then(|machine| world.hosts.get(machine));
                if !host.is_some_and(|host| host.exists()) {
                    wrong.push(format!("{id} in {name} runs, and is no machine's"));
                }
            }
        }
        let touched = route53.touched();
        let names = route53.with(|route53, _| match route53.zone(&self.0.hosted_zone) {
            Some(zone) => others::records_touched(zone, records, &touched),
            None => vec!["the hosted zone".to_owned()],
        });
        wrong.extend(names.iter().map(|name| format!("{name} is others', and was touched")));
        wrong
    }
}

impl Amazon {
    fn way(&self, life: &Arc<Life>) -> Arc<Wire> {
        Arc::new(Wire { account: self.0.clone(), life: life.clone() })
    }
}

/// The group that a name is of: `<n>.<zone>.<job>` and `<zone>.<job>` are of the same.
fn group_of(name: &str) -> String {
    match name.split_once('.') {
        Some((first, rest)) if first.bytes().all(|it| it.is_ascii_digit()) => rest.to_owned(),
        _ => name.to_owned(),
    }
}
