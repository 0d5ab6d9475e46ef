//! One connection: one request, one answer.

use super::answer::{Answer, Progress};
use super::request::{LONGEST_HEAD, Refused, Request};
use nix::poll::PollFlags;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How long a client may take to ask, and may take nothing of its answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client that was answered is heard, so that what it still says does not make the
/// kernel throw the answer away (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// Bytes taken in at a time.
const PIECE: usize = 2048;

/// A client that asks, or is answered.
pub struct Connection {
    stream: TcpStream,
    state: State,
    /// When it is dropped; none for one that follows a log and has all of it.
    pub deadline: Option<Duration>,
}

enum State {
    /// What it said so far.
    Asking(Vec<u8>),
    /// What it is told, and how far that came.
    Answering(Answer, Progress),
    /// It was told all.
    Leaving,
}

impl Connection {
    /// A client that was just accepted; its stream does not block.
    pub fn new(stream: TcpStream, now: Duration) -> Self {
        Self { stream, state: State::Asking(Vec::new()), deadline: Some(now + PATIENCE) }
    }

    /// A client that is told something before it asks.
    pub fn told(stream: TcpStream, answer: Answer, now: Duration) -> Self {
        let state = State::Answering(answer, Progress::Again);
        Self { stream, state, deadline: Some(now + LINGER) }
    }

    /// What it waits for.
    pub fn wants(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = match &self.state {
            State::Answering(_, Progress::Waiting) | State::Asking(_) | State::Leaving => {
                PollFlags::POLLIN
            }
            State::Answering(..) => PollFlags::POLLOUT,
        };
        (self.stream.as_fd(), flags)
    }

    /// Whether it follows a log and has all of it.
    pub fn waits_for_news(&self) -> bool {
        matches!(self.state, State::Answering(_, Progress::Waiting))
    }

    /// Goes on as far as that is possible without waiting, for a turn; `answer` is asked for what
    /// to say. Answers whether the client is still there.
    pub fn step(&mut self, now: Duration, answer: &mut dyn FnMut(&Request) -> Answer) -> bool {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return false;
        }
        if let State::Asking(said) = &mut self.state {
            let request = match hear(&self.stream, said) {
                Heard::Request(request) => request,
                Heard::Nothing => return true,
                Heard::Gone => return false,
            };
            let answer = match request {
                Ok(request) => answer(&request),
                Err(refused) => Answer::refusal(&refused),
            };
            self.state = State::Answering(answer, Progress::Again);
            self.deadline = Some(now + PATIENCE);
        }
        match &mut self.state {
            State::Answering(..) => self.tell(now),
            State::Asking(_) | State::Leaving => is_there(&self.stream),
        }
    }

    fn tell(&mut self, now: Duration) -> bool {
        let State::Answering(answer, progress) = &mut self.state else { return true };
        if *progress == Progress::Waiting && !is_there(&self.stream) {
            return false;
        }
        let Ok((reached, moved)) = answer.advance(&self.stream) else { return false };
        *progress = reached;
        match reached {
            Progress::Waiting => self.deadline = None,
            Progress::Done => {
                self.state = State::Leaving;
                self.deadline = Some(now + LINGER);
                return self.stream.shutdown(Shutdown::Write).is_ok();
            }
            // One that was waited for, and takes nothing of what came, has its time from now on.
            _ if moved || self.deadline.is_none() => self.deadline = Some(now + PATIENCE),
            Progress::Again | Progress::Full => {}
        }
        true
    }

    /// Tells a follower what is left, as far as it takes it, and that this is all.
    pub fn finish(&mut self) {
        if let State::Answering(answer, _) = &mut self.state {
            answer.stop_following();
            while let Ok((Progress::Again, _)) = answer.advance(&self.stream) {}
        }
    }
}

enum Heard {
    Request(Result<Request, Refused>),
    Nothing,
    Gone,
}

/// Hears what a client asks, up to the longest head.
fn hear(mut stream: &TcpStream, said: &mut Vec<u8>) -> Heard {
    let mut buffer = [0; PIECE];
    loop {
        let room = (LONGEST_HEAD - said.len()).min(PIECE);
        match stream.read(&mut buffer[..room]) {
            Ok(0) => return Heard::Gone,
            Ok(read) => said.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Heard::Gone,
        }
        // Refused at the longest at the latest, so there is room whenever there is nothing to say.
        match Request::parse(said) {
            Ok(None) => {}
            Ok(Some(request)) => return Heard::Request(Ok(request)),
            Err(refused) => return Heard::Request(Err(refused)),
        }
    }
}

