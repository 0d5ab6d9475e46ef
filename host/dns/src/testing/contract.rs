//! What every provider has to pass, as one test after the other. It panics where one does not.

use crate::{DnsError, DnsProvider, Group, Listed, Mark, Records, Ttl};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Whoever else may change what is there: an administrator, another cluster.
#[async_trait]
pub trait Outside: Send + Sync {
    /// Puts an address under a name; false where nobody else can.
    async fn put_address(&self, group: &Group, name: &str, address: IpAddr) -> bool;

    /// Puts a TXT record with a text under a group's mark's name; false where nobody else can.
    async fn put_mark(&self, group: &Group, text: &str) -> bool;

    /// All records that are not those of these tests: one line each, the same as long as nobody touches them.
    async fn others(&self) -> BTreeSet<String>;
}

/// Asserts all that the trait says of a provider in which nothing of the job `contract.<domain>` and of those below it is
/// there yet.
pub async fn contract(dns: &dyn DnsProvider, outside: &dyn Outside, domain: &str) {
    let before = outside.others().await;
    claimed_published_withdrawn(dns, &group("life", domain)).await;
    fenced(dns, &group("fenced", domain)).await;
    foreign(dns, outside, &group("foreign", domain)).await;
    unmarked(dns, outside, &group("unmarked", domain)).await;
    changed(dns, &group("changed", domain)).await;
    repeated(dns, &group("repeated", domain)).await;
    apart(dns, domain).await;
    only_its_own_names(dns, &group("own", domain)).await;
    assert_eq!(outside.others().await, before, "records of others were touched");
}

fn group(case: &str, domain: &str) -> Group {
    let job = format!("{case}.contract.{domain}").parse().expect("a job's name");
    Group { zone: "test-zone-1".parse().expect("a zone's name"), job }
}

fn mark(cluster: &str, group: &Group, epoch: u64) -> Mark {
    Mark { cluster: cluster.parse().expect("a cluster's name"), job: group.job.clone(), epoch }
}

/// Instance n is at 192.0.2.n and 2001:db8::n.
fn records(group: &Group, ttl: u32, numbers: &[u8]) -> Records {
    let both = |n: u8| -> [IpAddr; 2] {
        [[192, 0, 2, n].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)].into()]
    };
    let serving: BTreeMap<u32, BTreeSet<IpAddr>> =
        numbers.iter().map(|n| (u32::from(*n), both(*n).into())).collect();
    Records::of(group, Ttl::at_most(ttl), &serving)
}

async fn listed(dns: &dyn DnsProvider, group: &Group) -> Listed {
    dns.list(group).await.unwrap_or_else(|error| panic!("`{group}` cannot be listed: {error}"))
}

macro_rules! refused {
    ($result:expr, $pattern:pat) => {{
        let result = $result;
        assert!(
            matches!(result, Err($pattern)),
            "expected {}, got {result:?}",
            stringify!($pattern)
        );
    }};
}

async fn claimed_published_withdrawn(dns: &dyn DnsProvider, group: &Group) {
    let (mark, none) = (mark("one", group, 1), Records::default());
    assert_eq!(listed(dns, group).await, Listed::default());
    refused!(
        dns.publish(group, &mark, &none, &records(group, 5, &[0])).await,
        DnsError::Fenced { .. }
    );
    dns.claim(group, &mark).await.expect("claimed");
    assert_eq!(
        listed(dns, group).await,
        Listed { mark: Some(mark.clone()), records: none.clone() }
    );
    let mut there = none.clone();
    // Two more, one gone, another TTL, all gone at once, and one again.
    for wanted in [
        records(group, 5, &[0, 1]),
        records(group, 5, &[1]),
        records(group, 9, &[1, 2]),
        none.clone(),
        records(group, 5, &[0]),
    ] {
        dns.publish(group, &mark, &there, &wanted).await.expect("published");
        there = wanted;
        assert_eq!(listed(dns, group).await.records, there);
    }
    dns.withdraw(group, &mark, &there).await.expect("withdrawn");
    assert_eq!(listed(dns, group).await, Listed::default());
    dns.withdraw(group, &mark, &there).await.expect("gone already");
    refused!(dns.publish(group, &mark, &there, &none).await, DnsError::Fenced { .. });
}

