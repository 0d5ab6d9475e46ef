//! The controller's own server, as others see it.

use crate::bind::free_port;
use crate::tools::{dig, dig_short, until};
use crate::{group, mark, records};
use async_trait::async_trait;
use cerebro_dns::embedded::{BindError, Embedded, EmbeddedConfig};
use cerebro_dns::testing::{Outside, contract};
use cerebro_dns::{DnsError, DnsProvider, Group, Mark, Records};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const SERIAL: u32 = 1_000;

async fn closed() -> Embedded {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = EmbeddedConfig { listen, host: "ns.example.test".to_owned(), serial: SERIAL };
    Embedded::bind(&config).await.unwrap()
}

async fn open() -> Embedded {
    let dns = closed().await;
    dns.open();
    dns
}

async fn publish(dns: &Embedded, group: &Group, numbers: impl IntoIterator<Item = u32>) -> Mark {
    let mark = mark("one", group, 1);
    dns.claim(group, &mark).await.unwrap();
    let there = dns.list(group).await.unwrap().records;
    dns.publish(group, &mark, &there, &records(group, numbers)).await.unwrap();
    mark
}

/// Nobody but its controller can change what it answers; another job is there that must stay as it is.
struct Own<'a>(&'a Embedded, Group);

#[async_trait]
impl Outside for Own<'_> {
    async fn put_address(&self, _: &Group, _: &str, _: IpAddr) -> bool {
        false
    }

    async fn put_mark(&self, _: &Group, _: &str) -> bool {
        false
    }

    async fn others(&self) -> BTreeSet<String> {
        BTreeSet::from([format!("{:?}", self.0.list(&self.1).await)])
    }
}

#[tokio::test]
async fn the_embedded_server_keeps_the_contract() {
    let dns = open().await;
    let other = group("test-zone-1", "other.example.test");
    publish(&dns, &other, [0, 1]).await;
    contract(&dns, &Own(&dns, other), "example.test").await;
}

#[tokio::test]
async fn it_knows_for_how_long_nobody_has_been_told_anything_of_a_job() {
    let dns = open().await;
    let (asked, other) = (group("z-1", "asked.test"), group("z-1", "other.test"));
    assert_eq!(dns.last_answered(&asked), Some(Duration::MAX));
    publish(&dns, &asked, [0]).await;
    publish(&dns, &other, [0]).await;
    let port = dns.address().port();
    let before = dns.last_answered(&asked).unwrap();
    // What is not there says nothing of who is.
    dig_short(port, &["nothing.z-1.asked.test", "A"]).await;
    assert!(dns.last_answered(&asked).unwrap() >= before);
    let begun = std::time::Instant::now();
    dig_short(port, &["asked.test", "A"]).await;
    assert!(dns.last_answered(&asked).unwrap() <= begun.elapsed());
    assert!(dns.last_answered(&other).unwrap() >= before);
    // It goes over to what is published next.
    publish(&dns, &asked, [0, 1]).await;
    assert!(dns.last_answered(&asked).unwrap() <= begun.elapsed());
}

