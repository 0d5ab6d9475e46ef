//! Who calls. A signature is not computed again, but everything around it has to be right.

use crate::api::{ApiError, Service};
use http::HeaderMap;
use std::time::Duration;

/// How far a caller's clock may be off.
const SKEW: Duration = Duration::from_secs(300);

/// Checks what a request is signed with: form, key, service, region and time.
pub(crate) fn check(
    service: &impl Service,
    headers: &HeaderMap,
    known_keys: &[String],
    now: Duration,
) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let malformed = |what: &str| {
        let message = format!("Authorization header {what}");
        Err(ApiError::new(403, "IncompleteSignature", message))
    };
    let authorization = text("authorization");
    if authorization.is_empty() {
        let message = "Request is missing Authentication Token";
        return Err(ApiError::new(403, "MissingAuthenticationToken", message));
    }
    let Some(fields) = authorization.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return malformed("requires the algorithm AWS4-HMAC-SHA256");
    };
    let field = |name: &str| {
        let mut fields = fields.split(',').map(str::trim);
        fields.find_map(|it| it.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
    };
    let signature = field("Signature");
    if signature.len() != 64 || !signature.bytes().all(|it| it.is_ascii_hexdigit()) {
        return malformed("requires 'Signature' of 64 hexadecimal digits");
    }
    let signed: Vec<&str> = field("SignedHeaders").split(';').collect();
    if !signed.contains(&"host") || !signed.contains(&"x-amz-date") {
        return malformed("requires 'SignedHeaders' with host and x-amz-date");
    }
    let scope: Vec<&str> = field("Credential").split('/').collect();
    let [key, day, region, name, "aws4_request"] = scope[..] else {
        return malformed("requires 'Credential' with a scope of five parts");
    };
    if name != service.signed_as() || region != service.region() {
        let (theirs, ours) = (format!("{name} in {region}"), service.signed_as());
        let message =
            format!("Credential should be scoped to {ours} in {}, not {theirs}", service.region());
        return Err(ApiError::new(403, "SignatureDoesNotMatch", message));
    }
    if !known_keys.is_empty() && !known_keys.iter().any(|known| known == key) {
        return Err(service.wrong_key());
    }
    let date = text("x-amz-date");
    let Some(at) = seconds(date).filter(|_| date.starts_with(day)) else {
        return malformed("requires 'x-amz-date' of the day of its scope");
    };
    if at.abs_diff(now) > SKEW {
        return Err(service.out_of_time(date));
    }
    Ok(())
}

/// A time such as `20260102T030405Z`, since the epoch.
fn seconds(date: &str) -> Option<Duration> {
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u64::try_from(at).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::Ec2;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-west-2/ec2/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date, \
                        Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn code(authorization: &str, date: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        headers.insert("x-amz-date", date.parse().unwrap());
        let now = seconds("20260102T030405Z").unwrap();
        let ec2 = Ec2::new("us-west-2", 0);
        check(&ec2, &headers, &["AKID".to_owned()], now).err().map(|error| error.code)
    }

    #[test]
    fn a_request_is_signed_for_this_service_by_a_known_key_and_in_time() {
        assert_eq!(code(GOOD, "20260102T030405Z"), None);
        assert_eq!(code(GOOD, "20260102T030000Z"), None);
        let wrong = |from, to| code(&GOOD.replace(from, to), "20260102T030405Z");
        assert_eq!(wrong("us-west-2", "us-east-1").as_deref(), Some("SignatureDoesNotMatch"));
        assert_eq!(wrong("/ec2/", "/route53/").as_deref(), Some("SignatureDoesNotMatch"));
        assert_eq!(wrong("AKID", "OTHER").as_deref(), Some("AuthFailure"));
        assert_eq!(wrong("host;", "").as_deref(), Some("IncompleteSignature"));
        assert_eq!(wrong("Signature=0", "Signature=").as_deref(), Some("IncompleteSignature"));
        assert_eq!(wrong("/aws4_request", "").as_deref(), Some("IncompleteSignature"));
        assert_eq!(code("", "20260102T030405Z").as_deref(), Some("MissingAuthenticationToken"));
        assert_eq!(code(GOOD, "20260102T031006Z").as_deref(), Some("RequestExpired"));
    }
}
