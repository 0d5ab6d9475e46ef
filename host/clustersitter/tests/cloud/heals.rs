//! A job from nothing, and one instance gone behind everybody's back.

use crate::controlled::{Cloud, Controlled};
use crate::insides::join_token;
use crate::world::{World, zones};
use cerebro_api::ClientError;
use cerebro_api::body::{DeployRequest, JoinRequest, TaskView};
use cerebro_model::{Event, EventKind, Job, Timestamp};
use cerebro_tests::{component, portal};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const ZONES: [&str; 2] = ["aws-us-west-2a", "aws-us-west-2b"];
const TTL: Duration = Duration::from_secs(5);

/// Two instances of the example in each zone.
fn job() -> Job {
    let mut job = serde_json::to_value(portal::job().unwrap()).unwrap();
    let layout = ZONES.map(|zone| (zone.to_owned(), json!({ "mem": 50, "count": 2 })));
    job["deployment_layout"] = layout.into_iter().collect::<serde_json::Map<_, _>>().into();
    job["rollout"] = json!({ "deadline": 90 });
    serde_json::from_value(job).unwrap()
}

/// Who serves, by zones.
fn serving(tasks: &[TaskView]) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let mut serving: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    for task in tasks {
        serving.entry(zone_of(task).to_owned()).or_default().insert(task.address.unwrap());
    }
    serving
}

/// `<n>.<zone>.<job>` is what it is called.
fn zone_of(task: &TaskView) -> &str {
    task.instance.id.as_str().split('.').nth(1).unwrap()
}

fn name(zone: &str) -> String {
    format!("{zone}.portal.startup.com")
}

/// One look at a name.
struct Look {
    at: SystemTime,
    zone: &'static str,
    addresses: BTreeSet<IpAddr>,
}

