//! Calls that are planned, written down, taken back and run again.

use crate::language::engine;
use crate::machine::Machine;
use crate::table::Seen;
use cerebro_manifest::{assert_same, manifest};
use cerebro_model::{Effect, Plan, PlanEnd, PlanLine, Rollback};
use cerebro_recipe_engine::{
    Call, Component, Journal, Journaling, LogLevel, LogLine, Recording, Replay,
};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A call that was made, and where it was written down.
pub struct Made {
    /// What came of it.
    pub seen: Seen,
    directory: PathBuf,
}

impl Made {
    /// What it did, effect for effect, as its journal tells.
    ///
    /// # Panics
    /// If the journal cannot be read, or not all of it.
    pub fn effects(&self) -> Vec<Effect> {
        let Some(journal) = Journal::open(&self.directory).unwrap() else { return Vec::new() };
        assert!(journal.is_closed(), "{:?}", journal.end);
        journal.effects().iter().map(|entry| entry.effect.clone().told()).collect()
    }

    /// Its recording.
    ///
    /// # Panics
    /// If there is none that is whole.
    pub fn recording(&self) -> Recording {
        let recording = Recording::open(&self.directory).unwrap().unwrap();
        assert!(recording.is_whole(), "{:?}", recording.end);
        recording
    }
}

/// What a plan foresees, effect for effect.
pub fn planned(plan: &Plan) -> Vec<Effect> {
    plan.lines.iter().map(|line| line.effect.clone()).collect()
}

impl Machine {
    fn journaled(&self, call: Call, plan: Option<&Plan>) -> (Call, PathBuf) {
        let n = self.journals.fetch_add(1, Ordering::Relaxed);
        let directory = self.dir.path().join(format!("calls-{n}"));
        let mut journaling = Journaling::new(directory.clone());
        if let Some(plan) = plan {
            journaling = journaling.held_to(plan.clone(), false);
        }
        (Call { journal: Some(journaling), ..call }, directory)
    }

    /// What a deployment would do; and that, as it is compared.
    ///
    /// # Panics
    /// If there is no plan, or making one has changed anything: files of the machine, its store, or
    /// what its components remember.
    pub async fn plan(
        &self,
        recipe: &Component,
        version: &str,
        previous: Option<&str>,
        options: &str,
    ) -> (Plan, Seen) {
        let before = manifest(self.dir.path());
        let (call, _) = self.journaled(self.call(version, previous, options), None);
        let start = Instant::now();
        let plan = engine().plan(recipe, call).await.unwrap();
        let said = self.seen(start, Ok(String::new()));
        assert_same(&before, &manifest(self.dir.path()), "a plan changed something");
        let end = match &plan.end {
            PlanEnd::Whole => "whole".to_owned(),
            PlanEnd::Cut(why) => format!("cut: {why}"),
            PlanEnd::Fails(why) => format!("fails: {why}"),
        };
        let ended = self.rootless(&format!("{end}, exit code {}", plan.exit_code()));
        // All of a line is compared: the call that it is of, how sure it is, its diff and its notes.
        let text = |line: &PlanLine| self.rootless(&serde_json::to_string(line).unwrap());
        let log = said.log.iter().cloned().chain(plan.lines.iter().map(text)).collect();
        (plan, Seen { ended, log, ..said })
    }

    /// Deploys and writes down what is done, held to `plan` if there is one.
    pub async fn deploy_journaled(
        &self,
        recipe: &Component,
        version: &str,
        previous: Option<&str>,
        options: &str,
        plan: Option<&Plan>,
    ) -> Made {
        let (call, directory) = self.journaled(self.call(version, previous, options), plan);
        let start = Instant::now();
        let ended = engine().deploy(recipe, call).await;
        Made { seen: self.seen(start, ended.map(|()| "ok".to_owned())), directory }
    }

    /// Takes away again, and writes down what is done.
    pub async fn undeploy_journaled(
        &self,
        recipe: &Component,
        version: &str,
        options: &str,
    ) -> Made {
        let (call, directory) = self.journaled(self.call(version, None, options), None);
        let start = Instant::now();
        let ended = engine().undeploy(recipe, call).await;
        Made { seen: self.seen(start, ended.map(|()| "ok".to_owned())), directory }
    }

    /// Takes back what a call did.
    ///
    /// # Panics
    /// If that cannot be begun, or it did nothing.
    pub async fn roll_back(&self, made: &Made) -> (Rollback, Seen) {
        let journal = Some(Journaling::new(made.directory.clone()));
        let call = Call { journal, ..self.call("1.0", None, "{}") };
        let start = Instant::now();
        let report = engine().roll_back(call, "a test").await.unwrap().unwrap();
        let seen = self.seen(start, Ok(format!("{} effects: {report}", report.undone)));
        (report, seen)
    }
}

/// Runs a recorded call again, without a machine; answers also the lines of its log that matter.
///
/// # Panics
/// If the component cannot be run at all.
pub async fn replay(
    component: &Component,
    recording: &Recording,
    is_strict: bool,
) -> (Replay, Vec<String>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    let sink = Arc::new(move |line: LogLine| {
        if line.level >= LogLevel::Info {
            sink.lock().unwrap().push(line.message);
        }
    });
    let replay = engine().replay(component, recording.clone(), is_strict, None, sink).await;
    let said = log.lock().unwrap().clone();
    (replay.unwrap(), said)
}
