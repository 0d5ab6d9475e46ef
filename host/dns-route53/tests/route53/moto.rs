//! Against moto: somebody else's reading of what goes over the wire.

use crate::world::{World, ZONE, group, mark, open, serving, until_done};
use cerebro_dns::{DnsProvider, Records};
use cerebro_fake_aws::Moto;
use std::path::Path;

#[tokio::test]
async fn moto_understands_and_is_understood() {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/moto");
    let moto =
        tokio::task::spawn_blocking(move || Moto::start(&environment)).await.unwrap().unwrap();
    let account = cerebro_aws::sdk::Account {
        region: "us-east-1".to_owned(),
        endpoint: Some(moto.url().to_owned()),
        access: cerebro_aws::sdk::Access::Key { id: "key".to_owned(), secret: "secret".to_owned() },
        patience: cerebro_aws::Patience::default(),
    };
    let client = aws_sdk_route53::Client::new(&account.config().await);
    client.create_hosted_zone().name(ZONE).caller_reference("1").send().await.unwrap();
    let world = World::new().await;
    let mut config = world.config();
    config.settings.endpoint = Some(moto.url().to_owned());
    config.settings.in_sync_within = Some(10);
    config.patience = cerebro_aws::Patience::default();
    let provider = open(config).await;
    let group = group("redis");
    let (first, second) = (mark(&group, 1), mark(&group, 2));
    until_done("claim", async || provider.claim(&group, &first).await).await;
    let (one, two) = (serving(&group, [0]), serving(&group, [1, 2]));
    provider.publish(&group, &first, &Records::default(), &one).await.unwrap();
    provider.claim(&group, &second).await.unwrap();
    provider.publish(&group, &second, &one, &two).await.unwrap();
    let listed = provider.list(&group).await.unwrap();
    assert_eq!((listed.mark, &listed.records), (Some(second.clone()), &two));
    provider.withdraw(&group, &second, &two).await.unwrap();
    let listed = provider.list(&group).await.unwrap();
    assert_eq!((listed.mark, listed.records), (None, Records::default()));
}
