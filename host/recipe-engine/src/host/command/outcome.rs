//! How a command ended.

use super::super::State;
use super::listen::Kept;
use crate::bindings::interfaces::command::{HostOutcome, Spec};
use crate::bindings::interfaces::types::{Change, Error};
use serde::{Deserialize, Serialize};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use wasmtime::component::Resource;

/// How a command ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// In a plan: why nobody can know.
    pub(super) unknown: Option<String>,
    pub(super) program: String,
    pub(super) skipped: Option<String>,
    pub(super) exit_code: i32,
    pub(super) is_success: bool,
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
}

impl Outcome {
    /// Bytes that it holds.
    pub(super) fn size(&self) -> usize {
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
    pub(in super::super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes).into_owned()
    }

    pub(in super::super) fn code(&self) -> i32 {
        self.exit_code
    }
}

/// Whether a command that ended so is a success.
pub(super) fn is_success(spec: &Spec, code: i32) -> bool {
    match spec.success.as_slice() {
        [] => code == 0,
        codes => codes.contains(&code),
    }
}

/// As shells count: 128 and the signal's number if a signal ended it.
pub(super) fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
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
