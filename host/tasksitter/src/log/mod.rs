//! The task's output: read from its FIFOs, written to files, by a thread of its own, so that a disk
//! that hangs does not keep the sitter from its work.
//!
//! A thread per sitter reads both streams and writes what it has read before it reads on: when the
//! disk is slow the FIFO fills, and the task waits. Where the task may not wait, another thread
//! writes, with a bounded queue between the two; what does not fit in is dropped, line by line, and
//! counted.

mod compress;
mod file;
mod lines;

pub use compress::compress_all;
pub use file::older;

use cerebro_tasksitter::protocol::{Logs, WhenSlow};
use file::LogFile;
use lines::Dropper;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes read at a time. Larger ones gain nothing once they don't fit the processor's cache.
const BUFFER: usize = 256 << 10;
/// A read of so much shows that the task waits for us: writes of a page and a half, of which none
/// shares a page with another, fill a FIFO of [`QUIET_PIPE`] with a little more.
const BUSY: usize = QUIET_PIPE / 2;
/// The FIFO's size once a task has shown that it needs one: the most that the kernel gives to
/// anyone, unless told otherwise (pipe(7)).
const BUSY_PIPE: i32 = 1 << 20;
/// The size that a FIFO has from the kernel.
const QUIET_PIPE: usize = 64 << 10;
/// Pieces that may wait for the disk where the task may not.
const WAITING: usize = 8;
/// Pieces that are read of each stream before it is looked whether to stop: more than a pipe holds.
const ROUNDS: usize = 16;
/// Stack of these threads: they keep nothing there.
const STACK: usize = 64 << 10;

/// One stream: what the task writes to, and the file it goes to.
pub struct Stream {
    /// The FIFO.
    pub fifo: PathBuf,
    /// The file.
    pub file: PathBuf,
}

/// What has become of the output, since the sitter began.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bytes that were written.
    pub written: AtomicU64,
    /// Bytes that were dropped.
    pub dropped: AtomicU64,
    /// The last write failed.
    pub failing: AtomicBool,
}

/// The thread that writes the logs.
pub struct LogThread {
    tally: Arc<Tally>,
    stop: Arc<EventFd>,
    /// Told at each piece that was written, while someone follows.
    news: Arc<News>,
    thread: Option<JoinHandle<()>>,
}

/// Tells those who follow the logs that there is more.
#[derive(Debug)]
pub struct News {
    wanted: AtomicBool,
    event: EventFd,
}

impl News {
    fn tell(&self) {
        if self.wanted.load(Relaxed) {
            let _ = self.event.write(1);
        }
    }
}

impl LogThread {
    /// Opens FIFOs and files, and begins.
    pub fn start(streams: Vec<Stream>, logs: &Logs) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let tally = Arc::new(Tally::default());
        let stop = Arc::new(EventFd::from_flags(flags)?);
        let news =
            Arc::new(News { wanted: AtomicBool::new(false), event: EventFd::from_flags(flags)? });
        let pumps = streams
            .into_iter()
            .map(|stream| Pump::open(&stream, logs, &tally, &news))
            .collect::<io::Result<Vec<_>>>()?;
        let ended = stop.clone();
        let thread = thread::Builder::new().name("log".to_owned()).stack_size(STACK);
        let thread = thread.spawn(move || run(pumps, &ended))?;
        Ok(Self { tally, stop, news, thread: Some(thread) })
    }

    /// What has become of the output so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Readable once there is news, for whoever has said that it wants them.
    pub fn news(&self) -> &EventFd {
        &self.news.event
    }

    /// Whether anyone follows.
    pub fn want_news(&self, wanted: bool) {
        self.news.wanted.store(wanted, Relaxed);
    }

    /// Writes what the task has said so far, and ends.
    pub fn finish(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads until it is told to stop, and then what is in the FIFOs.
fn run(mut pumps: Vec<Pump>, stop: &EventFd) {
    let mut buffer = Buffer::new();
    loop {
        let mut polled: Vec<_> =
            pumps.iter().map(|pump| PollFd::new(pump.fifo.as_fd(), PollFlags::POLLIN)).collect();
        polled.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        // Interrupted or not, all are looked at.
        let _ = poll(&mut polled, PollTimeout::NONE);
        let stopped = polled.last().is_some_and(|stop| stop.any() == Some(true));
        let mut busy = false;
        // Bounded, since a task that never falls silent must not keep us from stopping. What the
        // pipes held by then is read all the same; the rest is for the next sitter.
        for _ in 0..ROUNDS {
            let moved = pumps.iter_mut().filter_map(|pump| pump.pump(&mut buffer).then_some(()));
            if moved.count() == 0 {
                break;
            }
            busy = true;
        }
        if stopped {
            pumps.iter_mut().for_each(Pump::finish);
            return;
        }
        if busy {
            buffer.shrink();
        }
    }
}

/// A buffer whose memory is given back when there is nothing to read.
struct Buffer {
    bytes: Vec<u8>,
    /// The highest number of bytes that was read into it.
    touched: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: Vec::new(), touched: 0 }
    }

    fn get(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            // From zeroed pages that the kernel gives only once they are written to.
            self.bytes = vec![0; BUFFER];
        }
        &mut self.bytes
    }

    fn shrink(&mut self) {
        if self.touched > QUIET_PIPE / 4 {
            *self = Self::new();
        }
    }
}

