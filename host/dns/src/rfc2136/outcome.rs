//! What a server's answer means to who asked, and what a person is to do about it. Pure.

use super::TsigKey;
use crate::DnsError;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use std::net::SocketAddr;

/// Why an exchange brought no answer that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// None came, or none that could be read: it may have been done or not.
    Lost(String),
    /// The server said this, and signed it.
    Said(ResponseCode),
    /// The server takes our signature for a wrong one.
    Key(TsigError),
    /// What came is not signed by the server.
    Unsigned(String),
}

/// Who was asked, for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub server: SocketAddr,
    pub zone: &'a str,
    pub key: &'a TsigKey,
}

impl Trouble {
    /// As the caller is told. `doing` what was tried; `needs` what the server has to allow for it.
    pub fn told(self, asked: Asked<'_>, doing: String, needs: &str) -> DnsError {
        let Asked { server, zone, key } = asked;
        let refused = |why: String| DnsError::Refused { doing: doing.clone(), why };
        match self {
            Self::Lost(why) => DnsError::Unavailable {
                doing,
                why: format!(
                    "{server} gave no answer ({why}); whether it was done is found out by the next try"
                ),
            },
            Self::Unsigned(why) => DnsError::Unavailable {
                doing,
                why: format!(
                    "the answer of {server} does not prove to be its own ({why}), and was passed over"
                ),
            },
            Self::Key(TsigError::BadKey) => refused(format!(
                "{server} does not know the key {key}: check that its name and algorithm are those of the server's \
                 configuration, and that the server has read it"
            )),
            Self::Key(TsigError::BadSig | TsigError::BadTrunc) => refused(format!(
                "{server} knows the key {key}, with another secret: copy it again from the server's configuration"
            )),
            Self::Key(TsigError::BadTime) => refused(format!(
                "the clock of {server} and that of this host are more than five minutes apart: set them right"
            )),
            Self::Key(TsigError::Unknown(code)) => {
                refused(format!("{server} rejects the key {key} (TSIG error {code})"))
            }
            Self::Said(ResponseCode::NotAuth) => refused(format!(
                "{server} is not the primary server of the zone `{zone}`: check the zone, and that this is its primary"
            )),
            Self::Said(ResponseCode::Refused) => refused(format!(
                "{server} does not allow it to the key {key}: the zone `{zone}` needs {needs}, and must not be frozen"
            )),
            Self::Said(ResponseCode::NotZone) => {
                refused(format!("{server} says that a name is not within the zone `{zone}`"))
            }
            Self::Said(ResponseCode::NotImp) => refused(format!(
                "{server} does not take dynamic updates: it needs another server, or another provider"
            )),
            Self::Said(ResponseCode::FormErr) => refused(format!(
                "{server} does not understand the request; this is a fault of Cerebro's or of that server's"
            )),
            Self::Said(ResponseCode::ServFail) => DnsError::Unavailable {
                doing,
                why: format!(
                    "{server} failed (SERVFAIL): its log says why; often it may not write its journal beside the file of \
                     the zone `{zone}`, or a name has more addresses than it allows (in BIND `max-records-per-type`, 100)"
                ),
            },
            Self::Said(code) => DnsError::Unavailable {
                doing,
                why: format!("{server} answered with {}", u16::from(code)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::*;

    #[test]
    fn each_answer_says_what_to_do_and_whether_to_try_again() {
        let key = TsigKey::new("cerebro", Algorithm::HmacSha256, "c2VjcmV0").unwrap();
        let server = "192.0.2.1:53".parse().unwrap();
        let asked = Asked { server, zone: "startup.com", key: &key };
        for (trouble, is_transient, words) in [
            (Trouble::Lost("timed out".into()), true, "timed out"),
            (Trouble::Unsigned("no TSIG".into()), true, "no TSIG"),
            (
                Trouble::Key(TsigError::BadKey),
                false,
                "does not know the key `cerebro` (hmac-sha256)",
            ),
            (Trouble::Key(TsigError::BadSig), false, "another secret"),
            (Trouble::Key(TsigError::BadTime), false, "clock"),
            (Trouble::Key(TsigError::Unknown(99)), false, "99"),
            (Trouble::Said(ResponseCode::NotAuth), false, "not the primary"),
            (Trouble::Said(ResponseCode::Refused), false, "`allow-update`"),
            (Trouble::Said(ResponseCode::NotZone), false, "not within"),
            (Trouble::Said(ResponseCode::NotImp), false, "dynamic updates"),
            (Trouble::Said(ResponseCode::FormErr), false, "does not understand"),
            (Trouble::Said(ResponseCode::ServFail), true, "journal"),
            (Trouble::Said(ResponseCode::Unknown(77)), true, "77"),
        ] {
            let told = trouble.clone().told(asked, "publish `z.a`".to_owned(), "`allow-update`");
            assert_eq!(told.is_transient(), is_transient, "{trouble:?}");
            let said = told.to_string();
            assert!(said.starts_with("cannot publish `z.a`") && said.contains(words), "{said}");
        }
    }
}
