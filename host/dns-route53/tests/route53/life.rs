//! Groups are claimed, published, listed and withdrawn.

use crate::world::{World, ZONE, group, mark, open, serving};
use cerebro_dns::{DnsError, DnsProvider, Records};
use cerebro_fake_aws::{ApiError, Rule};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_group_is_claimed_published_changed_and_withdrawn() {
    let world = World::new().await;
    let provider = world.provider().await;
    let group = group("redis");
    let mark = mark(&group, 7);
    provider.claim(&group, &mark).await.unwrap();
    provider.claim(&group, &mark).await.unwrap();
    let (none, two, other) = (Records::default(), serving(&group, [0, 1]), serving(&group, [1, 2]));
    provider.publish(&group, &mark, &none, &two).await.unwrap();
    let text = |it: &str| it.to_owned();
    assert_eq!(
        world.ours(),
        [
            (
                text("aws-us-west-2a.redis.startup.com."),
                text("A"),
                vec![text("10.0.0.0"), text("10.0.0.1")]
            ),
            (text("0.aws-us-west-2a.redis.startup.com."), text("A"), vec![text("10.0.0.0")]),
            (text("1.aws-us-west-2a.redis.startup.com."), text("A"), vec![text("10.0.0.1")]),
            (
                text("_cerebro.aws-us-west-2a.redis.startup.com."),
                text("TXT"),
                vec![text("\"heritage=cerebro,cluster=prod,job=redis.startup.com,epoch=7\"")],
            ),
        ]
    );
    let listed = provider.list(&group).await.unwrap();
    assert_eq!((listed.mark.as_ref(), &listed.records), (Some(&mark), &two));
    provider.publish(&group, &mark, &two, &other).await.unwrap();
    // The same again, as after a crash, is done already.
    provider.publish(&group, &mark, &two, &other).await.unwrap();
    assert_eq!(provider.list(&group).await.unwrap().records, other);
    provider.withdraw(&group, &mark, &other).await.unwrap();
    provider.withdraw(&group, &mark, &other).await.unwrap();
    assert_eq!(world.ours(), []);
    world.assert_foreign_untouched();
    assert!(provider.calls()[&("ChangeResourceRecordSets", "done")] >= 4);
}

#[tokio::test]
async fn ipv6_addresses_and_long_marks_come_back_as_they_were() {
    let world = World::new().await;
    let provider = world.provider().await;
    let job: cerebro_model::JobName =
        format!("{}.{}.{ZONE}", "a".repeat(62), "b".repeat(62)).parse().unwrap();
    let group = cerebro_dns::Group { zone: "aws-us-west-2a".parse().unwrap(), job };
    let cluster = "c".repeat(63).parse().unwrap();
    let mark = cerebro_dns::Mark { cluster, ..mark(&group, u64::MAX) };
    assert!(mark.to_string().len() > 255, "it takes two strings");
    let addresses = ["10.0.0.1", "fd00::1", "2001:db8:0:0:1::1"].map(|it| it.parse().unwrap());
    let all = [(0, addresses.into_iter().collect())].into();
    let records = Records::of(&group, cerebro_dns::Ttl::seconds(0).unwrap(), &all);
    provider.claim(&group, &mark).await.unwrap();
    provider.publish(&group, &mark, &Records::default(), &records).await.unwrap();
    let listed = provider.list(&group).await.unwrap();
    assert_eq!((listed.mark, &listed.records), (Some(mark.clone()), &records));
    provider.withdraw(&group, &mark, &records).await.unwrap();
    assert_eq!(world.ours(), []);
}

#[tokio::test]
async fn short_pages_and_large_groups_are_listed_whole() {
    let world = World::new().await;
    world.server.with(|route53, _| route53.longest_page = 17);
    let provider = world.provider().await;
    let group = group("redis");
    let mark = mark(&group, 1);
    provider.claim(&group, &mark).await.unwrap();
    // Another zone's name goes on where ours ends, and is not ours.
    let (first, second) = (serving(&group, 0..400), serving(&group, 400..800));
    provider.publish(&group, &mark, &Records::default(), &first).await.unwrap();
    assert_eq!(provider.list(&group).await.unwrap().records, first);
    // More than one batch takes.
    provider.publish(&group, &mark, &first, &second).await.unwrap();
    assert_eq!(provider.list(&group).await.unwrap().records, second);
    provider.withdraw(&group, &mark, &second).await.unwrap();
    assert_eq!(world.ours(), []);
    world.assert_foreign_untouched();
}

#[tokio::test]
async fn what_is_waited_for_is_answered_by_the_name_servers() {
    let mut world = World::new().await;
    world.settings.in_sync_within = Some(30);
    world.server.with(|route53, _| route53.in_sync_after = Duration::from_millis(300));
    let provider = world.provider().await;
    let group = group("redis");
    let mark = mark(&group, 1);
    let answered = |name: &str| {
        world.server.with(|route53, now| route53.zone(&world.zone).unwrap().resolve(name, "A", now))
    };
    provider.claim(&group, &mark).await.unwrap();
    let one = serving(&group, [1]);
    provider.publish(&group, &mark, &Records::default(), &one).await.unwrap();
    assert_eq!(answered(&group.name()), ["10.0.0.1"]);
    provider.withdraw(&group, &mark, &one).await.unwrap();
    assert!(answered(&group.name()).is_empty());
}

#[tokio::test]
async fn what_is_not_answered_in_time_is_not_done() {
    let mut world = World::new().await;
    world.settings.in_sync_within = Some(0);
    world.server.with(|route53, _| route53.in_sync_after = Duration::from_millis(500));
    let provider = open(world.config()).await;
    let group = group("redis");
    let mark = mark(&group, 1);
    let begun = Instant::now();
    let mut waited = 0;
    while let Err(error) = provider.claim(&group, &mark).await {
        assert!(matches!(error, DnsError::Unavailable { .. }), "{error}");
        assert!(begun.elapsed() < crate::world::BOUND);
        waited += 1;
    }
    assert!(waited > 0, "it was done before the name servers knew");
}

#[tokio::test]
async fn calls_stay_within_what_route_53_lets_through() {
    let world = World::new().await;
    world.server.front(|front| {
        front.throttles.insert("all", cerebro_fake_aws::Bucket::new(3, 50.0));
    });
    let provider = world.provider().await;
    let group = group("redis");
    for epoch in 1..=6 {
        let mark = mark(&group, epoch);
        crate::world::until_done("claim", async || provider.claim(&group, &mark).await).await;
    }
    // A zone that is busy with the batch before is throttled too.
    let busy = ApiError::new(
        400,
        "PriorRequestNotComplete",
        "The request was rejected because a prior one is not done.",
    );
    world.server.script(Rule::fail("ChangeResourceRecordSets", busy).times(2));
    let mark = mark(&group, 7);
    crate::world::until_done("claim", async || provider.claim(&group, &mark).await).await;
}