/// Takes in what a client still says, which means nothing; answers whether it is still there.
fn is_there(mut stream: &TcpStream) -> bool {
    let mut buffer = [0; PIECE];
    // A bounded number, so that one that never ends keeps nobody.
    for _ in 0..16 {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Answer, Head, OK};
    use super::super::cut::Cut;
    use super::super::follow::Follow;
    use super::super::logbody::LogBody;
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::path::Path;

    const SECOND: Duration = Duration::from_secs(1);

    /// A client, and the connection to it.
    fn pair() -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (client, Connection::new(stream, Duration::ZERO))
    }

    fn ask(client: &mut TcpStream, connection: &Connection) {
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_readable(connection);
    }

    fn wait_readable(connection: &Connection) {
        let mut polled = [nix::poll::PollFd::new(connection.stream.as_fd(), PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut polled, 20_000u16), Ok(1));
    }

    fn nothing(_: &Request) -> Answer {
        panic!("nobody has asked")
    }

    fn following(path: &Path) -> Answer {
        let head = Head::new(OK, "text/plain");
        let begun = Follow::begin(path).unwrap();
        Answer::log(LogBody::following(head, false, true, begun, Cut::All).unwrap())
    }

    #[test]
    fn one_that_asks_too_slowly_is_dropped() {
        let (mut client, mut connection) = pair();
        client.write_all(b"GET / HT").unwrap();
        wait_readable(&connection);
        assert!(connection.step(SECOND, &mut nothing));
        client.write_all(b"TP/1.1\r\n").unwrap();
        wait_readable(&connection);
        // That it says a little now and then does not help it.
        assert!(connection.step(29 * SECOND, &mut nothing));
        assert!(!connection.step(PATIENCE, &mut nothing));
    }

    #[test]
    fn one_that_takes_nothing_is_dropped_after_its_time() {
        let (mut client, mut connection) = pair();
        ask(&mut client, &connection);
        let body = vec![b'x'; 64 << 20];
        let mut answer = |_: &Request| Answer::whole(Head::new(OK, "text/plain"), &body, false);
        let mut now = SECOND;
        // As long as the kernel takes something, it has time.
        assert!(connection.step(now, &mut answer));
        let mut before = connection.deadline;
        loop {
            now += SECOND;
            assert!(connection.step(now, &mut answer));
            if connection.deadline == before {
                break;
            }
            before = connection.deadline;
        }
        assert_eq!(connection.wants().1, PollFlags::POLLOUT);
        assert!(!connection.step(before.unwrap(), &mut answer));
    }

    #[test]
    fn one_that_follows_has_time_as_long_as_there_is_no_news() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "begin\n").unwrap();
        let (mut client, mut connection) = pair();
        ask(&mut client, &connection);
        assert!(connection.step(SECOND, &mut |_: &Request| following(&log)));
        assert!(connection.waits_for_news() && connection.deadline.is_none());
        assert!(connection.step(1000 * SECOND, &mut nothing));
        // What it still says means nothing.
        client.write_all(b"hello?").unwrap();
        wait_readable(&connection);
        assert!(connection.step(2000 * SECOND, &mut nothing));
        connection.finish();
        let mut said = vec![0; 4096];
        let mut read = 0;
        while !said[..read].ends_with(b"6\r\nbegin\n\r\n0\r\n\r\n") {
            let more = client.read(&mut said[read..]).unwrap();
            assert!(more > 0, "it ends too early");
            read += more;
        }
        drop(client);
        wait_readable(&connection);
        assert!(!connection.step(3000 * SECOND, &mut nothing));
    }

    #[test]
    fn one_that_was_answered_is_heard_for_a_while() {
        let (mut client, mut connection) = pair();
        ask(&mut client, &connection);
        let mut answer = |_: &Request| Answer::whole(Head::new(OK, "text/plain"), b"ok", false);
        assert!(connection.step(SECOND, &mut answer));
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.ends_with("\r\n\r\nok"));
        assert!(connection.step(2 * SECOND, &mut answer));
        assert!(!connection.step(SECOND + LINGER, &mut answer));
    }
}
