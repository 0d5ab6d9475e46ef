//! `wasi:http`: requests by the means that a language's own library has, within the same grants.
//! Language runtimes import it whether it is used or not, so it is always there; what is not granted
//! is refused when it is asked for, and the log says what to grant.

use super::{Scope, State, words};
use crate::bindings::interfaces::types::Error;
use crate::http::{self, Tls};
use crate::logbook::LogLevel;
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

/// Bytes of a request's body.
const MOST_SENT: usize = 16 << 20;
/// Requests of one call whose answers are not yet read: each is a connection of the agent's.
const MOST_OPEN: usize = 64;

/// What sends requests.
pub(super) struct Web {
    context: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    scope: Arc<Scope>,
    open: Arc<Semaphore>,
}

impl Web {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        let open = Arc::new(Semaphore::new(MOST_OPEN));
        Self { context: WasiHttpCtx::new(), hooks: Hooks { scope, open } }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.web.hooks,
            table: &mut self.table,
            ctx: &mut self.web.context,
        }
    }
}

type Sent = Box<dyn Future<Output = Result<(), HttpError>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Sent,
    ) -> Box<
        dyn Future<Output = wasmtime_wasi_http::Result<(::http::Response<WasiBody>, Sent)>> + Send,
    > {
        let (scope, place) = (self.scope.clone(), self.open.clone().try_acquire_owned());
        Box::new(async move {
            let Ok(place) = place else {
                let why = format!(
                    "`wasi:http`: a call has at most {MOST_OPEN} requests open at a time: read or \
                     drop the answers that came"
                );
                scope.log.write(LogLevel::Warn, &why);
                return Err(HttpError::ConnectionLimitReached);
            };
            scope.send(request, options, place).await
        })
    }
}

impl Scope {
    async fn send(
        &self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
        place: OwnedSemaphorePermit,
    ) -> Result<(::http::Response<WasiBody>, Sent), HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let host = parts.uri.host().ok_or(HttpError::HttpRequestUriInvalid)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let default = if parts.uri.scheme_str() == Some("http") { 80 } else { 443 };
        let port = parts.uri.port_u16().unwrap_or(default);
        let tls = Tls::of(parts.uri.scheme_str().unwrap_or("https"));
        let granted = match self
            .allowed(|grants| grants.fetch(&url).map_err(|d| d.at("wasi:http/outgoing-handler")))
        {
            Ok(()) => self.addresses_of_url(bare, port).await,
            // A host that is granted may be asked for any of its pages.
            Err(denied) => self.addresses(bare, port).await.map_err(|error| match error {
                Error::Denied(_) => denied,
                other => other,
            }),
        };
        let pinned = granted.map_err(|error| {
            self.log.write(LogLevel::Warn, words(&error));
            HttpError::HttpRequestDenied
        })?;
        let failed = |error: reqwest::Error| {
            self.log.write(LogLevel::Warn, &format!("wasi:http: `{url}`: {error}"));
            match error.is_timeout() {
                true => HttpError::ConnectionTimeout,
                false => HttpError::Connect(std::io::Error::other(error)),
            }
        };
        if !self.may_go_out(&format!("asks for {url}")) {
            return Err(HttpError::HttpRequestDenied);
        }
        let body = Limited::new(body, MOST_SENT).collect().await;
        let body = body.map_err(|_| HttpError::HttpRequestBodySize(Some(MOST_SENT as u64)))?;
        let client = http::client(tls, Some((host, &pinned))).map_err(failed)?;
        let mut sending = client
            .request(parts.method, &url)
            .headers(parts.headers)
            .body(reqwest::Body::from(body.to_bytes()));
        if let Some(timeout) = options.and_then(|options| options.first_byte_timeout) {
            sending = sending.timeout(timeout);
        }
        let response =
            ::http::Response::<reqwest::Body>::from(sending.send().await.map_err(failed)?);
        // Its place is free again once the answer is read, or dropped.
        let broken = move |error: reqwest::Error| {
            let _place = &place;
            HttpError::Connect(std::io::Error::other(error.to_string()))
        };
        let response = response.map(|body| body.map_err(broken).boxed_unsync());
        Ok((response, Box::new(async { Ok(()) })))
    }
}
