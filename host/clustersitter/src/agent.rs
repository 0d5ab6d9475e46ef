//! What the controller asks agents for somebody who asked it: plans, calls, who wrote what.
//!
//! Every request shows the machine's token, goes to that machine only, and has an end.

use crate::cluster::Cluster;
use bytes::Bytes;
use cerebro_api::{PROBLEM_JSON, Problem};
use cerebro_model::MachineId;
use futures::{Stream, StreamExt, stream};
use reqwest::{Method, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::time::Duration;

/// Agents that are asked at a time.
const AT_A_TIME: usize = 16;
/// How long a connection to one may take.
const CONNECT: Duration = Duration::from_secs(3);
/// The largest answer that is read as a whole, in bytes.
const LARGEST: usize = 32 << 20;

/// Why an agent's answer is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No machine of ours.
    #[error("there is no machine `{0}`")]
    Unknown(MachineId),
    /// It is being made, or was given up.
    #[error("{0} has no agent to ask: it has not joined yet, or was given up")]
    Absent(MachineId),
    /// No answer, or none in time.
    #[error("the agent of {machine} does not answer at {address}: {why}")]
    Silent {
        /// Whose agent.
        machine: MachineId,
        /// Where it should be.
        address: SocketAddr,
        /// What was met with.
        why: String,
    },
    /// It said why not.
    #[error("{0}")]
    Refused(Problem),
    /// It said something that is not of the contract.
    #[error("the agent of {machine} answered what no agent of this version says: {what}")]
    Strange {
        /// Whose agent.
        machine: MachineId,
        /// What it was.
        what: String,
    },
}

/// Asks agents.
#[derive(Debug, Clone)]
pub struct Agents {
    http: reqwest::Client,
}

/// One agent, and what makes it listen.
struct Agent {
    machine: MachineId,
    address: SocketAddr,
    token: String,
}

impl Agents {
    /// For one request of somebody: connections do not outlive it.
    pub fn new() -> Self {
        cerebro_api::choose_cryptography();
        // A token goes to the machine whose it is, and neither to a proxy nor where one is sent on to.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        // It fails only where TLS does, and then a plain one does too, with words.
        Self { http: http.unwrap_or_default() }
    }

    /// Asks a machine's agent; its answer as it comes, if it is no refusal.
    pub async fn ask<T: Serialize + Sync>(
        &self,
        cluster: &Cluster,
        machine: &MachineId,
        method: Method,
        path: &str,
        query: &T,
        patience: Duration,
    ) -> Result<Response, AskError> {
        let agent = find(cluster, machine)?;
        let url = format!("http://{}{path}", agent.address);
        let request = match method {
            Method::POST => self.http.post(url).json(query),
            _ => self.http.get(url).query(query),
        };
        let request = request.bearer_auth(&agent.token).timeout(patience);
        let answer = request.send().await.map_err(|error| agent.silent(&error, patience))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(agent.refusal(answer).await)
    }

    /// The same, where the answer is read as a whole.
    pub async fn json<Q: Serialize + Sync, T: DeserializeOwned>(
        &self,
        cluster: &Cluster,
        machine: &MachineId,
        method: Method,
        path: &str,
        query: &Q,
        patience: Duration,
    ) -> Result<T, AskError> {
        let answer = self.ask(cluster, machine, method, path, query, patience).await?;
        let strange = |what: String| AskError::Strange { machine: machine.clone(), what };
        let body = whole(answer).await.map_err(strange)?;
        serde_json::from_slice(&body).map_err(|error| strange(error.to_string()))
    }
}

/// Does `each` for all, so many at a time; the answers come in any order.
pub fn bounded<T, F: Future>(
    all: impl IntoIterator<Item = T>,
    each: impl FnMut(T) -> F,
) -> impl Stream<Item = F::Output> {
    stream::iter(all).map(each).buffer_unordered(AT_A_TIME)
}

fn find(cluster: &Cluster, id: &MachineId) -> Result<Agent, AskError> {
    let state = cluster.state();
    let record = state.records.machines.get(id).ok_or_else(|| AskError::Unknown(id.clone()))?;
    let machine = &record.machine;
    match (machine.address, machine.agent_port, record.token.known()) {
        (Some(address), Some(port), Some(token)) if machine.state.runs() => Ok(Agent {
            machine: id.clone(),
            address: SocketAddr::new(address, port),
            token: token.to_owned(),
        }),
        _ => Err(AskError::Absent(id.clone())),
    }
}

impl Agent {
    fn silent(&self, error: &reqwest::Error, patience: Duration) -> AskError {
        let why = match (error.is_connect(), error.is_timeout()) {
            (true, _) => "no connection".to_owned(),
            (_, true) => format!("nothing within {} s", patience.as_secs()),
            _ => "the answer broke off".to_owned(),
        };
        AskError::Silent { machine: self.machine.clone(), address: self.address, why }
    }

    async fn refusal(&self, answer: Response) -> AskError {
        let status = answer.status();
        let strange = |what: String| AskError::Strange { machine: self.machine.clone(), what };
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return strange("it does not take this machine's own token".to_owned());
        }
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let is_problem = kind.is_some_and(|kind| kind == PROBLEM_JSON);
        match whole(answer).await.map(|body| serde_json::from_slice(&body)) {
            Ok(Ok(problem)) if is_problem => {
                AskError::Refused(Problem { status: status.as_u16(), ..problem })
            }
            _ => strange(status.to_string()),
        }
    }
}

/// The whole of an answer, if that is not too much.
async fn whole(mut answer: Response) -> Result<Bytes, String> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|_| "it broke off".to_owned())? {
        if body.len() + piece.len() > LARGEST {
            return Err(format!("more than {} MiB", LARGEST >> 20));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}
