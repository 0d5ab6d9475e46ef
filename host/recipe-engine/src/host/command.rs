//! `cerebro:recipe/command`.

use super::{Scope, State, accounts};
pub(crate) use crate::bindings::interfaces::command::Spec;
use crate::bindings::interfaces::command::{Guard, Host, HostOutcome, Semantics};
use crate::bindings::interfaces::types::{Change, Error};
use crate::journal::{Action, Sureness};
use crate::limiter::MOST_OUTPUTS;
use crate::logbook::{LogLevel, Logbook};
use crate::run::remaining;
use cerebro_linux::process::kill_tree;
use cerebro_model::is_treacherous_variable;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use wasmtime::component::Resource;

/// How long to go on reading what a program wrote, once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long what a program has started may take to die of SIGKILL.
const KILL_WITHIN: Duration = Duration::from_secs(2);
/// The variable by which what a program has started is known.
const MARKER: &str = "CEREBRO_COMMAND";
/// Bytes of a line before it is logged in parts.
const LONGEST_LINE: u64 = 8 << 10;

/// How a command ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// In a plan: why nobody can know.
    unknown: Option<String>,
    program: String,
    skipped: Option<String>,
    exit_code: i32,
    is_success: bool,
    stdout: Kept,
    stderr: Kept,
}

impl Outcome {
    /// Bytes that it holds.
    fn size(&self) -> usize {
        self.stdout.bytes.len() + self.stderr.bytes.len()
    }

    /// An error, with the end of its stderr, unless it was a success.
    pub(crate) fn ensure_success(&self) -> Result<Change, Error> {
        if self.skipped.is_some() {
            return Ok(Change::Unchanged);
        }
        if self.is_success {
            return Ok(Change::Done);
        }
        let stderr = String::from_utf8_lossy(&self.stderr.bytes);
        let end: Vec<&str> = stderr.lines().rev().take(3).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        let said = if end.is_empty() { String::new() } else { format!(": {}", end.join(" | ")) };
        let (program, code) = (&self.program, self.exit_code);
        Err(Error::Failed(format!("`{program}` ended with code {code}{said}")))
    }
}

impl Outcome {
    /// What it wrote to stdout.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes).into_owned()
    }

    pub(super) fn code(&self) -> i32 {
        self.exit_code
    }
}

/// The beginning of what a program wrote.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    bytes: Vec<u8>,
    truncated: bool,
}

/// Kills a program with all that it started when the call is over, however that comes.
struct End {
    root: Option<i32>,
    marker: Option<String>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(root) = self.root {
            // Those that stayed together go at once; it is no failure if nothing of them is left.
            let _ = killpg(Pid::from_raw(root), Signal::SIGKILL);
        }
        if let Some(marker) = &self.marker {
            kill_tree(None, marker, KILL_WITHIN);
        }
    }
}

/// A command with nothing but its words.
pub(crate) fn plain(argv: Vec<String>) -> Spec {
    Spec {
        argv,
        env: Vec::new(),
        cwd: None,
        user: None,
        group: None,
        umask: None,
        stdin: None,
        timeout: None,
        guards: Vec::new(),
        success: Vec::new(),
        semantics: None,
    }
}

/// What guards say.
enum Guarded {
    /// It must run.
    Open,
    /// It need not run, for this reason.
    Holds(String),
    /// In a plan: it runs unless this holds then.
    Unknown(String),
}

/// Refuses what this Cerebro cannot make true.
fn check(semantics: &Semantics) -> Result<(), Error> {
    if semantics.query {
        let why =
            "this Cerebro cannot keep a command from changing anything yet: leave out `query`";
        return Err(Error::Unsupported(why.to_owned()));
    }
    if !semantics.contain.is_empty() {
        let why = "this Cerebro cannot contain a command yet: leave out `contain`";
        return Err(Error::Unsupported(why.to_owned()));
    }
    Ok(())
}

