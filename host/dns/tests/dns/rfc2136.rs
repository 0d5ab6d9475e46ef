//! Dynamic updates, against BIND.

use crate::bind::{Bind, POWERLESS, SECRET, ZONE, config, free_port};
use crate::tools::{dig_short, until};
use crate::{group, mark, records};
use cerebro_dns::rfc2136::{Algorithm, Rfc2136, Rfc2136Config, Rfc2136Error, TsigKey};
use cerebro_dns::testing::{Outside, contract};
use cerebro_dns::{DnsError, DnsProvider, Group, Mark, Records};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn bind_keeps_the_contract() {
    let bind = Bind::start().await;
    contract(&bind.provider(), &bind, ZONE).await;
}

/// As the guide says, with a key that may change nothing else.
#[tokio::test]
async fn bind_keeps_the_contract_with_a_policy() {
    let policy = "update-policy { grant cerebro subdomain contract.example.test. A AAAA TXT; };";
    let bind = Bind::start_with(policy).await;
    contract(&bind.provider(), &bind, ZONE).await;
    let group = group("test-zone-1", "beside.example.test");
    let error = bind.provider().claim(&group, &mark("one", &group, 1)).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("update-policy"), "{error}");
}

#[tokio::test]
async fn what_is_published_is_what_dig_sees() {
    let bind = Bind::start().await;
    let dns = bind.provider();
    let group = group("test-zone-1", "redis.example.test");
    let mark = mark("one", &group, 1);
    dns.claim(&group, &mark).await.unwrap();
    dns.publish(&group, &mark, &Records::default(), &records(&group, [0, 3])).await.unwrap();
    let asked = |name: &'static str, kind: &'static str| {
        let port = bind.port;
        async move { dig_short(port, &[name, kind]).await }
    };
    assert_eq!(asked("test-zone-1.redis.example.test", "A").await, ["192.0.2.0", "192.0.2.3"]);
    assert_eq!(asked("3.test-zone-1.redis.example.test", "A").await, ["192.0.2.3"]);
    // By the administrator's record.
    let by_alias = asked("redis.example.test", "A").await;
    assert_eq!(by_alias, ["192.0.2.0", "192.0.2.3", "test-zone-1.redis.example.test."]);
    let text = asked("_cerebro.test-zone-1.redis.example.test", "TXT").await;
    assert_eq!(text, [format!("\"{mark}\"")]);
}

/// Who is refused is told why, and nothing has changed.
#[tokio::test]
async fn who_may_not_is_refused_and_told_what_to_do() {
    let bind = Bind::start().await;
    let group = group("test-zone-1", "redis.example.test");
    let mark = mark("one", &group, 1);
    let before = bind.others().await;
    let ours = bind.provider();
    ours.claim(&group, &mark).await.unwrap();
    let there = records(&group, [0]);
    ours.publish(&group, &mark, &Records::default(), &there).await.unwrap();

    let refusal = async |dns: &Rfc2136| {
        let error = dns.publish(&group, &mark, &there, &records(&group, [1])).await.unwrap_err();
        let listing = dns.list(&group).await.unwrap_err();
        assert!(!error.is_transient() && !listing.is_transient(), "{error}; {listing}");
        format!("{error}; {listing}")
    };
    let with = |key, secret| Rfc2136::new(config(bind.address(), key, secret)).unwrap();
    let unknown = refusal(&with("nobody", SECRET)).await;
    assert!(unknown.contains("does not know the key `nobody`"), "{unknown}");
    let wrong = refusal(&with("cerebro", POWERLESS)).await;
    assert!(wrong.contains("another secret"), "{wrong}");
    let powerless = refusal(&with("powerless", POWERLESS)).await;
    assert!(
        powerless.contains("allow-update") && powerless.contains("allow-transfer"),
        "{powerless}"
    );
    let slow =
        |config| Rfc2136::with_clock(config, || SystemTime::now() - Duration::from_secs(3_600));
    let late = refusal(&slow(config(bind.address(), "cerebro", SECRET)).unwrap()).await;
    assert!(late.contains("clock"), "{late}");
    let elsewhere =
        Rfc2136Config { zone: "test".to_owned(), ..config(bind.address(), "cerebro", SECRET) };
    let elsewhere = refusal(&Rfc2136::new(elsewhere).unwrap()).await;
    assert!(elsewhere.contains("not the primary server of the zone `test`"), "{elsewhere}");
    let outside = Rfc2136Config {
        zone: "other.test".to_owned(),
        ..config(bind.address(), "cerebro", SECRET)
    };
    let outside = refusal(&Rfc2136::new(outside).unwrap()).await;
    assert!(outside.contains("not within the zone `other.test`"), "{outside}");

    assert_eq!(ours.list(&group).await.unwrap().records, there);
    ours.withdraw(&group, &mark, &there).await.unwrap();
    assert_eq!(bind.others().await, before);
}

