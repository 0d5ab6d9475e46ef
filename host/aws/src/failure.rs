//! Why a call failed, told apart by what follows from it.

use std::fmt;

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Too many calls: the same again, later.
    Throttled,
    /// There is no room for this just now: something else may fit.
    NoCapacity,
    /// The account may not have more: a person has to ask for it.
    Quota,
    /// AWS does not accept who we are: a person has to put that right.
    Credentials,
    /// It does accept who we are, and we may not do this: a person has to allow it.
    Forbidden,
    /// The clock here and theirs are too far apart.
    Clock,
    /// What was named is not there, or not seen yet.
    NotFound,
    /// The client token belongs to another request.
    Mismatch,
    /// The client token belongs to something that was made, and has ended.
    Ended,
    /// What is there is not what the request takes for granted.
    Conflict,
    /// A dry run that would have gone through: no failure at all.
    DryRun,
    /// Refused for what it says: the same again helps nobody.
    Refused,
    /// AWS itself failed: whether it was done is not known.
    Broken,
    /// No answer, or none in time: whether it was done is not known.
    NoAnswer,
}

impl Kind {
    /// By the error code and, where there is none that is known, the HTTP status.
    pub fn of(code: Option<&str>, message: &str, status: Option<u16>) -> Self {
        let by_code = code.and_then(|code| Self::of_code(code, message));
        by_code.unwrap_or(match status {
            Some(429) => Self::Throttled,
            Some(500..) => Self::Broken,
            Some(401) => Self::Credentials,
            Some(403) => Self::Forbidden,
            _ => Self::Refused,
        })
    }

    fn of_code(code: &str, message: &str) -> Option<Self> {
        Some(match code {
            "RequestLimitExceeded"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
            | "EC2ThrottledException"
            | "SlowDown"
            // Route 53: the zone is busy with the batch before.
            | "PriorRequestNotComplete" => Self::Throttled,
            "InsufficientInstanceCapacity"
            | "InsufficientHostCapacity"
            | "InsufficientReservedInstanceCapacity"
            | "InsufficientCapacity"
            | "InsufficientCapacityOnHost"
            | "InsufficientFreeAddressesInSubnet"
            // This type is not offered in this zone.
            | "Unsupported"
            | "SpotMaxPriceTooLow" => Self::NoCapacity,
            "VcpuLimitExceeded"
            | "InstanceLimitExceeded"
            | "MaxSpotInstanceCountExceeded"
            | "VolumeLimitExceeded"
            | "MaxIOPSLimitExceeded"
            | "NetworkInterfaceLimitExceeded"
            | "PendingVerification" => Self::Quota,
            "RequestExpired" | "RequestTimeTooSkewed" => Self::Clock,
            "SignatureDoesNotMatch" | "InvalidSignatureException"
                if message.contains("expired") || message.contains("not yet current") =>
            {
                Self::Clock
            }
            "AuthFailure"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "Blocked"
            | "OptInRequired" => Self::Credentials,
            "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => Self::Forbidden,
            "IdempotentParameterMismatch" => Self::Mismatch,
            "IdempotentInstanceTerminated" => Self::Ended,
            "InvalidChangeBatch" => Self::Conflict,
            "DryRunOperation" => Self::DryRun,
            "NoSuchHostedZone" | "NoSuchChange" => Self::NotFound,
            _ if code.ends_with(".NotFound") || code.ends_with(".Unavailable") => Self::NotFound,
            _ => return None,
        })
    }

