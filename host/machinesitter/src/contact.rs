//! Whether what was deployed has cut this machine off from its controller.
//!
//! A machine alone cannot tell that from a controller that is gone. So it looks twice: right before a
//! recipe it must reach the controller, and notes which other machines it reaches too; behind it, it
//! must reach one of them again. Every look is a new connection: an old one may outlive its way.

use crate::agent::Agent;
use cerebro_api::ClientError;
use cerebro_model::Assignment;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// How long a look may take before a recipe, which waits for it.
const BEFORE: Duration = Duration::from_secs(1);
/// How long another machine may take to answer.
const PEER: Duration = Duration::from_secs(2);
/// From one look to the next.
const BETWEEN: Duration = Duration::from_millis(500);

/// What a look for the controller met with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It answered.
    Answered,
    /// Its host did, by refusing the connection, or by taking it and saying nothing: there is a way
    /// there, and the controller is away.
    Refused(String),
    /// Nothing came back.
    Silent(String),
}

/// What two looks come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The controller is reached as before.
    InContact,
    /// It is not, and that is no fault of this machine's.
    Away(String),
    /// Nothing is reached that was.
    CutOff(String),
}

/// Contact as it was right before a recipe: without it, nothing can be held against the recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Other machines that were reached too.
    witnesses: Vec<SocketAddr>,
}

/// Judges a last look for the controller, and for the witnesses: how many of them answer.
fn judge(reach: Reach, answering: usize) -> Verdict {
    match (reach, answering) {
        (Reach::Answered, _) => Verdict::InContact,
        (Reach::Refused(why), _) => Verdict::Away(why),
        (Reach::Silent(why), 0) => Verdict::CutOff(why),
        (Reach::Silent(why), count) => {
            Verdict::Away(format!("{why}, while {count} other machines are reached"))
        }
    }
}

/// Whether the controller is in contact right before a recipe that may be held to that; none if it is
/// not, or if its job does not want that.
pub async fn before(agent: &Agent, assignment: &Assignment) -> Option<Contact> {
    if assignment.deployment.job.rollout.confirm_within.duration().is_zero() {
        return None;
    }
    let (desired, _) = agent.desired();
    let peers = desired.map(|desired| desired.peers).unwrap_or_default();
    let (reach, witnesses) = tokio::join!(timeout(BEFORE, reach(agent)), reached(&peers, BEFORE));
    matches!(reach, Ok(Reach::Answered)).then_some(Contact { witnesses })
}

impl Contact {
    /// Looks for the controller until it is there, or `within` is over; then also for the witnesses.
    pub async fn after(&self, agent: &Agent, within: Duration) -> Verdict {
        let end = Instant::now() + within;
        loop {
            let reach = reach(agent).await;
            if !matches!(reach, Reach::Silent(_)) {
                return judge(reach, 0);
            }
            if Instant::now() >= end {
                return judge(reach, reached(&self.witnesses, PEER).await.len());
            }
            sleep(BETWEEN).await;
        }
    }
}

/// Whether there is a way to the controller again, before `within` is over.
pub async fn is_back(agent: &Agent, within: Duration) -> bool {
    !matches!(Contact::default().after(agent, within).await, Verdict::CutOff(_))
}

/// Looks for the controller over a connection of its own.
pub async fn reach(agent: &Agent) -> Reach {
    let Some(link) = &agent.link else { return Reach::Silent("there is none".to_owned()) };
    match link.anew.healthz().await {
        // Whatever it says, it says it.
        Ok(()) | Err(ClientError::Refused(_) | ClientError::Strange { .. }) => Reach::Answered,
        Err(ClientError::Unreachable { source, .. }) => {
            let why = innermost(&source);
            match !source.is_connect() || is_refusal(&source) {
                true => Reach::Refused(why),
                false => Reach::Silent(why),
            }
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What an error comes from at last.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}

fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let is_io = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| is_answer(error.kind()))
    };
    causes(error).any(is_io)
}

/// Whether a connection failed by the word of whoever is there.
fn is_answer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

/// Those of `peers` that answer a connection, if only by refusing it.
async fn reached(peers: &[SocketAddr], patience: Duration) -> Vec<SocketAddr> {
    let mut looks = JoinSet::new();
    for peer in peers.iter().copied() {
        looks.spawn(async move {
            let answer = timeout(patience, TcpStream::connect(peer)).await;
            let is_there = match answer {
                Ok(Ok(_)) => true,
                Ok(Err(error)) => is_answer(error.kind()),
                Err(_) => false,
            };
            is_there.then_some(peer)
        });
    }
    let mut reached: Vec<_> = looks.join_all().await.into_iter().flatten().collect();
    reached.sort();
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn only_where_nothing_answers_is_a_machine_cut_off() {
        let silent = || Reach::Silent("timed out".to_owned());
        assert_eq!(judge(Reach::Answered, 0), Verdict::InContact);
        let refused = Reach::Refused("connection refused".to_owned());
        assert_eq!(judge(refused, 0), Verdict::Away("connection refused".to_owned()));
        assert_eq!(judge(silent(), 0), Verdict::CutOff("timed out".to_owned()));
        let Verdict::Away(why) = judge(silent(), 2) else { panic!("two others are reached") };
        assert_eq!(why, "timed out, while 2 other machines are reached");
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_silence_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refuses = closed.local_addr().unwrap();
        drop(closed);
        // A listener that takes no more: what comes then is dropped.
        let full =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let patience = Duration::from_millis(300);
        let mut queued = Vec::new();
        while let Ok(connected) = timeout(patience, TcpStream::connect(silent)).await {
            queued.push(connected.unwrap());
            assert!(queued.len() < 10, "it takes every connection");
        }
        assert_eq!(reached(&[open, refuses, silent], patience).await, {
            let mut both = vec![open, refuses];
            both.sort();
            both
        });
    }
}
