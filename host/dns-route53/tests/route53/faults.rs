//! Each fault at each call of a group's life, and a controller killed at each: it comes to the same end.

use crate::world::{BOUND, World, group, mark, serving, until_done};
use cerebro_dns::{DnsError, DnsProvider, Records};
use cerebro_dns_route53::Route53Dns;
use cerebro_fake_aws::{ApiError, Fault, Route53, Service};
use futures::StreamExt;
use std::time::Duration;

const AT_ONCE: usize = 8;

/// Brings a group to what should be, by what is there.
async fn reach(provider: &Route53Dns, wanted: &Records) {
    let group = group("redis");
    let mark = mark(&group, 1);
    until_done("publish", async || {
        provider.claim(&group, &mark).await?;
        let there = provider.list(&group).await?.records;
        provider.publish(&group, &mark, &there, wanted).await
    })
    .await;
}

async fn withdraw(provider: &Route53Dns) {
    let group = group("redis");
    let mark = mark(&group, 1);
    until_done("withdraw", async || {
        let there = provider.list(&group).await?.records;
        provider.withdraw(&group, &mark, &there).await
    })
    .await;
}

async fn life(world: &World, provider: &Route53Dns) {
    let group = group("redis");
    for numbers in [vec![0, 1], vec![1, 2, 3], vec![3]] {
        let wanted = serving(&group, numbers);
        reach(provider, &wanted).await;
        assert_eq!(world.ours().len(), wanted.iter().count() + 1);
    }
    withdraw(provider).await;
}

fn answer(error: &ApiError) -> Fault {
    Fault::Answer(error.status, Route53::new(0).error_body(error, "r-1"))
}

fn faults() -> Vec<(&'static str, Fault)> {
    let busy = ApiError::new(400, "PriorRequestNotComplete", "A prior request is not complete.");
    let clock = ApiError::new(403, "SignatureDoesNotMatch", "Signature expired: 20260101T000000Z");
    vec![
        ("500", answer(&ApiError::internal())),
        ("throttled", answer(&ApiError::route53_throttled())),
        ("busy", answer(&busy)),
        ("wrong clock", answer(&clock)),
        ("hang", Fault::Hang),
        ("hang behind", Fault::HangAfter),
        ("reset", Fault::Reset),
        ("reply dropped", Fault::DropReply),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_at_each_call_comes_to_the_same_end() {
    let usual = World::new().await;
    life(&usual, &usual.provider().await).await;
    let calls = usual.proxy.seen();
    println!("{} faults at {} calls", faults().len(), calls.len());
    assert!(calls.len() >= 12, "{calls:?}");
    let cases =
        (0..calls.len()).flat_map(|number| faults().into_iter().map(move |fault| (number, fault)));
    let lives = cases.map(|(number, (name, fault))| {
        tokio::spawn(async move {
            let world = World::new().await;
            world.proxy.decide(move |seen| match seen.number == number {
                true => fault.clone(),
                false => Fault::None,
            });
            life(&world, &world.provider().await).await;
            assert_eq!(world.ours(), [], "{name} at call {number}");
            world.assert_foreign_untouched();
        })
    });
    let ended: Vec<_> = futures::stream::iter(lives).buffer_unordered(AT_ONCE).collect().await;
    for life in ended {
        life.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_call_another_goes_on() {
    let usual = World::new().await;
    life(&usual, &usual.provider().await).await;
    let calls = usual.proxy.seen().len();
    let cases = (0..calls).flat_map(|number| [(number, Fault::Hang), (number, Fault::HangAfter)]);
    let lives = cases.map(|(number, fault)| {
        tokio::spawn(async move {
            let world = std::sync::Arc::new(World::new().await);
            world.proxy.decide({
                let fault = fault.clone();
                move |seen| if seen.number == number { fault.clone() } else { Fault::None }
            });
            let (provider, lived) = (world.provider().await, world.clone());
            let controller = tokio::spawn(async move { life(&lived, &provider).await });
            tokio::time::timeout(BOUND, world.proxy.struck()).await.unwrap();
            controller.abort();
            let _ = controller.await;
            world.proxy.decide(|_| Fault::None);
            // The next one leads by a later term, and takes over what there is.
            let (provider, group) = (world.provider().await, group("redis"));
            let mark = mark(&group, 2);
            let wanted = serving(&group, [4, 5]);
            until_done("take over", async || {
                provider.claim(&group, &mark).await?;
                let there = provider.list(&group).await?.records;
                provider.publish(&group, &mark, &there, &wanted).await
            })
            .await;
            assert_eq!(world.ours().len(), 4, "{fault:?} at {number}");
            provider.withdraw(&group, &mark, &wanted).await.unwrap();
            assert_eq!(world.ours(), [], "{fault:?} at {number}");
            world.assert_foreign_untouched();
        })
    });
    let ended: Vec<_> = futures::stream::iter(lives).buffer_unordered(AT_ONCE).collect().await;
    for life in ended {
        life.unwrap();
    }
}

#[tokio::test]
async fn what_lasts_is_an_error_that_says_whether_to_wait() {
    let world = World::new().await;
    let provider = world.provider().await;
    world.proxy.decide(|_| Fault::Reset);
    let error = provider.list(&group("redis")).await.unwrap_err();
    assert!(matches!(error, DnsError::Unavailable { .. }), "{error}");
    assert!(error.is_transient());
    world.proxy.decide(|_| Fault::Delay(Duration::from_millis(100)));
    provider.list(&group("redis")).await.unwrap();
}