/// Looks at both names each 100 ms, until it is dropped.
struct Watch {
    looks: Arc<std::sync::Mutex<Vec<Look>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn begin(cloud: Arc<dyn Cloud>) -> Self {
        let looks: Arc<std::sync::Mutex<Vec<Look>>> = Arc::default();
        let kept = looks.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticks.tick().await;
                for zone in ZONES {
                    let addresses = cloud.resolve(&name(zone)).await;
                    kept.lock().unwrap().push(Look { at: SystemTime::now(), zone, addresses });
                }
            }
        });
        Self { looks, task }
    }

    fn end(self) -> Vec<Look> {
        self.task.abort();
        std::mem::take(&mut *self.looks.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_nothing_runs_and_heals_and_its_names_never_lie() {
    let mut world = World::new(&zones(2, 2)).await;
    world.controlled.start();
    from_nothing_and_back(&world.controlled, world.amazon.clone()).await;
    for instance in world.amazon.made() {
        assert!(instance.requires_tokens && instance.instance_type == "c7i.large");
        // Whoever can read user data can do nothing with it any more.
        let machine = instance.tags["cerebro:machine"].parse().unwrap();
        let request = JoinRequest {
            token: join_token(&instance.user_data),
            own_token: Some("0".repeat(32)),
            address: "127.0.0.1".parse().unwrap(),
            also_at: Vec::new(),
            port: 1,
            pid: 1,
            version: "0".to_owned(),
            term: 0,
            runs: Vec::new(),
        };
        match world.controlled.client.join(&machine, &request).await {
            Err(ClientError::Refused(problem)) => assert_eq!(problem.status, 401, "{problem}"),
            other => panic!("{other:?}"),
        }
    }
    world.assert_others_untouched();
}

/// Four machines, one job on all of them, one instance ended, and four again.
pub async fn from_nothing_and_back(world: &Controlled, cloud: Arc<dyn Cloud>) {
    let active = async || world.active().await.filter(|it| it.len() == 4);
    let machines = world.until("four machines have joined", active).await;
    let alive = cloud.alive().await;
    assert!(alive.keys().eq(machines.iter()), "{alive:?}");
    for view in world.client.machines().await.unwrap() {
        // The address that it has in its network, which its agent has said.
        let [instance] = alive[&view.machine.id].as_slice() else { panic!("{alive:?}") };
        assert_eq!(view.machine.address, Some(instance.address));
    }

    let client = &world.client;
    for (name, file) in [("mystartup.recipes.deploy", "release"), ("http-check", "http_check")] {
        client.put_recipe(&name.parse().unwrap(), component(file).unwrap()).await.unwrap();
    }
    let job = job();
    client.put_job(&job, None).await.unwrap();
    let artifact = client.post_artifact(portal::artifact().unwrap()).await.unwrap();
    let options = [("artifact".to_owned(), artifact.digest.to_string().into())];
    let request = DeployRequest::new("1.0".parse().unwrap(), options.into_iter().collect());
    let deployment = client.deploy(&job.dns_basename, &request).await.unwrap();
    let ended = async || {
        world.client.deployment(&deployment.id).await.ok().filter(|it| it.state.has_ended())
    };
    let ended = world.until("the deployment ends", ended).await;
    assert!(ended.state.has_succeeded(), "{:?}", ended.state);
    let healthy = async || world.healthy(&job.dns_basename, 4).await;
    let tasks = world.until("all four are healthy", healthy).await;
    let hosts: BTreeSet<_> = tasks.iter().map(|it| &it.instance.machine).collect();
    assert_eq!(hosts.len(), 4, "one on each machine");
    are_named(world, &*cloud, &tasks).await;

    // Somebody ends an instance at the console: with it goes its agent.
    let watch = Watch::begin(cloud.clone());
    let victim = tasks.iter().find(|it| zone_of(it) == ZONES[0]).unwrap();
    let (dead, machine) = (victim.address.unwrap(), victim.instance.machine.clone());
    let instance = alive[&machine][0].id.clone();
    let died = SystemTime::now();
    cloud.terminate(&instance).await;
    let lost = async || world.told(EventKind::MachineLost, &machine).await;
    let lost: Event = world.until("its death is certain", lost).await;
    let healed = async || {
        let tasks = world.healthy(&job.dns_basename, 4).await?;
        tasks.iter().all(|it| it.instance.machine != machine).then_some(tasks)
    };
    let tasks = world.until("all four are healthy again", healed).await;
    are_named(world, &*cloud, &tasks).await;
    let looks = watch.end();
    let forgotten = async || world.told(EventKind::MachineTerminated, &machine).await;
    world.until("it is forgotten", forgotten).await;
    let whole = async || {
        (world.is_one_to_one(&*cloud).await && world.active().await?.len() == 4).then_some(())
    };
    world.until("four machines are four instances", whole).await;

    let died: Timestamp = died.into();
    let detection = lost.at.since(died);
    assert!(detection < Duration::from_secs(20), "its death was certain after {detection:?}");
    assert!(looks.len() > 20, "{} looks", looks.len());
    let empty = looks.iter().filter(|it| it.addresses.is_empty()).count();
    assert_eq!(empty, 0, "a name was empty");
    let last = looks.iter().filter(|it| it.addresses.contains(&dead)).map(|it| it.at).max();
    let stale = last.map_or(Duration::ZERO, |last| Timestamp::from(last).since(died));
    println!(
        "detected after {detection:?}; the name of {} had the dead address until {stale:?}; {} looks",
        ZONES[0],
        looks.len()
    );
    assert!(looks.iter().any(|it| it.zone == ZONES[0] && !it.addresses.contains(&dead)));
    assert!(stale <= detection + TTL, "{stale:?} is more than {detection:?} and a TTL");
}

/// Waits until name servers answer exactly with who serves, and with each instance by its number.
async fn are_named(world: &Controlled, cloud: &dyn Cloud, tasks: &[TaskView]) {
    let mut expected: BTreeMap<String, BTreeSet<IpAddr>> =
        serving(tasks).into_iter().map(|(zone, all)| (name(&zone), all)).collect();
    for task in tasks {
        expected.insert(task.instance.id.to_string(), task.address.into_iter().collect());
    }
    let named = async || {
        for (name, addresses) in &expected {
            if cloud.resolve(name).await != *addresses {
                return None;
            }
        }
        Some(())
    };
    world.until("names are those who serve", named).await;
}
