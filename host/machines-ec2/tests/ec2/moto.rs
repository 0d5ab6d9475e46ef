//! Against moto: somebody else's reading of what goes over the wire.

use crate::world::{World, ZONE, id, open, request, until_done};
use cerebro_fake_aws::Moto;
use cerebro_machines::{Intent, MachineProvider, Presence};
use cerebro_model::Digest;
use std::path::Path;

#[tokio::test]
async fn moto_understands_and_is_understood() {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/moto");
    let moto =
        tokio::task::spawn_blocking(move || Moto::start(&environment)).await.unwrap().unwrap();
    let world = World::with(
        &ZONE.replace("subnets", "# subnets").replace("instance_profile", "# profile"),
        |_| {},
    )
    .await;
    let mut config = world.config("notes");
    config.settings.endpoint = Some(moto.url().to_owned());
    // It takes its time for the first call of a kind, and lists types one after the other.
    config.patience = cerebro_aws::Patience::default();
    for zone in config.settings.zones.values_mut() {
        // One that moto has from the start, and nothing else that has to be there.
        zone.image = an_image(&moto).await;
        zone.security_groups.clear();
        zone.key_name = None;
    }
    let provider = open(config).await;
    until_done("create", async || provider.create(&request("m-1")).await).await;
    let presence = until_done("describe", async || provider.describe(&id("m-1")).await).await;
    assert_eq!(presence, Presence::Running);
    let found = provider.instance(&id("m-1")).await.unwrap().unwrap();
    assert_eq!(found.instance_type, "c7i.large");
    assert_eq!(found.availability_zone, "us-west-2a");
    assert!(found.private.is_some());
    assert_eq!(provider.list().await.unwrap(), [id("m-1")]);
    let (intent, token) = (Intent::of("token of m-1"), Digest::of(b"the agent's own"));
    provider.keep_proof(&id("m-1"), &intent, &token).await.unwrap();
    let made = provider.made(&id("m-1")).await.unwrap();
    assert_eq!((made.intent, made.token, made.capacity), (intent, token, request("m-1").capacity));
    provider.reboot(&id("m-1")).await.unwrap();
    until_done("destroy", async || provider.destroy(&id("m-1"), None).await).await;
    assert_eq!(provider.list().await.unwrap(), []);
}

/// An image for x86_64 that moto has.
async fn an_image(moto: &Moto) -> String {
    let key = "aws";
    let account = cerebro_aws::sdk::Account {
        region: "us-west-2".to_owned(),
        endpoint: Some(moto.url().to_owned()),
        access: cerebro_aws::sdk::Access::Key { id: key.to_owned(), secret: key.to_owned() },
        carrier: None,
        patience: cerebro_aws::Patience::default(),
    };
    let client = aws_sdk_ec2::Client::new(&account.config().await);
    let images = client.describe_images().owners("amazon").send().await.unwrap();
    let is_usual = |it: &&aws_sdk_ec2::types::Image| {
        it.architecture().is_some_and(|it| it.as_str() == "x86_64")
            && it.root_device_name().is_some()
    };
    images.images().iter().find(is_usual).and_then(|it| it.image_id()).unwrap().to_owned()
}
