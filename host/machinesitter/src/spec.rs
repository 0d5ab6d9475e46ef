//! From a task's configuration to what its task sitter is told.

use crate::argv::{argv, below};
use crate::settings::Settings;
use cerebro_model::{
    Assignment, OnViolation, OomKill, PortRef, Ports, Readiness, Seconds, StopSignal,
    TaskConfiguration, User, WhenSlow,
};
use cerebro_tasksitter::protocol::{
    self, Action, Attributes, BackOff, Credentials, Flap, Limits, Logs, Monitor, Policy, Rlimit,
    Rule, Rules, TaskSpec,
};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a task that says when it is ready has for that: systemd's `TimeoutStartSec`.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// What a task finds around it that its configuration does not say.
pub struct Place<'a> {
    /// What people call it.
    pub name: String,
    /// Variables that it is given beside its own.
    pub environment: BTreeMap<String, String>,
    /// The ports that it listens on.
    pub ports: &'a Ports,
    /// Its control group.
    pub cgroup: Option<String>,
}

/// A port that a task refers to and does not have.
#[derive(Debug, thiserror::Error)]
#[error("it has no port `{0}`: expected a number, or the name of a port that it listens on")]
pub struct NoPort(PortRef);

/// What to run for `task`. `as_root` tells whether the sitter may change its user.
pub fn of(
    settings: &Settings,
    task: &TaskConfiguration,
    place: Place<'_>,
    as_root: bool,
) -> Result<TaskSpec, NoPort> {
    let root = settings.foreign_root();
    let path = |text: &str| below(root, text).unwrap_or_else(|| PathBuf::from(text));
    let at =
        |port: &PortRef| port_of(port, place.ports).map(|p| SocketAddr::new(settings.address, p));
    let cwd = match &task.cwd {
        Some(cwd) => path(cwd),
        None => root.map_or_else(|| PathBuf::from("/"), Path::to_owned),
    };
    let usual = TaskSpec::new(argv(root, &task.command), cwd);
    let mut env = place.environment;
    env.extend(task.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(TaskSpec {
        env,
        credentials: credentials(task, as_root),
        attributes: attributes(task),
        stop_signal: signal(task.stop_signal) as i32,
        reload_signal: task.reload_signal.map_or(usual.reload_signal, |s| signal(s) as i32),
        policy: policy(task),
        limits: limits(task),
        cgroup: place.cgroup,
        readiness: match &task.readiness {
            Readiness::None => protocol::Readiness::None,
            Readiness::Notify => protocol::Readiness::Notify,
            Readiness::Port(port) => protocol::Readiness::Port(at(port)?),
        },
        logs: logs(task),
        poll_interval: task.poll_interval.map_or(usual.poll_interval, Seconds::duration),
        disable_stat_collection: task.disable_stat_collection,
        monitor: match &task.http_monitoring_port {
            Some(port) if task.http_monitoring => {
                Some(Monitor { address: at(port)?, keep_running: task.keep_http_running })
            }
            _ => None,
        },
        version_file: task.version_file.as_deref().map(path),
        name: place.name,
        ..usual
    })
}

fn port_of(port: &PortRef, ports: &Ports) -> Result<u16, NoPort> {
    match port {
        PortRef::Number(number) => Ok(*number),
        PortRef::Name(name) => ports.get(name).copied().ok_or_else(|| NoPort(port.clone())),
    }
}

fn credentials(task: &TaskConfiguration, as_root: bool) -> Credentials {
    Credentials {
        user: as_root.then(|| task.uid.to_string()),
        group: task.group.as_ref().map(User::to_string),
        groups: task.groups.as_ref().map(|all| all.iter().map(User::to_string).collect()),
        no_new_privileges: task.no_new_privileges,
    }
}

fn attributes(task: &TaskConfiguration) -> Attributes {
    let rlimits = task.rlimits.iter().map(|(resource, limit)| {
        (resource.as_str().to_owned(), Rlimit { soft: limit.soft(), hard: limit.hard() })
    });
    Attributes {
        umask: task.umask.map_or(Attributes::default().umask, |umask| umask.bits()),
        rlimits: rlimits.collect(),
        nice: task.nice,
        oom_score_adj: task.oom_score_adj,
    }
}

fn limits(task: &TaskConfiguration) -> Limits {
    Limits {
        cpu_millis: task.cpu.map(|cpu| cpu.millis()),
        memory: task.mem.map(|mem| mem.bytes()),
        swap: task.swap.map_or(0, |swap| swap.bytes()),
        pids: task.pids,
        oom: match task.oom {
            OomKill::Group => protocol::OomKill::Group,
            OomKill::Single => protocol::OomKill::Single,
        },
    }
}

fn policy(task: &TaskConfiguration) -> Policy {
    let usual = BackOff::default();
    let first = task.backoff_first.map_or(usual.first, Seconds::duration);
    let says_ready = task.readiness != Readiness::None;
    Policy {
        ensure_alive: task.ensure_alive,
        allow_exit: task.allow_exit,
        restart: task.restart,
        max_restarts: task.max_restarts.limit(),
        back_off: BackOff {
            first,
            longest: task.backoff_max.map_or(usual.longest, Seconds::duration).max(first),
            settle: task.settle.map_or(usual.settle, Seconds::duration),
        },
        flap: task
            .flap
            .map(|flap| Flap { restarts: flap.restarts, window: flap.window.duration() }),
        stop_grace: task.stop_grace.duration(),
        ready_within: says_ready.then(|| task.ready_within.map_or(READY_WITHIN, Seconds::duration)),
        watchdog: task.watchdog.map(Seconds::duration),
        rules: rules(task),
    }
}

fn rules(task: &TaskConfiguration) -> Rules {
    let rule = |usual: Rule, warn: &Option<Vec<_>>, hold: Option<Seconds>, action| Rule {
        warn_at: warn.iter().flatten().map(|percent| f64::from(*percent)).collect(),
        hold: hold.map_or(usual.hold, Seconds::duration),
        action: match action {
            None => usual.action,
            Some(OnViolation::Warn) => Action::Warn,
            Some(OnViolation::Restart) => Action::Restart,
            Some(OnViolation::Kill) => Action::Kill,
        },
    };
    let (usual, warn) = (Rules::default(), &task.warn);
    let (hold, then) = (&task.hold, &task.on_violation);
    Rules {
        cpu: rule(usual.cpu, &warn.cpu, hold.cpu, then.cpu),
        mem: rule(usual.mem, &warn.mem, hold.mem, then.mem),
        time_limit: rule(usual.time_limit, &warn.time_limit, hold.time_limit, then.time_limit),
        lifetime: task.time_limit.map(Seconds::duration),
    }
}

fn logs(task: &TaskConfiguration) -> Logs {
    let usual = Logs::default();
    Logs {
        bytes: task.log_bytes.unwrap_or(usual.bytes),
        age: task.log_age.map(Seconds::duration),
        files: task.log_files.unwrap_or(usual.files),
        compress: task.log_compress.unwrap_or(usual.compress),
        when_slow: match task.log_when_slow {
            WhenSlow::Block => protocol::WhenSlow::Block,
            WhenSlow::Drop => protocol::WhenSlow::Drop,
        },
        ..usual
    }
}

/// What an instance finds in its environment.
pub fn environment(settings: &Settings, assignment: &Assignment) -> BTreeMap<String, String> {
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
    env
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
    use clap::Parser;
    use serde_json::{Value, json};

    fn spec(keys: Value) -> Result<TaskSpec, NoPort> {
        let mut all = json!({ "name": "t", "command": "sleep 1" });
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let task = serde_json::from_value(all).unwrap();
        let arguments = crate::Arguments::parse_from(["machinesitter", "--data", "/d"]);
        let ports = BTreeMap::from([("main".parse().unwrap(), 4711)]);
        let place = Place {
            name: "t".to_owned(),
            environment: BTreeMap::new(),
            ports: &ports,
            cgroup: None,
        };
        of(&arguments.settings().unwrap(), &task, place, true)
    }

    #[test]
    fn a_configuration_of_before_means_what_it_meant() {
        let told = spec(json!({ "mem": 64, "cpu": 0.5, "time_limit": 9 })).unwrap();
        let mut usual = TaskSpec::new(vec!["sleep".to_owned(), "1".to_owned()], "/".into());
        usual.name = "t".to_owned();
        usual.credentials.user = Some("0".to_owned());
        usual.limits.memory = Some(64 << 20);
        usual.limits.cpu_millis = Some(500);
        usual.policy.rules.lifetime = Some(Duration::from_secs(9));
        assert_eq!(told, usual);
    }

    #[test]
    fn new_keys_reach_the_sitter() {
        let told = spec(json!({
            "readiness": { "port": "main" }, "umask": "077", "rlimits": { "nofile": 64 },
            "on_violation": { "mem": "kill" }, "warn": { "mem": [80] }, "hold": { "cpu": 3 },
            "flap": { "restarts": 5, "window": 60 }, "backoff_first": 60, "log_files": 0,
            "http_monitoring": true, "http_monitoring_port": 81, "reload_signal": "USR2",
        }))
        .unwrap();
        assert_eq!(told.readiness, protocol::Readiness::Port("127.0.0.1:4711".parse().unwrap()));
        assert_eq!(told.policy.ready_within, Some(READY_WITHIN));
        assert_eq!(told.attributes.umask, 0o077);
        assert_eq!(told.attributes.rlimits["nofile"].hard, Some(64));
        assert_eq!(told.policy.rules.mem.action, Action::Kill);
        assert_eq!(told.policy.rules.mem.warn_at, [80.0]);
        assert_eq!(told.policy.rules.cpu.hold, Duration::from_secs(3));
        assert_eq!(told.policy.back_off.longest, Duration::from_secs(60));
        assert_eq!((told.logs.files, told.reload_signal), (0, Signal::SIGUSR2 as i32));
        assert_eq!(told.monitor.unwrap().address.port(), 81);
    }

    #[test]
    fn a_port_that_is_not_there_is_named() {
        let error = spec(json!({ "readiness": { "port": "other" } })).unwrap_err();
        assert!(error.to_string().contains("`other`"), "{error}");
    }
}
