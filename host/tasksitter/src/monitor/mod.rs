//! A task's own pages over HTTP, served from the sitter's one loop.
//!
//! Nothing here waits: each connection goes on as far as it can and gives the others their turn.
//! A page is made from how the task is at that moment; a log goes from its file to the socket; so a
//! client that reads slowly, or not at all, holds a descriptor and a few hundred bytes here, and
//! nothing of the task. Without a connection there is no timer.

mod answer;
mod connection;
mod cut;
mod date;
mod escape;
mod follow;
mod health;
mod logbody;
mod logs;
mod metrics;
mod page;
mod report;
mod request;
mod routes;
mod snapshot;
mod value;

use crate::clock;
use crate::files::DirError;
use crate::log::LogThread;
use crate::sitter::Sitter;
use answer::{Answer, UNAVAILABLE};
use cerebro_tasksitter::protocol::TaskSpec;
use connection::Connection;
use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// The most connections at a time; further ones are told so.
const MOST: usize = 32;
/// Those that are told so at a time; further ones are closed.
const MOST_TURNED_AWAY: usize = 8;
/// The kernel's buffer for one connection, in bytes; the kernel doubles it for its own needs.
const SEND_BUFFER: usize = 128 << 10;
/// How long nobody is accepted after that failed, as it does without free descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// The listener and its clients.
pub struct HttpMonitor {
    listener: TcpListener,
    connections: Vec<Connection>,
    /// Until when nobody is accepted.
    pause: Option<Duration>,
    /// The log thread was told that someone follows.
    follows: bool,
}

impl HttpMonitor {
    /// Listens.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, connections: Vec::new(), pause: None, follows: false })
    }

    /// Where it listens: what it was given, with the port that the kernel chose for 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Whatever it waits for, `logs` being what its clients may follow.
    pub fn descriptors<'a>(
        &'a self,
        logs: &'a LogThread,
    ) -> impl Iterator<Item = (BorrowedFd<'a>, PollFlags)> {
        let listener = self.pause.is_none().then(|| (self.listener.as_fd(), PollFlags::POLLIN));
        let news = self.follows.then(|| (logs.news().as_fd(), PollFlags::POLLIN));
        let connections = self.connections.iter().map(Connection::wants);
        listener.into_iter().chain(news).chain(connections)
    }

    /// When it has something to do if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let deadlines = self.connections.iter().map(|connection| connection.deadline);
        deadlines.chain([self.pause]).flatten().min()
    }

    /// Takes new clients, and gives each its turn.
    pub fn step(&mut self, sitter: &mut Sitter) {
        let now = clock::since_boot();
        if self.follows {
            let _ = sitter.logs.news().read();
        }
        self.pause = self.pause.filter(|until| now < *until);
        if self.pause.is_none() {
            self.accept(now);
        }
        let had_some = !self.connections.is_empty();
        self.serve(sitter, now);
        if self.connections.iter().any(Connection::waits_for_news) && !self.follows {
            self.follows = true;
            sitter.logs.want_news(true);
            // What was written before the log thread could know is looked for once more. The fence
            // is for what it knew against what we see.
            fence(Ordering::SeqCst);
            self.serve(sitter, now);
        }
        if self.follows && !self.connections.iter().any(Connection::waits_for_news) {
            self.follows = false;
            sitter.logs.want_news(false);
        }
        if had_some && self.connections.is_empty() {
            self.connections = Vec::new();
            // Pages take more stack than waiting does.
            let _ = cerebro_linux::memory::trim_stack();
        }
    }

    fn serve(&mut self, sitter: &mut Sitter, now: Duration) {
        let mut answer = |request: &request::Request| routes::answer(request, sitter);
        self.connections.retain_mut(|connection| connection.step(now, &mut answer));
    }

    fn accept(&mut self, now: Duration) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(_) => {
                    self.pause = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, now: Duration) {
        if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
            return;
        }
        // Larger or smaller, it works all the same.
        let _ = setsockopt(&stream, SndBuf, &SEND_BUFFER);
        if self.connections.len() < MOST {
            self.connections.push(Connection::new(stream, now));
        } else if self.connections.len() < MOST + MOST_TURNED_AWAY {
            let detail = format!("{MOST} clients are connected already: try again later");
            let answer = Answer::problem(UNAVAILABLE, &detail, false);
            self.connections.push(Connection::told(stream, answer, now));
        }
    }

    /// Ends, once the logs are complete: whoever follows them gets what is left of them.
    pub fn finish(mut self) {
        self.connections.iter_mut().for_each(Connection::finish);
    }
}

impl Sitter {
    /// Gives those who look at the task's pages their turn. Not within the caller's frame: few are
    /// looked at.
    #[inline(never)]
    pub fn serve(&mut self) {
        if let Some(mut monitor) = self.monitor.take() {
            monitor.step(self);
            self.monitor = Some(monitor);
        }
    }

    /// Whether its pages are there to be looked at once its task has ended for good.
    pub fn keeps_serving(&self) -> bool {
        self.monitor.is_some() && self.spec.monitor.as_ref().is_some_and(|m| m.keep_running)
    }
}

/// Begins to serve what `spec` asks for. Alone, a sitter that cannot is an error, before anything is
/// started; beside an agent's task it says so, and the task runs without.
pub fn begin(spec: &TaskSpec, stand_alone: bool) -> Result<Option<HttpMonitor>, DirError> {
    let Some(wanted) = &spec.monitor else { return Ok(None) };
    let address = wanted.address;
    match HttpMonitor::bind(address).and_then(|monitor| Ok((monitor.address()?, monitor))) {
        Ok((address, monitor)) => {
            eprintln!("tasksitter: serves http://{address}/");
            Ok(Some(monitor))
        }
        Err(source) => {
            let error = DirError::Monitor { address, hint: hint(&source), source };
            if stand_alone {
                return Err(error);
            }
            eprintln!("tasksitter: the task runs without its pages: {error}");
            Ok(None)
        }
    }
}

/// What to do when an address cannot be listened at.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "give another port by --http-monitoring-port",
        ErrorKind::PermissionDenied => "give a port above 1023 by --http-monitoring-port",
        _ => "give an address of this machine by --http-monitoring-address",
    }
}
