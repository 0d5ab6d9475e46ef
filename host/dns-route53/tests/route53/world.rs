//! A hosted zone with other people's records in it, a proxy before it, and providers for it.

use cerebro_aws::sdk::Access;
use cerebro_aws::{Patience, Speed};
use cerebro_dns::{DnsError, Group, Mark, Records, Ttl};
use cerebro_dns_route53::{HostedZone, Route53Config, Route53Dns, Route53Settings};
use cerebro_fake_aws::route53::{Key, RecordSet};
use cerebro_fake_aws::{Fault, Front, Proxy, Route53, Server, others, serve};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

pub const KEY: &str = "AKIDEXAMPLE";
pub const ZONE: &str = "startup.com";
/// How long anything may take to come about.
pub const BOUND: Duration = Duration::from_secs(60);

pub fn patience() -> Patience {
    Patience {
        attempt: Duration::from_millis(500),
        call: Duration::from_secs(3),
        attempts: 3,
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_millis(40),
    }
}

pub struct World {
    pub server: Server<Route53>,
    pub proxy: Proxy,
    pub zone: String,
    pub settings: Route53Settings,
    foreign: BTreeMap<Key, RecordSet>,
}

impl World {
    pub async fn new() -> Self {
        let mut route53 = Route53::new(7);
        route53.in_sync_after = Duration::from_millis(100);
        let zone = route53.put_zone(ZONE, false);
        // Others of the same name, of another kind, and before and behind it.
        route53.put_zone(ZONE, true);
        route53.put_zone("startua.com", false);
        route53.put_zone("startuq.com", false);
        let front = Front { keys: vec![KEY.to_owned()], ..Front::open() };
        let server = serve(route53, front).await.unwrap();
        let foreign = server.with(|route53, _| others::records(route53.zone_mut(&zone).unwrap()));
        let proxy = Proxy::start(server.url(), |_| Fault::None).await.unwrap();
        let settings = Route53Settings {
            endpoint: Some(proxy.url().to_owned()),
            zones: vec![HostedZone { name: ZONE.to_owned(), id: None, private: false }],
            ..Route53Settings::default()
        };
        Self { server, proxy, zone, settings, foreign }
    }

    pub async fn provider(&self) -> Route53Dns {
        open(self.config()).await
    }

    pub fn config(&self) -> Route53Config {
        Route53Config {
            access: Some(Access::Key { id: KEY.to_owned(), secret: "secret".to_owned() }),
            patience: patience(),
            poll: Duration::from_millis(20),
            speed: Speed { burst: 1000, per_second: 1000.0 },
            ..Route53Config::new(self.settings.clone())
        }
    }

    /// Our records: name, kind and values of each.
    pub fn ours(&self) -> Vec<(String, String, Vec<String>)> {
        self.server.with(|route53, _| {
            let all = route53.zone(&self.zone).unwrap().sets().iter();
            let ours = all.filter(|(key, _)| !self.foreign.contains_key(key));
            ours.map(|(key, set)| (key.name(), key.kind.clone(), set.values.clone())).collect()
        })
    }

    /// Nothing of what others made was changed, nor was it tried.
    pub fn assert_foreign_untouched(&self) {
        assert!(self.foreign.len() >= 200);
        let touched = self.server.touched();
        let wrong = self.server.with(|route53, _| {
            others::records_touched(route53.zone(&self.zone).unwrap(), &self.foreign, &touched)
        });
        assert!(wrong.is_empty(), "{wrong:?} were touched");
    }
}

pub async fn open(config: Route53Config) -> Route53Dns {
    Route53Dns::open(config).await.unwrap()
}

pub fn group(job: &str) -> Group {
    Group { zone: "aws-us-west-2a".parse().unwrap(), job: format!("{job}.{ZONE}").parse().unwrap() }
}

pub fn mark(group: &Group, epoch: u64) -> Mark {
    Mark { cluster: "prod".parse().unwrap(), job: group.job.clone(), epoch }
}

pub fn address(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + n).into()
}

/// What is published when these instances serve.
pub fn serving(group: &Group, numbers: impl IntoIterator<Item = u32>) -> Records {
    let all = numbers.into_iter().map(|n| (n, BTreeSet::from([address(n)]))).collect();
    Records::of(group, Ttl::seconds(5).unwrap(), &all)
}

/// Does it again until it goes well.
pub async fn until_done<T, F>(what: &str, act: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, DnsError>>,
{
    let begun = Instant::now();
    loop {
        match act().await {
            Ok(done) => return done,
            Err(error) => assert!(begun.elapsed() < BOUND, "{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
