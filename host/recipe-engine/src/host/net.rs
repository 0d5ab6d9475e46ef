//! `cerebro:recipe/net`.

use super::{Scope, State};
use crate::bindings::interfaces::net::{Host, HttpAnswer, HttpProbe, TcpAnswer, TcpProbe};
use crate::bindings::interfaces::types::Error;
use crate::http::{self, Tls};
use crate::run::remaining;
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Bytes of an answer over TCP that are kept.
const MOST_RECEIVED: usize = 64 << 10;
/// Bytes of a page that are read.
const MOST_BODY: usize = 1 << 20;

impl Scope {
    async fn probe_tcp(&self, probe: TcpProbe) -> Result<TcpAnswer, Error> {
        let (start, time) = (Instant::now(), remaining(self.deadline, Some(probe.timeout)));
        let target = format!("{}:{}", bracketed(&probe.host), probe.port);
        let addresses = match timeout(time, self.addresses(&probe.host, probe.port)).await {
            Err(_) => return Err(too_slow(&target, time)),
            Ok(addresses) => addresses?,
        };
        let mut received = Vec::new();
        let expect = probe.expect.unwrap_or_default();
        let silent = probe.send.is_none() && expect.is_empty();
        let left = time.saturating_sub(start.elapsed());
        let connected = match timeout(left, connect(&addresses, silent)).await {
            Err(_) => return Err(too_slow(&target, time)),
            Ok(connected) => connected.map_err(|e| failed("connect to", &target, &e))?,
        };
        if silent {
            return Ok(TcpAnswer { received, matched: true, took: micros(start) });
        }
        let exchange = async {
            let mut stream = connected.stream()?;
            if let Some(send) = &probe.send {
                stream.write_all(send).await?;
            }
            while !contains(&received, &expect) && received.len() < MOST_RECEIVED {
                let left = MOST_RECEIVED - received.len();
                if (&mut stream).take(left as u64).read_buf(&mut received).await? == 0 {
                    break;
                }
            }
            Ok::<(), io::Error>(())
        };
        let left = time.saturating_sub(start.elapsed());
        // Silence is an answer too: it did not match.
        if let Ok(Err(error)) = timeout(left, exchange).await {
            return Err(failed("talk to", &target, &error));
        }
        let matched = contains(&received, &expect);
        Ok(TcpAnswer { received, matched, took: micros(start) })
    }

    async fn probe_http(&self, probe: HttpProbe) -> Result<HttpAnswer, Error> {
        let (start, time) = (Instant::now(), remaining(self.deadline, Some(probe.timeout)));
        let target = format!("http://{}:{}{}", bracketed(&probe.host), probe.port, probe.path);
        if !probe.path.starts_with('/') {
            return Err(Error::Invalid(format!(
                "the path `{}` does not start with `/`",
                probe.path
            )));
        }
        let addresses = match timeout(time, self.addresses(&probe.host, probe.port)).await {
            Err(_) => return Err(too_slow(&target, time)),
            Ok(addresses) => addresses?,
        };
        // A client of its own for a name, since that is where the addresses are pinned.
        let client = match probe.host.parse::<IpAddr>() {
            Ok(_) => self.http.clone(),
            Err(_) => http::client(Tls::Never, Some((&probe.host, &addresses)))
                .map_err(|error| Error::Failed(error.to_string()))?,
        };
        let left = time.saturating_sub(start.elapsed());
        let mut request = client.get(&target);
        for (name, value) in &probe.headers {
            request = request.header(name, value);
        }
        let limit = (probe.limit as usize).min(MOST_BODY);
        let asking = async {
            let mut response = request.send().await?;
            let (mut body, mut truncated) = (Vec::new(), false);
            while let Some(chunk) = response.chunk().await? {
                let room = limit - body.len();
                body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if chunk.len() > room {
                    truncated = true;
                    break;
                }
            }
            let text = |value: &reqwest::header::HeaderValue| {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            let headers = response.headers().iter();
            let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
            let status = response.status().as_u16();
            Ok(HttpAnswer { status, headers, body, truncated, took: micros(start) })
        };
        match timeout(left, asking).await {
            Err(_) => Err(too_slow(&target, time)),
            Ok(answer) => answer.map_err(|error: reqwest::Error| match error.is_builder() {
                true => Error::Invalid(format!("ask for `{target}`: {}", deepest(&error))),
                false => failed("ask for", &target, deepest(&error)),
            }),
        }
    }
}

impl Host for State {
    async fn resolve(&mut self, host: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let scope = self.scope();
        let work = async {
            scope.allowed(|grants| grants.resolve(&host))?;
            Ok(scope.look_up(&host).await?.iter().map(ToString::to_string).collect())
        };
        scope.asked("net.resolve", &host, &host, work).await
    }

    async fn tcp(&mut self, probe: TcpProbe) -> wasmtime::Result<Result<TcpAnswer, Error>> {
        let scope = self.scope();
        if scope.tape.is_off() {
            return Ok(scope.probe_tcp(probe).await);
        }
        let (asked, about) = (probe.clone(), format!("{}:{}", probe.host, probe.port));
        scope.asked("net.tcp", about, &asked, scope.probe_tcp(probe)).await
    }

    async fn http(&mut self, probe: HttpProbe) -> wasmtime::Result<Result<HttpAnswer, Error>> {
        let scope = self.scope();
        let about = format!("{}:{}{}", probe.host, probe.port, probe.path);
        let asked = probe.clone();
        scope.asked("net.http", about, &asked, scope.probe_http(probe)).await
    }
}

/// A connection, which a reactor may not have heard of: most probes end once there is one.
enum Connected {
    AtOnce(Socket),
    Later(TcpStream),
}

impl Connected {
    fn stream(self) -> io::Result<TcpStream> {
        match self {
            Self::AtOnce(socket) => TcpStream::from_std(socket.into()),
            Self::Later(stream) => Ok(stream),
        }
    }
}

/// Connects to the first of `addresses` that answers. A connection over which nothing is said is
/// reset at its end: closed in the usual way, each would hold its port for a minute, and many checks
/// each second would use up all that there are.
async fn connect(addresses: &[SocketAddr], is_reset: bool) -> io::Result<Connected> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match connect_to(*address, is_reset).await {
            Ok(connected) => return Ok(connected),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, is_reset: bool) -> io::Result<Connected> {
    let kind = Type::STREAM.nonblocking();
    let (socket, address) =
        (Socket::new(Domain::for_address(address), kind, None)?, address.into());
    if is_reset {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    // To where it is a matter of this machine alone, the kernel has connected by the time that the
    // first of them returns, and says so to the second.
    for _ in 0..2 {
        match socket.connect(&address) {
            Ok(()) => return Ok(Connected::AtOnce(socket)),
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let stream = TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(Connected::Later(stream)),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    let under_way = [Errno::EINPROGRESS, Errno::EALREADY].map(|errno| errno as i32);
    error.raw_os_error().is_some_and(|number| under_way.contains(&number))
}

fn contains(received: &[u8], expected: &[u8]) -> bool {
    expected.is_empty() || received.windows(expected.len()).any(|window| window == expected)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn too_slow(target: &str, time: Duration) -> Error {
    Error::TimedOut(format!("`{target}` did not answer within {time:?}"))
}

fn failed(doing: &str, target: &str, error: &(impl Display + ?Sized)) -> Error {
    Error::Failed(format!("{doing} `{target}`: {error}"))
}

/// The cause of all: what the layers above it say adds nothing for a reader.
fn deepest(error: &reqwest::Error) -> &dyn std::error::Error {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}