    /// Whether the same call may go through later without anybody doing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::NoCapacity | Self::Broken | Self::NoAnswer)
    }

    /// In one word, to count by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::NoCapacity => "no-capacity",
            Self::Quota => "quota",
            Self::Credentials => "credentials",
            Self::Forbidden => "forbidden",
            Self::Clock => "clock",
            Self::NotFound => "not-found",
            Self::Mismatch => "mismatch",
            Self::Ended => "ended",
            Self::Conflict => "conflict",
            Self::DryRun => "dry-run",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::NoAnswer => "no-answer",
        }
    }

    /// What a person can do, where only a person can do something.
    fn advice(self) -> Option<&'static str> {
        match self {
            Self::Quota => Some("ask for a higher quota by the console, at Service Quotas"),
            Self::Credentials => Some(
                "check that the access key is right and active, that its session has not ended, and that the region \
                 is enabled for the account",
            ),
            Self::Forbidden => {
                Some("attach the policy that `check` prints to whoever Cerebro runs as")
            }
            Self::Clock => {
                Some("set this machine's clock right; it may be five minutes off at most")
            }
            _ => None,
        }
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// The call, such as `RunInstances`.
    pub call: &'static str,
    /// What follows from it.
    pub kind: Kind,
    /// AWS's word for it, such as `VcpuLimitExceeded`.
    pub code: Option<String>,
    /// AWS's sentence, or how the call failed without one.
    pub message: String,
    /// By which AWS's support finds it.
    pub request: Option<String>,
}

impl Failure {
    /// One without an answer.
    pub fn no_answer(call: &'static str, message: impl Into<String>) -> Self {
        let (kind, message) = (Kind::NoAnswer, message.into());
        Self { call, kind, code: None, message, request: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed: ", self.call)?;
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(self.message.trim_end_matches('.'))?;
        if let Some(request) = &self.request {
            write!(f, " (request {request})")?;
        }
        match self.kind.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_by_what_follows() {
        let table = [
            ("RequestLimitExceeded", Some(503), Kind::Throttled),
            ("Throttling", Some(400), Kind::Throttled),
            // A 500, and yet no reason to ask for the same again.
            ("InsufficientInstanceCapacity", Some(500), Kind::NoCapacity),
            ("VcpuLimitExceeded", Some(400), Kind::Quota),
            ("AuthFailure", Some(401), Kind::Credentials),
            ("ExpiredToken", Some(400), Kind::Credentials),
            ("RequestExpired", Some(400), Kind::Clock),
            ("UnauthorizedOperation", Some(403), Kind::Forbidden),
            ("InvalidInstanceID.NotFound", Some(400), Kind::NotFound),
            ("IdempotentParameterMismatch", Some(400), Kind::Mismatch),
            ("IdempotentInstanceTerminated", Some(400), Kind::Ended),
            ("InvalidChangeBatch", Some(400), Kind::Conflict),
            ("DryRunOperation", Some(412), Kind::DryRun),
            ("InternalError", Some(500), Kind::Broken),
            ("Unavailable", Some(503), Kind::Broken),
            ("InvalidParameterValue", Some(400), Kind::Refused),
            ("NeverHeardOf", None, Kind::Refused),
        ];
        for (code, status, kind) in table {
            assert_eq!(Kind::of(Some(code), "", status), kind, "{code}");
        }
        assert_eq!(Kind::of(None, "", Some(502)), Kind::Broken);
    }

    #[test]
    fn a_wrong_signature_is_a_matter_of_the_clock_only_if_it_says_so() {
        let of = |message| Kind::of(Some("SignatureDoesNotMatch"), message, Some(403));
        assert_eq!(of("Signature expired: 20260101T000000Z is now earlier than …"), Kind::Clock);
        assert_eq!(of("Signature not yet current: …"), Kind::Clock);
        assert_eq!(of("The request signature we calculated does not match"), Kind::Credentials);
    }

    #[test]
    fn a_failure_says_what_to_do_where_only_a_person_can() {
        let failure = Failure {
            call: "RunInstances",
            kind: Kind::Quota,
            code: Some("VcpuLimitExceeded".to_owned()),
            message: "You have requested more vCPU capacity than your limit of 32.".to_owned(),
            request: Some("r-1".to_owned()),
        };
        assert_eq!(
            failure.to_string(),
            "`RunInstances` failed: VcpuLimitExceeded: You have requested more vCPU capacity than your limit of 32 \
             (request r-1); ask for a higher quota by the console, at Service Quotas"
        );
        let silent = Failure::no_answer("GetChange", "no answer within 8 s");
        assert_eq!(silent.to_string(), "`GetChange` failed: no answer within 8 s");
        assert!(silent.kind.is_transient() && !failure.kind.is_transient());
    }
}
