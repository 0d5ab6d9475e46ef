//! One question and its answer, as bytes. Pure.

use super::view::{Known, View};
use hickory_proto::ProtoError;
use hickory_proto::op::{
    Edns, Header, MessageType, Metadata, OpCode, Query, ResponseCode, emit_message_parts,
};
use hickory_proto::rr::{DNSClass, LowerName, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};

/// What a question may hold besides itself: EDNS, a signature, little else.
const MOST_ADDITIONALS: u16 = 8;
/// As much as goes over UDP without being split on the way: DNS Flag Day 2020.
const UDP_SIZE: u16 = 1_232;
/// As much as goes over UDP to who says nothing: RFC 1035, section 4.2.1.
const PLAIN_UDP_SIZE: u16 = 512;
/// As many addresses as fit a message of 64 KiB, whatever their kind. Of more, an answer holds some.
const MOST_RECORDS: usize = 2_000;

/// How an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In one packet, cut short if it does not fit.
    Udp,
    /// Whole.
    Tcp,
}

/// The answer to a packet, if it is one that is answered.
pub(super) fn answer(
    view: &View,
    packet: &[u8],
    way: Way,
    random: &mut fastrand::Rng,
) -> Option<Vec<u8>> {
    let mut decoder = BinDecoder::new(packet);
    // Neither what is no message nor an answer is answered: nobody can have two servers talk to each other.
    let header = Header::read(&mut decoder).ok()?;
    if header.metadata.message_type == MessageType::Response {
        return None;
    }
    let mut reply = Reply {
        metadata: Metadata::response_from_request(&header.metadata),
        query: None,
        edns: None,
        answers: Vec::new(),
        authority: None,
    };
    reply.metadata.response_code = match header.metadata.op_code {
        OpCode::Query => read(&mut decoder, &header, &mut reply)
            .map_or_else(|code| code, |query| reply_to(view, &query, &mut reply, random)),
        _ => ResponseCode::NotImp,
    };
    encode(reply, way)
}

/// An answer that is being made.
struct Reply<'v> {
    metadata: Metadata,
    query: Option<Query>,
    edns: Option<Edns>,
    answers: Vec<Answer<'v>>,
    authority: Option<Record>,
}

/// A record at the name that was asked for.
struct Answer<'v> {
    ttl: u32,
    data: &'v RData,
}

impl BinEncodable for Answer<'_> {
    /// With a pointer to the name in the question, which follows the header. The library writes the names of all
    /// records but the first 120 in full, and a large set would not fit.
    fn emit(&self, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
        const QUESTION: u16 = 0xc000 | 12;
        encoder.emit_u16(QUESTION)?;
        self.data.record_type().emit(encoder)?;
        DNSClass::IN.emit(encoder)?;
        encoder.emit_u32(self.ttl)?;
        let place = encoder.place::<u16>()?;
        self.data.emit(encoder)?;
        let length = u16::try_from(encoder.len_since_place(&place)).unwrap_or(u16::MAX);
        place.replace(encoder, length)
    }
}

/// Reads the question, and prepares what answers it; or says what is wrong with it.
fn read(
    decoder: &mut BinDecoder<'_>,
    header: &Header,
    reply: &mut Reply<'_>,
) -> Result<Query, ResponseCode> {
    let counts = header.counts;
    if counts.queries != 1 || counts.answers != 0 || counts.authorities != 0 {
        return Err(ResponseCode::FormErr);
    }
    if counts.additionals > MOST_ADDITIONALS {
        return Err(ResponseCode::FormErr);
    }
    let query = Query::read(decoder).map_err(|_| ResponseCode::FormErr)?;
    reply.query = Some(query.clone());
    let mut edns = None;
    for _ in 0..counts.additionals {
        let record = Record::read(decoder).map_err(|_| ResponseCode::FormErr)?;
        if record.record_type() == RecordType::OPT && edns.replace(Edns::from(&record)).is_some() {
            return Err(ResponseCode::FormErr);
        }
    }
    if let Some(theirs) = edns {
        let mut ours = Edns::new();
        ours.set_max_payload(theirs.max_payload());
        ours.set_dnssec_ok(theirs.flags().dnssec_ok);
        reply.edns = Some(ours);
        if theirs.version() > 0 {
            return Err(ResponseCode::BADVERS);
        }
    }
    Ok(query)
}

fn reply_to<'v>(
    view: &'v View,
    query: &Query,
    reply: &mut Reply<'v>,
    random: &mut fastrand::Rng,
) -> ResponseCode {
    let is_transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
    if query.query_class() != DNSClass::IN || is_transfer {
        return ResponseCode::Refused;
    }
    let (zone, code) = match view.look_up(&LowerName::new(query.name()), query.query_type()) {
        Known::Foreign => return ResponseCode::Refused,
        Known::NotYet => return ResponseCode::ServFail,
        Known::Records(zone, set) => {
            zone.is_asked();
            reply.metadata.authoritative = true;
            reply.answers = set.data.iter().map(|data| Answer { ttl: set.ttl, data }).collect();
            random.shuffle(&mut reply.answers);
            reply.answers.truncate(MOST_RECORDS);
            return ResponseCode::NoError;
        }
        Known::NoData(zone) => (zone, ResponseCode::NoError),
        Known::NoName(zone) => (zone, ResponseCode::NXDomain),
    };
    reply.metadata.authoritative = true;
    reply.authority = Some(zone.soa());
    code
}

fn encode(mut reply: Reply<'_>, way: Way) -> Option<Vec<u8>> {
    let most = match (way, &reply.edns) {
        (Way::Tcp, _) => u16::MAX,
        (Way::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN_UDP_SIZE, UDP_SIZE),
        (Way::Udp, None) => PLAIN_UDP_SIZE,
    };
    if let Some(edns) = &mut reply.edns {
        edns.set_max_payload(UDP_SIZE);
    }
    let bytes = emit(&reply, most)?;
    let written = Header::read(&mut BinDecoder::new(&bytes)).ok()?;
    if !written.metadata.truncation || reply.edns.is_none() {
        return Some(bytes);
    }
    // It was cut short, and what did not fit may be EDNS, which who sent it must be given: one answer less.
    reply.answers.truncate(usize::from(written.counts.answers).saturating_sub(1));
    reply.metadata.truncation = true;
    emit(&reply, most)
}

fn emit(reply: &Reply<'_>, most: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::from(PLAIN_UDP_SIZE));
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(most);
    emit_message_parts(
        &reply.metadata,
        &mut reply.query.iter(),
        &mut reply.answers.iter(),
        &mut reply.authority.iter(),
        &mut std::iter::empty::<&Record>(),
        reply.edns.as_ref(),
        None,
        &mut encoder,
    )
    .ok()?;
    Some(bytes)
}
