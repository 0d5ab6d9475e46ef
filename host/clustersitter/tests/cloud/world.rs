//! A region and a hosted zone that behave as Amazon's, with much of others' in them, and a controller for them.

use crate::controlled::{Alive, Cloud, Controlled, KEY};
use async_trait::async_trait;
use cerebro_fake_aws::ec2::{Instance, Timings};
use cerebro_fake_aws::route53::{Key, RecordSet};
use cerebro_fake_aws::{Ec2, Front, Route53, Server, others, serve};
use cerebro_model::MachineId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const DOMAIN: &str = "startup.com";

/// Zones with so many machines each, and what EC2 needs to know of them.
pub fn zones(a: u32, b: u32) -> String {
    format!(
        r#"
[zones.aws-us-west-2a]
min = {a}
max = {}
[zones.aws-us-west-2b]
min = {b}
max = {}
[ec2.zones.aws-us-west-2a]
image = "ami-0123456789abcdef0"
key_name = "ops"
security_groups = ["sg-0123456789abcdef0"]
subnets = ["subnet-0123456789abcdefa"]
instance_profile = "cerebro"
allow = ["c7i.large", "m7i.large"]
[ec2.zones.aws-us-west-2b]
image = "ami-0123456789abcdef0"
allow = ["c7i.large", "m7i.large"]
"#,
        a + 2,
        b + 2
    )
}

pub struct World {
    /// The controller, by which one looks at it.
    pub controlled: Controlled,
    pub amazon: Arc<Amazon>,
}

/// What is at Amazon.
pub struct Amazon {
    pub ec2: Server<Ec2>,
    pub route53: Server<Route53>,
    hosted_zone: String,
    instances: BTreeMap<String, Instance>,
    records: BTreeMap<Key, RecordSet>,
}

impl World {
    /// With these settings beside those that every controller here has. It is not started yet.
    pub async fn new(more: &str) -> Self {
        let controlled = Controlled::new().await;
        let front = || Front { keys: vec![KEY.to_owned()], ..Front::open() };
        let mut ec2 = Ec2::new("us-west-2", 7);
        ec2.account.network = [127, 78];
        ec2.account.timings = Timings {
            pending: Duration::from_millis(500),
            shutting_down: Duration::from_secs(1),
            vanish: Duration::from_secs(3600),
            lag: Duration::from_millis(300),
        };
        let ec2 = serve(ec2, front()).await.unwrap();
        let instances = ec2.with(others::instances);
        ec2.with(|ec2, _| ec2.on_event(controlled.insides.hook()));
        let mut route53 = Route53::new(7);
        route53.in_sync_after = Duration::from_millis(300);
        let hosted_zone = route53.put_zone(DOMAIN, false);
        let records = others::records(route53.zone_mut(&hosted_zone).unwrap());
        let route53 = serve(route53, front()).await.unwrap();
        let (at_ec2, at_route53) = (ec2.url(), route53.url());
        controlled.settle(&format!(
            r#"
{more}
[ec2]
endpoint = "{at_ec2}"
[route53]
endpoint = "{at_route53}"
in_sync_within = 20
[[route53.zones]]
name = "{DOMAIN}"
"#
        ));
        let amazon = Amazon { ec2, route53, hosted_zone, instances, records };
        Self { controlled, amazon: Arc::new(amazon) }
    }

    /// Nothing that others have was changed.
    pub fn assert_others_untouched(&self) {
        let Amazon { ec2, route53, hosted_zone, instances, records } = &*self.amazon;
        assert!(instances.len() == 50 && records.len() > 200);
        let touched = ec2.touched();
        let wrong = ec2.with(|ec2, now| others::instances_touched(ec2, now, instances, &touched));
        assert!(wrong.is_empty(), "others' instances were touched: {wrong:?}");
        let touched = route53.touched();
        let wrong = route53.with(|route53, _| {
            others::records_touched(route53.zone(hosted_zone).unwrap(), records, &touched)
        });
        assert!(wrong.is_empty(), "others' records were touched: {wrong:?}");
    }
}

impl Amazon {
    /// What was made for the cluster and is not ended, as it is.
    pub fn made(&self) -> Vec<Instance> {
        self.ec2.with(|ec2, now| {
            let made = ec2.instances().filter(|it| !self.instances.contains_key(&it.id));
            made.filter(|it| it.state(now).is_alive()).cloned().collect()
        })
    }
}

#[async_trait]
impl Cloud for Amazon {
    async fn alive(&self) -> BTreeMap<MachineId, Vec<Alive>> {
        let mut alive: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for instance in self.made() {
            let machine = instance.tags["cerebro:machine"].parse().unwrap();
            let (id, address) = (instance.id, instance.private_address.parse().unwrap());
            alive.entry(machine).or_default().push(Alive { id, address });
        }
        alive
    }

    async fn terminate(&self, id: &str) {
        let reason = "Client.UserInitiatedShutdown";
        self.ec2.with(|ec2, now| ec2.terminate_behind_our_back(id, now, reason));
    }

    async fn resolve(&self, name: &str) -> BTreeSet<IpAddr> {
        let zone = &self.hosted_zone;
        let answered = self.route53.with(|it, now| it.zone(zone).unwrap().resolve(name, "A", now));
        answered.iter().map(|it| it.parse().unwrap()).collect()
    }
}
