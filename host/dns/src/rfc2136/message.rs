//! Updates as messages: each is one step, which the server takes as a whole or not at all. Pure.

use crate::{Change, RecordSet, wire};
use hickory_proto::ProtoError;
use hickory_proto::op::{Header, Message, MessageType, OpCode, Query, UpdateMessage};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use std::collections::BTreeSet;

/// How long a mark may be kept, in seconds. Nobody asks for it but its cluster, and that asks the server itself.
const MARK_TTL: u32 = 60;

/// An update of a zone, with what must hold for it to be made.
pub(super) struct Update(Message);

/// More than a message can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl Update {
    /// One that demands and changes nothing yet.
    pub fn of(zone: &Name, id: u16) -> Self {
        let mut message = Message::new(id, MessageType::Query, OpCode::Update);
        message.add_zone(Query::query(zone.clone(), RecordType::SOA));
        Self(message)
    }

    /// Demands that a name has no records of any kind: RFC 2136, section 2.4.5.
    pub fn demand_unused(&mut self, name: &str) -> Result<(), ProtoError> {
        self.demand_absent(wire::name(name)?, RecordType::ANY);
        Ok(())
    }

    /// Demands that the mark is exactly this text, or not there: sections 2.4.2 and 2.4.3.
    pub fn demand_mark(&mut self, name: &str, text: Option<&str>) -> Result<(), ProtoError> {
        let name = wire::name(name)?;
        match text {
            Some(text) => self.0.add_pre_requisite(Record::from_rdata(name, 0, wire::text(text))),
            None => self.demand_absent(name, RecordType::TXT),
        }
        Ok(())
    }

    /// Replaces the mark, or removes it.
    pub fn set_mark(&mut self, name: &str, text: Option<&str>) -> Result<(), ProtoError> {
        let name = wire::name(name)?;
        self.remove(name.clone(), RecordType::TXT);
        if let Some(text) = text {
            self.0.add_update(Record::from_rdata(name, MARK_TTL, wire::text(text)));
        }
        Ok(())
    }

    /// Demands that a set is as it was known to be, and makes of it what it should be.
    pub fn change(&mut self, change: &Change) -> Result<(), ProtoError> {
        let name = wire::name(&change.name)?;
        let kind = wire::record_type(change.kind);
        match &change.before {
            Some(before) => {
                for address in before.addresses() {
                    let record = Record::from_rdata(name.clone(), 0, wire::address(address));
                    self.0.add_pre_requisite(record);
                }
            }
            None => {
                self.demand_absent(name.clone(), kind);
                // Beside a CNAME nothing can be added, and a server may pass over it in silence: section 3.4.2.2.
                self.demand_absent(name.clone(), RecordType::CNAME);
            }
        }
        let none = BTreeSet::new();
        let before = match (&change.before, &change.after) {
            // A set has one TTL: with another, it is made anew.
            (Some(before), Some(after)) if before.ttl == after.ttl => before.addresses(),
            (None, _) => &none,
            (Some(_), _) => {
                self.remove(name.clone(), kind);
                &none
            }
        };
        let after = change.after.as_ref().map_or(&none, RecordSet::addresses);
        for gone in before.difference(after) {
            let mut record = Record::from_rdata(name.clone(), 0, wire::address(gone));
            record.dns_class = DNSClass::NONE;
            self.0.add_update(record);
        }
        let ttl = change.after.as_ref().map_or(0, |after| after.ttl.get());
        for new in after.difference(before) {
            self.0.add_update(Record::from_rdata(name.clone(), ttl, wire::address(new)));
        }
        Ok(())
    }

    /// The message, if it holds all of it. What encodes it leaves out what does not fit, and half an update must never
    /// be sent.
    pub fn finish(self) -> Result<Message, TooLong> {
        // What its signature takes.
        const SIGNATURE: usize = 512;
        let bytes = self.0.to_vec().map_err(|_| TooLong)?;
        let written = Header::read(&mut BinDecoder::new(&bytes)).map_err(|_| TooLong)?;
        let has_all = usize::from(written.counts.answers) == self.0.prerequisites().len()
            && usize::from(written.counts.authorities) == self.0.updates().len();
        match has_all && bytes.len() + SIGNATURE <= usize::from(u16::MAX) {
            true => Ok(self.0),
            false => Err(TooLong),
        }
    }

    fn demand_absent(&mut self, name: Name, kind: RecordType) {
        let mut record = Record::update0(name, 0, kind);
        record.dns_class = DNSClass::NONE;
        self.0.add_pre_requisite(record);
    }

    fn remove(&mut self, name: Name, kind: RecordType) {
        let mut record = Record::update0(name, 0, kind);
        record.dns_class = DNSClass::ANY;
        self.0.add_update(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Group, Records, Ttl};
    use hickory_proto::rr::RData;
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr};

    fn shown(records: &[Record]) -> Vec<String> {
        let show = |record: &Record| {
            let (name, class) = (record.name.to_ascii(), record.dns_class);
            format!("{name} {} {class} {} {}", record.ttl, record.record_type(), record.data)
        };
        records.iter().map(show).collect()
    }

    fn update() -> Update {
        Update::of(&wire::name("example").unwrap(), 7)
    }

    fn records(numbers: std::ops::Range<u32>) -> Records {
        let group = Group { zone: "z-1".parse().unwrap(), job: "a.example".parse().unwrap() };
        let address = |n| BTreeSet::from([IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n))]);
        let serving: BTreeMap<_, _> = numbers.map(|n| (n, address(n))).collect();
        Records::of(&group, Ttl::seconds(5).unwrap(), &serving)
    }

    #[test]
    fn a_change_demands_what_was_there_and_says_what_should_be() {
        let mut update = update();
        update.demand_mark("_cerebro.z-1.a.example", Some("mine")).unwrap();
        for change in records(0..1).changes_to(&records(0..2)) {
            update.change(&change).unwrap();
        }
        let message = update.finish().unwrap();
        assert_eq!(
            shown(message.prerequisites()),
            [
                "_cerebro.z-1.a.example. 0 IN TXT mine",
                "1.z-1.a.example. 0 NONE A UPDATE",
                "1.z-1.a.example. 0 NONE CNAME UPDATE",
                "z-1.a.example. 0 IN A 10.0.0.0",
            ]
        );
        assert_eq!(
            shown(message.updates()),
            ["1.z-1.a.example. 5 IN A 10.0.0.1", "z-1.a.example. 5 IN A 10.0.0.1",]
        );
    }

    #[test]
    fn addresses_that_go_are_removed_and_a_set_with_another_ttl_is_made_anew() {
        let of = |before: Records, after: Records| {
            let mut update = update();
            before.changes_to(&after).iter().for_each(|change| update.change(change).unwrap());
            shown(update.finish().unwrap().updates())
        };
        assert_eq!(
            of(records(0..2), records(1..2)),
            ["0.z-1.a.example. 0 ANY A UPDATE", "z-1.a.example. 0 NONE A 10.0.0.0"]
        );
        let set = |ttl| {
            let mut records = Records::default();
            records.add("z-1.a.example", Ttl::at_most(ttl), [10, 0, 0, 1].into());
            records
        };
        assert_eq!(
            of(set(5), set(9)),
            ["z-1.a.example. 0 ANY A UPDATE", "z-1.a.example. 9 IN A 10.0.0.1"]
        );
    }

    #[test]
    fn a_claim_demands_that_nothing_is_there() {
        let mut update = update();
        update.demand_mark("m.example", None).unwrap();
        update.demand_unused("z.example").unwrap();
        update.set_mark("m.example", Some(&"x".repeat(300))).unwrap();
        let message = update.finish().unwrap();
        assert_eq!(
            shown(message.prerequisites()),
            ["m.example. 0 NONE TXT UPDATE", "z.example. 0 NONE ANY UPDATE"]
        );
        let RData::TXT(text) = &message.updates()[1].data else { panic!("no TXT") };
        assert_eq!(text.txt_data.iter().map(|part| part.len()).collect::<Vec<_>>(), [255, 45]);
    }

    #[test]
    fn half_an_update_is_none() {
        let of = |count| {
            let mut update = update();
            for change in Records::default().changes_to(&records(0..count)) {
                update.change(&change).unwrap();
            }
            update.finish().map(|message| message.updates().len())
        };
        assert_eq!(of(400), Ok(800));
        assert_eq!(of(5_000), Err(TooLong));
    }
}
