//! Two controllers change one group at once: none of the records gets lost.

use crate::world::{BOUND, World, group, mark, serving};
use cerebro_dns::{DnsError, DnsProvider, Group};
use cerebro_dns_route53::Route53Dns;
use std::collections::BTreeSet;
use std::time::Instant;

const ROUNDS: u32 = 100;

/// Adds an instance to what is there, until that went well.
async fn add(provider: &Route53Dns, group: &Group, number: u32) {
    let (mark, begun) = (mark(group, 1), Instant::now());
    loop {
        assert!(begun.elapsed() < BOUND, "{number} was not added");
        let Ok(listed) = provider.list(group).await else { continue };
        let all = listed.records.get(&group.name(), cerebro_dns::Kind::A);
        let there: BTreeSet<u32> = all
            .into_iter()
            .flat_map(|set| set.addresses())
            .filter_map(|it| match it {
                std::net::IpAddr::V4(it) => Some(u32::from(*it) - 0x0a00_0000),
                std::net::IpAddr::V6(_) => None,
            })
            .collect();
        let wanted = serving(group, there.into_iter().chain([number]));
        match provider.publish(group, &mark, &listed.records, &wanted).await {
            Ok(()) => return,
            Err(DnsError::Changed { .. } | DnsError::Unavailable { .. }) => {}
            Err(error) => panic!("{number}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_add_at_once_lose_nothing() {
    let world = World::new().await;
    let group = group("redis");
    let (one, other) = (world.provider().await, world.provider().await);
    one.claim(&group, &mark(&group, 1)).await.unwrap();
    let adding = |provider: Route53Dns, first: u32| {
        let group = group.clone();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                add(&provider, &group, first + 2 * round).await;
            }
        })
    };
    let both = [adding(one.clone(), 0), adding(other, 1)];
    for adding in both {
        adding.await.unwrap();
    }
    assert_eq!(one.list(&group).await.unwrap().records, serving(&group, 0..2 * ROUNDS));
    world.assert_foreign_untouched();
}
