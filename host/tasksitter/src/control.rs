//! The control socket: clients that ask, and are told of every change.

use cerebro_tasksitter::protocol::{Request, TaskState, socket_path};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// A request is a word and a number: more than this is no client of ours.
const LONGEST_REQUEST: usize = 1024;

/// The listener and its clients.
pub struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
}

struct Client {
    stream: UnixStream,
    held: Vec<u8>,
}

impl Control {
    pub fn bind(directory: &Path) -> io::Result<Self> {
        let _ = fs::remove_file(directory.join("control.sock"));
        let dir = fs::File::open(directory)?;
        let listener = UnixListener::bind(socket_path(dir.as_fd()))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, clients: Vec::new() })
    }

    /// Whatever may become readable.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd())
            .chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// Takes new clients, reads what all of them ask, and tells the new ones the state.
    pub fn requests(&mut self, state: &TaskState) -> Vec<Request> {
        let mut requests = Vec::new();
        self.clients.retain_mut(|client| client.read(&mut requests));
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                let mut client = Client { stream, held: Vec::new() };
                // Read first: one that asks and leaves has asked all the same.
                if client.read(&mut requests) && client.tell(&line(state)) {
                    self.clients.push(client);
                }
            }
        }
        requests
    }

    /// Tells every client the new state; one that does not read is dropped rather than waited for.
    pub fn announce(&mut self, state: &TaskState) {
        let line = line(state);
        self.clients.retain_mut(|client| client.tell(&line));
    }
}

fn line(state: &TaskState) -> Vec<u8> {
    // The state is plain data: it always serializes.
    let mut line = serde_json::to_vec(state).unwrap_or_default();
    line.push(b'\n');
    line
}

impl Client {
    fn tell(&mut self, line: &[u8]) -> bool {
        self.stream.write_all(line).is_ok()
    }

    /// Answers whether the client is still there.
    fn read(&mut self, requests: &mut Vec<Request>) -> bool {
        let mut buffer = [0; 256];
        loop {
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
                    Ok(request) => requests.push(request),
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
