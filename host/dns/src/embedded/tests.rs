use super::answer::{Way, answer};
use super::view::{Asked, Held, View, Zone};
use crate::{Found, Group, Kind, Records, Ttl, wire};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, LowerName, Name, RData, RecordType};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

fn group(zone: &str, job: &str) -> Group {
    Group { zone: zone.parse().unwrap(), job: job.parse().unwrap() }
}

fn held(group: &Group, numbers: std::ops::Range<u32>) -> Held {
    let addresses = |n| BTreeSet::from([IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n))]);
    let serving: BTreeMap<_, _> = numbers.map(|n| (n, addresses(n))).collect();
    let records = Records::of(group, Ttl::seconds(5).unwrap(), &serving);
    let texts = BTreeSet::from(["heritage=cerebro,cluster=c,job=x,epoch=1".to_owned()]);
    Held { found: Found { texts, records, ..Found::default() }, is_known: true }
}

/// Nobody has asked.
fn nobody() -> Arc<Asked> {
    Arc::new(Asked::since(Instant::now()))
}

/// Open, with these groups: zone, job, how many instances, whether it is known.
fn view(groups: &[(&str, &str, u32, bool)]) -> View {
    let mut jobs: BTreeMap<&str, Vec<(Group, Held)>> = BTreeMap::new();
    for (zone, job, instances, is_known) in groups {
        let group = group(zone, job);
        let held = Held { is_known: *is_known, ..held(&group, 0..*instances) };
        jobs.entry(job).or_default().push((group, held));
    }
    let mut view = View::default().opened();
    for (job, groups) in jobs {
        let apex = LowerName::from(wire::name(job).unwrap());
        let held = groups.iter().map(|(group, held)| (group, held));
        let host = wire::name("ns.example").unwrap();
        let zone = Zone::build(&job.parse().unwrap(), held, &host, 7, nobody()).unwrap();
        view = view.with(&apex, Some(zone));
    }
    view
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4_711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(wire::name(name).unwrap(), kind));
    message
}

fn asked(view: &View, message: &Message, way: Way) -> (Message, usize) {
    let mut random = fastrand::Rng::with_seed(1);
    let bytes = answer(view, &message.to_vec().unwrap(), way, &mut random).unwrap();
    (Message::from_vec(&bytes).unwrap(), bytes.len())
}

fn ask(view: &View, name: &str, kind: RecordType) -> Message {
    asked(view, &question(name, kind), Way::Udp).0
}

fn code(view: &View, name: &str, kind: RecordType) -> (ResponseCode, usize, usize) {
    let reply = ask(view, name, kind);
    (reply.response_code, reply.answers.len(), reply.authorities.len())
}

#[test]
fn what_was_published_is_answered_and_what_is_not_there_is_told_apart() {
    use ResponseCode::{NXDomain, NoError, Refused};
    let view = view(&[("z-1", "a.example", 2, true), ("z-2", "a.example", 1, true)]);
    for (name, kind, expected) in [
        ("z-1.a.example", RecordType::A, (NoError, 2, 0)),
        ("1.z-1.a.example", RecordType::A, (NoError, 1, 0)),
        // All of its groups; both have an instance 0 at the same address.
        ("a.example", RecordType::A, (NoError, 2, 0)),
        ("a.example", RecordType::SOA, (NoError, 1, 0)),
        ("a.example", RecordType::NS, (NoError, 1, 0)),
        ("_cerebro.z-1.a.example", RecordType::TXT, (NoError, 1, 0)),
        // There, without such records.
        ("z-1.a.example", RecordType::AAAA, (NoError, 0, 1)),
        ("a.example", RecordType::TXT, (NoError, 0, 1)),
        ("_cerebro.z-1.a.example", RecordType::A, (NoError, 0, 1)),
        // Not there.
        ("2.z-1.a.example", RecordType::A, (NXDomain, 0, 1)),
        ("z-3.a.example", RecordType::A, (NXDomain, 0, 1)),
        ("x.0.z-1.a.example", RecordType::A, (NXDomain, 0, 1)),
        // Not ours.
        ("example", RecordType::A, (Refused, 0, 0)),
        ("b.example", RecordType::A, (Refused, 0, 0)),
        ("aa.example", RecordType::A, (Refused, 0, 0)),
        ("a.example", RecordType::AXFR, (Refused, 0, 0)),
    ] {
        assert_eq!(code(&view, name, kind), expected, "{name} {kind}");
    }
    let missing = ask(&view, "z-3.a.example", RecordType::A);
    assert_eq!(missing.authorities[0].name, wire::name("a.example").unwrap());
    assert!(matches!(&missing.authorities[0].data, RData::SOA(soa) if soa.serial == 7));
    assert!(missing.authoritative && !missing.recursion_available);
}

