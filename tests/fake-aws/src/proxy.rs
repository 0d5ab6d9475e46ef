//! A proxy that breaks calls: between a client and a service.

use anyhow::{Context, Result, ensure};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is answered with this status and body, and does not reach the service.
    Answer(u16, String),
    /// It does not reach the service, and nobody answers.
    Hang,
    /// It does not reach the service, and the connection is reset.
    Reset,
    /// The service does it, and its answer is lost: the connection is reset.
    DropReply,
    /// The service does it, and nobody answers.
    HangAfter,
    /// It takes longer.
    Delay(Duration),
}

/// A call, as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How many there were before it.
    pub number: usize,
    /// Of EC2's, the action; else the method and the path.
    pub action: String,
}

/// Decides what happens to each call.
type Decide = Box<dyn FnMut(&Seen) -> Fault + Send>;

struct Shared {
    upstream: String,
    decide: Mutex<Decide>,
    seen: Mutex<Vec<Seen>>,
    /// How many faults have taken effect, as far as they do before the client is answered.
    struck: watch::Sender<usize>,
}

/// A proxy in front of a service; until it is dropped.
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Stands in front of the service at this URL.
    pub async fn start(
        upstream: &str,
        decide: impl FnMut(&Seen) -> Fault + Send + 'static,
    ) -> Result<Self> {
        let host = upstream.strip_prefix("http://");
        let host = host.with_context(|| format!("`{upstream}` is not an http URL"))?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            upstream: host.trim_end_matches('/').to_owned(),
            decide: Mutex::new(Box::new(decide)),
            seen: Mutex::default(),
            struck: watch::Sender::new(0),
        });
        let to_serve = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            // Connections end with the proxy.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&to_serve);
                connections.spawn(async move { shared.connection(stream).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { url, shared, task })
    }

    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Decides otherwise from now on. Calls are counted on.
    pub fn decide(&self, decide: impl FnMut(&Seen) -> Fault + Send + 'static) {
        *self.shared.decide.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(decide);
    }

    /// The calls until now.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a fault has taken effect.
    pub async fn struck(&self) {
        let mut struck = self.shared.struck.subscribe();
        // It ends with the proxy only, which is here.
        let _ = struck.wait_for(|struck| *struck > 0).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// One call a connection: so each can be broken by itself.
    async fn connection(&self, mut client: TcpStream) {
        let Ok(Some((head, body))) = read_message(&mut client, true).await else { return };
        let fault = {
            let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = Seen { number: all.len(), action: action(&head, &body) };
            all.push(seen.clone());
            let mut decide = self.decide.lock().unwrap_or_else(PoisonError::into_inner);
            decide(&seen)
        };
        let reply = match &fault {
            Fault::Answer(status, text) => {
                let length = text.len();
                let head = format!(
                    "HTTP/1.1 {status} Fault\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                self.strike();
                Ok([head.as_bytes(), text.as_bytes()].concat())
            }
            Fault::Hang => {
                self.strike();
                return std::future::pending().await;
            }
            Fault::Reset => {
                self.strike();
                return reset(client);
            }
            Fault::None | Fault::DropReply | Fault::HangAfter | Fault::Delay(_) => {
                if let Fault::Delay(by) = &fault {
                    tokio::time::sleep(*by).await;
                }
                self.forward(&head, &body).await
            }
        };
        match (fault, reply) {
            (Fault::DropReply, _) => {
                self.strike();
                reset(client);
            }
            (Fault::HangAfter, _) => {
                self.strike();
                std::future::pending().await
            }
            (_, Err(_)) => reset(client),
            (_, Ok(reply)) => {
                // A client that has gone does not care.
                let _ = client.write_all(&reply).await;
                let _ = client.shutdown().await;
            }
        }
    }

    fn strike(&self) {
        self.struck.send_modify(|struck| *struck += 1);
    }

    async fn forward(&self, head: &[u8], body: &[u8]) -> Result<Vec<u8>> {
        let mut service = TcpStream::connect(&self.upstream).await?;
        service.write_all(&closing(head)).await?;
        service.write_all(body).await?;
        let reply =
            read_message(&mut service, false).await?.context("the service did not answer")?;
        Ok([closing(&reply.0), reply.1].concat())
    }
}

/// Resets the connection rather than ending it in order.
fn reset(client: TcpStream) {
    let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
}

/// A head that says that its connection ends behind this message. Nobody signs that.
fn closing(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let keeps = |line: &&str| !line.to_ascii_lowercase().starts_with("connection:");
    let lines: Vec<&str> = text.trim_end().split("\r\n").filter(keeps).collect();
    format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n")).into_bytes()
}

/// A message: its head with the empty line, and its body. Nothing, if the connection ends before one begins.
async fn read_message(
    stream: &mut TcpStream,
    is_request: bool,
) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (mut all, mut part) = (Vec::new(), [0; 16 * 1024]);
    let end = loop {
        if let Some(at) = all.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut part).await? {
            0 if all.is_empty() => return Ok(None),
            0 => anyhow::bail!("the connection ended in the middle of a head"),
            read => all.extend(&part[..read]),
        }
    };
    let mut body = all.split_off(end);
    let head = all;
    let length = length(&head);
    ensure!(length.is_some() || !is_request || body.is_empty(), "a body without a length");
    loop {
        let is_whole = match length {
            Some(length) => body.len() >= length,
            // An answer without a length ends with its connection.
            None => is_request,
        };
        if is_whole {
            return Ok(Some((head, body)));
        }
        match stream.read(&mut part).await? {
            0 if length.is_none() => return Ok(Some((head, body))),
            0 => anyhow::bail!("the connection ended in the middle of a body"),
            read => body.extend(&part[..read]),
        }
    }
}

fn length(head: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

fn action(head: &[u8], body: &[u8]) -> String {
    let mut form = form_urlencoded::parse(body);
    if let Some((_, action)) = form.find(|(name, _)| name == "Action") {
        return action.into_owned();
    }
    let text = String::from_utf8_lossy(head);
    let line = text.lines().next().unwrap_or_default();
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
