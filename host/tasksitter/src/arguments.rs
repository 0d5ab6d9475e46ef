//! The command line: a task's directory, or, stand-alone, the original's flags.

use cerebro_supervise::Policy;
use cerebro_tasksitter::protocol::TaskSpec;
use lexopt::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "\
Runs one process and keeps it alive.

Usage: tasksitter [FLAGS] --command COMMAND
       tasksitter [FLAGS] -- PROGRAM [ARGUMENT]...
       tasksitter --dir DIRECTORY

  --command COMMAND    run by /bin/sh -c
  --dir DIRECTORY      a task's directory that holds a spec.json; alone it sets everything
  --state DIRECTORY    where state and logs are kept (default: ./tasksitter)
  --uid USER           run as this user, by number or name
  --time-limit SECONDS end it after this time
  --max-restarts N     give up after N restarts; -1 (default) never does
  --no-restart         do not start it again after it broke a limit
  --no-ensure-alive    do not start it again when it ends
  --allow-exit         an end with code 0 may stand
  --stop-grace SECONDS from the stop signal to the kill (default: 10)
  -h, --help           this text
  -V, --version        the version
";

/// What to do.
pub enum Task {
    /// Watch a directory that someone else has prepared.
    Prepared(PathBuf),
    /// Watch what the flags describe.
    Described(PathBuf, Box<TaskSpec>),
    /// Print this and end.
    Print(&'static str),
}

pub fn parse() -> Result<Task, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut dir, mut state, mut argv) = (None, PathBuf::from("tasksitter"), Vec::new());
    let mut user = None;
    let mut policy = Policy {
        ensure_alive: true,
        allow_exit: false,
        restart: true,
        max_restarts: None,
        time_limit: None,
        stop_grace: Duration::from_secs(10),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("dir") => dir = Some(PathBuf::from(parser.value()?)),
            Long("state") => state = parser.value()?.into(),
            Long("command") => {
                argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), parser.value()?.string()?]
            }
            Long("uid") => user = Some(parser.value()?.string()?),
            Long("time-limit") => policy.time_limit = Some(seconds(&parser.value()?.string()?)?),
            Long("stop-grace") => policy.stop_grace = seconds(&parser.value()?.string()?)?,
            Long("max-restarts") => {
                policy.max_restarts = match parser.value()?.parse::<i64>()? {
                    -1 => None,
                    number => Some(
                        u32::try_from(number).map_err(|_| "--max-restarts is a number, or -1")?,
                    ),
                }
            }
            Long("no-restart") => policy.restart = false,
            Long("no-ensure-alive") => policy.ensure_alive = false,
            Long("allow-exit") => policy.allow_exit = true,
            Short('h') | Long("help") => return Ok(Task::Print(USAGE)),
            Short('V') | Long("version") => {
                return Ok(Task::Print(concat!(env!("CARGO_PKG_VERSION"), "\n")));
            }
            Value(program) => {
                argv = vec![program.string()?];
                for argument in parser.raw_args()? {
                    argv.push(argument.string()?);
                }
            }
            _ => return Err(argument.unexpected()),
        }
    }
    if let Some(dir) = dir {
        return Ok(Task::Prepared(dir));
    }
    if argv.is_empty() {
        return Err("nothing to run: give --command COMMAND, or -- PROGRAM".into());
    }
    let spec = TaskSpec {
        argv,
        env: std::env::vars().collect(),
        cwd: std::env::current_dir()
            .map_err(|error| format!("the working directory is gone: {error}"))?,
        user,
        stop_signal: libc::SIGTERM,
        policy,
        cgroup: None,
        log_bytes: 10 << 20,
        log_files: 3,
    };
    Ok(Task::Described(state, Box::new(spec)))
}

fn seconds(text: &str) -> Result<Duration, lexopt::Error> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("`{text}` is not a number of seconds").into())
}
