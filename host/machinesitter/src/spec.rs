//! From an assignment to what its task sitter is told.

use crate::settings::Settings;
use cerebro_model::{Assignment, StopSignal};
use cerebro_tasksitter::protocol::{Policy, TaskSpec};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of a log file at which the next one is begun.
const LOG_BYTES: u64 = 10 << 20;
/// Log files kept beside the one being written.
const LOG_FILES: u32 = 4;

/// What to run for `assignment`. `as_root` tells whether the sitter may change its user.
pub fn of(
    settings: &Settings,
    assignment: &Assignment,
    cgroup: Option<String>,
    as_root: bool,
) -> TaskSpec {
    let task = &assignment.deployment.job.task_configuration;
    TaskSpec {
        argv: argv(settings.foreign_root(), &task.command),
        env: environment(settings, assignment),
        cwd: settings.foreign_root().map_or_else(|| PathBuf::from("/"), Path::to_owned),
        user: as_root.then(|| task.uid.to_string()),
        stop_signal: signal(task.stop_signal) as i32,
        policy: Policy {
            ensure_alive: task.ensure_alive,
            allow_exit: task.allow_exit,
            restart: task.restart,
            max_restarts: task.max_restarts.limit(),
            time_limit: task.time_limit.map(|limit| limit.duration()),
            stop_grace: task.stop_grace.duration(),
        },
        cgroup,
        log_bytes: LOG_BYTES,
        log_files: LOG_FILES,
    }
}

fn environment(settings: &Settings, assignment: &Assignment) -> BTreeMap<String, String> {
    let (instance, deployment) = (&assignment.instance, &assignment.deployment);
    let mut env: BTreeMap<String, String> = [
        ("CEREBRO_JOB", instance.job.to_string()),
        ("CEREBRO_INSTANCE", instance.id.to_string()),
        ("CEREBRO_NUMBER", instance.number.to_string()),
        ("CEREBRO_ZONE", instance.zone.to_string()),
        ("CEREBRO_MACHINE", instance.machine.to_string()),
        ("CEREBRO_VERSION", deployment.version.to_string()),
        ("CEREBRO_ADDRESS", settings.address.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(root) = settings.foreign_root() {
        env.insert("CEREBRO_ROOT".to_owned(), root.display().to_string());
    }
    if let Some(port) = instance.ports.values().next() {
        env.insert("PORT".to_owned(), port.to_string());
    }
    for (name, port) in &instance.ports {
        let name = name.as_str().to_ascii_uppercase();
        env.insert(format!("CEREBRO_PORT_{name}"), port.to_string());
    }
    let own = &deployment.job.task_configuration.environment;
    env.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    env
}

/// A command that asks nothing of a shell is run without one, as `make` does, so that the task is
/// the program itself. Its first word is taken from below `root`, if it is a path that exists there.
fn argv(root: Option<&Path>, command: &str) -> Vec<String> {
    let command = command.trim();
    let plain = |c: char| {
        c.is_alphanumeric()
            || matches!(c, ' ' | '\t' | '/' | '.' | '-' | '_' | ':' | ',' | '+' | '@')
    };
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    if let Some((program, arguments)) = words.split_first()
        && command.chars().all(plain)
        && (program.contains('/') || !BUILT_IN.contains(program))
    {
        let program =
            below(root, program).map_or((*program).to_owned(), |path| path.display().to_string());
        return std::iter::once(program)
            .chain(arguments.iter().map(|word| (*word).to_owned()))
            .collect();
    }
    let end = command.find(char::is_whitespace).unwrap_or(command.len());
    let (word, rest) = command.split_at(end);
    let command = match below(root, word) {
        Some(path) => format!("'{}'{rest}", path.display().to_string().replace('\'', r"'\''")),
        None => command.to_owned(),
    };
    vec!["/bin/sh".to_owned(), "-c".to_owned(), command]
}

/// Words that only a shell understands: POSIX, sections 2.4 and 2.15, and what every shell has.
const BUILT_IN: [&str; 27] = [
    ".", ":", "alias", "break", "case", "cd", "command", "continue", "eval", "exec", "exit",
    "export", "for", "if", "read", "readonly", "return", "set", "shift", "times", "trap", "type",
    "ulimit", "umask", "unset", "until", "while",
];

fn below(root: Option<&Path>, word: &str) -> Option<PathBuf> {
    let path = root?.join(word.strip_prefix('/')?);
    path.exists().then_some(path)
}

fn signal(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::SIGTERM,
        StopSignal::Int => Signal::SIGINT,
        StopSignal::Quit => Signal::SIGQUIT,
        StopSignal::Hup => Signal::SIGHUP,
        StopSignal::Usr1 => Signal::SIGUSR1,
        StopSignal::Usr2 => Signal::SIGUSR2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_machine_is_taken_from_below_its_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("it's")).unwrap();
        std::fs::write(root.path().join("server"), "").unwrap();
        let of = |command| argv(Some(root.path()), command);
        let quoted = root.path().join("it'\\''s");
        let server = root.path().join("server").display().to_string();
        assert_eq!(of(" /it's -x /a")[2], format!("'{}' -x /a", quoted.display()));
        assert_eq!(of("/server -x /a"), [server.as_str(), "-x", "/a"]);
        assert_eq!(of("/server $PORT")[2], format!("'{server}' $PORT"));
        assert_eq!(of("/bin/missing -x"), ["/bin/missing", "-x"]);
    }

    #[test]
    fn a_shell_runs_only_what_needs_one() {
        for command in
            ["sleep 1 | cat", "cd /tmp", "exec sleep 1", "A=1 sleep 1", "echo $A", "echo 'a b'"]
        {
            assert_eq!(argv(None, command), ["/bin/sh", "-c", command]);
        }
        assert_eq!(argv(None, "sleep  1"), ["sleep", "1"]);
    }
}
