//! Who may change something: whoever shows the machine's token, if it has one; and no page of
//! another site that a browser on this machine shows.

use super::answer::Refusal;
use crate::agent::Agent;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cerebro_model::Digest;
use std::sync::Arc;

/// Lets a request through, or refuses it.
pub async fn guard(State(agent): State<Arc<Agent>>, request: Request, next: Next) -> Response {
    match judge(request.headers(), agent.settings.token.as_deref()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Lets a request through that the controller makes: it shows the token that the machine was made
/// with. An agent without one has its own, or is asked by whoever is on the machine.
pub async fn guard_of_controller(
    State(agent): State<Arc<Agent>>,
    request: Request,
    next: Next,
) -> Response {
    let token = agent.link.as_ref().map(|link| link.token.as_str());
    match judge(request.headers(), token.or(agent.settings.token.as_deref())) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn judge(headers: &HeaderMap, token: Option<&str>) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = token {
        let shown = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        // Digests, so that how long it takes tells nothing of the token.
        let digest = |token: &str| Digest::of(token.trim().as_bytes());
        if shown.map(digest) != Some(digest(token)) {
            let detail = "expected `Authorization: Bearer` with the machine's token";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
        }
    }
    // Browsers say where a request comes from; nothing else does.
    let host = text(header::HOST).unwrap_or_default();
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map(|(_, host)| host));
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let is_foreign = origin.is_some_and(|origin| origin != Some(host))
        || site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    if is_foreign {
        let detail = "a page of another site may change nothing here";
        return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(headers: &[(&'static str, &str)], token: Option<&str>) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()));
        judge(&headers.collect(), token).is_ok()
    }

    #[test]
    fn a_machine_with_a_token_asks_for_it() {
        assert!(may(&[], None));
        assert!(!may(&[], Some("secret")));
        assert!(!may(&[("authorization", "Bearer other")], Some("secret")));
        assert!(may(&[("authorization", "Bearer secret")], Some("secret")));
    }

    #[test]
    fn other_sites_may_not() {
        let host = ("host", "127.0.0.1:40000");
        assert!(may(&[host, ("origin", "http://127.0.0.1:40000")], None));
        for bad in ["http://evil.example", "null", "http://127.0.0.1:40001"] {
            assert!(!may(&[host, ("origin", bad)], None), "{bad}");
        }
        assert!(!may(&[host, ("sec-fetch-site", "cross-site")], None));
    }
}
