//! The SDK, set up as it works: by Ring, with our own times, and with errors as ours.

use crate::{Failure, Kind, Patience};
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

pub use aws_smithy_types::base64::encode as base64;

/// By what right calls are made.
#[derive(Debug, Clone)]
pub enum Access {
    /// What AWS's own tools would use, in their order: the environment, the profile of this name or the default one, the
    /// role of the container or the instance.
    Usual {
        /// The profile.
        profile: Option<String>,
    },
    /// An access key that the caller has.
    Key {
        /// Its id.
        id: String,
        /// Its secret.
        secret: String,
    },
}

/// What carries calls in place of connections: for tests, which have AWS in the same process.
#[async_trait]
pub trait Carrier: fmt::Debug + Send + Sync + 'static {
    /// Brings a request to whom it is addressed to, and the answer back.
    async fn carry(&self, request: http::Request<String>) -> io::Result<http::Response<String>>;
}

/// Where to call, and how.
#[derive(Debug, Clone)]
pub struct Account {
    /// The region, such as `us-west-2`.
    pub region: String,
    /// The service's URL, where it is not Amazon's public one.
    pub endpoint: Option<String>,
    /// By what right.
    pub access: Access,
    /// What carries calls; connections, if it is not said.
    pub carrier: Option<Arc<dyn Carrier>>,
    /// How long is waited.
    pub patience: Patience,
}

impl Account {
    /// What the SDK's clients are made of. Credentials are looked for only when the first call is made.
    pub async fn config(&self) -> SdkConfig {
        let client = match &self.carrier {
            Some(carrier) => {
                let carried = SharedHttpConnector::new(Carried(Arc::clone(carrier)));
                http_client_fn(move |_, _| carried.clone())
            }
            None => {
                let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
                Builder::new().tls_provider(provider).build_https()
            }
        };
        let patience = self.patience;
        let retry = RetryConfig::standard()
            .with_max_attempts(patience.attempts)
            .with_initial_backoff(patience.first_wait)
            .with_max_backoff(patience.longest_wait);
        let timeout = TimeoutConfig::builder()
            .connect_timeout(patience.attempt)
            .operation_attempt_timeout(patience.attempt)
            .operation_timeout(patience.call)
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .http_client(client)
            .retry_config(retry)
            .timeout_config(timeout);
        let loader = match &self.endpoint {
            Some(endpoint) => loader.endpoint_url(endpoint),
            None => loader,
        };
        match &self.access {
            Access::Usual { profile: None } => loader.load().await,
            Access::Usual { profile: Some(profile) } => loader.profile_name(profile).load().await,
            Access::Key { id, secret } => {
                let key = Credentials::new(id, secret, None, None, "settings");
                loader.credentials_provider(key).load().await
            }
        }
    }
}

/// A carrier, as the SDK wants it.
#[derive(Debug)]
struct Carried(Arc<dyn Carrier>);

impl HttpConnector for Carried {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let carrier = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let request = plain(&request).map_err(|error| ConnectorError::user(error.into()))?;
            let answer = carrier.carry(request).await;
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            let (head, body) = answer.into_parts();
            let mut response = HttpResponse::new(head.status.into(), SdkBody::from(body));
            for (name, value) in &head.headers {
                let value = value.to_str().unwrap_or_default().to_owned();
                response.headers_mut().append(name.to_string(), value);
            }
            Ok(response)
        })
    }
}

/// A request of the SDK's, whose bodies are text: neither service takes anything else.
fn plain(request: &HttpRequest) -> Result<http::Request<String>, http::Error> {
    let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
    let mut builder = http::Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        builder = builder.header(name, value);
    }
    builder.body(body)
}

/// What became of a call, in our terms.
pub fn failure<E>(call: &'static str, error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    if let SdkError::ServiceError(service) = &error {
        let meta = service.err().meta();
        let message = meta.message().unwrap_or("without a word").to_owned();
        return Failure {
            call,
            kind: Kind::of(meta.code(), &message, status),
            code: meta.code().map(str::to_owned),
            message,
            request: meta.extra("aws_request_id").map(str::to_owned),
        };
    }
    let lacks_credentials = chain(&error).any(|it| it.is::<CredentialsError>());
    let message = chain(&error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let kind = match &error {
        _ if lacks_credentials => Kind::Credentials,
        SdkError::ConstructionFailure(_) => Kind::Refused,
        // An answer that is not understood: it may have been done.
        SdkError::ResponseError(_) => Kind::Broken,
        _ => Kind::NoAnswer,
    };
    Failure { call, kind, code: None, message, request: None }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Has the SDK not try again what would fail again: it goes by the HTTP status, and EC2 says with a 500 that it has no
/// room. `E` is the error of the call that this is for.
#[derive(Debug)]
pub struct OnlyWhatPasses<E>(PhantomData<fn() -> E>);

impl<E> Default for OnlyWhatPasses<E> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E> ClassifyRetry for OnlyWhatPasses<E>
where
    E: ProvideErrorMetadata + Error + Send + Sync + fmt::Debug + 'static,
{
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        let error = error.as_operation_error().and_then(|error| error.downcast_ref::<E>());
        let Some(code) = error.and_then(ProvideErrorMetadata::code) else {
            return RetryAction::NoActionIndicated;
        };
        match Kind::of(Some(code), "", None) {
            Kind::NoCapacity => RetryAction::RetryForbidden,
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "only what passes"
    }
}
