//! The typed client of the controller's API: what the CLI and the agents call it with.

mod brakes;
mod deployments;
mod explain;
mod machines;
mod names;

use crate::body::{
    Artifact, Heartbeat, JobView, JoinRequest, MachineView, PushedRecipe, Report, SecretView,
    TaskView, Term,
};
use crate::{PROBLEM_JSON, Problem, paths};
use bytes::Bytes;
use cerebro_model::{
    DeploymentId, Digest, Event, InstanceId, Job, JobName, Labels, MachineDesired, MachineId,
    Recipe, RecipeName, Secret, SecretName, Timestamp,
};
use futures::{Stream, StreamExt};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long an answer may take that waits for nothing.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The controller answered that it would not.
    #[error("{0}")]
    Refused(Problem),
    /// No answer came.
    #[error(
        "no answer from the cluster sitter at {base}: is it running, and is the address right?"
    )]
    Unreachable {
        /// The base URL.
        base: String,
        /// What the connection met with.
        #[source]
        source: reqwest::Error,
    },
    /// An answer came that is none of the controller's.
    #[error("{base} answered something that no cluster sitter says: {what}")]
    Strange {
        /// The base URL.
        base: String,
        /// What it was.
        what: String,
    },
}

impl ClientError {
    /// The status with which the controller refused, if it did.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }
}