/// The status, and how many records of each section, that `dig` is told.
async fn status(port: u16, arguments: &[&str]) -> String {
    let text = dig(port, arguments).await;
    let after = |before: &str, end: char| {
        let rest = text.split_once(before).unwrap_or_else(|| panic!("no `{before}` in {text}")).1;
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    let (answers, authorities) = (after("ANSWER: ", ','), after("AUTHORITY: ", ','));
    format!("{} {answers} {authorities} {}", after("status: ", ','), after("flags: ", ';'))
}

#[tokio::test]
async fn dig_sees_what_was_published() {
    let dns = open().await;
    let port = dns.address().port();
    let one = group("test-zone-1", "redis.example.test");
    let two = group("test-zone-2", "redis.example.test");
    let mark = publish(&dns, &one, [0, 3]).await;
    publish(&dns, &two, [7]).await;
    for way in ["+notcp", "+tcp"] {
        let asked = async |name: &str, kind: &str| dig_short(port, &[way, name, kind]).await;
        assert_eq!(asked(&one.name(), "A").await, ["192.0.2.0", "192.0.2.3"]);
        assert_eq!(asked(&one.instance_name(3), "A").await, ["192.0.2.3"]);
        assert_eq!(asked("rEdIs.Example.TEST", "A").await, ["192.0.2.0", "192.0.2.3", "192.0.2.7"]);
        assert_eq!(asked(&one.mark_name(), "TXT").await, [format!("\"{mark}\"")]);
        assert_eq!(asked("redis.example.test", "NS").await, ["ns.example.test."]);
        let status =
            async |name: &str, kind: &str| status(port, &[way, "+norec", name, kind]).await;
        assert_eq!(status(&one.name(), "AAAA").await, "NOERROR 0 1 qr aa");
        assert_eq!(status("4.test-zone-1.redis.example.test", "A").await, "NXDOMAIN 0 1 qr aa");
        assert_eq!(status("example.test", "A").await, "REFUSED 0 0 qr");
    }
    assert!(status(port, &["+opcode=NOTIFY", &one.name()]).await.starts_with("NOTIMP"));
    assert!(
        status(port, &["+edns=1", "+noednsnegotiation", &one.name()]).await.starts_with("BADVERS")
    );
    assert!(status(port, &["CH", "TXT", "version.bind"]).await.starts_with("REFUSED"));
}

#[tokio::test]
async fn what_does_not_fit_goes_over_tcp() {
    let dns = open().await;
    let port = dns.address().port();
    let group = group("test-zone-1", "many.example.test");
    publish(&dns, &group, 0..1_000).await;
    let name = group.name();
    // By itself `dig` asks again over TCP, as resolvers do.
    assert_eq!(dig_short(port, &[&name, "A"]).await.len(), 1_000);
    let cut = status(port, &["+ignore", "+norec", &name, "A"]).await;
    assert!(cut.starts_with("NOERROR") && cut.ends_with("qr aa tc"), "{cut}");
    let some = dig_short(port, &["+ignore", &name, "A"]).await.len();
    assert!((60..=80).contains(&some), "{some}");
}

#[tokio::test]
async fn the_serial_rises_with_each_change_and_only_then() {
    let dns = open().await;
    let port = dns.address().port();
    let group = group("test-zone-1", "redis.example.test");
    let mark = publish(&dns, &group, [0]).await;
    let serial = async || -> u32 {
        let soa = dig_short(port, &["redis.example.test", "SOA"]).await;
        soa[0].split(' ').nth(2).unwrap().parse().unwrap()
    };
    let before = serial().await;
    assert!(before > SERIAL, "{before}");
    let (zero, one) = (records(&group, [0]), records(&group, [1]));
    dns.publish(&group, &mark, &zero, &one).await.unwrap();
    assert_eq!(serial().await, before + 1);
    dns.publish(&group, &mark, &zero, &one).await.unwrap();
    dns.claim(&group, &mark).await.unwrap();
    assert!(dns.publish(&group, &mark, &zero, &records(&group, [2])).await.is_err());
    assert_eq!(serial().await, before + 1);
}

/// From the start of a process to when all is published again nothing is denied, for a denial is kept.
#[tokio::test]
async fn a_server_that_starts_denies_nothing() {
    let dns = closed().await;
    let port = dns.address().port();
    let group = group("test-zone-1", "redis.example.test");
    let name = group.name();
    assert!(status(port, &[&name, "A"]).await.starts_with("SERVFAIL 0 0"));
    publish(&dns, &group, [0]).await;
    assert!(status(port, &[&name, "A"]).await.starts_with("SERVFAIL 0 0"));
    dns.open();
    assert_eq!(dig_short(port, &[&name, "A"]).await, ["192.0.2.0"]);
    // A further zone of the job, claimed and not published yet.
    let further = self::group("test-zone-2", "redis.example.test");
    dns.claim(&further, &mark("one", &further, 1)).await.unwrap();
    assert!(status(port, &[&further.name(), "A"]).await.starts_with("SERVFAIL 0 0"));
    assert_eq!(dig_short(port, &["redis.example.test", "A"]).await, ["192.0.2.0"]);
}

#[tokio::test]
async fn a_job_that_is_withdrawn_is_ours_no_more() {
    let dns = open().await;
    let port = dns.address().port();
    let group = group("test-zone-1", "redis.example.test");
    let mark = publish(&dns, &group, [0]).await;
    dns.withdraw(&group, &mark, &records(&group, [0])).await.unwrap();
    assert!(status(port, &[&group.name(), "A"]).await.starts_with("REFUSED"));
}

#[tokio::test]
async fn a_name_is_not_both_a_jobs_and_anothers_instance() {
    let dns = open().await;
    let one = group("test-zone-1", "example.test");
    publish(&dns, &one, [0]).await;
    for job in ["test-zone-1.example.test", "3.test-zone-1.example.test"] {
        let clash = group("test-zone-9", job);
        let error = dns.claim(&clash, &mark("one", &clash, 1)).await.unwrap_err();
        assert!(matches!(error, DnsError::Refused { .. }), "{error}");
    }
    let below = group("test-zone-9", "deep.below.example.test");
    publish(&dns, &below, [1]).await;
    let port = dns.address().port();
    // Between the two is a name without records.
    assert!(status(port, &["below.example.test", "A"]).await.starts_with("NOERROR 0 1"));
}

#[tokio::test]
async fn who_has_the_port_is_told_of() {
    let dns = open().await;
    let config = EmbeddedConfig { listen: dns.address(), host: "ns.example".to_owned(), serial: 1 };
    let error = Embedded::bind(&config).await.err().unwrap();
    let words = error.to_string();
    assert!(words.contains(&dns.address().to_string()) && words.contains("port"), "{words}");
    // For TCP that port may be another test's.
    until("a port is taken for UDP alone", || async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let config = EmbeddedConfig { listen: socket.local_addr().unwrap(), ..config.clone() };
        matches!(Embedded::bind(&config).await, Err(BindError::Listen { way: "UDP", .. }))
    })
    .await;
    let config = EmbeddedConfig { host: "a..b".to_owned(), ..config };
    assert!(matches!(Embedded::bind(&config).await, Err(BindError::Host(_))));
    // Once it is dropped the port is free again.
    let address = dns.address();
    drop(dns);
    until("the port is free", || async move {
        let config = EmbeddedConfig { listen: address, host: "ns.example".to_owned(), serial: 1 };
        Embedded::bind(&config).await.is_ok()
    })
    .await;
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

/// Over UDP, again where nothing comes.
async fn ask(socket: &UdpSocket, name: &str) -> Message {
    let mut bytes = [0; 1_500];
    for _ in 0..20 {
        let question = question(name);
        socket.send(&question).await.unwrap();
        while let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut bytes)).await {
            let length = length.unwrap();
            if bytes[..2] == question[..2] {
                return Message::from_vec(&bytes[..length]).unwrap();
            }
        }
    }
    panic!("no answer in 20 tries");
}

