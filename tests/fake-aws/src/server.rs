//! A service with what AWS has in front of its services, and that behind HTTP.

use crate::api::{ApiError, Call, Params, Service};
use crate::clock::Clock;
use crate::script::{Rule, Script};
use crate::{Bucket, auth};
use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use http::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How often a service is told that time passes.
const TICK: Duration = Duration::from_millis(10);
/// The largest request: more than the largest batch of Route 53's.
const LARGEST: usize = 1 << 20;
/// What is asked for by a request that cannot be read.
const UNREADABLE: &str = "?";

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

/// A service and what stands in front of it: whoever has a request is answered, by HTTP or in the same process.
pub struct Desk<S>(Arc<Mutex<Inner<S>>>);

impl<S> Clone for Desk<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A service that is served; until it is dropped.
pub struct Server<S> {
    url: String,
    desk: Desk<S>,
    tasks: Vec<JoinHandle<()>>,
}

/// Serves on a free port of the loopback interface.
pub async fn serve<S: Service>(service: S, front: Front) -> Result<Server<S>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
    let url = format!("http://{}", listener.local_addr()?);
    let desk = Desk::new(service, front);
    let app = Router::new().fallback(answer::<S>).with_state(desk.clone());
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            eprintln!("a service that is not real has ended: {error}");
        }
    });
    let ticked = desk.clone();
    let ticking = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            ticked.with(|_, _| {});
        }
    });
    Ok(Server { url, desk, tasks: vec![serving, ticking] })
}

impl<S> Server<S> {
    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl<S> Deref for Server<S> {
    type Target = Desk<S>;

    fn deref(&self) -> &Desk<S> {
        &self.desk
    }
}

impl<S> Drop for Server<S> {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl<S: Service> Desk<S> {
    /// One that nobody has asked yet.
    pub fn new(service: S, front: Front) -> Self {
        let (script, log) = (Script::default(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { service, front, script, log })))
    }

    /// Looks at the service, or changes it behind everybody's back. The time is what its clock shows.
    pub fn with<T>(&self, act: impl FnOnce(&mut S, Duration) -> T) -> T {
        let mut inner = self.lock();
        let now = (inner.front.clock)();
        inner.service.tick(now);
        act(&mut inner.service, now)
    }

    /// Changes what stands in front of it.
    pub fn front(&self, change: impl FnOnce(&mut Front)) {
        change(&mut self.lock().front);
    }

    /// Has calls fail.
    pub fn script(&self, rule: Rule) {
        self.lock().script.add(rule);
    }

    /// Lets all calls through again.
    pub fn clear_script(&self) {
        self.lock().script.clear();
    }

    /// All calls that were made.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().log.clone()
    }

    /// How many calls there were of an action.
    pub fn count(&self, action: &str) -> usize {
        self.lock().log.iter().filter(|call| call.action == action).count()
    }

    /// Everything that calls have changed.
    pub fn touched(&self) -> BTreeSet<String> {
        self.lock().log.iter().flat_map(|call| call.touched.iter().cloned()).collect()
    }

    /// What a request asks for, such as `RunInstances`, without doing it.
    pub fn action(&self, request: &Request<String>) -> String {
        let read = self.lock().service.read(request);
        read.map_or_else(|_| UNREADABLE.to_owned(), |(action, _)| action)
    }

    /// Does what a request asks for, and answers it.
    pub fn answer(&self, request: &Request<String>) -> (Call, Response<String>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let now = (inner.front.clock)();
        inner.service.tick(now);
        let id = format!("00000000-0000-4000-8000-{:012}", inner.log.len());
        let (action, params, outcome) = match inner.service.read(request) {
            Ok((action, params)) => {
                let outcome = inner.act(request, &action, &params, now);
                (action, params, outcome)
            }
            Err(error) => (UNREADABLE.to_owned(), Params::default(), Err(error)),
        };
        let (response, error, touched) = match outcome {
            Ok(done) => (reply(200, done.body), None, done.touched),
            Err(error) => {
                let body = inner.service.error_body(&error, &id);
                (reply(error.status, body), Some(error.code), Vec::new())
            }
        };
        let call = Call { at: now, action, params, error, touched };
        inner.log.push(call.clone());
        (call, response)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        // Whoever panicked holding it was a test, which has failed anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer<S: Service>(
    State(desk): State<Desk<S>>,
    request: axum::extract::Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let response = match to_bytes(body, LARGEST).await {
        Ok(bytes) => {
            let body = String::from_utf8_lossy(&bytes).into_owned();
            desk.answer(&Request::from_parts(head, body)).1
        }
        Err(error) => reply(413, error.to_string()),
    };
    response.map(Body::from)
}

impl<S: Service> Inner<S> {
    fn act(
        &mut self,
        request: &Request<String>,
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

fn reply(status: u16, body: String) -> Response<String> {
    let mut response = Response::new(body);
    // A status out of range is a test's mistake, and seen as such.
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let xml = http::HeaderValue::from_static("text/xml;charset=UTF-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, xml);
    response
}
