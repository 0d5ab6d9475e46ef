//! The command line: a task's directory, or, stand-alone, the original's flags and ours.

mod value;

use crate::child;
use cerebro_tasksitter::protocol::{
    Action, Constraint, Flap, Monitor, OomKill, Policy, Readiness, Rule, TaskSpec, WhenSlow,
};
use lexopt::prelude::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = include_str!("usage.txt");

/// The first port of the original's task sitters.
const MONITOR_PORT: u16 = 50000;

/// What to do.
pub enum Task {
    /// Watch a directory that someone else has prepared.
    Prepared {
        /// The directory.
        path: PathBuf,
        /// In the background.
        detach: bool,
        /// It ends with its task.
        stand_alone: bool,
    },
    /// Watch what the flags describe.
    Described(PathBuf, Box<TaskSpec>),
    /// Say whether the task in a directory is understood.
    Check(PathBuf),
    /// Compress what was set aside for a log.
    Compress(PathBuf),
    /// Print this and end.
    Print(&'static str),
}

type Result<T> = std::result::Result<T, lexopt::Error>;

/// Reads the process's arguments. Not within the caller's frame, which stays.
#[inline(never)]
pub fn parse() -> Result<Task> {
    parse_from(lexopt::Parser::from_env())
}

fn parse_from(mut parser: lexopt::Parser) -> Result<Task> {
    let cwd = std::env::current_dir()
        .map_err(|error| format!("the working directory is gone: {error}"))?;
    let mut spec = TaskSpec::new(Vec::new(), cwd);
    spec.env = std::env::vars().collect();
    let (mut dir, mut state) = (None, PathBuf::from("tasksitter"));
    let (mut detach, mut stand_alone) = (false, false);
    let mut monitor = MonitorFlags::default();
    while let Some(argument) = parser.next()? {
        let Long(flag) = argument else {
            match argument {
                Short('h') => return Ok(Task::Print(USAGE)),
                Short('V') => return Ok(Task::Print(VERSION)),
                Value(program) => {
                    spec.argv = vec![program.string()?];
                    for argument in parser.raw_args()? {
                        spec.argv.push(argument.string()?);
                    }
                    continue;
                }
                _ => return Err(argument.unexpected()),
            }
        };
        // The original had some of its flags with underscores.
        let flag = flag.replace('_', "-");
        match flag.as_str() {
            "help" => return Ok(Task::Print(USAGE)),
            "version" => return Ok(Task::Print(VERSION)),
            "dir" => dir = Some(PathBuf::from(parser.value()?)),
            "detach" => detach = true,
            "stand-alone" => stand_alone = true,
            "check" => return Ok(Task::Check(parser.value()?.into())),
            "compress" => return Ok(Task::Compress(parser.value()?.into())),
            "state" => state = parser.value()?.into(),
            _ => {
                let known = monitor.take(&flag, &mut parser)?
                    || command(&mut spec, &flag, &mut parser)?
                    || policy(&mut spec.policy, &flag, &mut parser)?
                    || limits(&mut spec, &flag, &mut parser)?
                    || logs(&mut spec, &flag, &mut parser)?
                    || process(&mut spec, &flag, &mut parser)?;
                if !known {
                    return Err(format!("there is no flag `--{flag}`").into());
                }
            }
        }
    }
    if let Some(path) = dir {
        return Ok(Task::Prepared { path, detach, stand_alone });
    }
    if spec.argv.is_empty() {
        return Err("nothing to run: give --command COMMAND, or -- PROGRAM".into());
    }
    finish(&mut spec, monitor)?;
    Ok(Task::Described(state, Box::new(spec)))
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\n");

/// What follows from several flags together.
fn finish(spec: &mut TaskSpec, monitor: MonitorFlags) -> Result<()> {
    if spec.name.is_empty() {
        spec.name = spec.argv.join(" ");
    }
    spec.monitor = monitor.monitor;
    if spec.readiness != Readiness::None && spec.policy.ready_within.is_none() {
        spec.policy.ready_within = Some(Duration::from_secs(60));
    }
    if let (Readiness::None, Some(_)) = (&spec.readiness, spec.policy.ready_within) {
        return Err("--ready-within needs --ready notify, or --ready PORT".into());
    }
    for name in spec.attributes.rlimits.keys() {
        child::resource(name).map_err(|error| error.to_string())?;
    }
    // Relative paths mean the caller's directory, and are meant for later sitters too.
    let logs = &mut spec.logs;
    let paths = [&mut logs.stdout, &mut logs.stderr, &mut spec.version_file];
    for path in paths.into_iter().flatten() {
        *path = std::path::absolute(&*path).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The flags of the HTTP monitor; any of them asks for one.
#[derive(Default)]
struct MonitorFlags {
    monitor: Option<Monitor>,
}

impl MonitorFlags {
    fn get(&mut self) -> &mut Monitor {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), MONITOR_PORT);
        self.monitor.get_or_insert(Monitor { address, keep_running: false })
    }

    fn take(&mut self, flag: &str, parser: &mut lexopt::Parser) -> Result<bool> {
        match flag {
            "http-monitoring" => drop(self.get()),
            "http-monitoring-port" => self.get().address.set_port(parser.value()?.parse()?),
            "http-monitoring-address" => self.get().address.set_ip(parser.value()?.parse()?),
            "keep-http-running" => self.get().keep_running = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// What is run.
fn command(spec: &mut TaskSpec, flag: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    match flag {
        "command" => {
            let command = parser.value()?.string()?;
            spec.argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), command];
        }
        "name" => spec.name = parser.value()?.string()?,
        "version-file" => spec.version_file = Some(parser.value()?.into()),
        "cwd" => spec.cwd = parser.value()?.into(),
        "env" => {
            let (name, value) = value::pair(parser)?;
            spec.env.insert(name, value);
        }
        "clear-env" => spec.env.clear(),
        "ready" => spec.readiness = value::readiness(&parser.value()?.string()?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// When it is started, stopped and given up.
fn policy(policy: &mut Policy, flag: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    match flag {
        "restart" => policy.restart = true,
        "no-restart" => policy.restart = false,
        "ensure-alive" => policy.ensure_alive = true,
        "no-ensure-alive" => policy.ensure_alive = false,
        "allow-exit" => policy.allow_exit = true,
        "max-restarts" => policy.max_restarts = value::count_or_never(parser)?,
        "time-limit" => policy.rules.lifetime = value::seconds_or_none(parser)?,
        "stop-grace" => policy.stop_grace = value::seconds(parser)?,
        "backoff-first" => policy.back_off.first = value::seconds(parser)?,
        "backoff-max" => policy.back_off.longest = value::seconds(parser)?,
        "settle" => policy.back_off.settle = value::seconds(parser)?,
        "flap" => {
            let (restarts, window) = value::flap(&parser.value()?.string()?)?;
            policy.flap = Some(Flap { restarts, window });
        }
        "ready-within" => policy.ready_within = Some(value::seconds(parser)?),
        "watchdog" => policy.watchdog = Some(value::seconds(parser)?),
        "warn" => {
            let (constraint, percents) = value::of_constraint(parser)?;
            rule(policy, constraint).warn_at = value::percents(&percents)?;
        }
        "hold" => {
            let (constraint, seconds) = value::of_constraint(parser)?;
            rule(policy, constraint).hold = value::parse_seconds(&seconds)?;
        }
        "on-violation" => {
            let (constraint, action) = value::of_constraint(parser)?;
            rule(policy, constraint).action = match action.as_str() {
                "warn" => Action::Warn,
                "restart" => Action::Restart,
                "kill" => Action::Kill,
                _ => return Err(format!("`{action}`: expected warn, restart or kill").into()),
            };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn rule(policy: &mut Policy, constraint: Constraint) -> &mut Rule {
    match constraint {
        Constraint::Cpu => &mut policy.rules.cpu,
        Constraint::Mem => &mut policy.rules.mem,
        Constraint::TimeLimit => &mut policy.rules.time_limit,
    }
}

/// What it may use.
fn limits(spec: &mut TaskSpec, flag: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    let limits = &mut spec.limits;
    match flag {
        "cpu" => limits.cpu_millis = value::cores(parser)?,
        "mem" => limits.memory = value::megabytes(parser)?,
        "swap" => limits.swap = value::megabytes(parser)?.unwrap_or(0),
        "pids" => limits.pids = Some(parser.value()?.parse()?),
        "oom" => {
            limits.oom = match parser.value()?.string()?.as_str() {
                "group" => OomKill::Group,
                "single" => OomKill::Single,
                other => return Err(format!("`{other}`: expected group or single").into()),
            }
        }
        "poll-interval" => spec.poll_interval = value::seconds(parser)?,
        "disable-stat-collection" => spec.disable_stat_collection = true,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Where its output goes.
fn logs(spec: &mut TaskSpec, flag: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    let logs = &mut spec.logs;
    match flag {
        "stdout-location" => logs.stdout = Some(parser.value()?.into()),
        "stderr-location" => logs.stderr = Some(parser.value()?.into()),
        "log-bytes" => logs.bytes = parser.value()?.parse()?,
        "log-files" => logs.files = parser.value()?.parse()?,
        "log-age" => logs.age = value::seconds_or_none(parser)?,
        "log-compress" => {
            logs.compress = match parser.value()?.string()?.as_str() {
                "on" => true,
                "off" => false,
                other => return Err(format!("`{other}`: expected on or off").into()),
            }
        }
        "log-when-slow" => {
            logs.when_slow = match parser.value()?.string()?.as_str() {
                "block" => WhenSlow::Block,
                "drop" => WhenSlow::Drop,
                other => return Err(format!("`{other}`: expected block or drop").into()),
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What its process is given.
fn process(spec: &mut TaskSpec, flag: &str, parser: &mut lexopt::Parser) -> Result<bool> {
    let (credentials, attributes) = (&mut spec.credentials, &mut spec.attributes);
    match flag {
        "uid" => credentials.user = Some(parser.value()?.string()?),
        "gid" => credentials.group = Some(parser.value()?.string()?),
        "groups" => {
            let groups = parser.value()?.string()?;
            let groups = groups.split(',').filter(|group| !group.is_empty());
            credentials.groups = Some(groups.map(str::to_owned).collect());
        }
        "no-new-privileges" => credentials.no_new_privileges = true,
        "umask" => attributes.umask = value::octal(&parser.value()?.string()?)?,
        "rlimit" => {
            let (name, limit) = value::pair(parser)?;
            attributes.rlimits.insert(name, value::rlimit(&limit)?);
        }
        "nice" => attributes.nice = Some(value::within(parser, -20, 19)?),
        "oom-score-adj" => attributes.oom_score_adj = Some(value::within(parser, -1000, 1000)?),
        "stop-signal" => spec.stop_signal = value::signal(&parser.value()?.string()?)?,
        "reload-signal" => spec.reload_signal = value::signal(&parser.value()?.string()?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(arguments: &[&str]) -> Result<TaskSpec> {
        let arguments = [&["tasksitter"], arguments, &["--", "true"]].concat();
        match parse_from(lexopt::Parser::from_iter(arguments))? {
            Task::Described(_, spec) => Ok(*spec),
            _ => Err("something else".into()),
        }
    }

    #[test]
    fn the_originals_flags_are_understood() {
        let spec = described(&[
            "--cpu",
            ".5",
            "--mem=1200",
            "--time-limit",
            "60",
            "--restart",
            "--max-restarts",
            "-1",
            "--ensure-alive",
            "--allow-exit",
            "--poll-interval",
            "2",
            "--disable_stat_collection",
            "--http-monitoring",
            "--http-monitoring-port",
            "50007",
            "--keep-http-running",
            "--stdout-location",
            "out",
            "--uid",
            "0",
        ])
        .unwrap();
        assert_eq!((spec.limits.cpu_millis, spec.limits.memory), (Some(500), Some(1200 << 20)));
        assert_eq!(spec.policy.rules.lifetime, Some(Duration::from_secs(60)));
        assert!(spec.policy.allow_exit && spec.disable_stat_collection);
        let monitor = spec.monitor.unwrap();
        assert_eq!((monitor.address.port(), monitor.keep_running), (50007, true));
        assert!(spec.logs.stdout.unwrap().is_absolute());
    }

    #[test]
    fn ours_are_too_and_nonsense_is_refused() {
        let spec = described(&[
            "--warn",
            "mem=80,95",
            "--hold",
            "cpu=5",
            "--on-violation",
            "cpu=kill",
            "--flap",
            "5/60",
            "--ready",
            "8080",
            "--rlimit",
            "nofile=1024:4096",
            "--umask",
            "077",
            "--stop-signal",
            "INT",
            "--env",
            "A=b=c",
        ])
        .unwrap();
        let rules = &spec.policy.rules;
        assert_eq!(rules.mem.warn_at, [80.0, 95.0]);
        assert_eq!((rules.cpu.hold, rules.cpu.action), (Duration::from_secs(5), Action::Kill));
        assert_eq!(spec.policy.ready_within, Some(Duration::from_secs(60)));
        assert_eq!((spec.attributes.umask, spec.stop_signal), (0o077, libc::SIGINT));
        assert_eq!(spec.env["A"], "b=c");
        for wrong in [
            ["--cpu", "-1"],
            ["--mem", "much"],
            ["--warn", "disk=80"],
            ["--warn", "mem=eighty"],
            ["--flap", "5"],
            ["--rlimit", "files=7"],
            ["--rlimit", "nofile=9:7"],
            ["--umask", "9"],
            ["--nice", "20"],
            ["--stop-signal", "LOUD"],
            ["--ready", "soon"],
            ["--nonsense", "1"],
            ["--ready-within", "5"],
            ["--time-limit", "-3"],
            ["--max-restarts", "-2"],
        ] {
            let error = described(&wrong).unwrap_err().to_string();
            assert!(!error.is_empty(), "{wrong:?}");
        }
    }

    #[test]
    fn the_manual_knows_every_flag() {
        let manual = include_str!("../../../docs/man/tasksitter.1").replace("\\-", "-");
        let words = USAGE.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let flags: Vec<_> = words.filter(|word| word.starts_with("--") && word.len() > 2).collect();
        assert!(flags.len() > 50);
        for flag in flags {
            assert!(manual.contains(flag), "the manual has no {flag}");
        }
    }
}
