//! Machines are made, looked at, rebooted and ended.

use crate::world::{
    World, ZONE, id, request, until_done, until_gone, until_refused, until_running,
};
use cerebro_fake_aws::Fault;
use cerebro_fake_aws::ec2::InstanceState;
use cerebro_machines::{CreateMachine, Intent, MachineProvider, Made, Presence, ProviderError};
use cerebro_model::Digest;

#[tokio::test]
async fn a_machine_is_what_the_settings_say() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    let [made] = &world.made("m-1")[..] else { panic!("{:?}", world.made("m-1")) };
    // The smallest that is enough.
    assert_eq!(made.instance_type, "c7i.large");
    assert_eq!(
        (made.zone.as_str(), made.subnet.as_str()),
        ("us-west-2a", "subnet-0123456789abcdefa")
    );
    assert_eq!((made.key.as_deref(), made.profile.as_deref()), (Some("ops"), Some("cerebro")));
    assert_eq!(made.groups, ["sg-0123456789abcdef0"]);
    assert!(made.requires_tokens && !made.is_spot);
    assert_eq!(made.user_data, b"#cloud-config\n# m-1\n");
    assert_eq!(made.root_volume, Some((10, true)));
    let tags = ["cerebro:cluster", "cerebro:machine", "cerebro:term", "cerebro:zone", "Name"]
        .map(|it| made.tags[it].as_str());
    assert_eq!(tags, ["prod", "m-1", "3", "aws-us-west-2a", "prod m-1"]);
    assert_eq!(made.tags["cerebro:capacity"], "cpu=2000 mem=4096 disk=10000");
    assert!(!made.tags.values().any(|it| it.contains("token")), "no tag tells the join token");
    let found = until_done("find it", async || {
        let found = provider.instance(&id("m-1")).await?;
        found.ok_or_else(|| ProviderError::Unknown { machine: id("m-1"), known: String::new() })
    });
    let found = found.await;
    assert_eq!(found.private.map(|it| it.to_string()), Some(made.private_address.clone()));
    assert_eq!(provider.calls().get(&("RunInstances", "done")), Some(&1));
}

#[tokio::test]
async fn where_a_zone_has_ipv6_a_machine_has_an_address_of_it() {
    let settings = format!("{ZONE}\nipv6 = true");
    let world = World::with(&settings, |ec2| {
        let subnet = ec2.account.subnets.get_mut("subnet-0123456789abcdefa");
        subnet.unwrap().has_ipv6 = true;
    });
    let world = world.await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let found = provider.instance(&id("m-1")).await.unwrap().unwrap();
    assert!(found.public.iter().any(|it| it.is_ipv6()), "{found:?}");
    // Where its subnet has no range, that is said.
    let world = World::with(&settings, |_| {}).await;
    let provider = world.provider("notes").await;
    let error = until_refused(async || provider.create(&request("m-1")).await).await;
    assert!(error.contains("IPv6"), "{error}");
}

#[tokio::test]
async fn a_machine_is_made_looked_at_and_ended() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    for _ in 0..3 {
        provider.create(&request("m-1")).await.unwrap();
    }
    provider.create(&request("m-2")).await.unwrap();
    // What was just made is not listed yet: it is not said to be gone.
    if let Ok(Presence::Gone { why }) = provider.describe(&id("m-1")).await {
        panic!("{why}");
    }
    until_running(&provider, "m-1").await;
    until_running(&provider, "m-2").await;
    assert_eq!(provider.list().await.unwrap(), [id("m-1"), id("m-2")]);
    assert!(provider.is_made_by(&id("m-1"), &Intent::of("token of m-1")).await.unwrap());
    assert!(!provider.is_made_by(&id("m-1"), &Intent::of("another")).await.unwrap());
    provider.destroy(&id("m-1"), None).await.unwrap();
    // Nothing of it runs any more when that comes back.
    world.server.with(|ec2, now| {
        let ours = ec2.instances().find(|it| {
            it.tags.get("Name").is_some_and(|it| it == "prod m-1") && it.client_token.is_some()
        });
        assert_eq!(ours.unwrap().state(now), InstanceState::Terminated);
    });
    provider.destroy(&id("m-1"), None).await.unwrap();
    assert_eq!(provider.list().await.unwrap(), [id("m-2")]);
    assert_eq!((world.made("m-1").len(), world.alive("m-2").len()), (1, 1));
    world.assert_foreign_untouched();
}

