//! Grants: what a job lets its recipe and its checks do. Default: nothing.
//!
//! The check is pure text; that a path which passed cannot lead elsewhere by a link is the
//! business of whoever opens it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What recipe and checks may do on a machine, beside reading their context and writing a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Trees that may be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<PathPattern>,
    /// Trees that may be read and written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<PathPattern>,
    /// Programs that may be run: absolute paths. A granted program is not confined by the path
    /// grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<PathPattern>,
    /// Hosts that may be connected to, beside the instance's own ports, which always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
}

/// An attempt that no grant covers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not granted; to allow it, add {line:?} to `grants.{key}` of the job")]
pub struct Denied {
    /// What was attempted.
    pub what: String,
    /// The key below `grants` that would allow it.
    pub key: &'static str,
    /// The value to add there.
    pub line: String,
}

impl Grants {
    /// Whether `path` (absolute, without `.` and `..`) may be read.
    pub fn read(&self, path: &str) -> Result<(), Denied> {
        if self.read.iter().chain(&self.write).any(|pattern| pattern.covers(path)) {
            return Ok(());
        }
        Err(Denied { what: format!("reading `{path}`"), key: "read", line: path.to_owned() })
    }

    /// Whether `path` (absolute, without `.` and `..`) may be written.
    pub fn write(&self, path: &str) -> Result<(), Denied> {
        if self.write.iter().any(|pattern| pattern.covers(path)) {
            return Ok(());
        }
        Err(Denied { what: format!("writing `{path}`"), key: "write", line: path.to_owned() })
    }

    /// Whether `program` (absolute, without `.` and `..`) may be run.
    pub fn run(&self, program: &str) -> Result<(), Denied> {
        if self.commands.iter().any(|pattern| pattern.covers(program)) {
            return Ok(());
        }
        Err(Denied {
            what: format!("running `{program}`"),
            key: "commands",
            line: program.to_owned(),
        })
    }

    /// Whether `host` at `port` may be connected to.
    pub fn connect(&self, host: &str, port: u16) -> Result<(), Denied> {
        if self.hosts.iter().any(|pattern| pattern.covers(host, port)) {
            return Ok(());
        }
        let target = HostPattern::exact(host, port).to_string();
        Err(Denied { what: format!("connecting to `{target}`"), key: "hosts", line: target })
    }
}

/// An absolute path, which covers itself and everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct PathPattern(String);

impl PathPattern {
    /// Whether this is `path` or a directory above it.
    pub fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(self.0.as_str()) {
            Some(rest) => self.0 == "/" || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The path, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let stem = text.strip_suffix("/**").unwrap_or(&text);
        let trimmed = stem.trim_end_matches('/');
        let plain = trimmed.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if !text.starts_with('/') || !plain || text.contains('\0') || trimmed.contains('*') {
            return Err(format!(
                "`{text}` is not a path to grant: expected an absolute path without `.`, `..` and `*`"
            ));
        }
        Ok(Self(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }))
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> String {
        pattern.0
    }
}

/// `host:port`, where the port may be `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    host: String,
    port: Option<u16>,
}

impl HostPattern {
    fn exact(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port: Some(port) }
    }

    /// Whether `host` at `port` is meant.
    pub fn covers(&self, host: &str, port: u16) -> bool {
        self.host.eq_ignore_ascii_case(host) && self.port.is_none_or(|own| own == port)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a host to grant: expected `host:port` or `host:*`");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let is_name = bare.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
        if !is_name && bare.parse::<IpAddr>().is_err() {
            return Err(wrong());
        }
        let port = match port {
            "*" => None,
            number => Some(number.parse().map_err(|_| wrong())?),
        };
        Ok(Self { host: bare.to_owned(), port })
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
        match self.host.contains(':') {
            true => write!(f, "[{}]:", self.host)?,
            false => write!(f, "{}:", self.host)?,
        }
        match self.port {
            Some(port) => port.fmt(f),
            None => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathPattern {
        PathPattern::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_path_covers_itself_and_what_is_below() {
        let release = path("/opt/startup/");
        assert!(release.covers("/opt/startup") && release.covers("/opt/startup/a/b"));
        assert!(!release.covers("/opt/startup2") && !release.covers("/opt"));
        assert!(path("/").covers("/etc"));
        assert_eq!(path("/opt/**"), path("/opt"));
        for bad in ["opt", "/a/../b", "/a//b", "/a/./b", "/a/*"] {
            assert!(PathPattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_denial_names_the_line_to_add() {
        let error = Grants::default().write("/etc/passwd").unwrap_err().to_string();
        assert!(error.contains("`grants.write`") && error.contains("\"/etc/passwd\""), "{error}");
        let error = Grants::default().connect("::1", 80).unwrap_err().to_string();
        assert!(error.contains("[::1]:80"), "{error}");
    }

    #[test]
    fn hosts_match_by_name_and_port() {
        let any = HostPattern::try_from("db.internal:*".to_owned()).unwrap();
        assert!(any.covers("DB.internal", 5432) && !any.covers("db2.internal", 5432));
        for bad in ["db", "db:x", ":80", "db:70000", "a b:80"] {
            assert!(HostPattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