impl Scope {
    pub(super) async fn run_command(&self, spec: Spec) -> Result<Outcome, Error> {
        let program = spec.argv.first().cloned().unwrap_or_default();
        if let Some(semantics) = &spec.semantics {
            check(semantics)?;
            if let Some(undo) = &semantics.undo {
                self.may_run(undo, spec.user.as_deref())?;
            }
        }
        let mut notes = Vec::new();
        match self.guarded(&spec).await? {
            Guarded::Holds(why) => {
                return Ok(Outcome { program, skipped: Some(why), ..Outcome::default() });
            }
            Guarded::Unknown(why) => notes.push(why),
            Guarded::Open => {}
        }
        // A plan has the same words for what may not be run.
        self.may_run(&spec.argv, spec.user.as_deref())?;
        let semantics = spec.semantics.as_ref();
        let action = Action::Run {
            argv: spec.argv.clone(),
            user: spec.user.clone(),
            undo: semantics.and_then(|semantics| semantics.undo.clone()),
            irreversible: semantics.is_some_and(|semantics| semantics.irreversible),
        };
        if self.is_plan() {
            return Ok(self.plan_command(&spec, program, action, notes));
        }
        // Without a plan it is always done.
        Ok(self.effect(action, self.execute(&spec)).await?.unwrap_or_default())
    }

    /// What a plan has for a command that it does not run.
    fn plan_command(
        &self,
        spec: &Spec,
        program: String,
        action: Action,
        mut notes: Vec<String>,
    ) -> Outcome {
        let undo = matches!(action, Action::Run { undo: Some(_), .. });
        notes.push(if undo { "can be undone" } else { "cannot be undone" }.to_owned());
        let may_not_run = notes.len() > 1;
        let n = self.note(action, Sureness::Unbounded, notes);
        let assumption = spec.semantics.as_ref().and_then(|semantics| semantics.assume.as_ref());
        let Some(plan) = self.ledger().plan() else { return Outcome::default() };
        let assumed = assumption.map_or(0, |assumption| assumption.exit_code);
        let ends = if may_not_run { "if it runs, ends" } else { "ends" };
        plan.assume(format!(
            "assuming that #{n} {ends} with {assumed} and leaves alone what Cerebro looks at"
        ));
        match assumption {
            Some(assumption) => Outcome {
                program,
                exit_code: assumption.exit_code,
                is_success: is_success(spec, assumption.exit_code),
                stdout: Kept { bytes: assumption.stdout.clone(), truncated: false },
                ..Outcome::default()
            },
            None => {
                let unknown = Some(format!("what follows depends on the outcome of #{n}"));
                Outcome { unknown, program, is_success: true, ..Outcome::default() }
            }
        }
    }

    /// Whether a guard holds, so that the command need not run.
    async fn guarded(&self, spec: &Spec) -> Result<Guarded, Error> {
        let mut unknown = None;
        for guard in &spec.guards {
            match guard {
                Guard::Creates(path) => {
                    let wanted = path.clone();
                    if self.with_tree(move |tree| tree.stat(&wanted)).await?.is_some() {
                        return Ok(Guarded::Holds(format!("`{path}` exists")));
                    }
                }
                // What a plan has changed, a program does not see.
                Guard::Unless(argv) if self.ledger().plan().is_some_and(|p| !p.is_empty()) => {
                    let question = argv.join(" ");
                    unknown = Some(format!("unless `{question}` ends with code 0 then"));
                }
                Guard::Unless(argv) => {
                    let question = Spec {
                        env: spec.env.clone(),
                        cwd: spec.cwd.clone(),
                        user: spec.user.clone(),
                        group: spec.group.clone(),
                        timeout: spec.timeout,
                        ..plain(argv.clone())
                    };
                    if self.execute(&question).await?.exit_code == 0 {
                        let why = format!("`{}` ended with code 0", argv.join(" "));
                        return Ok(Guarded::Holds(why));
                    }
                }
                Guard::UnlessChanged(changes) => {
                    if changes.iter().all(|change| matches!(change, Change::Unchanged)) {
                        let why = "nothing that it depends on has changed";
                        return Ok(Guarded::Holds(why.to_owned()));
                    }
                }
                Guard::Other(other) => {
                    return Err(Error::Invalid(format!("this Cerebro has no guard `{other}`")));
                }
            }
        }
        Ok(unknown.map_or(Guarded::Open, Guarded::Unknown))
    }

    /// Whether a command may be run: a program by its absolute path, and its arguments.
    pub(super) fn may_run(&self, argv: &[String], user: Option<&str>) -> Result<(), Error> {
        let program = argv.first().map_or("", String::as_str);
        let plain = program.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if !program.starts_with('/') || !plain || argv.iter().any(|arg| arg.contains('\0')) {
            return Err(Error::Invalid(format!(
                "`{program}` is not a command: expected a plain absolute path and arguments"
            )));
        }
        self.allowed(|grants| grants.run(argv, user))
    }