#[test]
fn a_name_without_records_of_its_own_is_there_as_long_as_something_is_below() {
    // Nothing serves: the group's name has its mark below it. Another job's zone is two labels down.
    let view = view(&[("z-1", "a.example", 0, true), ("z-1", "x.y.a.example", 1, true)]);
    assert_eq!(code(&view, "z-1.a.example", RecordType::A), (ResponseCode::NoError, 0, 1));
    assert_eq!(code(&view, "y.a.example", RecordType::A), (ResponseCode::NoError, 0, 1));
    assert_eq!(code(&view, "x.y.a.example", RecordType::A), (ResponseCode::NoError, 1, 0));
    assert_eq!(code(&view, "w.y.a.example", RecordType::A), (ResponseCode::NXDomain, 0, 1));
}

#[test]
fn what_is_not_known_yet_is_not_denied() {
    let open = view(&[("z-1", "a.example", 1, true), ("z-2", "a.example", 0, false)]);
    let not_yet = (ResponseCode::ServFail, 0, 0);
    assert_eq!(code(&open, "z-2.a.example", RecordType::A), not_yet);
    assert_eq!(code(&open, "0.z-2.a.example", RecordType::A), not_yet);
    assert_eq!(code(&open, "_cerebro.z-2.a.example", RecordType::TXT).1, 1);
    assert_eq!(code(&open, "0.z-1.a.example", RecordType::A).1, 1);
    assert_eq!(code(&open, "a.example", RecordType::A).1, 1);
    let mut closed = open.clone();
    closed.is_open = false;
    assert_eq!(code(&closed, "0.z-1.a.example", RecordType::A), not_yet);
    assert_eq!(code(&closed, "elsewhere.example", RecordType::A), not_yet);
    let first = view(&[("z-1", "a.example", 0, false)]);
    assert_eq!(code(&first, "a.example", RecordType::A), not_yet);
}

#[test]
fn a_question_in_any_case_is_answered_as_it_was_asked() {
    let view = view(&[("z-1", "a.example", 1, true)]);
    let reply = ask(&view, "Z-1.A.eXaMPle", RecordType::A);
    let name = Name::from_ascii("Z-1.A.eXaMPle.").unwrap();
    assert!(reply.queries[0].name().eq_case(&name));
    assert!(reply.answers[0].name.eq_case(&name));
}

#[test]
fn answers_come_in_another_order_each_time() {
    let view = view(&[("z-1", "a.example", 8, true)]);
    let bytes = question("z-1.a.example", RecordType::A).to_vec().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let firsts: BTreeSet<String> = (0..200)
        .map(|_| answer(&view, &bytes, Way::Udp, &mut random).unwrap())
        .map(|bytes| Message::from_vec(&bytes).unwrap().answers[0].data.to_string())
        .collect();
    assert_eq!(firsts.len(), 8);
}

#[test]
fn what_does_not_fit_is_cut_short_over_udp_and_whole_over_tcp() {
    let view = view(&[("z-1", "a.example", 200, true)]);
    let plain = question("z-1.a.example", RecordType::A);
    let (reply, size) = asked(&view, &plain, Way::Udp);
    assert!(reply.truncation && size <= 512 && !reply.answers.is_empty(), "{size}");
    assert!(reply.edns.is_none());
    for (claimed, most) in [(512, 512), (1_232, 1_232), (65_535, 1_232), (100, 512)] {
        let mut message = plain.clone();
        let mut edns = Edns::new();
        edns.set_max_payload(claimed).set_dnssec_ok(true);
        message.set_edns(edns);
        let (reply, size) = asked(&view, &message, Way::Udp);
        assert!(reply.truncation && size <= most && !reply.answers.is_empty(), "{claimed}: {size}");
        let edns = reply.edns.expect("EDNS for EDNS");
        assert!(edns.flags().dnssec_ok && edns.max_payload() == 1_232);
    }
    let (whole, _) = asked(&view, &plain, Way::Tcp);
    assert!(!whole.truncation && whole.answers.len() == 200);
    // As much as a message holds, and a fair part of what is more.
    let job = ["x".repeat(60), "y".repeat(60), "z".repeat(50)].join(".");
    let zone = "z".repeat(60);
    let many = self::view(&[(&zone, &job, 5_000, true)]);
    let long = question(&format!("{zone}.{job}"), RecordType::A);
    let (some, size) = asked(&many, &long, Way::Tcp);
    assert!(!some.truncation && some.answers.len() == 2_000 && size < 65_536);
    let (few, size) = asked(&many, &long, Way::Udp);
    assert!(few.truncation && few.answers.len() > 10 && size <= 512);
}

