//! A service behind HTTP, with what AWS has in front of its services.

use crate::api::{ApiError, Call, Params, Service};
use crate::clock::Clock;
use crate::script::{Rule, Script};
use crate::{Bucket, auth};
use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How often a service is told that time passes.
const TICK: Duration = Duration::from_millis(10);
/// The largest request: more than the largest batch of Route 53's.
const LARGEST: usize = 1 << 20;

/// What stands in front of a service.
#[derive(Clone)]
pub struct Front {
    /// What the service goes by.
    pub clock: Clock,
    /// What signatures are compared with.
    pub signing_clock: Clock,
    /// The ids of access keys that are accepted; any, if there are none.
    pub keys: Vec<String>,
    /// Actions that the caller has no permission for.
    pub forbidden: BTreeSet<String>,
    /// How many calls of each class are let through; of one that is not named, all.
    pub throttles: BTreeMap<&'static str, Bucket>,
}

impl Front {
    /// One that lets everybody through, by the real time.
    pub fn open() -> Self {
        Self {
            clock: crate::real_clock(),
            signing_clock: crate::real_clock(),
            keys: Vec::new(),
            forbidden: BTreeSet::new(),
            throttles: BTreeMap::new(),
        }
    }
}

struct Inner<S> {
    service: S,
    front: Front,
    script: Script,
    log: Vec<Call>,
}

/// A service that is served; until it is dropped.
pub struct Server<S> {
    url: String,
    inner: Arc<Mutex<Inner<S>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Serves on a free port of the loopback interface.
pub async fn serve<S: Service>(service: S, front: Front) -> Result<Server<S>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (script, log) = (Script::default(), Vec::new());
    let inner = Arc::new(Mutex::new(Inner { service, front, script, log }));
    let app = Router::new().fallback(answer::<S>).with_state(Arc::clone(&inner));
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            eprintln!("a service that is not real has ended: {error}");
        }
    });
    let ticked = Arc::clone(&inner);
    let ticking = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            let mut inner = lock(&ticked);
            let now = (inner.front.clock)();
            inner.service.tick(now);
        }
    });
    Ok(Server { url, inner, tasks: vec![serving, ticking] })
}

impl<S: Service> Server<S> {
    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Looks at the service, or changes it behind everybody's back. The time is what its clock shows.
    pub fn with<T>(&self, act: impl FnOnce(&mut S, Duration) -> T) -> T {
        let mut inner = lock(&self.inner);
        let now = (inner.front.clock)();
        inner.service.tick(now);
        act(&mut inner.service, now)
    }

    /// Changes what stands in front of it.
    pub fn front(&self, change: impl FnOnce(&mut Front)) {
        change(&mut lock(&self.inner).front);
    }

    /// Has calls fail.
    pub fn script(&self, rule: Rule) {
        lock(&self.inner).script.add(rule);
    }

    /// Lets all calls through again.
    pub fn clear_script(&self) {
        lock(&self.inner).script.clear();
    }

    /// All calls that were made.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.inner).log.clone()
    }

    /// How many calls there were of an action.
    pub fn count(&self, action: &str) -> usize {
        lock(&self.inner).log.iter().filter(|call| call.action == action).count()
    }

    /// Everything that calls have changed.
    pub fn touched(&self) -> BTreeSet<String> {
        lock(&self.inner).log.iter().flat_map(|call| call.touched.iter().cloned()).collect()
    }
}

impl<S> Drop for Server<S> {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn lock<S>(inner: &Mutex<Inner<S>>) -> MutexGuard<'_, Inner<S>> {
    // Whoever panicked holding it was a test, which has failed anyway.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer<S: Service>(
    State(inner): State<Arc<Mutex<Inner<S>>>>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match to_bytes(body, LARGEST).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return reply(413, error.to_string()),
    };
    let request = http::Request::from_parts(head, body);
    let mut inner = lock(&inner);
    let inner = &mut *inner;
    let now = (inner.front.clock)();
    inner.service.tick(now);
    let id = format!("00000000-0000-4000-8000-{:012}", inner.log.len());
    let (action, params, outcome) = match inner.service.read(&request) {
        Ok((action, params)) => {
            let outcome = inner.act(&request, &action, &params, now);
            (action, params, outcome)
        }
        Err(error) => ("?".to_owned(), Params::default(), Err(error)),
    };
    let (response, error, touched) = match outcome {
        Ok(done) => (reply(200, done.body), None, done.touched),
        Err(error) => {
            let body = inner.service.error_body(&error, &id);
            (reply(error.status, body), Some(error.code), Vec::new())
        }
    };
    inner.log.push(Call { at: now, action, params, error, touched });
    response
}

impl<S: Service> Inner<S> {
    fn act(
        &mut self,
        request: &http::Request<String>,
        action: &str,
        params: &Params,
        now: Duration,
    ) -> Result<crate::Done, ApiError> {
        let Self { service, front, script, .. } = self;
        auth::check(service, request.headers(), &front.keys, (front.signing_clock)())?;
        if let Some(bucket) = front.throttles.get_mut(service.throttle_class(action))
            && !bucket.take(now)
        {
            return Err(service.throttled());
        }
        if let Some(error) = script.error(action, params) {
            return Err(error);
        }
        if front.forbidden.contains(action) {
            return Err(service.forbidden(action));
        }
        service.act(action, params, now)
    }
}

fn reply(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    // A status out of range is a test's mistake, and seen as such.
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let xml = http::HeaderValue::from_static("text/xml;charset=UTF-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, xml);
    response
}
