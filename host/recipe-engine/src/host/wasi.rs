//! The part of WASI that language runtimes cannot do without, with little behind it: no files,
//! arguments or environment, and of the network what is granted. What is written to stdout and
//! stderr goes to the log.

use super::deterministic::Deterministic;
use super::{Scope, State};
use crate::logbook::{LogLevel, Logbook};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Bytes of a line that waits for its end.
const LONGEST_LINE: usize = 8 << 10;
/// Lines of stderr kept to find a panic in.
const TAIL: usize = 32;

/// What a component has of WASI, made when it asks for it first: most checks never do.
pub(super) struct Wasi {
    context: WasiCtx,
    stderr: Tail,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Box::new(Wasi::new(&self.scope)));
        WasiCtxView { ctx: &mut wasi.context, table: &mut self.table }
    }
}

impl Wasi {
    /// Writes to the log, and keeps the end of what is written to stderr. It may connect to where
    /// the instance listens, and to addresses that are granted; names are for `net` and `wasi:http`,
    /// which know what they lead to.
    fn new(scope: &Arc<Scope>) -> Self {
        let (tail, log) = (Tail::default(), &scope.log);
        let stdout = Stream::new(log.clone(), LogLevel::Info, None);
        let stderr = Stream::new(log.clone(), LogLevel::Warn, Some(tail.clone()));
        let (scope, deterministic) = (scope.clone(), Deterministic::of(scope));
        let check = move |address: SocketAddr,
                          purpose|
              -> Pin<Box<dyn Future<Output = bool> + Send + Sync>> {
            let may = match purpose {
                // What every connection does before it is one.
                SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
                SocketAddrUse::TcpConnect => {
                    scope.may_connect_to(address)
                        && scope.may_go_out(&format!("connects to {address}"))
                }
                _ => false,
            };
            Box::pin(std::future::ready(may))
        };
        let mut builder = WasiCtxBuilder::new();
        if let Some(deterministic) = deterministic {
            deterministic.give(&mut builder);
        }
        let context = builder
            .stdout(stdout)
            .stderr(stderr)
            .allow_tcp(true)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .socket_addr_check(check)
            .build();
        Self { context, stderr: tail }
    }

    /// What the component wrote when it panicked, if it did.
    pub(super) fn panic_message(&self) -> Option<String> {
        self.stderr.panic_message()
    }
}

/// The last lines of stderr.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_mark(line) {
            lines.clear();
        }
        if lines.len() == TAIL {
            // Where a panic begins stays, however long it is.
            let oldest = usize::from(lines.front().is_some_and(|line| is_mark(line)));
            lines.remove(oldest);
        }
        lines.push_back(line.to_owned());
    }

    /// What was written from a panic on.
    fn panic_message(&self) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = lines.iter().rposition(|line| is_mark(line))?;
        let note = "note: run with `RUST_BACKTRACE=1`";
        let of_interest = |line: &&String| !line.is_empty() && !line.starts_with(note);
        let message: Vec<_> =
            lines.range(start..).filter(of_interest).map(String::as_str).collect();
        Some(message.join("\n").trim().to_owned())
    }
}

/// Whether a panic begins with this line, as Rust, Go and Python mark it.
fn is_mark(line: &str) -> bool {
    ["panicked at", "panic:", "Traceback (most recent call last)"]
        .iter()
        .any(|mark| line.contains(mark))
}

/// Turns what is written into lines of the log.
#[derive(Clone)]
struct Stream {
    log: Arc<Logbook>,
    level: LogLevel,
    tail: Option<Tail>,
    rest: Arc<Mutex<Vec<u8>>>,
}

impl Stream {
    fn new(log: Arc<Logbook>, level: LogLevel, tail: Option<Tail>) -> Self {
        Self { log, level, tail, rest: Arc::default() }
    }

    fn line(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        self.log.write(self.level, &line);
        if let Some(tail) = &self.tail {
            tail.push(&line);
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if byte == b'\n' || rest.len() == LONGEST_LINE {
                self.line(&std::mem::take(&mut *rest));
            }
            if byte != b'\n' {
                rest.push(byte);
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The stream itself is the last to hold what has no line end.
        if let Some(rest) = Arc::get_mut(&mut self.rest) {
            let rest = std::mem::take(rest.get_mut().unwrap_or_else(PoisonError::into_inner));
            if !rest.is_empty() {
                self.line(&rest);
            }
        }
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
