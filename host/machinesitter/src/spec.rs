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
    let command = match settings.foreign_root() {
        Some(root) => below(root, &task.command),
        None => task.command.clone(),
    };
    TaskSpec {
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), command],
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

/// Takes the command's first word from below `root`, if it is a path that exists there.
fn below(root: &Path, command: &str) -> String {
    let trimmed = command.trim_start();
    let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
    let (word, rest) = trimmed.split_at(end);
    match word.strip_prefix('/').map(|relative| root.join(relative)) {
        Some(path) if path.exists() => {
            format!("'{}'{rest}", path.display().to_string().replace('\'', r"'\''"))
        }
        _ => command.to_owned(),
    }
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
        let quoted = root.path().join("it'\\''s");
        assert_eq!(below(root.path(), " /it's -x /a"), format!("'{}' -x /a", quoted.display()));
        for command in ["/bin/missing -x", "sleep 1", "cd /it's && ls"] {
            assert_eq!(below(root.path(), command), command);
        }
    }
}
