//! Where there is no room, the next way is tried; where there is none at all, that is said.

use crate::world::{World, ZONE, id, request, until_running};
use cerebro_fake_aws::{ApiError, Rule};
use cerebro_machines::{MachineProvider, ProviderError};

const A: &str = "us-west-2a";

fn types(world: &World) -> Vec<String> {
    let calls = world.server.calls();
    let runs = calls.iter().filter(|call| call.action == "RunInstances");
    runs.map(|call| call.params.get("InstanceType").unwrap().to_owned()).collect()
}

fn no_room(ec2: &mut cerebro_fake_aws::Ec2, names: &[&str]) {
    for name in names {
        ec2.account.room.insert((A.to_owned(), (*name).to_owned()), 0);
    }
}

#[tokio::test]
async fn the_next_type_is_tried_and_none_twice() {
    let world = World::with(ZONE, |ec2| no_room(ec2, &["c7i.large", "m7i.large"])).await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    // No room is said by a 500: it is no reason to ask for the same again.
    assert_eq!(types(&world), ["c7i.large", "m7i.large", "r7i.large"]);
    until_running(&provider, "m-1").await;
    assert_eq!(world.made("m-1").len(), 1);
}

#[tokio::test]
async fn a_zone_without_room_is_named_and_tried_again() {
    let all = ["c7i.large", "m7i.large", "r7i.large"];
    let world = World::with(ZONE, |ec2| no_room(ec2, &all)).await;
    let provider = world.provider("notes").await;
    let error = provider.create(&request("m-1")).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ProviderError::NoCapacity { .. }), "{text}");
    assert!(
        text.contains("aws-us-west-2a has no room") && text.contains("r7i.large in subnet-"),
        "{text}"
    );
    world.server.with(|ec2, _| ec2.account.room.clear());
    provider.create(&request("m-1")).await.unwrap();
    assert_eq!(world.made("m-1").len(), 1);
}

#[tokio::test]
async fn a_type_that_is_not_offered_is_not_tried() {
    let world = World::with(ZONE, |ec2| {
        ec2.account.not_offered.insert((A.to_owned(), "c7i.large".to_owned()));
    });
    let world = world.await;
    world.provider("notes").await.create(&request("m-1")).await.unwrap();
    assert_eq!(types(&world), ["m7i.large"]);
}

#[tokio::test]
async fn the_usual_price_is_paid_where_the_spot_market_has_nothing() {
    let settings = ZONE.replace("instance_profile", "spot = true\ninstance_profile");
    let world = World::with(&settings, |ec2| {
        for name in ["c7i.large", "m7i.large", "r7i.large"] {
            ec2.account.spot_room.insert((A.to_owned(), name.to_owned()), 1);
        }
        ec2.account.spot_room.insert((A.to_owned(), "c7i.large".to_owned()), 0);
    });
    let world = world.await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    let made = &world.made("m-1")[0];
    assert!(made.is_spot && made.instance_type == "m7i.large");
    world.server.script(
        Rule::fail(
            "RunInstances",
            ApiError::new(400, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded"),
        )
        .with("InstanceMarketOptions.MarketType", "spot")
        .always(),
    );
    provider.create(&request("m-2")).await.unwrap();
    let made = &world.made("m-2")[0];
    assert!(!made.is_spot && made.instance_type == "c7i.large");
}

#[tokio::test]
async fn the_next_subnet_is_used_when_one_is_full() {
    let settings = ZONE.replace(
        "\"subnet-0123456789abcdefa\"",
        "\"subnet-0123456789abcdefa\", \"subnet-0123456789abcdefd\"",
    );
    let world = World::with(&settings, |ec2| {
        let mut subnet = ec2.account.subnets["subnet-0123456789abcdefa"].clone();
        ec2.account.subnets.insert("subnet-0123456789abcdefd".to_owned(), subnet.clone());
        subnet.free_addresses = 0;
        ec2.account.subnets.insert("subnet-0123456789abcdefa".to_owned(), subnet);
    });
    let world = world.await;
    world.provider("notes").await.create(&request("m-1")).await.unwrap();
    let made = &world.made("m-1")[0];
    assert_eq!(
        (made.instance_type.as_str(), made.subnet.as_str()),
        ("c7i.large", "subnet-0123456789abcdefd")
    );
}

#[tokio::test]
async fn prices_say_which_type_comes_first() {
    let settings = format!("[prices]\n\"r7i.large\" = 0.05\n\"c7i.large\" = 0.09\n{ZONE}");
    let world = World::with(&settings, |_| {}).await;
    world.provider("notes").await.create(&request("m-1")).await.unwrap();
    assert_eq!(types(&world), ["r7i.large"]);
}

#[tokio::test]
async fn many_at_once_stay_within_what_ec2_lets_through() {
    let world = World::new().await;
    world.server.front(|front| {
        front.throttles.insert("describe", cerebro_fake_aws::Bucket::new(5, 40.0));
        front.throttles.insert("run", cerebro_fake_aws::Bucket::new(2, 10.0));
    });
    let provider = world.provider("notes").await;
    let machines: Vec<String> = (1..=8).map(|n| format!("m-{n}")).collect();
    let made = machines.iter().map(|machine| {
        let provider = &provider;
        async move {
            crate::world::until_done(machine, async || provider.create(&request(machine)).await)
                .await;
            until_running(provider, machine).await;
        }
    });
    futures::future::join_all(made).await;
    for machine in &machines {
        assert_eq!(world.made(machine).len(), 1);
    }
    let listed = crate::world::until_done("list", async || provider.list().await).await;
    assert!(listed.contains(&id("m-8")), "{listed:?}");
}