fn addresses(message: &Message) -> BTreeSet<IpAddr> {
    let data = message.answers.iter().map(|record| &record.data);
    data.filter_map(|data| if let RData::A(a) = data { Some(IpAddr::V4(a.0)) } else { None })
        .collect()
}

/// Instances come and go one by one, as when they are replaced: whoever asks sees one of the states that there were, and
/// never none.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_ever_sees_an_empty_answer_or_half_a_change() {
    const CHANGES: u32 = 2_000;
    let dns = Arc::new(open().await);
    let group = group("test-zone-1", "redis.example.test");
    let mark = publish(&dns, &group, [0, 1, 2]).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = [group.name(), "redis.example.test".to_owned()]
        .into_iter()
        .map(|name| {
            let (is_over, address) = (Arc::clone(&is_over), dns.address());
            tokio::spawn(async move {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.connect(address).await.unwrap();
                let (mut asked, mut seen) = (0_u32, BTreeSet::new());
                while !is_over.load(Ordering::Relaxed) || asked == 0 {
                    let answer = ask(&socket, &name).await;
                    assert_eq!(answer.response_code, ResponseCode::NoError);
                    let addresses = addresses(&answer);
                    let is_state = addresses.len() == 3
                        && addresses
                            .iter()
                            .zip(addresses.iter().skip(1))
                            .all(|(a, b)| follows(a, b));
                    assert!(is_state, "{addresses:?}");
                    seen.insert(addresses);
                    asked += 1;
                }
                (asked, seen.len())
            })
        })
        .collect();
    let mut there = records(&group, [0, 1, 2]);
    for first in 1..=CHANGES {
        // Within one byte of addresses, without the turn.
        let first = first % 250;
        let wanted = records(&group, first..first + 3);
        dns.publish(&group, &mark, &there, &wanted).await.unwrap();
        there = wanted;
        tokio::task::yield_now().await;
    }
    is_over.store(true, Ordering::Relaxed);
    for asker in askers {
        let (asked, states) = asker.await.unwrap();
        eprintln!("{CHANGES} changes, {asked} answers, {states} different ones, none empty");
    }
}