    pub(crate) async fn execute(&self, spec: &Spec) -> Result<Outcome, Error> {
        if !spec.argv.is_empty() {
            self.may_run(&spec.argv, spec.user.as_deref())?;
        }
        self.launch(spec, &self.log, true).await
    }

    /// Runs a tool of the machine's, whose children may stay: a package's service, for one.
    pub(super) async fn run_tool(&self, spec: &Spec, log: &Arc<Logbook>) -> Result<Outcome, Error> {
        self.launch(spec, log, false).await
    }

    async fn launch(
        &self,
        spec: &Spec,
        log: &Arc<Logbook>,
        takes_all_along: bool,
    ) -> Result<Outcome, Error> {
        let Some(program) = spec.argv.first() else {
            return Err(Error::Invalid("a command needs a program".to_owned()));
        };
        let mut command = self.prepare(program, spec)?;
        let time = remaining(self.deadline, spec.timeout);
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound(format!(
                "this machine has no program `{program}`, or no directory to run it in"
            )),
            _ => Error::Failed(format!("run `{program}`: {error}")),
        };
        // In the environment of all that it starts, whatever session and group that is in.
        let random = crate::random().map_err(|error| Error::Failed(error.to_string()))?;
        let marker = format!("{MARKER}={:032x}", random);
        let (name, value) = marker.split_once('=').unwrap_or_default();
        command.env(name, value);
        let mut child = command.spawn().map_err(failed)?;
        let root = child.id().and_then(|pid| i32::try_from(pid).ok());
        let mut end = End { root, marker: Some(marker) };
        let (limit, stdin) = (self.call.limits.output, spec.stdin.clone());
        let stdin = stdin.map(|stdin| self.secrets.fill(stdin));
        match timeout(time, run_to_end(&mut child, stdin.as_deref(), log, limit)).await {
            Err(_) => Err(Error::TimedOut(format!("`{program}` was killed after {time:?}"))),
            Ok(ended) => {
                let (status, stdout, stderr) = ended.map_err(failed)?;
                if !takes_all_along {
                    (end.root, end.marker) = (None, None);
                }
                let (program, exit_code) = (program.clone(), code(status));
                let is_success = is_success(spec, exit_code);
                Ok(Outcome { program, exit_code, is_success, stdout, stderr, ..Outcome::default() })
            }
        }
    }

    fn prepare(&self, program: &str, spec: &Spec) -> Result<Command, Error> {
        let mut command = Command::new(self.on_machine(program));
        command.args(&spec.argv[1..]).current_dir(self.beneath(spec.cwd.as_deref().unwrap_or("/")));
        let context = &self.call.context;
        command.env_clear().envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
            ("HOME", "/"),
            ("CEREBRO_JOB", context.job.as_str()),
            ("CEREBRO_INSTANCE", context.instance.as_str()),
            ("CEREBRO_ZONE", context.zone.as_str()),
            ("CEREBRO_MACHINE", context.machine.as_str()),
            ("CEREBRO_VERSION", context.version.as_str()),
        ]);
        if self.call.root.parent().is_some() {
            command.env("CEREBRO_ROOT", &self.call.root);
        }
        if let Some(name) = &spec.user {
            let user = accounts::user(name)?;
            if user.uid != geteuid().as_raw() {
                command.uid(user.uid).gid(user.gid);
            }
            command.env("HOME", user.home.as_deref().unwrap_or("/"));
        }
        if let Some(group) = &spec.group {
            command.gid(accounts::group(group)?);
        }
        let umask = Mode::from_bits_truncate(spec.umask.unwrap_or(0o022));
        // SAFETY: umask is async-signal-safe and cannot fail.
        unsafe {
            command.pre_exec(move || {
                nix::sys::stat::umask(umask);
                Ok(())
            });
        }
        for (name, value) in &spec.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(Error::Invalid(format!("`{name}` is not a variable's name")));
            }
            if is_treacherous_variable(name) {
                return Err(Error::Denied(format!(
                    "the variable `{name}` can turn a granted program into any program: no grant \
                     allows it"
                )));
            }
            let value = self.secrets.fill(value.clone().into_bytes());
            command.env(name, OsString::from_vec(value));
        }
        let stdin = if spec.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        Ok(command)
    }

    /// A path of the component's, as the system knows it.
    fn beneath(&self, path: &str) -> PathBuf {
        self.call.root.join(path.trim_start_matches('/'))
    }

    /// Where a program is: below the machine's root, or else the host's own.
    fn on_machine(&self, program: &str) -> PathBuf {
        let own = self.beneath(program);
        if own.exists() { own } else { PathBuf::from(program) }
    }
}

