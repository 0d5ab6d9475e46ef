//! Running a program to its end.

use super::super::Scope;
use super::super::accounts::{self, Account};
use super::confine::refused;
use super::listen::run_to_end;
use super::outcome::{Outcome, code, is_success};
use crate::bindings::interfaces::command::Spec;
use crate::bindings::interfaces::types::Error;
use crate::logbook::Logbook;
use crate::run::remaining;
use cerebro_linux::process::kill_tree;
use cerebro_linux::sandbox::{Doing, Sandbox, Verdict};
use cerebro_model::is_treacherous_variable;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// How long what a program has started may take to die of SIGKILL.
const KILL_WITHIN: Duration = Duration::from_secs(2);
/// The variable by which what a program has started is known.
const MARKER: &str = "CEREBRO_COMMAND";

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

impl Scope {
    pub(crate) async fn execute(&self, spec: &Spec) -> Result<Outcome, Error> {
        if !spec.argv.is_empty() {
            self.may_run(&spec.argv, spec.user.as_deref())?;
        }
        let sandbox = self.sandbox(self.hold_of(spec)).await?;
        self.launch(spec, &self.log, true, sandbox).await
    }

    /// Runs a tool of the machine's, whose children may stay: a package's service, for one.
    pub(in super::super) async fn run_tool(
        &self,
        spec: &Spec,
        log: &Arc<Logbook>,
    ) -> Result<Outcome, Error> {
        self.launch(spec, log, false, None).await
    }

    pub(super) async fn launch(
        &self,
        spec: &Spec,
        log: &Arc<Logbook>,
        takes_all_along: bool,
        sandbox: Option<Sandbox>,
    ) -> Result<Outcome, Error> {
        let Some(program) = spec.argv.first() else {
            return Err(Error::Invalid("a command needs a program".to_owned()));
        };
        let account = spec.user.as_deref().map(accounts::user).transpose()?;
        let mut command = self.prepare(program, spec, account.as_ref())?;
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
        let verdict = self.settle(spec, account.as_ref(), sandbox, &mut command)?;
        let spawned = command.spawn();
        // It holds the other end of what tells the verdict.
        drop(command);
        let mut child = spawned.map_err(|error| match verdict.and_then(Verdict::refused) {
            Some(why) if why.doing != Doing::Directory => refused(program, why),
            _ => failed(error),
        })?;
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

    fn prepare(
        &self,
        program: &str,
        spec: &Spec,
        account: Option<&Account>,
    ) -> Result<Command, Error> {
        let mut command = Command::new(self.on_machine(program));
        command.args(&spec.argv[1..]);
        let context = &self.call.context;
        command.env_clear().envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
            ("HOME", account.and_then(|account| account.home.as_deref()).unwrap_or("/")),
            ("CEREBRO_JOB", context.job.as_str()),
            ("CEREBRO_INSTANCE", context.instance.as_str()),
            ("CEREBRO_ZONE", context.zone.as_str()),
            ("CEREBRO_MACHINE", context.machine.as_str()),
            ("CEREBRO_VERSION", context.version.as_str()),
        ]);
        if self.call.root.parent().is_some() {
            command.env("CEREBRO_ROOT", &self.call.root);
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

    /// Has it run as whom and where it is to, in its sandbox if it has one: that is entered before
    /// it becomes somebody who could not.
    fn settle(
        &self,
        spec: &Spec,
        account: Option<&Account>,
        sandbox: Option<Sandbox>,
        command: &mut Command,
    ) -> Result<Option<Verdict>, Error> {
        let directory = self.beneath(spec.cwd.as_deref().unwrap_or("/"));
        let other = account.filter(|account| account.uid != geteuid().as_raw());
        let user = other.map(|account| account.uid);
        let mut group = other.map(|account| account.gid);
        if let Some(name) = &spec.group {
            group = Some(accounts::group(name)?);
        }
        if let Some(sandbox) = sandbox {
            let sandbox = Sandbox { user, group, directory, ..sandbox };
            let verdict = sandbox.apply(command.as_std_mut());
            let why = |error| Error::Failed(format!("prepare a sandbox: {error}"));
            return verdict.map(Some).map_err(why);
        }
        command.current_dir(directory);
        if let Some(user) = user {
            command.uid(user);
        }
        if let Some(group) = group {
            command.gid(group);
        }
        Ok(None)
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