/// One stream on its way.
struct Pump {
    fifo: File,
    sink: Sink,
    grown: bool,
    news: Arc<News>,
}

enum Sink {
    /// The reader writes.
    Direct(LogFile),
    /// Another thread writes what fits into its queue.
    Queue {
        dropper: Dropper,
        queue: Option<SyncSender<Vec<u8>>>,
        writer: Option<JoinHandle<()>>,
        tally: Arc<Tally>,
    },
}

impl Pump {
    fn open(
        stream: &Stream,
        logs: &Logs,
        tally: &Arc<Tally>,
        news: &Arc<News>,
    ) -> io::Result<Self> {
        // Open for writing too, so that it never ends.
        let mut options = File::options();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let fifo = options.open(&stream.fifo)?;
        let mut file = LogFile::open(&stream.file, logs, tally.clone())?;
        let sink = match logs.when_slow {
            WhenSlow::Block => Sink::Direct(file),
            WhenSlow::Drop => {
                let (queue, pieces) = sync_channel::<Vec<u8>>(WAITING);
                let thread = thread::Builder::new().name("disk".to_owned()).stack_size(STACK);
                let news = news.clone();
                let writer = thread.spawn(move || {
                    for piece in pieces {
                        file.write(&piece);
                        news.tell();
                    }
                })?;
                Sink::Queue {
                    dropper: Dropper::default(),
                    queue: Some(queue),
                    writer: Some(writer),
                    tally: tally.clone(),
                }
            }
        };
        Ok(Self { fifo, sink, grown: false, news: news.clone() })
    }

    /// Moves one piece; answers whether there was one.
    fn pump(&mut self, buffer: &mut Buffer) -> bool {
        let read = match self.fifo.read(buffer.get()) {
            Ok(read) if read > 0 => read,
            // Nothing there, or interrupted: it is asked again when there is.
            _ => return false,
        };
        buffer.touched = buffer.touched.max(read);
        let piece = &buffer.bytes[..read];
        match &mut self.sink {
            Sink::Direct(file) => {
                file.write(piece);
                self.news.tell();
            }
            Sink::Queue { dropper, queue, tally, .. } => {
                let keep = |piece| queue.as_ref().is_some_and(|q| q.try_send(piece).is_ok());
                let dropped = dropper.offer(piece, keep);
                tally.dropped.fetch_add(dropped, Relaxed);
            }
        }
        if read >= BUSY && !self.grown {
            // Refused where the user has too much of it already: then it stays as it is.
            let (fd, wanted) = (self.fifo.as_raw_fd(), BUSY_PIPE);
            // SAFETY: a descriptor of ours and a number.
            unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, wanted) };
            self.grown = true;
        }
        true
    }
}

impl Pump {
    /// Has all that was read written.
    fn finish(&mut self) {
        let Sink::Queue { dropper, queue, writer, .. } = &mut self.sink else { return };
        if let Some(queue) = queue.take() {
            let rest = dropper.rest();
            let _ = if rest.is_empty() { Ok(()) } else { queue.send(rest) };
        }
        if let Some(writer) = writer.take() {
            let _ = writer.join();
        }
    }
}

/// The files that a log at `path` consists of: the one being written, then the older ones, newest
/// first.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    let mut older = file::older(path);
    older.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    std::iter::once(path.to_owned()).chain(older.into_iter().map(|(_, path)| path)).collect()
}
