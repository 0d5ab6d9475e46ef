//! Task sitters: launched, reached, asked.
//!
//! A sitter is alive if it takes a connection, and dead once the connection ends and no other can
//! be made; the next one that is launched on the directory takes the task over.

use crate::witness::Witness;
use cerebro_tasksitter::protocol::{Notice, Phase, Request, TaskState, TaskStats, socket_path};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// How long a sitter may take until it listens: the lock of the one before can take 5 s.
const LISTENS_WITHIN: Duration = Duration::from_secs(8);
/// How long a sitter may take to answer a question.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a task that was killed with its sitter may take to die: the next sitter should find
/// word of that. A task that lives does not notice.
const DIES_WITHIN: Duration = Duration::from_millis(10);
/// Sitters that are launched at a time: enough to keep every core at work, and few enough that
/// each is up soon, however many there are to be.
const LAUNCHED_AT_A_TIME: usize = 16;

/// All sitters of this machine.
pub struct Sitters {
    program: PathBuf,
    turns: Semaphore,
    /// Directories for which a sitter is being launched.
    launching: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl Sitters {
    /// Sitters that are launched as `program`.
    pub fn new(program: PathBuf) -> Self {
        let turns = Semaphore::new(LAUNCHED_AT_A_TIME);
        Self { program, turns, launching: Mutex::default() }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Connects to the sitter of the task in `dir`, or to one that is launched for it. `witness`
    /// holds the process that the task was when a sitter was last heard.
    pub async fn reach(
        self: &Arc<Self>,
        dir: &Path,
        witness: Option<Arc<Witness>>,
    ) -> io::Result<Connection> {
        if let Ok(connection) = Connection::open(dir).await {
            return Ok(connection);
        }
        // A launch that was begun comes to its end, whether its caller waits for it or not: else the
        // next caller would launch a second sitter beside the first.
        let (sitters, dir) = (self.clone(), dir.to_owned());
        let launch = async move { sitters.launch(&dir, witness.as_deref()).await };
        tokio::spawn(launch).await.map_err(io::Error::other)?
    }

    /// One sitter of a directory at a time, and a few altogether.
    async fn launch(&self, dir: &Path, witness: Option<&Witness>) -> io::Result<Connection> {
        let own_turn = {
            let mut launching = self.launching.lock().unwrap_or_else(PoisonError::into_inner);
            launching.retain(|_, turn| Arc::strong_count(turn) > 1);
            launching.entry(dir.to_owned()).or_default().clone()
        };
        let _own_turn = own_turn.lock().await;
        if let Ok(connection) = Connection::open(dir).await {
            return Ok(connection);
        }
        let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let mut told = match witness {
            Some(witness) => witness.attend(dir, DIES_WITHIN).await,
            None => true,
        };
        let (program, directory) = (self.program.clone(), dir.to_owned());
        let launch = move || cerebro_tasksitter::launch(&program, &directory);
        tokio::task::spawn_blocking(launch).await.map_err(io::Error::other)??;
        let end = Instant::now() + LISTENS_WITHIN;
        loop {
            match Connection::open(dir).await {
                Ok(connection) => return Ok(connection),
                Err(error) if Instant::now() >= end => return Err(error),
                Err(_) => sleep(Duration::from_millis(2)).await,
            }
            if let (false, Some(witness)) = (told, witness) {
                told = witness.testify(dir).await;
            }
        }
    }

    /// Ends the task in `dir` and its sitter. `heard` is given each state on the way.
    pub async fn end(
        self: &Arc<Self>,
        dir: &Path,
        mut heard: impl FnMut(TaskState),
    ) -> io::Result<()> {
        let mut connection = self.reach(dir, None).await?;
        connection.ask(Request::Stop).await?;
        while let Some(notice) = connection.next().await {
            let Notice::State(state) = notice else { continue };
            let rests =
                matches!(state.phase, Phase::Stopped | Phase::Failed) && state.pid.is_none();
            heard(*state);
            if rests {
                connection.ask(Request::Exit).await?;
            }
        }
        Ok(())
    }
}

/// Asks the sitter of the task in `dir` for something that has no answer.
pub async fn ask(dir: &Path, request: Request) -> io::Result<()> {
    let mut connection = Connection::open(dir).await?;
    connection.ask(request).await?;
    // Its first line shows that it reads what it is asked.
    let line = timeout(ANSWERS_WITHIN, connection.next()).await?;
    line.map(drop).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// What the tree of the task in `dir` uses.
pub async fn stats(dir: &Path, pss: bool) -> io::Result<TaskStats> {
    let mut connection = Connection::open(dir).await?;
    connection.ask(Request::Stats { pss }).await?;
    let answer = async {
        loop {
            match connection.next().await {
                Some(Notice::Stats(stats)) => return Ok(*stats),
                Some(Notice::State(_)) => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    };
    timeout(ANSWERS_WITHIN, answer).await?
}

/// What a sitter says, as it comes.
pub struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    requests: OwnedWriteHalf,
}

impl Connection {
    /// To the sitter of the task in `dir`, if there is one.
    pub async fn open(dir: &Path) -> io::Result<Self> {
        // Kept open until the connection is made: the socket's path goes by way of it.
        let dir = File::open(dir)?;
        let stream = UnixStream::connect(socket_path(dir.as_fd())).await?;
        let (notices, requests) = stream.into_split();
        // A state is some hundred bytes; a thousand connections should not hold more than that.
        let notices = BufReader::with_capacity(1024, notices);
        Ok(Self { lines: notices.lines(), requests })
    }

    /// Asks for something.
    pub async fn ask(&mut self, request: Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.requests.write_all(&line).await
    }

    /// The next notice; none once the sitter is gone.
    pub async fn next(&mut self) -> Option<Notice> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line)
            .inspect_err(
                |error| tracing::warn!(%error, "a task sitter says what nobody understands"),
            )
            .ok()
    }
}
