//! What every service has: calls with parameters, and errors with codes.

use std::collections::BTreeMap;
use std::time::Duration;

/// A call's parameters, by name: of EC2 those of the form, of Route 53 those of the path, the query and the batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(pub BTreeMap<String, String>);

impl Params {
    /// One, if it was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those of a list: `Name.1`, `Name.2` and so on.
    pub fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.get(&format!("{name}.{n}"))).collect()
    }

    /// Whether a flag is set.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// A number.
    pub fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            ApiError::new(
                400,
                "InvalidParameterValue",
                format!("Invalid value '{text}' for {name}"),
            )
        })
    }
}

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Such as `InvalidInstanceID.NotFound`.
    pub code: String,
    /// The sentence.
    pub message: String,
}

impl ApiError {
    /// One.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// EC2 has no room. It says so with a 500.
    pub fn no_capacity() -> Self {
        let message =
            "We currently do not have sufficient capacity in the Availability Zone you requested.";
        Self::new(500, "InsufficientInstanceCapacity", message)
    }

    /// The account may not have more.
    pub fn quota() -> Self {
        let message =
            "You have requested more vCPU capacity than your current vCPU limit allows for.";
        Self::new(400, "VcpuLimitExceeded", message)
    }

    /// EC2 throttles.
    pub fn ec2_throttled() -> Self {
        Self::new(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    /// Route 53 throttles.
    pub fn route53_throttled() -> Self {
        Self::new(400, "Throttling", "Rate exceeded")
    }

    /// The service failed.
    pub fn internal() -> Self {
        Self::new(500, "InternalError", "An internal error has occurred")
    }

    /// EC2 does not know the key, or its secret is wrong.
    pub fn wrong_key() -> Self {
        let message = "AWS was not able to validate the provided access credentials";
        Self::new(401, "AuthFailure", message)
    }

    /// The session has ended.
    pub fn expired_token() -> Self {
        Self::new(400, "ExpiredToken", "The security token included in the request is expired")
    }
}

/// What a call did: its answer, and the ids or names of what it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The body of the answer.
    pub body: String,
    /// What it changed.
    pub touched: Vec<String>,
}

impl Done {
    /// An answer that changed nothing.
    pub fn read(body: String) -> Self {
        Self { body, touched: Vec::new() }
    }
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When.
    pub at: Duration,
    /// What, such as `RunInstances`.
    pub action: String,
    /// With what.
    pub params: Params,
    /// The code of the error that it was answered with.
    pub error: Option<String>,
    /// The ids or names of what it changed.
    pub touched: Vec<String>,
}

/// A service behind HTTP.
pub trait Service: Send + 'static {
    /// As it is named in signatures.
    fn signed_as(&self) -> &'static str;

    /// The region that signatures must be for.
    fn region(&self) -> String;

    /// Which action a request asks for, with which parameters.
    fn read(&self, request: &http::Request<String>) -> Result<(String, Params), ApiError>;

    /// Does it.
    fn act(&mut self, action: &str, params: &Params, now: Duration) -> Result<Done, ApiError>;

    /// How an error is written.
    fn error_body(&self, error: &ApiError, request_id: &str) -> String;

    /// Which calls are throttled together with this one.
    fn throttle_class(&self, action: &str) -> &'static str;

    /// The error of a call too many.
    fn throttled(&self) -> ApiError;

    /// The error of a call by somebody who may not make it.
    fn forbidden(&self, action: &str) -> ApiError;

    /// The error of a call by a key that is not known.
    fn wrong_key(&self) -> ApiError;

    /// The error of a call whose time is too far from ours.
    fn out_of_time(&self, signed: &str) -> ApiError;

    /// What comes about by time alone. Called every few milliseconds, and before each call.
    fn tick(&mut self, now: Duration);
}