/// To be called before an HTTP client is made. Where a package of the same build switches TLS on, as
/// the recipe engine does, it is on in all of them, and making a client panics until this process
/// has chosen its cryptography.
pub fn choose_cryptography() {
    // Whoever was first has chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client of one controller.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// Answers line by line, as they come.
pub type Lines = futures::stream::BoxStream<'static, Result<String, ClientError>>;
/// Events, as they come.
pub type EventStream = futures::stream::BoxStream<'static, Result<Event, ClientError>>;

impl Client {
    /// A client of the controller at `base`, such as `http://127.0.0.1:30000`.
    pub fn new(base: impl Into<String>) -> Result<Self, ClientError> {
        Self::made(base.into(), |http| http)
    }

    /// The same, where each call is over a connection of its own: what it meets with is true now.
    pub fn connecting_anew(base: impl Into<String>) -> Result<Self, ClientError> {
        Self::made(base.into(), |http| http.pool_max_idle_per_host(0))
    }

    fn made(
        base: String,
        how: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/').to_owned();
        choose_cryptography();
        let http = how(reqwest::Client::builder().connect_timeout(CONNECT).tcp_nodelay(true))
            .build()
            .map_err(|source| ClientError::Unreachable { base: base.clone(), source })?;
        Ok(Self { base, http })
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether the controller answers.
    pub async fn healthz(&self) -> Result<(), ClientError> {
        self.send(self.ask(Method::GET, paths::HEALTHZ)).await.map(drop)
    }

    /// Uploads a component under a name.
    pub async fn put_recipe(
        &self,
        name: &RecipeName,
        component: Vec<u8>,
    ) -> Result<PushedRecipe, ClientError> {
        let request = self.ask(Method::PUT, &paths::recipe(name)).timeout(Duration::from_secs(120));
        self.json(request.header(header::CONTENT_TYPE, "application/wasm").body(component)).await
    }

    /// Every uploaded component.
    pub async fn recipes(&self) -> Result<Vec<Recipe>, ClientError> {
        self.json(self.ask(Method::GET, paths::RECIPES)).await
    }

    /// One component.
    pub async fn recipe(&self, name: &RecipeName) -> Result<Recipe, ClientError> {
        self.json(self.ask(Method::GET, &paths::recipe(name))).await
    }

    /// Uploads an artifact.
    pub async fn post_artifact(&self, bytes: impl Into<Body>) -> Result<Artifact, ClientError> {
        let request = self.ask(Method::POST, paths::ARTIFACTS).timeout(Duration::from_secs(600));
        self.json(request.header(header::CONTENT_TYPE, "application/octet-stream").body(bytes))
            .await
    }

    /// The bytes of a component or artifact, piece by piece.
    pub async fn blob(
        &self,
        digest: &Digest,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        self.blob_from(digest, 0).await.map(|(_, pieces)| pieces)
    }

    /// The same without the first `from` bytes; answers how many were really left out, which are none
    /// where the controller cannot.
    pub async fn blob_from(
        &self,
        digest: &Digest,
        from: u64,
    ) -> Result<(u64, impl Stream<Item = Result<Bytes, ClientError>> + use<>), ClientError> {
        let mut request =
            self.ask(Method::GET, &paths::blob(digest)).timeout(Duration::from_secs(600));
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let base = self.base.clone();
        let unreachable = move |source| ClientError::Unreachable { base: base.clone(), source };
        let answer = self.send(request).await?;
        let left_out = if answer.status() == StatusCode::PARTIAL_CONTENT { from } else { 0 };
        let pieces = answer.bytes_stream().map(move |piece| piece.map_err(&unreachable));
        Ok((left_out, pieces))
    }

    /// Sets a secret, whether there was one of that name or not.
    pub async fn put_secret(
        &self,
        name: &SecretName,
        secret: Secret,
    ) -> Result<SecretView, ClientError> {
        let request = self.ask(Method::PUT, &paths::secret(name));
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        self.json(request.body(secret.into_bytes())).await
    }

    /// Removes a secret.
    pub async fn delete_secret(&self, name: &SecretName) -> Result<(), ClientError> {
        self.send(self.ask(Method::DELETE, &paths::secret(name))).await.map(drop)
    }

    /// Every secret's name and circumstances; never what it is.
    pub async fn secrets(&self) -> Result<Vec<SecretView>, ClientError> {
        self.json(self.ask(Method::GET, paths::SECRETS)).await
    }

    /// Every job.
    pub async fn jobs(&self) -> Result<Vec<JobView>, ClientError> {
        self.json(self.ask(Method::GET, paths::JOBS)).await
    }

    /// One job.
    pub async fn job(&self, name: &JobName) -> Result<JobView, ClientError> {
        self.json(self.ask(Method::GET, &paths::job(name))).await
    }

    /// Defines a job; `revision` is the one that this change was made from, none for a new job.
    pub async fn put_job(&self, job: &Job, revision: Option<u64>) -> Result<JobView, ClientError> {
        let request = self.ask(Method::PUT, &paths::job(&job.dns_basename)).json(job);
        self.json(match revision {
            Some(revision) => request.header(header::IF_MATCH, format!("\"{revision}\"")),
            None => request.header(header::IF_NONE_MATCH, "*"),
        })
        .await
    }

    /// Deletes a job and ends its instances.
    pub async fn delete_job(&self, name: &JobName) -> Result<(), ClientError> {
        self.send(self.ask(Method::DELETE, &paths::job(name))).await.map(drop)
    }

    /// Every machine.
    pub async fn machines(&self) -> Result<Vec<MachineView>, ClientError> {
        self.json(self.ask(Method::GET, paths::MACHINES)).await
    }

    /// Sets the labels of a machine, all of them.
    pub async fn label_machine(
        &self,
        id: &MachineId,
        labels: &Labels,
    ) -> Result<MachineView, ClientError> {
        self.json(self.ask(Method::PUT, &paths::machine_labels(id)).json(labels)).await
    }

    /// Ends a local machine, as a power cut would.
    pub async fn kill_machine(&self, id: &MachineId) -> Result<(), ClientError> {
        self.send(self.ask(Method::POST, &paths::machine_kill(id))).await.map(drop)
    }

    /// Every instance.
    pub async fn tasks(&self) -> Result<Vec<TaskView>, ClientError> {
        self.json(self.ask(Method::GET, paths::TASKS)).await
    }

    /// A task's log: its last `tail` lines, and with `follow` those to come.
    pub async fn task_log(
        &self,
        id: &InstanceId,
        stream: &str,
        tail: usize,
        follow: bool,
    ) -> Result<Lines, ClientError> {
        let path = paths::task_logs(id);
        let request = self.http.get(format!("{}{path}", self.base));
        let tail = tail.to_string();
        let query = [
            ("stream", stream),
            ("tail", &tail),
            ("follow", if follow { "true" } else { "false" }),
        ];
        Ok(self.lines(self.send(request.query(&query)).await?))
    }

    /// The latest `limit` events, oldest first.
    pub async fn events(&self, limit: usize) -> Result<Vec<Event>, ClientError> {
        self.json(self.ask(Method::GET, paths::EVENTS).query(&[("limit", limit)])).await
    }

    /// Events after number `after`, and those to come.
    pub async fn follow_events(&self, after: u64) -> Result<EventStream, ClientError> {
        self.event_stream(paths::EVENTS, after).await
    }

    /// A deployment's events from its start on; the stream ends with it.
    pub async fn follow_deployment(
        &self,
        id: &DeploymentId,
        after: u64,
    ) -> Result<EventStream, ClientError> {
        self.event_stream(&paths::deployment_events(id), after).await
    }

    /// From an agent: it is there.
    pub async fn join(&self, id: &MachineId, request: &JoinRequest) -> Result<Term, ClientError> {
        self.json(self.ask(Method::POST, &paths::machine_join(id)).json(request)).await
    }

    /// From an agent: it is still there. Tells the time by the controller's clock too, if it says.
    pub async fn heartbeat(
        &self,
        id: &MachineId,
        request: &Heartbeat,
    ) -> Result<(Term, Option<Timestamp>), ClientError> {
        // One that is late is worth less than the next.
        let patience = Duration::from_secs(2);
        let request =
            self.ask(Method::POST, &paths::machine_heartbeat(id)).timeout(patience).json(request);
        let answer = self.send(request).await?;
        let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(Timestamp::from_http_date);
        Ok((self.read(answer).await?, date))
    }

    /// From an agent: what should run, as soon as it is not what `seen` (term, index) was; the
    /// same again after `wait`.
    pub async fn desired(
        &self,
        id: &MachineId,
        token: &str,
        seen: Option<(u64, u64)>,
        wait: Duration,
    ) -> Result<MachineDesired, ClientError> {
        let mut request = self
            .ask(Method::GET, &paths::machine_desired(id))
            .timeout(wait + ANSWER)
            .bearer_auth(token)
            .query(&[("wait", wait.as_secs())]);
        if let Some((term, index)) = seen {
            request = request.query(&[("term", term), ("index", index)]);
        }
        self.json(request).await
    }

    /// From an agent: how its instances are.
    pub async fn report(&self, id: &MachineId, report: &Report) -> Result<Term, ClientError> {
        self.json(self.ask(Method::POST, &paths::machine_report(id)).json(report)).await
    }

    /// From an agent: a secret that the job of its instance is granted. The status of a refusal is
    /// 404 only where the cluster has no such secret.
    pub async fn secret_for(
        &self,
        machine: &MachineId,
        token: &str,
        instance: &InstanceId,
        name: &str,
    ) -> Result<Vec<u8>, ClientError> {
        // A component may ask for anything, also for what would lead to another path.
        let name: SecretName = name.parse().map_err(|error: cerebro_model::NameError| {
            ClientError::Refused(Problem::new(400, error.to_string()))
        })?;
        let path = paths::machine_secret(machine, instance, &name);
        let answer = self.send(self.ask(Method::GET, &path).bearer_auth(token)).await?;
        let unreachable = |source| ClientError::Unreachable { base: self.base.clone(), source };
        Ok(answer.bytes().await.map_err(unreachable)?.to_vec())
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).timeout(ANSWER)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let unreachable = |source| ClientError::Unreachable { base: self.base.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let is_problem =
            answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
        let body = answer.bytes().await.map_err(unreachable)?;
        match serde_json::from_slice(&body) {
            Ok(problem) if is_problem => Err(ClientError::Refused(problem)),
            _ => Err(self.strange(status, &body)),
        }
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = self.send(request).await?;
        self.read(answer).await
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, ClientError> {
        let status = answer.status();
        let body = answer
            .bytes()
            .await
            .map_err(|source| ClientError::Unreachable { base: self.base.clone(), source })?;
        serde_json::from_slice(&body).map_err(|_| self.strange(status, &body))
    }

    fn strange(&self, status: StatusCode, body: &[u8]) -> ClientError {
        let start = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        ClientError::Strange { base: self.base.clone(), what: format!("{status}: {start}") }
    }

    /// Splits an answer into lines, as they come; a line over 1 MiB is cut there.
    fn lines(&self, answer: Response) -> Lines {
        const LONGEST: usize = 1 << 20;
        let base = self.base.clone();
        let state = (answer.bytes_stream(), Vec::<u8>::new(), false);
        futures::stream::unfold(state, move |(mut pieces, mut held, mut ended)| {
            let base = base.clone();
            async move {
                loop {
                    let newline = held.iter().position(|&b| b == b'\n');
                    let cut = newline.or((held.len() > LONGEST).then_some(LONGEST));
                    if let Some(at) = cut {
                        let rest = held.split_off(at + usize::from(newline.is_some()));
                        let mut line = std::mem::replace(&mut held, rest);
                        line.truncate(at);
                        return Some((
                            Ok(String::from_utf8_lossy(&line).into_owned()),
                            (pieces, held, ended),
                        ));
                    }
                    if ended {
                        let last = std::mem::take(&mut held);
                        let line = String::from_utf8_lossy(&last).into_owned();
                        return (!last.is_empty()).then_some((Ok(line), (pieces, held, ended)));
                    }
                    match pieces.next().await {
                        Some(Ok(piece)) => held.extend_from_slice(&piece),
                        Some(Err(source)) => {
                            let error = ClientError::Unreachable { base, source };
                            return Some((Err(error), (pieces, Vec::new(), true)));
                        }
                        None => ended = true,
                    }
                }
            }
        })
        .boxed()
    }

    /// Server-sent events: each is one `data:` line of JSON here; the rest is for browsers.
    async fn event_stream(&self, path: &str, after: u64) -> Result<EventStream, ClientError> {
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .header(header::ACCEPT, "text/event-stream")
            .header("last-event-id", after);
        let lines = self.lines(self.send(request).await?);
        let base = self.base.clone();
        let events = lines.filter_map(move |line| {
            let event = match line {
                Ok(line) => line.strip_prefix("data:").map(|data| {
                    serde_json::from_str(data).map_err(|_| ClientError::Strange {
                        base: base.clone(),
                        what: data.trim().to_owned(),
                    })
                }),
                Err(error) => Some(Err(error)),
            };
            async move { event }
        });
        Ok(events.boxed())
    }
}