async fn run_to_end(
    child: &mut Child,
    stdin: Option<&[u8]>,
    log: &Logbook,
    limit: usize,
) -> std::io::Result<(ExitStatus, Kept, Kept)> {
    let (pipe, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut pipe), Some(stdin)) = (pipe, stdin) {
            // A program need not read what it is fed.
            let _ = pipe.write_all(stdin).await;
        }
    };
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let status = {
        let listen = async {
            tokio::join!(
                keep(out, &mut stdout, limit, log, LogLevel::Info),
                keep(err, &mut stderr, limit, log, LogLevel::Warn),
                feed
            );
        };
        tokio::pin!(listen);
        let mut heard = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                () = &mut listen, if !heard => heard = true,
            }
        };
        if !heard {
            // A program that it left behind may hold the pipes open for ever.
            let _ = timeout(LAST_WORDS, listen).await;
        }
        status
    };
    Ok((status, stdout, stderr))
}

async fn keep(
    pipe: Option<impl AsyncRead + Unpin>,
    kept: &mut Kept,
    limit: usize,
    log: &Logbook,
    level: LogLevel,
) {
    let Some(pipe) = pipe else { return };
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut pipe).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let room = limit - kept.bytes.len();
        kept.bytes.extend_from_slice(line.get(..room).unwrap_or(&line));
        kept.truncated |= line.len() > room;
        log.write(level, &String::from_utf8_lossy(&line));
    }
}

fn is_success(spec: &Spec, code: i32) -> bool {
    match spec.success.as_slice() {
        [] => code == 0,
        codes => codes.contains(&code),
    }
}

/// As shells count: 128 and the signal's number if a signal ended it.
fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

impl Host for State {
    async fn run(&mut self, spec: Spec) -> wasmtime::Result<Result<Resource<Outcome>, Error>> {
        let (scope, asked, about) = (self.scope(), spec.clone(), spec.argv.join(" "));
        match scope.asked("command.run", about, &asked, scope.run_command(spec)).await? {
            Ok(outcome) if self.limiter.keep_output(outcome.size()) => {
                Ok(Ok(self.table.push(outcome)?))
            }
            Ok(_) => Ok(Err(Error::TooLarge(format!(
                "commands wrote more than {MOST_OUTPUTS} bytes that are all kept at a time: drop \
                 the outcomes that are no longer of use"
            )))),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl State {
    /// How a command ended; in a plan, where it did not run, the plan ends here.
    fn known(&self, outcome: &Resource<Outcome>) -> wasmtime::Result<&Outcome> {
        let outcome = self.table.get(outcome)?;
        match &outcome.unknown {
            Some(why) => Err(self.scope.cut(why.clone())),
            None => Ok(outcome),
        }
    }
}

impl HostOutcome for State {
    async fn skipped(&mut self, outcome: Resource<Outcome>) -> wasmtime::Result<Option<String>> {
        Ok(self.known(&outcome)?.skipped.clone())
    }

    async fn exit_code(&mut self, outcome: Resource<Outcome>) -> wasmtime::Result<i32> {
        Ok(self.known(&outcome)?.exit_code)
    }

    async fn stdout(&mut self, outcome: Resource<Outcome>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.known(&outcome)?.stdout.bytes.clone())
    }

    async fn stderr(&mut self, outcome: Resource<Outcome>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.known(&outcome)?.stderr.bytes.clone())
    }

    async fn truncated(&mut self, outcome: Resource<Outcome>) -> wasmtime::Result<bool> {
        let outcome = self.known(&outcome)?;
        Ok(outcome.stdout.truncated || outcome.stderr.truncated)
    }

    async fn ensure_success(
        &mut self,
        outcome: Resource<Outcome>,
    ) -> wasmtime::Result<Result<Change, Error>> {
        Ok(self.table.get(&outcome)?.ensure_success())
    }

    async fn drop(&mut self, outcome: Resource<Outcome>) -> wasmtime::Result<()> {
        let size = self.table.delete(outcome)?.size();
        self.limiter.drop_output(size);
        Ok(())
    }
}
