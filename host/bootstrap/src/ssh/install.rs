//! Makes a machine one that the agent runs on: programs, files, start, and the wait until it has joined.

use super::bring::bring;
use super::connect::Connection;
use super::error::SshError;
use super::facts::Facts;
use super::init::{Health, Init};
use super::report::{Outcome, Report, Step};
use super::run::{Input, Shell, UNCHANGED};
use crate::files::{BIN, JOIN_TOKEN, START, data, start};
use crate::setup::{AGENT, Setup, Start};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How long anything else may take.
const WITHIN: Duration = Duration::from_secs(120);
/// From one look at the agent to the next, while it is to join.
const LOOKS_EVERY: Duration = Duration::from_millis(500);
/// An agent that has ended so often before it joined does so each time.
const DEATHS: u32 = 2;
/// Lines of the agent's that are shown.
const LINES: usize = 20;

/// What is to be done with a machine.
#[derive(Debug, Clone)]
pub struct Order {
    /// What is to be there.
    pub setup: Setup,
    /// What is to keep it running.
    pub init: Init,
    /// How long the agent may take to join, once it is started.
    pub joins_within: Duration,
    /// Whose agent's place it may take: one that is nobody's any more.
    pub replaces: Option<Start>,
}

/// What a machine has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Whether anything was changed.
    pub changed: bool,
    /// What to know about it.
    pub notes: Vec<String>,
}

/// Makes of a machine what is ordered, and waits until `joined` says that its agent has joined. What is there already
/// is left as it is.
pub async fn install(
    connection: &Connection,
    facts: &Facts,
    order: &Order,
    joined: impl Future<Output = ()>,
    report: &mut Report<'_>,
) -> Result<Installed, SshError> {
    let Order { setup, init, .. } = order;
    let host = &connection.host;
    facts.check(host, setup, order.replaces.as_ref())?;
    if *init == Init::Systemd && !facts.has_systemd {
        return Err(SshError::NoSystemd { host: host.clone(), found: facts.init.clone() });
    }
    for program in &setup.programs {
        bring(connection, facts, program, report).await?;
    }
    let version = connection
        .find_out("run the agent's program", &format!("{BIN}/{AGENT} --version"), WITHIN, report)
        .await?;
    if !version.is_ok() {
        return Err(SshError::CannotRun { host: host.clone(), said: version.last_line() });
    }
    let (unit, mode, text) = init.file();
    put(connection, START, "0700", &start(setup), report).await?;
    put(connection, unit, mode, text, report).await?;
    give_token(connection, setup, report).await?;
    let begun = begin(connection, *init, report).await?;
    wait(connection, order, begun, joined, report).await?;
    let until_reboot =
        "nothing starts the agent after this machine was started again: then do this once more";
    Ok(Installed {
        changed: report.has_changed(),
        notes: match init {
            Init::Systemd => Vec::new(),
            Init::None => vec![until_reboot.to_owned()],
        },
    })
}

/// Writes a file, unless it is there as it should be.
async fn put(
    connection: &Connection,
    path: &str,
    mode: &str,
    content: &str,
    report: &mut Report<'_>,
) -> Result<(), SshError> {
    let what = format!("write {path}");
    let script = format!(
        "set -e; umask 077; mkdir -p -m 755 \"$(dirname {path})\"; cat >{path}.new; \
         if [ -f {path} ] && [ \"$(sha256sum <{path})\" = \"$(sha256sum <{path}.new)\" ]; \
         then rm -f {path}.new; echo {UNCHANGED}; else chmod {mode} {path}.new; mv {path}.new {path}; fi"
    );
    let command = connection.root(Shell::Script(&script));
    let running = connection.run_plainly(&command, Input::Text(content), &what, WITHIN);
    let ran = connection.make_so(&what, &script, running, report).await?;
    if ran.is_ok() { Ok(()) } else { Err(connection.failed(&what, &ran)) }
}