async fn fenced(dns: &dyn DnsProvider, group: &Group) {
    let (old, new) = (mark("one", group, 1), mark("one", group, 2));
    let (none, first) = (Records::default(), records(group, 5, &[0]));
    dns.claim(group, &old).await.expect("claimed");
    dns.publish(group, &old, &none, &first).await.expect("published");
    dns.claim(group, &new).await.expect("claimed by a later controller");
    assert_eq!(
        listed(dns, group).await,
        Listed { mark: Some(new.clone()), records: first.clone() },
        "a claim changes no address"
    );
    let more = records(group, 5, &[0, 1]);
    refused!(dns.publish(group, &old, &first, &more).await, DnsError::Fenced { .. });
    refused!(dns.withdraw(group, &old, &first).await, DnsError::Fenced { .. });
    refused!(dns.claim(group, &old).await, DnsError::Fenced { .. });
    // Also one who would change nothing is told.
    refused!(dns.publish(group, &old, &first, &first).await, DnsError::Fenced { .. });
    assert_eq!(listed(dns, group).await.records, first);
    dns.publish(group, &new, &first, &more).await.expect("published by the later one");
    dns.withdraw(group, &new, &more).await.expect("withdrawn");
}

async fn foreign(dns: &dyn DnsProvider, outside: &dyn Outside, group: &Group) {
    let (theirs, ours) = (mark("two", group, 1), mark("one", group, 9));
    let (none, there) = (Records::default(), records(group, 5, &[0]));
    dns.claim(group, &theirs).await.expect("claimed by another cluster");
    dns.publish(group, &theirs, &none, &there).await.expect("published by it");
    refused!(dns.claim(group, &ours).await, DnsError::Foreign { .. });
    refused!(dns.publish(group, &ours, &there, &none).await, DnsError::Fenced { .. });
    refused!(dns.withdraw(group, &ours, &there).await, DnsError::Fenced { .. });
    assert_eq!(
        listed(dns, group).await,
        Listed { mark: Some(theirs.clone()), records: there.clone() }
    );
    dns.withdraw(group, &theirs, &there).await.expect("withdrawn by it");
    dns.claim(group, &ours).await.expect("claimed once it is gone");
    dns.withdraw(group, &ours, &none).await.expect("withdrawn");
    let text = "v=spf1 -all";
    let other = Group { zone: "test-zone-2".parse().expect("a zone's name"), ..group.clone() };
    if outside.put_mark(&other, text).await {
        let error = dns.claim(&other, &ours).await.expect_err("a text that is no mark");
        assert!(
            matches!(&error, DnsError::Foreign { found, .. } if found.contains(text)),
            "{error:?}"
        );
        assert_eq!(listed(dns, &other).await.mark, None);
    }
}

async fn unmarked(dns: &dyn DnsProvider, outside: &dyn Outside, group: &Group) {
    let (ours, none) = (mark("one", group, 1), Records::default());
    let name = group.instance_name(3);
    if !outside.put_address(group, &name, [192, 0, 2, 99].into()).await {
        return;
    }
    let error = dns.claim(group, &ours).await.expect_err("somebody's");
    assert!(
        matches!(&error, DnsError::Unmarked { names, .. } if names.contains(&name)),
        "{error:?}"
    );
    let there = listed(dns, group).await;
    assert!(there.mark.is_none() && !there.records.is_empty(), "{there:?}");
    refused!(dns.withdraw(group, &ours, &there.records).await, DnsError::Fenced { .. });
    refused!(dns.publish(group, &ours, &there.records, &none).await, DnsError::Fenced { .. });
    assert_eq!(listed(dns, group).await, there);
}