/// What a key may do is found out without a trace of it.
#[tokio::test]
async fn what_a_key_may_do_is_found_out_without_a_change() {
    let bind = Bind::start().await;
    let before = bind.others().await;
    let ours = bind.provider();
    ours.may_read().await.unwrap();
    ours.may_change().await.unwrap();
    let powerless = Rfc2136::new(config(bind.address(), "powerless", POWERLESS)).unwrap();
    let error = powerless.may_read().await.unwrap_err().to_string();
    assert!(error.contains("allow-transfer"), "{error}");
    let error = powerless.may_change().await.unwrap_err().to_string();
    assert!(error.contains("allow-update"), "{error}");
    assert_eq!(bind.others().await, before);
}

/// An update without a signature, as BIND takes it.
#[tokio::test]
async fn who_does_not_sign_is_refused() {
    let bind = Bind::start().await;
    let nsupdate = crate::tools::program("/usr/bin/nsupdate", "bind9-dnsutils");
    let input = format!(
        "server 127.0.0.1 {}\nzone {ZONE}\nupdate add x.{ZONE}. 60 A 192.0.2.1\nsend\n",
        bind.port
    );
    let (is_done, text) = crate::tools::output(nsupdate, &[], &input).await;
    assert!(!is_done && text.contains("REFUSED"), "{text}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_at_once() {
    let key = TsigKey::new("cerebro", Algorithm::HmacSha256, SECRET).unwrap();
    let server = SocketAddr::from(([127, 0, 0, 1], 53));
    for zone in ["", ".", "a..b"] {
        let config = Rfc2136Config {
            server,
            zone: zone.to_owned(),
            key: key.clone(),
            patience: Duration::from_secs(1),
        };
        assert_eq!(Rfc2136::new(config).err(), Some(Rfc2136Error::Zone(zone.to_owned())));
    }
}

/// A controller that was superseded, in the middle of its work.
#[tokio::test]
async fn a_superseded_controller_changes_nothing_more() {
    let bind = Bind::start().await;
    let (old, new) = (bind.provider(), bind.provider());
    let group = group("test-zone-1", "fence.example.test");
    let (first, second) = (mark("one", &group, 4), mark("one", &group, 5));
    old.claim(&group, &first).await.unwrap();
    let there = records(&group, [0]);
    old.publish(&group, &first, &Records::default(), &there).await.unwrap();
    new.claim(&group, &second).await.unwrap();
    for result in [
        old.publish(&group, &first, &there, &records(&group, [9])).await,
        old.withdraw(&group, &first, &there).await,
        old.claim(&group, &first).await,
    ] {
        let error = result.unwrap_err();
        assert!(
            matches!(&error, DnsError::Fenced { found, .. } if found.contains("epoch=5")),
            "{error}"
        );
    }
    assert_eq!(new.list(&group).await.unwrap().records, there);
}

/// Makes one instance be there or not, whatever else is there, as often as it takes. How often it took.
async fn set(
    dns: &dyn DnsProvider,
    group: &Group,
    mark: &Mark,
    number: u32,
    is_there: bool,
) -> u32 {
    for tries in 1..1_000 {
        let before = dns.list(group).await.unwrap().records;
        let mut numbers: BTreeSet<u32> = (0..16)
            .filter(|n| before.iter().any(|(name, ..)| name == group.instance_name(*n)))
            .collect();
        match is_there {
            true => numbers.insert(number),
            false => numbers.remove(&number),
        };
        match dns.publish(group, mark, &before, &records(group, numbers)).await {
            Ok(()) => return tries,
            Err(DnsError::Changed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("instance {number} could not be set in 1,000 tries");
}

#[tokio::test]
async fn two_at_once_lose_no_record_in_500_rounds() {
    let bind = Bind::start().await;
    let (one, two) = (bind.provider(), bind.provider());
    let group = group("test-zone-1", "race.example.test");
    let mark = mark("one", &group, 1);
    one.claim(&group, &mark).await.unwrap();
    one.publish(&group, &mark, &Records::default(), &records(&group, [0])).await.unwrap();
    let mut conflicts = 0;
    for round in 0..500 {
        let is_there = round % 2 == 0;
        let (first, second) = tokio::join!(
            set(&one, &group, &mark, 1, is_there),
            set(&two, &group, &mark, 2, is_there)
        );
        conflicts += first + second - 2;
        let expected = if is_there { records(&group, [0, 1, 2]) } else { records(&group, [0]) };
        assert_eq!(one.list(&group).await.unwrap().records, expected, "round {round}");
    }
    assert!(conflicts > 0, "they never met");
    eprintln!("500 rounds, {conflicts} conflicts, no record lost");
}

#[tokio::test]
async fn a_server_that_is_killed_loses_nothing_that_it_confirmed() {
    let mut bind = Bind::start().await;
    let dns = Arc::new(bind.provider());
    let group = group("test-zone-1", "killed.example.test");
    let mark = mark("one", &group, 1);
    dns.claim(&group, &mark).await.unwrap();
    let mut there = Records::default();
    for round in 0..6_u32 {
        let wanted = records(&group, [round, round + 1]);
        let publish = {
            let (dns, group, mark) = (Arc::clone(&dns), group.clone(), mark.clone());
            let (there, wanted) = (there.clone(), wanted.clone());
            tokio::spawn(async move { dns.publish(&group, &mark, &there, &wanted).await })
        };
        if round % 2 == 0 {
            // Somewhere in between.
            tokio::task::yield_now().await;
        }
        bind.kill();
        match publish.await.unwrap() {
            Ok(()) | Err(DnsError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(matches!(dns.list(&group).await, Err(DnsError::Unavailable { .. })));
        bind.run().await;
        dns.publish(&group, &mark, &there, &wanted).await.unwrap();
        assert_eq!(dns.list(&group).await.unwrap().records, wanted);
        there = wanted;
    }
}

/// Between provider and server: drops the answers of updates while it is told to.
async fn proxy(server: SocketAddr, drops: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let drops = Arc::clone(&drops);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let question = message(&mut client).await;
                server.write_all(&question).await.unwrap();
                let is_update = (question[4] >> 3) & 0xf == 5;
                if is_update && drops.load(Ordering::Relaxed) {
                    message(&mut server).await;
                    return;
                }
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

async fn message(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u16().await.unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.resize(2 + usize::from(length), 0);
    stream.read_exact(&mut bytes[2..]).await.unwrap();
    bytes
}

#[tokio::test]
async fn an_answer_that_is_lost_is_told_and_the_same_again_is_safe() {
    let bind = Bind::start().await;
    let drops = Arc::new(AtomicBool::new(true));
    let address = proxy(bind.address(), Arc::clone(&drops)).await;
    let dns = Rfc2136::new(config(address, "cerebro", SECRET)).unwrap();
    let group = group("test-zone-1", "lost.example.test");
    let mark = mark("one", &group, 1);
    let (none, wanted) = (Records::default(), records(&group, [0, 1]));
    let lost = |result: Result<(), DnsError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, DnsError::Unavailable { .. }), "{error}");
    };
    lost(dns.claim(&group, &mark).await);
    // It was done: nothing is left to do, and so no answer can be lost.
    dns.claim(&group, &mark).await.unwrap();
    lost(dns.publish(&group, &mark, &none, &wanted).await);
    drops.store(false, Ordering::Relaxed);
    assert_eq!(dns.list(&group).await.unwrap().records, wanted);
    dns.publish(&group, &mark, &none, &wanted).await.unwrap();
    drops.store(true, Ordering::Relaxed);
    lost(dns.withdraw(&group, &mark, &wanted).await);
    dns.withdraw(&group, &mark, &wanted).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_silent_or_speaks_nonsense_is_not_waited_for() {
    let group = group("test-zone-1", "silent.example.test");
    let mark = mark("one", &group, 1);
    // Only who says nothing takes all of it.
    let (little, much) = (Duration::from_millis(200), Duration::from_secs(20));
    let unavailable = async |address: SocketAddr, patience: Duration| {
        let asked = Rfc2136Config { patience, ..config(address, "cerebro", SECRET) };
        let dns = Rfc2136::new(asked).unwrap();
        let records = Records::default();
        let error = dns.publish(&group, &mark, &records, &records).await.unwrap_err();
        assert!(matches!(error, DnsError::Unavailable { .. }), "{error}");
        error.to_string()
    };
    let nobody = unavailable(SocketAddr::from(([127, 0, 0, 1], free_port())), much).await;
    assert!(nobody.contains("refused"), "{nobody}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = unavailable(listener.local_addr().unwrap(), little).await;
    assert!(silent.contains("not within 0.2 s"), "{silent}");
    // Says that all is well, and has no key to prove who says so.
    let liar = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = liar.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = liar.accept().await.unwrap();
        let question = message(&mut client).await;
        let mut answer = vec![0, 12, question[2], question[3], 0xa8, 0];
        answer.resize(14, 0);
        client.write_all(&answer).await.unwrap();
        let _ = client.read_u8().await;
    });
    let lied = unavailable(address, much).await;
    assert!(lied.contains("does not prove to be its own"), "{lied}");
}

/// Of a server that is not told to hold more.
#[tokio::test]
async fn a_name_with_more_addresses_than_the_server_allows_is_told() {
    let bind = Bind::start().await;
    let dns = bind.provider();
    let group = group("test-zone-1", "full.example.test");
    let mark = mark("one", &group, 1);
    dns.claim(&group, &mark).await.unwrap();
    let (none, full) = (Records::default(), records(&group, 0..100));
    dns.publish(&group, &mark, &none, &full).await.unwrap();
    let error = dns.publish(&group, &mark, &full, &records(&group, 0..101)).await.unwrap_err();
    assert!(error.to_string().contains("max-records-per-type"), "{error}");
    assert_eq!(dns.list(&group).await.unwrap().records, full);
}

#[tokio::test]
async fn many_instances_are_published_in_steps() {
    let more = r#"allow-update { key "cerebro"; }; max-records-per-type 2000;"#;
    let bind = Bind::start_with(more).await;
    let dns = bind.provider();
    let group = group("test-zone-1", "many.example.test");
    let mark = mark("one", &group, 1);
    dns.claim(&group, &mark).await.unwrap();
    let (none, all) = (Records::default(), records(&group, 0..800));
    let too_many = records(&group, 0..5_000);
    let error = dns.publish(&group, &mark, &none, &too_many).await.unwrap_err();
    assert!(matches!(error, DnsError::Refused { .. }), "{error}");
    assert_eq!(dns.list(&group).await.unwrap().records, none);
    let mut there = none;
    while there != all {
        let next = there.step_towards(&group, &all, 100);
        dns.publish(&group, &mark, &there, &next).await.unwrap();
        there = next;
    }
    assert_eq!(dns.list(&group).await.unwrap().records, all);
    let port = bind.port;
    until("all are answered", || async move {
        dig_short(port, &["+tcp", "test-zone-1.many.example.test", "A"]).await.len() == 800
    })
    .await;
}
