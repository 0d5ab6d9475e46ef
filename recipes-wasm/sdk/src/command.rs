//! Commands, step by step.

use crate::error::Doing;
use crate::host::command::{Assumption, Guard, Semantics, Spec};
use crate::host::types::{Change, Error};
use crate::{Host, Outcome};
use std::time::Duration;

/// A program of the machine, its arguments, and how to run it. No shell is involved.
///
/// ```
/// use cerebro_recipe::{Answer, Command, FakeHost};
/// # fn main() -> Result<(), String> {
/// let host = FakeHost::new().with_program("/usr/sbin/nginx", |_, _| Answer::ok(""));
/// Command::new("/usr/sbin/nginx").args(["-t", "-q"]).ensure(&host)?;
/// assert_eq!(host.calls(), ["run /usr/sbin/nginx -t -q"]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it runs when it is told to: `run` or `ensure`"]
pub struct Command(Spec);

impl Command {
    /// A program by its absolute path.
    pub fn new(program: impl Into<String>) -> Self {
        Self(Spec {
            argv: vec![program.into()],
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
        })
    }

    /// A program by its absolute path, and its arguments.
    pub fn of(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut command = Self::new("");
        command.0.argv = argv.into_iter().map(Into::into).collect();
        command
    }

    /// Adds an argument.
    pub fn arg(self, arg: impl Into<String>) -> Self {
        self.args([arg])
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to its small environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.env.push((name.into(), value.into()));
        self
    }

    /// The directory to run in; `/` by default.
    pub fn cwd(mut self, path: impl Into<String>) -> Self {
        self.0.cwd = Some(path.into());
        self
    }

    /// The user to run as, by name or number; the agent's own by default.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.0.user = Some(user.into());
        self
    }

    /// The group to run as, with no further groups; the user's own ones by default.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.0.group = Some(group.into());
        self
    }

    /// The permission bits that new files do not get; `0o022` by default.
    pub fn umask(mut self, umask: u32) -> Self {
        self.0.umask = Some(umask);
        self
    }

    /// What to feed it; nothing by default.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.stdin = Some(bytes.into());
        self
    }

    /// When it and what it started are killed; when the call's time is up by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.0.timeout = Some(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Does not run it if this path exists.
    pub fn creates(self, path: impl Into<String>) -> Self {
        self.guard(Guard::Creates(path.into()))
    }

    /// Does not run it if this command ends with code 0.
    pub fn unless(self, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.guard(Guard::Unless(argv.into_iter().map(Into::into).collect()))
    }

    /// Does not run it if nothing of what it works on has changed.
    pub fn unless_changed(self, changes: &[Change]) -> Self {
        self.guard(Guard::UnlessChanged(changes.to_vec()))
    }

    fn guard(mut self, guard: Guard) -> Self {
        self.0.guards.push(guard);
        self
    }

    /// The exit codes of success; 0 by default.
    pub fn success(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.0.success.extend(codes);
        self
    }

    /// It only reads: it runs without a network, with a file system that it cannot write to.
    pub fn query(mut self) -> Self {
        self.semantics().query = true;
        self
    }

    /// It is given copies of these directories to write to, and of what it wrote there nothing is
    /// kept unless it ends with code 0. All else it cannot write to.
    pub fn contain(mut self, directories: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.semantics().contain.extend(directories.into_iter().map(Into::into));
        self
    }

    /// What undoes it.
    pub fn undo(mut self, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.semantics().undo = Some(argv.into_iter().map(Into::into).collect());
        self
    }

    /// Once it was run, what was done before it must not be taken back.
    pub fn irreversible(mut self) -> Self {
        self.semantics().irreversible = true;
        self
    }

    /// What a plan, which does not run it, goes on with.
    pub fn assume(mut self, exit_code: i32, stdout: impl Into<Vec<u8>>) -> Self {
        self.semantics().assume = Some(Assumption { exit_code, stdout: stdout.into() });
        self
    }

    fn semantics(&mut self) -> &mut Semantics {
        self.0.semantics.get_or_insert_with(|| Semantics {
            query: false,
            undo: None,
            irreversible: false,
            assume: None,
            contain: Vec::new(),
        })
    }

    /// Runs it to its end, whatever its exit code then is.
    pub fn run(&self, host: &impl Host) -> Result<Outcome, String> {
        host.run(&self.0).doing(|| format!("run `{}`", self.0.argv.join(" ")))
    }

    /// Runs it to its end, which must be a success.
    pub fn ensure(&self, host: &impl Host) -> Result<Change, String> {
        let doing = || format!("run `{}`", self.0.argv.join(" "));
        host.run_to_success(&self.0).map_err(|error| match error {
            // It says itself what ran.
            Error::Failed(_) => crate::error::text(&error).to_owned(),
            other => format!("{}: {}", doing(), crate::error::text(&other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, FakeHost};

    #[test]
    fn what_ends_badly_is_an_error_with_its_words() {
        let host = FakeHost::new().with_program("/bin/false", |_, _| Answer::failed(1, "no\n"));
        let command = Command::new("/bin/false");
        assert_eq!(command.run(&host).unwrap().exit_code, 1);
        let error = command.ensure(&host).unwrap_err();
        assert!(error.contains("`/bin/false` ended with code 1: no"), "{error}");
        assert_eq!(command.success([1]).ensure(&host), Ok(Change::Done));
        let error = Command::new("/bin/none").ensure(&host).unwrap_err();
        assert!(error.contains("/bin/none"), "{error}");
    }

    #[test]
    fn a_guard_spares_it() {
        let host =
            FakeHost::new().with_file("/done", "").with_program("/bin/make", |_, _| Answer::ok(""));
        let make = Command::new("/bin/make");
        assert_eq!(make.clone().creates("/done").ensure(&host), Ok(Change::Unchanged));
        let same = [Change::Unchanged, Change::Unchanged];
        assert_eq!(make.clone().unless_changed(&same).ensure(&host), Ok(Change::Unchanged));
        assert!(host.calls().is_empty());
        let changed = [Change::Unchanged, Change::Updated];
        assert_eq!(make.creates("/none").unless_changed(&changed).ensure(&host), Ok(Change::Done));
        assert_eq!(host.calls(), ["run /bin/make"]);
    }
}