#[test]
fn what_is_asked_wrongly_is_told_so_or_not_answered() {
    let view = view(&[("z-1", "a.example", 1, true)]);
    let good = question("z-1.a.example", RecordType::A);
    let with = |change: &dyn Fn(&mut Message)| {
        let mut message = good.clone();
        change(&mut message);
        asked(&view, &message, Way::Udp).0.response_code
    };
    assert_eq!(with(&|m| m.metadata.op_code = OpCode::Update), ResponseCode::NotImp);
    assert_eq!(with(&|m| m.metadata.op_code = OpCode::Notify), ResponseCode::NotImp);
    assert_eq!(with(&|m| drop(m.queries.pop())), ResponseCode::FormErr);
    assert_eq!(with(&|m| m.queries.push(m.queries[0].clone())), ResponseCode::FormErr);
    let chaos = |m: &mut Message| {
        m.queries[0].set_query_class(DNSClass::CH);
    };
    assert_eq!(with(&chaos), ResponseCode::Refused);
    let later = |m: &mut Message| {
        m.edns.get_or_insert_with(Edns::new).set_version(1);
    };
    // 16 is also that of a bad signature.
    assert_eq!(u16::from(with(&later)), u16::from(ResponseCode::BADVERS));
    let mut random = fastrand::Rng::with_seed(1);
    let mut reply = good.clone();
    reply.metadata.message_type = MessageType::Response;
    assert_eq!(answer(&view, &reply.to_vec().unwrap(), Way::Udp, &mut random), None);
    assert_eq!(answer(&view, &good.to_vec().unwrap()[..11], Way::Udp, &mut random), None);
}

#[test]
fn the_lowest_ttl_holds_for_all_and_the_group_of_no_kind_has_none() {
    let (one, two) = (group("z-1", "a.example"), group("z-2", "a.example"));
    let mut other = held(&two, 0..0);
    other.found.records.add(&two.name(), Ttl::seconds(3).unwrap(), [10, 9, 9, 9].into());
    let groups = [(one.clone(), held(&one, 0..1)), (two, other)];
    let host = wire::name("ns.example").unwrap();
    let groups = groups.iter().map(|(group, held)| (group, held));
    let zone = Zone::build(&one.job, groups, &host, 1, nobody()).unwrap();
    let apex = LowerName::from(wire::name("a.example").unwrap());
    let view = View::default().opened().with(&apex, Some(zone));
    let reply = ask(&view, "a.example", RecordType::A);
    assert_eq!(reply.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(code(&view, "a.example", wire::record_type(Kind::Aaaa)).1, 0);
    // Gone again: no longer ours.
    let gone = view.with(&apex, None);
    assert_eq!(code(&gone, "a.example", RecordType::A).0, ResponseCode::Refused);
}

proptest! {
    #[test]
    fn nothing_that_is_sent_ends_it(packet in proptest::collection::vec(any::<u8>(), 0..300)) {
        let view = view(&[("z-1", "a.example", 3, true)]);
        let mut random = fastrand::Rng::with_seed(1);
        answer(&view, &packet, Way::Udp, &mut random);
    }

    #[test]
    fn nor_does_a_question_with_faults(
        faults in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let view = view(&[("z-1", "a.example", 3, true)]);
        let mut message = question("z-1.a.example", RecordType::A);
        message.set_edns(Edns::new());
        let mut packet = message.to_vec().unwrap();
        for (at, byte) in faults {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        packet.truncate(cut.index(packet.len()) + 1);
        let mut random = fastrand::Rng::with_seed(1);
        if let Some(reply) = answer(&view, &packet, Way::Udp, &mut random) {
            prop_assert!(reply.len() <= 1_232);
            prop_assert_eq!(&reply[..2], &packet[..2]);
        }
    }
}
