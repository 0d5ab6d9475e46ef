//! What is to be on a machine.

use cerebro_model::{Digest, MachineId, ZoneName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An agent that is to run on a machine, and whose it is.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The machine's id.
    pub machine: MachineId,
    /// The zone that it stands in.
    pub zone: ZoneName,
    /// What its agent shows when it joins, once and soon.
    pub join_token: JoinToken,
    /// Where its agent listens; by default where the machine is on its way to the controller.
    pub address: Option<IpAddr>,
    /// Whether names lead to its global IPv6 address as well.
    pub ipv6: bool,
    /// The agent, and what it starts.
    pub programs: Vec<Program>,
    controller: String,
}

/// Why no agent can be set up like that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The agent would call nobody.
    #[error(
        "`{0}` is not where a controller is: expected `http://` or `https://`, and a host that the machine reaches"
    )]
    Controller(String),
    /// A file's name that is none.
    #[error(
        "`{0}` is not a program's name: expected lower-case letters, digits and `-`, at most 64"
    )]
    Name(String),
    /// The agent itself is not among the programs.
    #[error("`{AGENT}` is not among the programs, and it is the agent")]
    NoAgent,
}

/// The agent's program.
pub const AGENT: &str = "machinesitter";

impl Setup {
    /// An agent of `controller`, the base URL as the machine reaches it.
    pub fn new(
        machine: MachineId,
        zone: ZoneName,
        controller: &str,
        join_token: JoinToken,
        programs: Vec<Program>,
    ) -> Result<Self, SetupError> {
        if !is_url(controller) {
            return Err(SetupError::Controller(controller.to_owned()));
        }
        if !programs.iter().any(|program| program.name.as_str() == AGENT) {
            return Err(SetupError::NoAgent);
        }
        let controller = controller.trim_end_matches('/').to_owned();
        Ok(Self { machine, zone, join_token, address: None, ipv6: false, programs, controller })
    }

    /// The same, whose agent listens at `address`.
    #[must_use]
    pub fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// The same, to whose global IPv6 address names lead as well.
    #[must_use]
    pub fn with_ipv6(self, ipv6: bool) -> Self {
        Self { ipv6, ..self }
    }

    /// The controller's base URL, without a slash at its end.
    pub fn controller(&self) -> &str {
        &self.controller
    }

    /// Whose agent it is.
    pub fn start(&self) -> Start {
        Start {
            machine: self.machine.clone(),
            zone: self.zone.clone(),
            controller: self.controller.clone(),
        }
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        !rest.starts_with('/') && !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic())
    })
}

/// Whose agent a machine has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// As which machine.
    pub machine: MachineId,
    /// In which zone.
    pub zone: ZoneName,
    /// The controller's base URL.
    pub controller: String,
}

/// A token with which an agent joins, once and soon. Nothing shows it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken(String);

impl JoinToken {
    /// From the controller's word.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(…)")
    }
}

/// One of the agent's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file's name.
    pub name: ProgramName,
    /// What it must be.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The processors that it is for; none if it is for any.
    pub architecture: Option<Architecture>,
    /// Where it comes from.
    pub source: Source,
}

/// Where a program comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The machine fetches it.
    Url(String),
    /// It is sent there: over SSH only.
    File(PathBuf),
}

/// A program's file name, which is also a word that needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramName(String);

impl ProgramName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProgramName {
    type Err = SetupError;
    fn from_str(text: &str) -> Result<Self, SetupError> {
        let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=64).contains(&text.len()) && !text.starts_with('-');
        match fits && text.bytes().all(is_good) {
            true => Ok(Self(text.to_owned())),
            false => Err(SetupError::Name(text.to_owned())),
        }
    }
}

impl fmt::Display for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kind of processor, as `uname -m` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(rename = "aarch64")]
    Aarch64,
}

/// The text is no kind of processor that is known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of processor that Cerebro is built for: expected `x86_64` or `aarch64`")]
pub struct UnknownArchitecture(String);

impl FromStr for Architecture {
    type Err = UnknownArchitecture;
    fn from_str(text: &str) -> Result<Self, UnknownArchitecture> {
        match text {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            other => Err(UnknownArchitecture(other.to_owned())),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn program(name: &str) -> Program {
        Program {
            name: name.parse().unwrap(),
            digest: Digest::of(name.as_bytes()),
            size: 10 << 20,
            architecture: Some(Architecture::X86_64),
            source: Source::Url(format!("http://10.0.0.1:30000/v1/agent/{name}")),
        }
    }

    pub fn setup(token: &str) -> Setup {
        let programs = vec![program(AGENT), program("tasksitter")];
        let (machine, zone) = (MachineId::nth(7), "aws-us-west-2a".parse().unwrap());
        Setup::new(machine, zone, "http://10.0.0.1:30000/", JoinToken::new(token), programs)
            .unwrap()
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let of = |controller: &str, programs: &[Program]| {
            let (machine, zone) = (MachineId::nth(7), "z-1".parse().unwrap());
            Setup::new(machine, zone, controller, JoinToken::new("t"), programs.to_vec())
        };
        let all = [program(AGENT)];
        assert_eq!(of("http://a:1/", &all).unwrap().controller(), "http://a:1");
        for bad in ["", "a:1", "http://", "http:///x", "ftp://a", "http://a b", "http://a\n"] {
            assert!(matches!(of(bad, &all), Err(SetupError::Controller(_))), "{bad}");
        }
        assert_eq!(of("http://a", &[program("tasksitter")]).unwrap_err(), SetupError::NoAgent);
        for bad in ["", "A", "a/b", "../a", "-a", "a b", "a.b"] {
            assert!(bad.parse::<ProgramName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_show() {
        assert!(!format!("{:?}", setup("hunter2")).contains("hunter2"));
    }
}