/// Gives the agent its token, unless it has joined before and has its own.
async fn give_token(
    connection: &Connection,
    setup: &Setup,
    report: &mut Report<'_>,
) -> Result<(), SshError> {
    let what = "give the agent a token to join with";
    let own = format!("{}/token", data(&setup.machine));
    let script = format!(
        "set -e; umask 077; if [ -s {own} ]; then cat >/dev/null; echo {UNCHANGED}; \
         else cat >{JOIN_TOKEN}.new; mv {JOIN_TOKEN}.new {JOIN_TOKEN}; fi"
    );
    let command = connection.root(Shell::Script(&script));
    let input = Input::Text(setup.join_token.reveal());
    let running = connection.run_plainly(&command, input, what, WITHIN);
    let ran = connection.make_so(what, &script, running, report).await?;
    if ran.is_ok() { Ok(()) } else { Err(connection.failed(what, &ran)) }
}

/// Has the agent run; answers how often it had ended before, as it counts.
async fn begin(
    connection: &Connection,
    init: Init,
    report: &mut Report<'_>,
) -> Result<u32, SshError> {
    let what = "start the agent";
    let script = init.start(report.has_changed());
    let running = connection.script(&script, what, WITHIN);
    let ran = connection.make_so(what, &script, running, report).await?;
    if !ran.is_ok() {
        let log = log(connection, init, report).await?;
        let log = if log.is_empty() { ran.last_line() } else { log };
        return Err(SshError::AgentDied { host: connection.host.clone(), log });
    }
    match ran.out.trim_end().ends_with(UNCHANGED) {
        true => Ok(health(connection, init).await?.deaths),
        false => Ok(0),
    }
}

/// Waits until the agent has joined, and looks meanwhile whether it lives.
async fn wait(
    connection: &Connection,
    order: &Order,
    deaths_before: u32,
    joined: impl Future<Output = ()>,
    report: &mut Report<'_>,
) -> Result<(), SshError> {
    let what = "wait until it has joined";
    report.begins(what);
    let begun = Instant::now();
    let dies = async {
        loop {
            sleep(LOOKS_EVERY).await;
            let Health { is_kept, deaths } = match health(connection, order.init).await {
                Ok(health) => health,
                Err(error) => return error,
            };
            if !is_kept || deaths.saturating_sub(deaths_before) >= DEATHS {
                let (host, log) = (connection.host.clone(), String::new());
                return SshError::AgentDied { host, log };
            }
        }
    };
    let waiting = async {
        tokio::select! {
            () = joined => Ok(()),
            error = dies => Err(error),
        }
    };
    let waited = timeout(order.joins_within, waiting).await;
    let failed = match waited {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(SshError::NeverJoined {
            host: connection.host.clone(),
            controller: order.setup.controller().to_owned(),
            within: order.joins_within,
            log: String::new(),
        }),
    };
    let outcome = if failed.is_none() { Outcome::Found } else { Outcome::Failed };
    report.done(Step {
        what: what.to_owned(),
        command: order.init.health(),
        outcome,
        code: None,
        output: String::new(),
        took: begun.elapsed(),
    });
    match failed {
        None => Ok(()),
        Some(SshError::AgentDied { host, .. }) => {
            Err(SshError::AgentDied { host, log: log(connection, order.init, report).await? })
        }
        Some(SshError::NeverJoined { host, controller, within, .. }) => {
            let log = log(connection, order.init, report).await?;
            Err(SshError::NeverJoined { host, controller, within, log })
        }
        Some(error) => Err(error),
    }
}

async fn health(connection: &Connection, init: Init) -> Result<Health, SshError> {
    let what = "say how the agent is doing";
    Ok(Health::read(&connection.script(&init.health(), what, WITHIN).await?.out))
}

/// What the agent said last.
async fn log(
    connection: &Connection,
    init: Init,
    report: &mut Report<'_>,
) -> Result<String, SshError> {
    let ran = connection.find_out("read what the agent said", &init.log(), WITHIN, report).await?;
    let lines: Vec<&str> = ran.all.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    Ok(last.join("\n"))
}
