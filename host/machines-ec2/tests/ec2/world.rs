//! A region with other people's instances in it, a proxy before it, and providers for it.

use cerebro_aws::sdk::Access;
use cerebro_aws::{Patience, Speed};
use cerebro_fake_aws::ec2::{Instance, Timings};
use cerebro_fake_aws::{Ec2, Fault, Front, Proxy, Server, others, serve};
use cerebro_machines::{CreateMachine, MachineProvider, Presence, ProviderError};
use cerebro_machines_ec2::notes::NotesDir;
use cerebro_machines_ec2::presence::Doubt;
use cerebro_machines_ec2::{Ec2Config, Ec2Provider, Ec2Settings, Pace, Speeds, UserData};
use cerebro_model::{Capacity, Cores, MachineId, Megabytes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const KEY: &str = "AKIDEXAMPLE";
/// How long anything may take to come about.
pub const BOUND: Duration = Duration::from_secs(60);

/// Calls that hang are given up soon, and what fails is tried again at once.
pub fn patience() -> Patience {
    Patience {
        attempt: Duration::from_millis(500),
        call: Duration::from_secs(3),
        attempts: 3,
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_millis(40),
    }
}

fn pace() -> Pace {
    Pace {
        listing: Duration::from_millis(10),
        // More than listings lag behind.
        doubt: Doubt { looks: 3, grace: Duration::from_millis(400) },
        poll: Duration::from_millis(30),
        ends_within: Duration::from_secs(2),
    }
}

/// Everything takes a tenth of a second or so.
pub fn timings() -> Timings {
    Timings {
        pending: Duration::from_millis(60),
        shutting_down: Duration::from_millis(60),
        vanish: Duration::from_secs(3600),
        lag: Duration::from_millis(120),
    }
}

pub struct World {
    pub server: Server<Ec2>,
    pub proxy: Proxy,
    pub settings: Ec2Settings,
    foreign: BTreeMap<String, Instance>,
    dir: TempDir,
}

pub const ZONE: &str = r#"
    [zones.aws-us-west-2a]
    image = "ami-0123456789abcdef0"
    key_name = "ops"
    security_groups = ["sg-0123456789abcdef0"]
    subnets = ["subnet-0123456789abcdefa"]
    instance_profile = "cerebro"
    allow = ["c7i.large", "m7i.large", "r7i.large"]
"#;

impl World {
    pub async fn new() -> Self {
        Self::with(ZONE, |_| {}).await
    }

    /// One by these settings, in a region that is changed before anybody looks.
    pub async fn with(settings: &str, change: impl FnOnce(&mut Ec2)) -> Self {
        let mut ec2 = Ec2::new("us-west-2", 7);
        ec2.account.timings = timings();
        change(&mut ec2);
        let front = Front { keys: vec![KEY.to_owned()], ..Front::open() };
        let server = serve(ec2, front).await.unwrap();
        let foreign = server.with(others::instances);
        let proxy = Proxy::start(server.url(), |_| Fault::None).await.unwrap();
        let mut settings: Ec2Settings = toml::from_str(settings).unwrap();
        settings.endpoint = Some(proxy.url().to_owned());
        Self { server, proxy, settings, foreign, dir: tempfile::tempdir().unwrap() }
    }

    /// A provider with these notes: those of the same name are the same.
    pub async fn provider(&self, notes: &str) -> Ec2Provider {
        open(self.config(notes)).await
    }

    pub fn config(&self, notes: &str) -> Ec2Config {
        let notes = NotesDir::open(&self.dir.path().join(notes)).unwrap();
        let user_data: UserData =
            Arc::new(|request, _| Ok(format!("#cloud-config\n# {}\n", request.id)));
        let (cluster, settings) = ("prod".parse().unwrap(), self.settings.clone());
        let fast = Speed { burst: 1000, per_second: 1000.0 };
        Ec2Config {
            access: Some(Access::Key { id: KEY.to_owned(), secret: "secret".to_owned() }),
            patience: patience(),
            pace: pace(),
            speeds: Speeds { look: fast, change: fast, run: fast },
            ..Ec2Config::new(cluster, settings, Arc::new(notes), user_data)
        }
    }

    /// Whatever was ever made as this machine of ours.
    pub fn made(&self, machine: &str) -> Vec<Instance> {
        let is_it = |it: &&Instance| {
            it.tags.get("cerebro:cluster").is_some_and(|it| it == "prod")
                && it.tags.get("cerebro:machine").is_some_and(|it| it == machine)
                && !self.foreign.contains_key(&it.id)
        };
        self.server.with(|ec2, _| ec2.instances().filter(is_it).cloned().collect())
    }

    /// Those of them that are not being ended.
    pub fn alive(&self, machine: &str) -> Vec<Instance> {
        let made = self.made(machine);
        self.server.with(|_, now| made.into_iter().filter(|it| it.state(now).is_alive()).collect())
    }

    /// Nothing of what others made was changed, nor was it tried.
    pub fn assert_foreign_untouched(&self) {
        let named: BTreeSet<String> = self
            .server
            .calls()
            .iter()
            .filter(|call| !call.action.starts_with("Describe"))
            .flat_map(|call| {
                let named = ["InstanceId", "ResourceId"].map(|list| call.params.list(list));
                named.concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(self.foreign.len(), 50);
        let touched = &self.server.touched() | &named;
        let wrong = self
            .server
            .with(|ec2, now| others::instances_touched(ec2, now, &self.foreign, &touched));
        assert!(wrong.is_empty(), "{wrong:?} were touched");
    }
}

pub async fn open(config: Ec2Config) -> Ec2Provider {
    Ec2Provider::open(config).await.unwrap()
}

pub fn request(machine: &str) -> CreateMachine {
    CreateMachine {
        id: machine.parse().unwrap(),
        zone: "aws-us-west-2a".parse().unwrap(),
        capacity: capacity(),
        controller: "http://10.0.0.1:30000".to_owned(),
        join_token: format!("token of {machine}"),
        term: 3,
        environment: BTreeMap::new(),
    }
}

pub fn capacity() -> Capacity {
    Capacity {
        cpu: Cores::from_millis(2000),
        mem: Megabytes::new(4096),
        disk: Megabytes::new(10_000),
    }
}

pub fn id(machine: &str) -> MachineId {
    machine.parse().unwrap()
}

/// Does it again until it goes well.
pub async fn until_done<T, F>(what: &str, act: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, ProviderError>>,
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

pub async fn until_running(provider: &Ec2Provider, machine: &str) {
    let machine = id(machine);
    let presence = until_done("describe", async || provider.describe(&machine).await).await;
    assert_eq!(presence, Presence::Running);
}

/// Asks until a listing shows how it is.
pub async fn until_gone(provider: &Ec2Provider, machine: &str) -> String {
    let (machine, begun) = (id(machine), Instant::now());
    loop {
        if let Ok(Presence::Gone { why }) = provider.describe(&machine).await {
            return why;
        }
        assert!(begun.elapsed() < BOUND, "{machine} is not gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Does it again until it is refused for good: the words.
pub async fn until_refused<T, F>(act: impl Fn() -> F) -> String
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let begun = Instant::now();
    loop {
        match act().await {
            Err(error @ ProviderError::Refused { .. }) => return error.to_string(),
            Err(error) => assert!(begun.elapsed() < BOUND, "not refused, but {error}"),
            Ok(_) => assert!(begun.elapsed() < BOUND, "not refused, but done"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
