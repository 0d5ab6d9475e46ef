//! The task sitter: a tiny supervisor beside one process. See [`cerebro_tasksitter::protocol`]
//! for what it keeps and what it can be asked.

mod arguments;
mod begin;
mod child;
mod clock;
mod control;
mod credentials;
mod files;
mod group;
mod log;
mod measure;
mod monitor;
mod notify;
mod ready;
mod sitter;
mod tell;
mod upgrade;

use arguments::Task;
use cerebro_linux::namespace::{Side, fork_alone};
use cerebro_tasksitter::protocol::{Exit, Phase, TaskSpec};
use files::{DirError, TaskDir, at};
use sitter::Sitter;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = match arguments::parse() {
        Ok(task) => task,
        Err(error) => {
            eprintln!("error: {error}\n\nhint: see `tasksitter --help`");
            return ExitCode::from(2);
        }
    };
    match run(task) {
        Ok(exit) => code_of(exit),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<Option<Exit>, DirError> {
    match prepare(task)? {
        Some(sitter) => sitter.run(),
        None => Ok(None),
    }
}

/// Does what is asked, or makes the sitter that does. Not within the caller's frame, which is there
/// as long as the sitter is.
#[inline(never)]
fn prepare(task: Task) -> Result<Option<Box<Sitter>>, DirError> {
    match task {
        Task::Print(text) => print!("{text}"),
        Task::Compress(log) => {
            log::compress_all(&log).map_err(at("compress what was set aside for", &log))?;
        }
        Task::Check(path) => {
            files::spec_in(&path)?;
            println!("{} {}", upgrade::UNDERSTOOD, env!("CARGO_PKG_VERSION"));
        }
        Task::Prepared { path, detach, stand_alone } => {
            if detach && !is_detached().map_err(at("watch in the background", &path))? {
                return Ok(None);
            }
            let dir = match upgrade::inherited_lock() {
                Some(lock) => TaskDir::resume(&path, lock)?,
                None => TaskDir::open(&path)?,
            };
            let spec = files::spec_in(dir.path())?;
            return Sitter::open(dir, spec, stand_alone).map(Some);
        }
        Task::Described(path, spec) => return describe(&path, *spec).map(Some),
    }
    Ok(None)
}

/// The sitter of what the flags describe, alone. The description is kept, so that another sitter can
/// take over.
fn describe(path: &Path, mut spec: TaskSpec) -> Result<Box<Sitter>, DirError> {
    std::fs::create_dir_all(path).map_err(at("make", path))?;
    let dir = TaskDir::open(path)?;
    spec.cgroup = begin::own_group(dir.path());
    dir.save_spec(&spec)?;
    // Whoever asks for it anew wants it to start, and to be counted from nothing.
    if dir.state().is_some_and(|last| matches!(last.phase, Phase::Stopped | Phase::Failed)) {
        dir.forget_state()?;
    }
    Sitter::open(dir, spec, true)
}

/// Forks, and answers whether this is the child, which has a session of its own.
fn is_detached() -> std::io::Result<bool> {
    if let Side::Parent { .. } = fork_alone()? {
        return Ok(false);
    }
    nix::unistd::setsid()?;
    Ok(true)
}

/// As a shell would have it: the code, or 128 and the signal.
fn code_of(exit: Option<Exit>) -> ExitCode {
    let code = match exit {
        None => 0,
        Some(Exit::Code(code)) => code,
        Some(Exit::Signal(signal)) => 128 + signal,
        Some(Exit::OutOfMemory) => 128 + libc::SIGKILL,
        Some(Exit::Unknown | Exit::NotStarted(_)) => 1,
    };
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
