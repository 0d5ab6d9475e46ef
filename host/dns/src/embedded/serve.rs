//! The sockets: what comes in is answered from the view of that moment.

use super::Shared;
use super::answer::{Way, answer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// No question is longer. What is left of one that is cannot be read.
const LARGEST_QUESTION: usize = 4_096;
/// So many connections at once; who comes then waits.
const MOST_CONNECTIONS: usize = 256;
/// As long may a question or an answer take on a connection, and the silence before it.
const PATIENCE: Duration = Duration::from_secs(5);
/// As long may a connection last, whatever goes over it.
const LONGEST_CONNECTION: Duration = Duration::from_secs(30);
/// After an error of the system's, such as too many open files, which would come again at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers over UDP, for ever.
pub(super) async fn udp(socket: UdpSocket, shared: Arc<Shared>) {
    let mut packet = [0; LARGEST_QUESTION];
    let mut random = fastrand::Rng::new();
    loop {
        let (length, from) = match socket.recv_from(&mut packet).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "no question could be received");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let question = packet.get(..length).unwrap_or_default();
        if let Some(reply) = answer_safely(&shared, question, Way::Udp, &mut random) {
            // Who gets no answer asks again.
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

/// Answers over TCP, for ever.
pub(super) async fn tcp(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Dropped with this, and with it what goes on in it.
    let mut connections = JoinSet::new();
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let _ = timeout(LONGEST_CONNECTION, connection(stream, &shared)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one question after the other; `None` once there is no more to be had from it.
async fn connection(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut random = fastrand::Rng::new();
    loop {
        let question = timeout(PATIENCE, question(&mut stream)).await.ok()??;
        let reply = answer_safely(shared, &question, Way::Tcp, &mut random)?;
        let length = u16::try_from(reply.len()).ok()?;
        let message = [&length.to_be_bytes()[..], &reply].concat();
        timeout(PATIENCE, stream.write_all(&message)).await.ok()?.ok()?;
    }
}

async fn question(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = usize::from(stream.read_u16().await.ok()?);
    if length > LARGEST_QUESTION {
        return None;
    }
    let mut question = vec![0; length];
    stream.read_exact(&mut question).await.ok()?;
    Some(question)
}

/// What comes from anybody is read by a library: if that panics over it, one question goes without an answer, and the
/// server goes on.
fn answer_safely(
    shared: &Shared,
    question: &[u8],
    way: Way,
    random: &mut fastrand::Rng,
) -> Option<Vec<u8>> {
    let view = shared.view();
    let answered = catch_unwind(AssertUnwindSafe(|| answer(&view, question, way, random)));
    answered.unwrap_or_else(|_| {
        tracing::error!(bytes = ?question, "a question could not be read without a panic: it is not answered");
        None
    })
}