async fn changed(dns: &dyn DnsProvider, group: &Group) {
    let (mark, none) = (mark("one", group, 1), Records::default());
    let there = records(group, 5, &[0, 1]);
    dns.claim(group, &mark).await.expect("claimed");
    dns.publish(group, &mark, &none, &there).await.expect("published");
    let publish = |from: Records, to: Records| {
        let mark = mark.clone();
        async move { dns.publish(group, &mark, &from, &to).await }
    };
    // Fewer, others, none than there are.
    for wrong in [records(group, 5, &[0]), records(group, 5, &[0, 2]), none.clone()] {
        let wanted = records(group, 5, &[3]);
        refused!(publish(wrong.clone(), wanted).await, DnsError::Changed { .. });
        refused!(dns.withdraw(group, &mark, &wrong).await, DnsError::Changed { .. });
    }
    assert_eq!(
        listed(dns, group).await,
        Listed { mark: Some(mark.clone()), records: there.clone() }
    );
    // How long something may be kept is no reason to refuse.
    publish(records(group, 7, &[0, 1]), records(group, 5, &[1])).await.expect("published");
    assert_eq!(listed(dns, group).await.records, records(group, 5, &[1]));
    dns.withdraw(group, &mark, &records(group, 7, &[1])).await.expect("withdrawn");
}

/// As after an answer that was lost.
async fn repeated(dns: &dyn DnsProvider, group: &Group) {
    let (mark, none) = (mark("one", group, 1), Records::default());
    let (one, two) = (records(group, 5, &[0]), records(group, 5, &[0, 1]));
    for _ in 0..2 {
        dns.claim(group, &mark).await.expect("claimed, once or twice");
    }
    for (from, to) in [(&none, &one), (&one, &two), (&two, &one)] {
        for _ in 0..2 {
            dns.publish(group, &mark, from, to).await.expect("published, once or twice");
            assert_eq!(listed(dns, group).await.records, *to);
        }
    }
    dns.claim(group, &mark).await.expect("claimed once more");
    for _ in 0..2 {
        dns.withdraw(group, &mark, &one).await.expect("withdrawn, once or twice");
        assert_eq!(listed(dns, group).await, Listed::default());
    }
}

/// What is done to a group is done to no other, not even to one whose name ends as its own does.
async fn apart(dns: &dyn DnsProvider, domain: &str) {
    let one = group("apart", domain);
    let zone = "test-zone-2".parse().expect("a zone's name");
    let others =
        [Group { zone, ..one.clone() }, group("far.apart", domain), group("nextapart", domain)];
    let none = Records::default();
    for group in &others {
        dns.claim(group, &mark("two", group, 1)).await.expect("claimed");
        let wanted = records(group, 5, &[7]);
        dns.publish(group, &mark("two", group, 1), &none, &wanted).await.expect("published");
    }
    let ours = mark("one", &one, 1);
    dns.claim(&one, &ours).await.expect("claimed beside the others");
    dns.publish(&one, &ours, &none, &records(&one, 5, &[7, 8])).await.expect("published");
    dns.withdraw(&one, &ours, &records(&one, 5, &[7, 8])).await.expect("withdrawn");
    for group in &others {
        let there = records(group, 5, &[7]);
        let mark = mark("two", group, 1);
        assert_eq!(
            listed(dns, group).await,
            Listed { mark: Some(mark.clone()), records: there.clone() }
        );
        dns.withdraw(group, &mark, &there).await.expect("withdrawn");
    }
}

async fn only_its_own_names(dns: &dyn DnsProvider, group: &Group) {
    let (mark, none) = (mark("one", group, 1), Records::default());
    dns.claim(group, &mark).await.expect("claimed");
    for name in [group.job.as_str(), &format!("www.{group}"), &format!("x{group}")] {
        let mut foreign = Records::default();
        foreign.add(name, Ttl::at_most(5), [192, 0, 2, 1].into());
        refused!(dns.publish(group, &mark, &none, &foreign).await, DnsError::Refused { .. });
        refused!(dns.publish(group, &mark, &foreign, &none).await, DnsError::Refused { .. });
        refused!(dns.withdraw(group, &mark, &foreign).await, DnsError::Refused { .. });
    }
    dns.withdraw(group, &mark, &none).await.expect("withdrawn");
}