fn follows(one: &IpAddr, other: &IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u32::from(*one) + 1 == u32::from(*other),
        _ => false,
    }
}

/// Packets that are no questions, connections that say nothing or stop in the middle, more of both than it takes.
#[tokio::test]
async fn it_goes_on_whatever_is_sent() {
    let dns = open().await;
    let address = dns.address();
    let group = group("test-zone-1", "redis.example.test");
    publish(&dns, &group, [0]).await;
    let mut random = fastrand::Rng::with_seed(7);
    let noise = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    noise.connect(address).await.unwrap();
    let good = question(&group.name());
    for _ in 0..20_000 {
        let mut packet = good.clone();
        for _ in 0..random.usize(0..8) {
            let at = random.usize(0..packet.len());
            packet[at] = random.u8(..);
        }
        packet.truncate(random.usize(0..=packet.len()));
        // What its queue does not hold is lost, as anywhere.
        let _ = noise.send(&packet).await;
    }
    let mut idle = Vec::new();
    for number in 0..300_u32 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        match number % 3 {
            0 => {}
            1 => stream.write_all(&[0]).await.unwrap(),
            _ => stream.write_all(&[0, 200, 1, 2, 3]).await.unwrap(),
        }
        idle.push(stream);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address).await.unwrap();
    assert_eq!(addresses(&ask(&socket, &group.name()).await).len(), 1);
    // All connections are taken, by who says nothing: it is not listened to for long.
    assert_eq!(dig_short(address.port(), &["+tcp", &group.name(), "A"]).await, ["192.0.2.0"]);
    let mut first = idle.swap_remove(0);
    let ended = timeout(crate::tools::BOUND, first.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    // More than a question can be.
    let mut long = TcpStream::connect(address).await.unwrap();
    long.write_all(&[0xff, 0xff]).await.unwrap();
    let ended = timeout(crate::tools::BOUND, long.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn many_questions_go_over_one_connection() {
    let dns = open().await;
    let group = group("test-zone-1", "redis.example.test");
    publish(&dns, &group, [0]).await;
    let mut stream = TcpStream::connect(dns.address()).await.unwrap();
    let question = question(&group.name());
    for _ in 0..50 {
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &question].concat()).await.unwrap();
    }
    for _ in 0..50 {
        let length = stream.read_u16().await.unwrap();
        let mut answer = vec![0; length.into()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(addresses(&Message::from_vec(&answer).unwrap()).len(), 1);
    }
}

#[tokio::test]
async fn it_answers_over_ipv6_as_well() {
    let config = EmbeddedConfig {
        listen: SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], free_port())),
        host: "ns.example.test".to_owned(),
        serial: 1,
    };
    let dns = Embedded::bind(&config).await.unwrap();
    dns.open();
    let group = group("test-zone-1", "redis.example.test");
    let (mark, mut wanted) = (mark("one", &group, 1), Records::default());
    wanted.add(&group.name(), cerebro_dns::Ttl::at_most(5), "2001:db8::1".parse().unwrap());
    dns.claim(&group, &mark).await.unwrap();
    dns.publish(&group, &mark, &Records::default(), &wanted).await.unwrap();
    let port = dns.address().port().to_string();
    let arguments = ["@::1", "-p", &port, "+short", &group.name(), "AAAA"];
    let dig = crate::tools::program("/usr/bin/dig", "bind9-dnsutils");
    assert_eq!(crate::tools::output(dig, &arguments, "").await.1.trim(), "2001:db8::1");
}
