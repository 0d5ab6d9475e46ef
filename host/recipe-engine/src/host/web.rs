//! `wasi:http`: requests by the means that a language's own library has, within the same grants.
//! Language runtimes import it whether it is used or not, so it is always there; what is not granted
//! is refused when it is asked for, and the log says what to grant.

use super::{Scope, State, words};
use crate::bindings::interfaces::types::Error;
use crate::http;
use crate::logbook::LogLevel;
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

/// Bytes of a request's body.
const MOST_SENT: usize = 16 << 20;

/// What sends requests.
pub(super) struct Web {
    context: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks(Arc<Scope>);

impl Web {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self { context: WasiHttpCtx::new(), hooks: Hooks(scope) }
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
        let scope = self.0.clone();
        Box::new(async move { scope.send(request, options).await })
    }
}

impl Scope {
    async fn send(
        &self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<(::http::Response<WasiBody>, Sent), HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let host = parts.uri.host().ok_or(HttpError::HttpRequestUriInvalid)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let default = if parts.uri.scheme_str() == Some("http") { 80 } else { 443 };
        let port = parts.uri.port_u16().unwrap_or(default);
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
        let client = http::client(Some((host, &pinned))).map_err(failed)?;
        let mut sending = client
            .request(parts.method, &url)
            .headers(parts.headers)
            .body(reqwest::Body::from(body.to_bytes()));
        if let Some(timeout) = options.and_then(|options| options.first_byte_timeout) {
            sending = sending.timeout(timeout);
        }
        let response =
            ::http::Response::<reqwest::Body>::from(sending.send().await.map_err(failed)?);
        let broken =
            |error: reqwest::Error| HttpError::Connect(std::io::Error::other(error.to_string()));
        let response = response.map(|body| body.map_err(broken).boxed_unsync());
        Ok((response, Box::new(async { Ok(()) })))
    }
}
