//! Pages that may be fetched.

use super::host::is_name;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv6Addr;

/// `https://host[:port]/path`: covers that path and all below it, with whatever query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct UrlPattern(Parts);

/// What of a URL counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    scheme: &'static str,
    host: String,
    port: u16,
    path: String,
}

impl UrlPattern {
    /// Whether `url` is meant. One that different programs might read in different ways never is:
    /// with a user or password, blanks, backslashes, or `..`, spelled out or as `%2e`.
    pub fn covers(&self, url: &str) -> bool {
        Parts::parse(url).is_ok_and(|parts| self.covers_parts(&parts))
    }

    pub(super) fn covers_parts(&self, parts: &Parts) -> bool {
        let Self(own) = self;
        let below = match parts.path.strip_prefix(own.path.as_str()) {
            Some(rest) => rest.is_empty() || own.path.ends_with('/') || rest.starts_with('/'),
            None => false,
        };
        (own.scheme, &own.host, own.port) == (parts.scheme, &parts.host, parts.port) && below
    }

    pub(super) fn includes(&self, other: &Self) -> bool {
        self.covers_parts(&other.0)
    }
}

impl Parts {
    /// Takes a URL apart, or says what is wrong with it. Stricter than the standard, so that all
    /// who read what passes here read the same.
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("it is no `https://host/path`")?;
        let (scheme, usual) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", 443),
            "http" => ("http", 80),
            _ => return Err("its scheme is neither `https` nor `http`"),
        };
        if rest.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
            return Err("it holds blanks, control characters or backslashes");
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it holds a user or a password");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| "its port is no number")?)
            }
            _ => (authority, usual),
        };
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_v6 = in_brackets.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
        if !is_v6 && !is_name(host) {
            return Err("its host is neither a name nor an address");
        }
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        if climbs(path) {
            return Err("its path holds `.` or `..`");
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }
}

/// Whether `path` holds a part that leads elsewhere, for a server that decodes first as well.
fn climbs(path: &str) -> bool {
    let plain =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    plain.split('/').any(|part| matches!(part, "." | ".."))
}

impl TryFrom<String> for UrlPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |why| {
            format!(
                "`{text}` is not a URL to grant: {why}; expected such as `https://dl.example.com/app/`"
            )
        };
        if text.contains(['*', '?', '#']) {
            return Err(wrong("it holds `*`, a query or a fragment"));
        }
        Parts::parse(&text).map(Self).map_err(wrong)
    }
}

impl From<UrlPattern> for String {
    fn from(pattern: UrlPattern) -> String {
        pattern.0.to_string()
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, path } = self;
        match (*scheme, port) {
            ("https", 443) | ("http", 80) => write!(f, "{scheme}://{host}{path}"),
            _ => write!(f, "{scheme}://{host}:{port}{path}"),
        }
    }
}
