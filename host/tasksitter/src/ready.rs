//! Finding out whether a task takes connections: one attempt at a time, never waiting for it.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, socket,
    sockopt::SocketError,
};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// From one attempt to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Asks a port until it answers.
pub struct Probe {
    address: SocketAddr,
    attempt: Option<OwnedFd>,
    /// When the present attempt is given up, or the next one is made.
    until: Duration,
}

impl Probe {
    pub fn new(address: SocketAddr, now: Duration) -> Self {
        Self { address, attempt: None, until: now }
    }

    /// When it wants to be asked again, if nothing happens.
    pub fn deadline(&self) -> Duration {
        self.until
    }

    /// What becomes writable once the attempt has come to an end.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.attempt.as_ref().map(AsFd::as_fd)
    }

    /// Goes on with the present attempt, whose descriptor `is_done` or not, or makes the next one;
    /// answers whether the port takes connections.
    pub fn step(&mut self, is_done: bool, now: Duration) -> bool {
        if let Some(attempt) = self.attempt.take_if(|_| is_done || now >= self.until) {
            self.until = now + PAUSE;
            return is_done && getsockopt(&attempt, SocketError) == Ok(0);
        }
        if self.attempt.is_none() && now >= self.until {
            self.until = now + PAUSE;
            match begin(self.address) {
                Ok((_, true)) => return true,
                Ok((attempt, false)) => {
                    (self.attempt, self.until) = (Some(attempt), now + ATTEMPT);
                }
                Err(_) => {}
            }
        }
        false
    }
}

/// A connection that is made, or on its way.
fn begin(address: SocketAddr) -> nix::Result<(OwnedFd, bool)> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => Ok((socket, true)),
        Err(Errno::EINPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::net::TcpListener;

    fn ask(probe: &mut Probe, now: Duration) -> bool {
        let is_done = probe.descriptor().is_some_and(|fd| {
            poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::from(1000u16)) == Ok(1)
        });
        probe.step(is_done, now)
    }

    #[test]
    fn a_port_is_ready_once_it_takes_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut probe = Probe::new(address, Duration::ZERO);
        assert!(!ask(&mut probe, Duration::ZERO) && !ask(&mut probe, Duration::ZERO));
        let _listener = TcpListener::bind(address).unwrap();
        let mut now = probe.deadline();
        while !ask(&mut probe, now) {
            now += PAUSE;
            assert!(now < Duration::from_secs(60), "it never connects");
        }
    }
}
