//! Against moto: somebody else's reading of what goes over the wire.

use crate::world::{World, ZONE, group, mark, open, serving, until_done};
use aws_sdk_route53::Client;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use cerebro_dns::{DnsProvider, Group, Mark, Records};
use cerebro_dns_route53::batch::MARK_TTL;
use cerebro_dns_route53::text::quoted;
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
        carrier: None,
        patience: cerebro_aws::Patience::default(),
    };
    let client = Client::new(&account.config().await);
    let made = client.create_hosted_zone().name(ZONE).caller_reference("1").send().await.unwrap();
    let zone = made.hosted_zone().unwrap().id().to_owned();
    let world = World::new().await;
    let mut config = world.config();
    config.settings.endpoint = Some(moto.url().to_owned());
    config.settings.in_sync_within = Some(10);
    config.patience = cerebro_aws::Patience::default();
    let provider = open(config).await;
    let claimed = group("claimed");
    for epoch in [1, 2] {
        let mark = mark(&claimed, epoch);
        until_done("claim", async || provider.claim(&claimed, &mark).await).await;
        assert_eq!(provider.list(&claimed).await.unwrap().mark, Some(mark));
    }
    let group = group("redis");
    let (first, second) = (mark(&group, 1), mark(&group, 2));
    let (one, two) = (serving(&group, [0]), serving(&group, [1, 2]));
    upsert_mark(&client, &zone, &group, &first).await;
    provider.publish(&group, &first, &Records::default(), &one).await.unwrap();
    upsert_mark(&client, &zone, &group, &second).await;
    provider.publish(&group, &second, &one, &two).await.unwrap();
    let listed = provider.list(&group).await.unwrap();
    assert_eq!((listed.mark, &listed.records), (Some(second.clone()), &two));
    provider.withdraw(&group, &second, &two).await.unwrap();
    let listed = provider.list(&group).await.unwrap();
    assert_eq!((listed.mark, listed.records), (None, Records::default()));
}

/// Puts a mark there as we never do. moto takes a batch that removes a record and puts the same one back only if that was
/// not made by a CREATE before: it looks at what was ever asked for, and not at what is there.
async fn upsert_mark(client: &Client, zone: &str, group: &Group, mark: &Mark) {
    let record = ResourceRecord::builder().value(quoted(&mark.to_string())).build().unwrap();
    let set = ResourceRecordSet::builder()
        .name(group.mark_name())
        .r#type(RrType::Txt)
        .ttl(MARK_TTL.into())
        .resource_records(record)
        .build()
        .unwrap();
    let change =
        Change::builder().action(ChangeAction::Upsert).resource_record_set(set).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    let request = client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch);
    request.send().await.unwrap();
}
