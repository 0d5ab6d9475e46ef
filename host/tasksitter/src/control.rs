//! The control socket: clients that ask, and are told of every change.

use cerebro_tasksitter::protocol::{Notice, Request, TaskState, socket_path};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// A request is a word and a path at most: more than this is no client of ours.
const LONGEST_REQUEST: usize = 8192;

/// Bytes that are read from one client before all else is looked at again.
const AT_ONCE: usize = 16 << 10;
/// Clients that are kept; of more, the oldest is hung up on, and may come again.
const MOST_CLIENTS: usize = 64;

/// Names a client as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientId(u64);

/// The listener and its clients.
pub struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
    met: u64,
}

struct Client {
    id: ClientId,
    stream: UnixStream,
    held: Vec<u8>,
    /// It could not be told something: it has left, or does not read. What it asked may still be
    /// on its way to us.
    deaf: bool,
}

impl Control {
    pub fn bind(directory: &Path) -> io::Result<Self> {
        let _ = fs::remove_file(directory.join("control.sock"));
        let dir = fs::File::open(directory)?;
        let listener = UnixListener::bind(socket_path(dir.as_fd()))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: Vec::new(), met: 0 })
    }

    /// Whatever may become readable.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd())
            .chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// Takes new clients, reads what all of them ask, and tells the new ones the state.
    pub fn requests(&mut self, state: &TaskState) -> Vec<(ClientId, Request)> {
        let mut requests = Vec::new();
        self.clients.retain_mut(|client| client.read(&mut requests) && !client.deaf);
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.met += 1;
                let id = ClientId(self.met);
                let mut client = Client { id, stream, held: Vec::new(), deaf: false };
                // Read first, and once more if it has left: one that asks and leaves has asked all
                // the same.
                if client.read(&mut requests) {
                    client.tell(&line(&Notice::State(Box::new(state.clone()))));
                    if self.clients.len() >= MOST_CLIENTS {
                        self.clients.remove(0);
                    }
                    self.clients.push(client);
                }
            }
        }
        requests
    }

    /// Tells every client; one that does not read is dropped rather than waited for.
    pub fn announce(&mut self, notice: &Notice) {
        if !self.clients.is_empty() {
            let line = line(notice);
            self.clients.iter_mut().for_each(|client| client.tell(&line));
        }
    }

    /// Tells one client, if it is still there.
    pub fn reply(&mut self, to: ClientId, notice: &Notice) {
        let line = line(notice);
        self.clients
            .iter_mut()
            .filter(|client| client.id == to)
            .for_each(|client| client.tell(&line));
    }
}

fn line(notice: &Notice) -> Vec<u8> {
    // Plain data: it always serializes.
    let mut line = serde_json::to_vec(notice).unwrap_or_default();
    line.push(b'\n');
    line
}

impl Client {
    fn tell(&mut self, line: &[u8]) {
        self.deaf = self.deaf || self.stream.write_all(line).is_err();
    }

    /// Answers whether the client is still there.
    fn read(&mut self, requests: &mut Vec<(ClientId, Request)>) -> bool {
        let mut buffer = [0; 256];
        for _ in 0..AT_ONCE / buffer.len() {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(read) => self.held.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            while let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(request) => requests.push((self.id, request)),
                    Err(_) => return false,
                }
            }
            if self.held.len() > LONGEST_REQUEST {
                return false;
            }
        }
        true
    }
}