#[tokio::test]
async fn what_a_machine_was_made_as_is_known_without_records_and_notes() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    let (intent, token) = (Intent::of("token of m-1"), Digest::of(b"the agent's own"));
    let unknown = provider.made(&id("m-1")).await.unwrap_err();
    assert!(matches!(unknown, ProviderError::Unknown { .. }), "{unknown}");
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    // Its agent has not joined yet: nobody could prove to be it.
    let error = until_refused(async || provider.made(&id("m-1")).await).await;
    assert!(error.contains("cerebro:agent"), "{error}");

    let keep = async || provider.keep_proof(&id("m-1"), &intent, &token).await;
    until_done("keep it", &keep).await;
    let lost = world.provider("lost").await;
    let CreateMachine { zone, capacity, term, .. } = request("m-1");
    let made = Made { zone, capacity, term, intent: intent.clone(), token };
    assert_eq!(lost.made(&id("m-1")).await.unwrap(), made);
    // Once a listing shows it, nothing is done again.
    provider.list().await.unwrap();
    let before = world.server.count("CreateTags");
    keep().await.unwrap();
    assert_eq!(world.server.count("CreateTags"), before, "it is kept once");
    // Of an agent that proves itself with something else since.
    let other = Digest::of(b"another");
    provider.keep_proof(&id("m-1"), &intent, &other).await.unwrap();
    assert_eq!(lost.made(&id("m-1")).await.unwrap().token, other);
    // What somebody else made of that name is not ours to tag.
    let error = provider.keep_proof(&id("m-1"), &Intent::of("another"), &token).await;
    assert!(matches!(error, Err(ProviderError::Unavailable { .. })), "{error:?}");

    // One that is there twice may be either.
    let tags = &world.made("m-1")[0].tags;
    let tags: Vec<(&str, &str)> =
        tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    world.server.with(|ec2, now| ec2.put_foreign(now, &tags));
    let error = until_refused(async || lost.made(&id("m-1")).await).await;
    assert!(error.contains("several instances bear its name"), "{error}");
}

#[tokio::test]
async fn by_an_intent_nothing_else_of_that_name_is_ended() {
    // Neither by whoever has no notes, nor by the notes of the one that is there now.
    for notes in ["lost", "notes"] {
        let world = World::new().await;
        let provider = world.provider(notes).await;
        world.provider("notes of another store").await.create(&request("m-1")).await.unwrap();
        until_running(&provider, "m-1").await;
        let old = Intent::of("token of m-1");
        world
            .provider("notes of another store")
            .await
            .destroy(&id("m-1"), Some(&old))
            .await
            .unwrap();
        // It is listed as terminated for a long time; another store has another one made meanwhile.
        let other = CreateMachine { join_token: "another".to_owned(), ..request("m-1") };
        let another = world.provider("notes").await;
        another.create(&other).await.unwrap();
        until_running(&another, "m-1").await;
        assert!(!provider.is_made_by(&id("m-1"), &old).await.unwrap(), "{notes}");
        until_done("end it", async || provider.destroy(&id("m-1"), Some(&old)).await).await;
        assert_eq!(world.alive("m-1").len(), 1, "{notes}");
        let new = Intent::of("another");
        until_done("end it", async || provider.destroy(&id("m-1"), Some(&new)).await).await;
        assert!(world.alive("m-1").is_empty(), "{notes}");
    }
}

#[tokio::test]
async fn one_that_died_is_gone_and_none_is_made_in_its_place() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let instance = world.made("m-1")[0].id.clone();
    world.server.with(|ec2, now| {
        ec2.terminate_behind_our_back(&instance, now, "Server.SpotInstanceTermination");
    });
    let why = until_gone(&provider, "m-1").await;
    assert!(why.contains(&instance) && why.contains("Server.SpotInstanceTermination"), "{why}");
    for notes in ["notes", "lost"] {
        world.provider(notes).await.create(&request("m-1")).await.unwrap();
        assert_eq!(world.made("m-1").len(), 1, "{notes}");
    }
}

