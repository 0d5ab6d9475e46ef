//! Hosts and ports.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// `host:port`: the host is a name, `*.` and the end of names, an address, a network
/// (`10.0.0.0/8`), or `*`; the port may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    host: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Any,
    Name(String),
    /// The end of names, with its dot.
    Ending(String),
    Network(IpAddr, u8),
}

impl HostPattern {
    pub(super) fn exact(host: &str, port: u16) -> Self {
        let host = match host.parse::<IpAddr>() {
            Ok(address) => Hosts::single(address),
            Err(_) => Hosts::Name(host.to_owned()),
        };
        Self { host, port: Some(port) }
    }

    /// Whether `host`, a name or an address, at `port` is meant. A network covers addresses, and no
    /// names that lead into it.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        self.covers_host(host) && self.port.is_none_or(|own| own == port)
    }

    /// Whether `host` is meant at some port.
    pub fn covers_host(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => self.host.covers_network(address.to_canonical(), 128),
            Err(_) => self.host.covers_name(host),
        }
    }

    /// Whether all that `other` covers is covered by this.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let host = match &other.host {
            Hosts::Any => self.host == Hosts::Any,
            Hosts::Name(name) => self.host.covers_name(name),
            // What ends in `.b.c` ends in `.c` too.
            Hosts::Ending(ending) => self.host.covers_name(ending),
            Hosts::Network(address, prefix) => self.host.covers_network(*address, *prefix),
        };
        host && (self.port.is_none() || self.port == other.port)
    }

    /// Whether this means every host.
    pub(super) fn is_any(&self) -> bool {
        matches!(self.host, Hosts::Any | Hosts::Network(_, 0))
    }
}

impl Hosts {
    fn single(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::Network(address, bits(address))
    }

    /// A network of IPv4 in the spelling of IPv6 is one of IPv4: that is how what is asked about is read.
    fn network(address: IpAddr, prefix: u8) -> Self {
        match (address.to_canonical(), prefix.checked_sub(128 - 32)) {
            (v4 @ IpAddr::V4(_), Some(inner)) if address.is_ipv6() => Self::Network(v4, inner),
            _ => Self::Network(address, prefix),
        }
    }

    fn covers_name(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Name(own) => own.eq_ignore_ascii_case(name),
            Self::Ending(ending) => {
                let start = name.len().checked_sub(ending.len());
                let end = start.and_then(|start| name.get(start..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
                    // Something must stand before the dot, unless endings are compared.
                    && (start != Some(0) || name.starts_with('.'))
            }
            Self::Network(..) => false,
        }
    }

    /// Whether the network of this address and prefix lies in this; 128 for a single address.
    fn covers_network(&self, address: IpAddr, prefix: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Network(own, own_prefix) => {
                own.is_ipv4() == address.is_ipv4()
                    && *own_prefix <= prefix.min(bits(address))
                    && masked(address, *own_prefix) == *own
            }
            Self::Name(_) | Self::Ending(_) => false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Ok(address) = text.parse() {
            return Some(Self::single(address));
        }
        if let Some((address, prefix)) = text.split_once('/') {
            let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
            let fits = prefix <= bits(address) && masked(address, prefix) == address;
            return fits.then(|| Self::network(address, prefix));
        }
        if let Some(ending) = text.strip_prefix('*') {
            let name = ending.strip_prefix('.')?;
            // What ends in digits may be an address in one of its many spellings.
            let last = name.rsplit('.').next()?;
            let is_name = is_name(name) && last.starts_with(|c: char| c.is_ascii_alphabetic());
            return is_name.then(|| Self::Ending(ending.to_owned()));
        }
        is_name(text).then(|| Self::Name(text.to_owned()))
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into())
        }
        IpAddr::V6(v6) => {
            IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into())
        }
    }
}

/// Whether this is a host's name: labels of letters, digits, `-` and `_`.
pub(super) fn is_name(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

impl TryFrom<String> for HostPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a host to grant: expected `host:port`, where the host is a name, \
                 `*.` and the end of names, an address, a network such as `10.0.0.0/8`, or `*`, \
                 and the port a number or `*`"
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let host = Hosts::parse(bare).ok_or_else(wrong)?;
        let port = match port {
            "*" => None,
            number => Some(number.parse().map_err(|_| wrong())?),
        };
        Ok(Self { host, port })
    }
}

impl utoipa::PartialSchema for HostPattern {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

impl utoipa::ToSchema for HostPattern {}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Hosts::Any => f.write_str("*")?,
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Ending(ending) => write!(f, "*{ending}")?,
            Hosts::Network(address, prefix) => {
                let (open, close) = if address.is_ipv6() { ("[", "]") } else { ("", "") };
                match *prefix == bits(*address) {
                    true => write!(f, "{open}{address}{close}")?,
                    false => write!(f, "{open}{address}/{prefix}{close}")?,
                }
            }
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(":*"),
        }
    }
}
