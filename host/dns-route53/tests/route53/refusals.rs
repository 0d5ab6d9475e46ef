//! What is refused, and why.

use crate::world::{World, ZONE, group, mark, serving};
use cerebro_aws::Finding;
use cerebro_dns::{DnsError, DnsProvider, Group, Records};
use cerebro_dns_route53::HostedZone;
use cerebro_fake_aws::route53::RecordSet;
use cerebro_fake_aws::{ApiError, Rule};

#[tokio::test]
async fn what_is_somebody_elses_is_left_alone() {
    let world = World::new().await;
    let provider = world.provider().await;
    // Records without a mark, a mark of another cluster, and a name that is an alias of the administrator's.
    let in_zone = |zone: &str, job: &str| Group { zone: zone.parse().unwrap(), ..group(job) };
    let unmarked = in_zone("aws-us-west-2a", "job3");
    let error = provider.claim(&unmarked, &mark(&unmarked, 1)).await.unwrap_err();
    assert!(matches!(error, DnsError::Unmarked { .. }), "{error}");
    let alias = in_zone("aws-us-west-2b", "job3");
    let error = provider.claim(&alias, &mark(&alias, 1)).await.unwrap_err();
    assert!(matches!(error, DnsError::Unmarked { .. }), "{error}");
    let others = in_zone("aws-us-west-2c", "job3");
    let error = provider.claim(&others, &mark(&others, 9)).await.unwrap_err();
    assert!(matches!(error, DnsError::Foreign { .. }), "{error}");
    let error = provider
        .publish(&others, &mark(&others, 9), &Records::default(), &serving(&others, [0]))
        .await;
    assert!(matches!(error, Err(DnsError::Fenced { .. })), "{error:?}");
    assert_eq!(world.server.touched().len(), 0);
    world.assert_foreign_untouched();
}

#[tokio::test]
async fn a_controller_of_an_earlier_term_is_fenced_off() {
    let world = World::new().await;
    let (old, new) = (world.provider().await, world.provider().await);
    let group = group("redis");
    let (first, second) = (mark(&group, 1), mark(&group, 2));
    old.claim(&group, &first).await.unwrap();
    let one = serving(&group, [1]);
    old.publish(&group, &first, &Records::default(), &one).await.unwrap();
    new.claim(&group, &second).await.unwrap();
    for refused in [
        old.publish(&group, &first, &one, &serving(&group, [2])).await,
        old.publish(&group, &first, &one, &one).await,
        old.withdraw(&group, &first, &one).await,
        old.claim(&group, &first).await,
    ] {
        assert!(matches!(refused, Err(DnsError::Fenced { .. })), "{refused:?}");
    }
    assert_eq!(new.list(&group).await.unwrap().records, one);
}

#[tokio::test]
async fn what_changed_meanwhile_is_said_to_have_changed() {
    let world = World::new().await;
    let provider = world.provider().await;
    let group = group("redis");
    let mark = mark(&group, 1);
    provider.claim(&group, &mark).await.unwrap();
    let (one, two) = (serving(&group, [1]), serving(&group, [1, 2]));
    provider.publish(&group, &mark, &Records::default(), &one).await.unwrap();
    world.server.with(|route53, _| {
        let zone = route53.zone_mut(&world.zone).unwrap();
        zone.put(&group.name(), "A", RecordSet::new(5, &["10.9.9.9"]));
    });
    let changed = provider.publish(&group, &mark, &one, &two).await.unwrap_err();
    assert!(
        matches!(&changed, DnsError::Changed { why, .. } if why.contains("aws-us-west-2a.redis.startup.com A")),
        "{changed}"
    );
    let changed = provider.withdraw(&group, &mark, &one).await.unwrap_err();
    assert!(matches!(changed, DnsError::Changed { .. }), "{changed}");
    let found = provider.list(&group).await.unwrap().records;
    provider.publish(&group, &mark, &found, &two).await.unwrap();
    // A mark that was written by hand is claimed again, and then as we write it.
    world.server.with(|route53, _| {
        let text = format!("\"{mark}\"");
        let zone = route53.zone_mut(&world.zone).unwrap();
        zone.put(&group.mark_name(), "TXT", RecordSet::new(900, &[&text]));
    });
    let fenced = provider.publish(&group, &mark, &two, &one).await.unwrap_err();
    assert!(matches!(fenced, DnsError::Fenced { .. }), "{fenced}");
    provider.claim(&group, &mark).await.unwrap();
    provider.publish(&group, &mark, &two, &one).await.unwrap();
    // A record of another kind in the way stays, and is named.
    world.server.with(|route53, _| {
        let zone = route53.zone_mut(&world.zone).unwrap();
        zone.put(&group.instance_name(2), "CNAME", RecordSet::new(5, &["else.where."]));
    });
    let refused = provider.publish(&group, &mark, &one, &two).await.unwrap_err();
    assert!(
        matches!(&refused, DnsError::Refused { why, .. } if why.contains("CNAME")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_zone_is_found_by_its_name_or_said_to_be_missing() {
    let mut world = World::new().await;
    let elsewhere = Group { job: "redis.other.org".parse().unwrap(), ..group("redis") };
    let error = world.provider().await.list(&elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("none of the hosted zones"), "{error}");
    world.server.with(|route53, _| drop(route53.put_zone(ZONE, false)));
    let error = world.provider().await.list(&group("redis")).await.unwrap_err();
    assert!(error.to_string().contains("several public hosted zones"), "{error}");
    world.settings.zones[0].id = Some(world.zone.clone());
    world.provider().await.list(&group("redis")).await.unwrap();
    world.settings.zones =
        vec![HostedZone { name: "lost.com".to_owned(), id: None, private: false }];
    let lost = Group { job: "redis.lost.com".parse().unwrap(), ..group("redis") };
    let error = world.provider().await.list(&lost).await.unwrap_err();
    assert!(error.to_string().contains("no public hosted zone `lost.com`"), "{error}");
    world.settings.zones = vec![HostedZone { name: ZONE.to_owned(), id: None, private: true }];
    let group = group("job3");
    assert_eq!(world.provider().await.list(&group).await.unwrap().records, Records::default());
}

#[tokio::test]
async fn credentials_permissions_and_zones_are_checked_without_a_change() {
    let world = World::new().await;
    let provider = world.provider().await;
    let wrong = |findings: &[Finding]| {
        findings.iter().filter(|it| it.is_wrong()).map(ToString::to_string).collect::<Vec<_>>()
    };
    let findings = provider.check().await;
    assert_eq!((findings.len(), wrong(&findings)), (3, Vec::new()));
    for action in ["ListResourceRecordSets", "ChangeResourceRecordSets"] {
        world.server.front(|front| front.forbidden = [action.to_owned()].into());
        let wrong = wrong(&provider.check().await);
        assert!(
            wrong.len() == 1 && wrong[0].contains("AccessDenied") && wrong[0].contains(action),
            "{wrong:?}"
        );
    }
    world.server.front(|front| front.forbidden.clear());
    world.server.script(Rule::fail(
        "ListResourceRecordSets",
        ApiError::new(
            403,
            "SignatureDoesNotMatch",
            "Signature expired: 20260101T000000Z is now earlier than",
        ),
    ));
    let clock = wrong(&provider.check().await);
    assert!(clock.len() == 1 && clock[0].contains("clock right"), "{clock:?}");
    world.server.front(|front| front.keys = vec!["ANOTHER".to_owned()]);
    let key = wrong(&world.provider().await.check().await);
    assert!(key.len() == 1 && key[0].contains("InvalidClientTokenId"), "{key:?}");
    assert!(world.server.touched().is_empty());
}
