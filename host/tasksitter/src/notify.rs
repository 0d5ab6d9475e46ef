//! What a task says of itself: sd_notify(3).
//!
//! The socket stands in the abstract namespace, so that no path is too long and every user can
//! reach it; so each message is weighed by who sent it.

use cerebro_tasksitter::protocol::Readiness;
use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials,
    bind, recvmsg, setsockopt, socket, sockopt::PassCred,
};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The longest message that is read: systemd's own is a page.
const LONGEST: usize = 4096;
/// Messages that are read before all else is looked at again: a task that never falls silent may
/// not have the sitter for itself.
const AT_ONCE: usize = 16;
/// The longest status that is kept, in bytes.
const LONGEST_STATUS: usize = 256;

/// The socket that `NOTIFY_SOCKET` names.
pub struct Notify {
    socket: OwnedFd,
    name: String,
}

/// Something that a task said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is ready.
    Ready,
    /// It is well.
    Alive,
    /// How it is, in words.
    Status(String),
}

/// Whether a task of this kind is listened to at all.
pub fn is_wanted(readiness: &Readiness, watchdog: bool) -> bool {
    matches!(readiness, Readiness::Notify) || watchdog
}

impl Notify {
    /// The socket of the task in `directory`; its name is the same for every sitter of that task.
    pub fn bind(directory: &Path) -> io::Result<Self> {
        let place = std::fs::metadata(directory)?;
        let name = format!("cerebro/task/{:x}-{:x}", place.dev(), place.ino());
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&socket, PassCred, &true)?;
        bind(socket.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        Ok(Self { socket, name })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// What was said since, or the beginning of it, by senders that `is_heard` lets speak (user, pid).
    pub fn read(&self, is_heard: impl Fn(u32, i32) -> bool) -> Vec<Said> {
        let mut said = Vec::new();
        let mut buffer = [0; LONGEST];
        for _ in 0..AT_ONCE {
            let mut space = cmsg_space!(UnixCredentials);
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
            let received =
                recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
            let Ok(message) = received else { return said };
            let (length, sender) = (message.bytes, sender(message.cmsgs().into_iter().flatten()));
            if sender.is_some_and(|sender| is_heard(sender.uid(), sender.pid())) {
                said.extend(parse(&buffer[..length]));
            }
        }
        said
    }
}

fn sender(mut messages: impl Iterator<Item = ControlMessageOwned>) -> Option<UnixCredentials> {
    messages.find_map(|message| match message {
        ControlMessageOwned::ScmCredentials(sender) => Some(sender),
        _ => None,
    })
}

fn parse(message: &[u8]) -> Vec<Said> {
    let text = String::from_utf8_lossy(message);
    let line = |line: &str| match line.split_once('=')? {
        ("READY", "1") => Some(Said::Ready),
        ("WATCHDOG", "1") => Some(Said::Alive),
        ("STATUS", status) => {
            let end = status.floor_char_boundary(LONGEST_STATUS);
            Some(Said::Status(status[..end].to_owned()))
        }
        _ => None,
    };
    text.lines().filter_map(line).collect()
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::sendto;

    #[test]
    fn messages_are_taken_apart() {
        let said = parse(b"STATUS=loading 3 of 7\nREADY=1\nMAINPID=7\nWATCHDOG=1");
        assert_eq!(said, [Said::Status("loading 3 of 7".to_owned()), Said::Ready, Said::Alive]);
    }

    #[test]
    fn only_those_who_may_are_heard() {
        let dir = tempfile::tempdir().unwrap();
        let notify = Notify::bind(dir.path()).unwrap();
        let address = UnixAddr::new_abstract(notify.name.as_bytes()).unwrap();
        let sender =
            socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let say = || sendto(sender.as_raw_fd(), b"READY=1", &address, MsgFlags::empty()).unwrap();
        let own = (nix::unistd::getuid().as_raw(), std::process::id().cast_signed());
        say();
        assert_eq!(notify.read(|_, _| false), []);
        say();
        assert_eq!(notify.read(|user, pid| (user, pid) == own), [Said::Ready]);
    }
}
