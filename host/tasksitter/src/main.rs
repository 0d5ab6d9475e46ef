//! The task sitter: a tiny supervisor beside one process. See [`cerebro_tasksitter::protocol`]
//! for what it keeps and what it can be asked.

mod arguments;
mod child;
mod control;
mod files;
mod log;
mod sitter;

use arguments::Task;
use cerebro_tasksitter::protocol::Exit;
use files::{DirError, TaskDir};
use sitter::Sitter;
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = match arguments::parse() {
        Ok(Task::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
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
    match task {
        Task::Prepared(path) => {
            let dir = TaskDir::open(&path)?;
            let spec = dir.spec()?;
            Sitter::open(dir, spec, false)?.run()
        }
        Task::Described(path, spec) => {
            let made = std::fs::create_dir_all(&path);
            made.map_err(|source| DirError::File {
                doing: "make",
                path: path.display().to_string(),
                source,
            })?;
            Sitter::open(TaskDir::open(&path)?, *spec, true)?.run()
        }
        Task::Print(_) => Ok(None),
    }
}

/// As a shell would have it: the code, or 128 and the signal.
fn code_of(exit: Option<Exit>) -> ExitCode {
    match exit {
        None => ExitCode::SUCCESS,
        Some(Exit::Code(code)) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        Some(Exit::Signal(signal)) => {
            u8::try_from(128 + signal).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Some(Exit::Unknown | Exit::NotStarted(_)) => ExitCode::FAILURE,
    }
}