#[tokio::test]
async fn one_that_died_long_ago_is_not_made_again_either() {
    let world = World::with(ZONE, |ec2| ec2.account.timings.vanish = std::time::Duration::ZERO);
    let world = world.await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let instance = world.made("m-1")[0].id.clone();
    world
        .server
        .with(|ec2, now| ec2.terminate_behind_our_back(&instance, now, "Server.InternalError"));
    let why = until_gone(&provider, "m-1").await;
    assert!(why.contains("has not listed it"), "{why}");
    // Neither notes nor listings know of it; its token does.
    world.provider("lost").await.create(&request("m-1")).await.unwrap();
    assert!(world.made("m-1").is_empty());
    assert_eq!(world.server.count("RunInstances"), 2);
}

#[tokio::test]
async fn one_that_is_being_ended_is_not_gone_before_it_has_ended() {
    let world = World::with(ZONE, |ec2| {
        ec2.account.timings.shutting_down = std::time::Duration::from_secs(3600);
    });
    let world = world.await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let error = provider.destroy(&id("m-1"), None).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotEnded { .. }), "{error}");
    let described = until_done("describe", async || provider.describe(&id("m-1")).await).await;
    let Presence::Ending { why } = described else { panic!("{described:?}") };
    assert!(why.contains("it may still run"), "{why}");
    assert_eq!(provider.list().await.unwrap(), [id("m-1")]);
    assert_eq!(world.server.count("TerminateInstances"), 1, "it is asked once a call");
}

#[tokio::test]
async fn a_reboot_starts_one_again_that_was_switched_off() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let instance = world.made("m-1")[0].id.clone();
    until_done("reboot", async || {
        provider.reboot(&id("m-1")).await?;
        let reboots = world.server.with(|ec2, _| ec2.instance(&instance).unwrap().reboots);
        let not_yet =
            || ProviderError::NotEnded { machine: id("m-1"), left: "it boots".to_owned() };
        if reboots > 0 { Ok(()) } else { Err(not_yet()) }
    })
    .await;
    world.server.with(|ec2, now| ec2.stop_behind_our_back(&instance, now));
    until_done("start", async || {
        // It may be listed as running for a moment still, and then cannot be rebooted.
        let _ = provider.reboot(&id("m-1")).await;
        let state = world.server.with(|ec2, now| ec2.instance(&instance).unwrap().state(now));
        let not_yet = || ProviderError::NotEnded { machine: id("m-1"), left: format!("{state:?}") };
        if state == InstanceState::Running { Ok(()) } else { Err(not_yet()) }
    })
    .await;
    assert!(world.server.count("StartInstances") >= 1);
    let unknown = provider.reboot(&id("m-9")).await.unwrap_err();
    assert!(matches!(unknown, ProviderError::Unknown { .. }), "{unknown}");
    world.assert_foreign_untouched();
}

#[tokio::test]
async fn a_listing_is_whole_or_none() {
    let world = World::with(ZONE, |ec2| ec2.account.longest_page = Some(7)).await;
    let provider = world.provider("notes").await;
    let machines: Vec<String> = (1..=20).map(|n| format!("m-{n:02}")).collect();
    for machine in &machines {
        provider.create(&request(machine)).await.unwrap();
    }
    for machine in &machines {
        until_running(&provider, machine).await;
    }
    assert_eq!(provider.list().await.unwrap().len(), 20);
    // From now on the first page comes, and the second never.
    world.proxy.decide({
        let mut pages = 0;
        move |seen| {
            pages += usize::from(seen.action == "DescribeInstances");
            if pages > 1 { Fault::Answer(500, String::new()) } else { Fault::None }
        }
    });
    assert!(provider.list().await.is_err());
    for machine in &machines {
        assert!(
            provider.describe(&id(machine)).await.is_err(),
            "{machine} is not absent by a part"
        );
    }
}

#[tokio::test]
async fn one_whose_tags_were_removed_is_neither_gone_nor_ended() {
    let world = World::new().await;
    let provider = world.provider("notes").await;
    provider.create(&request("m-1")).await.unwrap();
    until_running(&provider, "m-1").await;
    let instance = world.made("m-1")[0].id.clone();
    world.server.with(|ec2, _| ec2.untag(&instance));
    let described = until_refused(async || provider.describe(&id("m-1")).await).await;
    assert!(described.contains("does not bear the tags"), "{described}");
    let destroyed = until_refused(async || provider.destroy(&id("m-1"), None).await).await;
    assert!(destroyed.contains(&instance), "{destroyed}");
    assert_eq!(world.server.count("TerminateInstances"), 0);
}
