//! Every provider under the same tests; BIND and the embedded server under those that only they can fail.

#![allow(clippy::unwrap_used)]

mod bind;
mod embedded;
mod rfc2136;
mod tools;

use cerebro_dns::testing::{Asked, Call, Fault, MemoryDns, Outside, contract};
use cerebro_dns::{DnsError, DnsProvider, Group, Mark, Records, Ttl};
use cerebro_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

fn group(zone: &str, job: &str) -> Group {
    Group { zone: zone.parse().unwrap(), job: job.parse().unwrap() }
}

fn mark(cluster: &str, group: &Group, epoch: u64) -> Mark {
    Mark { cluster: cluster.parse().unwrap(), job: group.job.clone(), epoch }
}

/// Instance n is at 192.0.2.n, or at 198.51.x.y for those beyond.
fn records(group: &Group, numbers: impl IntoIterator<Item = u32>) -> Records {
    let address = |n: u32| match u8::try_from(n) {
        Ok(n) => IpAddr::from([192, 0, 2, n]),
        Err(_) => IpAddr::from([198, 51, (n >> 8) as u8, n as u8]),
    };
    let serving: BTreeMap<_, _> =
        numbers.into_iter().map(|n| (n, BTreeSet::from([address(n)]))).collect();
    Records::of(group, Ttl::seconds(5).unwrap(), &serving)
}

fn memory() -> (Arc<AtomicI64>, MemoryDns) {
    let clock = Arc::new(AtomicI64::new(1));
    let read = Arc::clone(&clock);
    (clock, MemoryDns::new(move || Timestamp::from_millis(read.load(Ordering::Relaxed))))
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let (_, dns) = memory();
    dns.put_address(&group("z-1", "other.example"), "z-1.other.example", [10, 0, 0, 1].into())
        .await;
    contract(&dns, &dns, "example").await;
}

#[tokio::test]
async fn memory_fails_as_it_is_told_and_remembers_every_state() {
    let (clock, dns) = memory();
    let group = group("z-1", "a.example");
    let (mark, none) = (mark("one", &group, 1), Records::default());
    dns.claim(&group, &mark).await.unwrap();
    dns.script(|asked: &Asked<'_>| match (asked.call, asked.number) {
        (Call::Publish, 1) => Some(Fault::Before),
        (Call::Publish, 2) => Some(Fault::After),
        _ => None,
    });
    let wanted = records(&group, [0]);
    let unavailable = |result| matches!(result, Err(DnsError::Unavailable { .. }));
    assert!(unavailable(dns.publish(&group, &mark, &none, &wanted).await));
    assert!(dns.addresses(&group, &group.name()).is_empty());
    clock.store(5, Ordering::Relaxed);
    assert!(unavailable(dns.publish(&group, &mark, &none, &wanted).await));
    assert_eq!(dns.addresses(&group, &group.name()), BTreeSet::from([[192, 0, 2, 0].into()]));
    dns.publish(&group, &mark, &none, &wanted).await.unwrap();
    dns.unavailable_until(Timestamp::from_millis(9));
    assert!(dns.list(&group).await.is_err());
    clock.store(9, Ordering::Relaxed);
    dns.withdraw(&group, &mark, &wanted).await.unwrap();
    let history: Vec<_> = dns
        .history()
        .into_iter()
        .map(|moment| (moment.at.millis(), moment.by, moment.addresses().len()))
        .collect();
    assert_eq!(
        history,
        [(1, Some(Call::Claim), 0), (5, Some(Call::Publish), 1), (9, Some(Call::Withdraw), 0)]
    );
}
