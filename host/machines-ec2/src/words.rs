//! Failures in the words of whoever asks for machines.

use cerebro_aws::{Failure, Kind};
use cerebro_machines::ProviderError;

/// A failure of a call as a provider's error: one that a person has to do something about, or one that passes.
pub fn error(doing: impl Into<String>, failure: &Failure) -> ProviderError {
    let (doing, why) = (doing.into(), failure.to_string());
    match failure.kind.is_transient() {
        true => ProviderError::Unavailable { doing, why },
        false => ProviderError::Refused { doing, why },
    }
}

/// Whether a launch found no room, so that another one may: also when the account may have no more of the spot
/// market's instances, which says nothing of others.
pub fn is_no_room(failure: &Failure) -> bool {
    let no_more_spot = failure.code.as_deref() == Some("MaxSpotInstanceCountExceeded");
    failure.kind == Kind::NoCapacity || no_more_spot
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str) -> Failure {
        let kind = Kind::of(Some(code), "", Some(400));
        let (code, message) = (Some(code.to_owned()), "why".to_owned());
        Failure { call: "RunInstances", kind, code, message, request: None }
    }

    #[test]
    fn what_a_person_has_to_do_something_about_is_refused() {
        for code in [
            "VcpuLimitExceeded",
            "AuthFailure",
            "ExpiredToken",
            "RequestExpired",
            "UnauthorizedOperation",
            "InvalidAMIID.NotFound",
        ] {
            let error = error("make `m-1`", &failure(code));
            assert!(matches!(error, ProviderError::Refused { .. }), "{code}: {error}");
        }
        for code in ["RequestLimitExceeded", "InsufficientInstanceCapacity"] {
            let error = error("make `m-1`", &failure(code));
            assert!(matches!(error, ProviderError::Unavailable { .. }), "{code}: {error}");
        }
    }

    #[test]
    fn a_quota_is_no_lack_of_room_but_for_the_spot_market() {
        assert!(is_no_room(&failure("InsufficientInstanceCapacity")));
        assert!(is_no_room(&failure("Unsupported")));
        assert!(is_no_room(&failure("MaxSpotInstanceCountExceeded")));
        assert!(!is_no_room(&failure("VcpuLimitExceeded")));
    }
}
