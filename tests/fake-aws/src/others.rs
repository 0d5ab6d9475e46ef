//! What others have in an account, and nobody of ours may touch: much of it looks like ours.

use crate::ec2::{Ec2, Instance, InstanceState};
use crate::route53::{Key, RecordSet, Zone};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// 50 instances: some have our names or some of our tags, and none has all of them.
pub fn instances(ec2: &mut Ec2, now: Duration) -> BTreeMap<String, Instance> {
    let ids: Vec<String> = (0..50).map(|n| ec2.put_foreign(now, tags(n))).collect();
    ids.into_iter().filter_map(|id| Some((id.clone(), ec2.instance(&id)?.clone()))).collect()
}

fn tags(n: usize) -> &'static [(&'static str, &'static str)] {
    match n % 5 {
        0 => &[("Name", "prod m-1")],
        1 => &[("cerebro:machine", "m-1"), ("cerebro:intent", "00")],
        2 => &[("cerebro:cluster", "prod"), ("cerebro:machine", "m-1")],
        3 => &[("cerebro:cluster", "other"), ("cerebro:machine", "m-1"), ("cerebro:intent", "00")],
        _ => &[],
    }
}

/// Which of others' instances are not as they were, or were in the hands of those who changed something.
pub fn instances_touched(
    ec2: &Ec2,
    now: Duration,
    others: &BTreeMap<String, Instance>,
    touched: &BTreeSet<String>,
) -> Vec<String> {
    let is_as_before = |(id, before): &(&String, &Instance)| {
        ec2.instance(id).is_some_and(|it| {
            it.state(now) == InstanceState::Running
                && (it.reboots, &it.tags) == (before.reboots, &before.tags)
                && !touched.contains(*id)
        })
    };
    others.iter().filter(|it| !is_as_before(it)).map(|(id, _)| id.clone()).collect()
}

/// 200 records and more: some at names as ours are, but without our mark, and some that look like marks. All that
/// the zone has then.
pub fn records(zone: &mut Zone) -> BTreeMap<Key, RecordSet> {
    let name = zone.name.trim_end_matches('.').to_owned();
    for n in 0..50 {
        let address = format!("192.0.2.{n}");
        zone.put(&format!("0.aws-us-west-2a.job{n}.{name}"), "A", RecordSet::new(60, &[&address]));
        zone.put(&format!("host{n}.{name}"), "A", RecordSet::new(60, &[&address]));
        let elsewhere = RecordSet::new(60, &["else.where."]);
        zone.put(&format!("aws-us-west-2b.job{n}.{name}"), "CNAME", elsewhere);
        let mark = format!("\"heritage=cerebro,cluster=other,job=job{n}.{name},epoch=1\"");
        let mark = RecordSet::new(60, &[&mark]);
        zone.put(&format!("_cerebro.aws-us-west-2c.job{n}.{name}"), "TXT", mark);
    }
    // The administrator's own, on top of what we publish.
    let alias = format!("aws-us-west-2a.redis.{name}.");
    zone.put(&format!("redis.{name}"), "CNAME", RecordSet::new(300, &[&alias]));
    zone.put(
        &format!("www.aws-us-west-2a.redis.{name}"),
        "A",
        RecordSet::new(300, &["192.0.2.77"]),
    );
    zone.sets().clone()
}

/// Which of others' records are not as they were, or were changed meanwhile.
pub fn records_touched(
    zone: &Zone,
    others: &BTreeMap<Key, RecordSet>,
    touched: &BTreeSet<String>,
) -> Vec<String> {
    let is_as_before = |(key, set): &(&Key, &RecordSet)| {
        zone.sets().get(*key) == Some(*set) && !touched.contains(&key.name())
    };
    others.iter().filter(|it| !is_as_before(it)).map(|(key, _)| key.name()).collect()
}
