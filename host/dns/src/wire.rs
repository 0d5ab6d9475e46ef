//! Names and records as the DNS library has them.

use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::IpAddr;

use crate::Kind;

/// A string in a TXT record holds so many bytes; a longer text is several strings: RFC 1035, section 3.3.14.
const STRING: usize = 255;

/// A name that is written without its final dot.
pub(crate) fn name(text: &str) -> Result<Name, ProtoError> {
    let mut name = Name::from_ascii(text)?;
    name.set_fqdn(true);
    Ok(name)
}

/// An address as a record's data.
pub(crate) fn address(address: &IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A((*address).into()),
        IpAddr::V6(address) => RData::AAAA((*address).into()),
    }
}

/// A text as a record's data.
pub(crate) fn text(text: &str) -> RData {
    RData::TXT(TXT::from_bytes(text.as_bytes().chunks(STRING).collect()))
}

/// The type of record that holds addresses of a kind.
pub(crate) fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
    }
}
