//! Taking back what a call did, newest first.

use crate::bindings::interfaces::packages;
use crate::bindings::interfaces::services;
use crate::bindings::interfaces::types::Error;
use crate::host::{Scope, command, words};
use crate::journal::{AT_END, Entry, Journal, Record, Writer, now};
use crate::logbook::LogLevel;
use crate::tree::{Undo, Undone};
use cerebro_model::{Action, Effect, Kept, Later, Rollback};
use std::path::Path;

impl Scope {
    /// Takes back all that the journal in `directory` tells of.
    pub(crate) async fn roll_back(
        &self,
        journal: &Journal,
        directory: &Path,
        writer: &Writer,
        why: &str,
        boot: Option<String>,
    ) -> Result<Rollback, Error> {
        let mut report = Rollback::default();
        if let crate::journal::End::Torn { why, .. } = &journal.end {
            report.torn = Some(why.clone());
        }
        // The kernel loses nothing of an agent that dies; but what a machine without power had not
        // come to write, it lost.
        let boot = boot.unwrap_or_else(crate::run::boot);
        if let Some(what) = journal.switched_off(&boot) {
            report.torn.get_or_insert_with(|| format!("the machine was switched off while {what}"));
        }
        // Taking back does not depend on these records: it can be done twice, and a full disk is no
        // reason to leave half of it.
        let tell = |record: &Record| {
            if let Err(error) = writer.write(record) {
                tracing::warn!(%error, "a journal cannot be written while its call is rolled back");
            }
        };
        tell(&Record::Undoing { at: now(), why: why.to_owned(), boot });
        if let Err(error) = writer.barrier() {
            tracing::warn!(error = words(&error), "a rollback cannot be told to the disk");
        }
        let effects = journal.effects();
        let mut is_behind_barrier = false;
        for entry in effects.iter().rev() {
            if matches!(entry.undone, Some(Record::Undone { kept: None, .. })) {
                report.undone += 1;
                continue;
            }
            is_behind_barrier |=
                matches!(entry.effect.action, Action::Run { irreversible: true, .. });
            let kept = match is_behind_barrier {
                true => Some(Kept::Barrier),
                false => self.undo(entry, directory, writer.id()).await,
            };
            tell(&Record::Undone { n: entry.n, kept: kept.clone() });
            match kept {
                None => report.undone += 1,
                Some(kept) => {
                    let what = entry.effect.action.to_string();
                    self.log().write(LogLevel::Warn, &format!("#{} {what} stays: {kept}", entry.n));
                    report.kept.push((entry.n, what, kept));
                }
            }
        }
        if !is_behind_barrier {
            self.repeat(&effects).await;
        }
        // Once the journal says so, nobody looks there again.
        match self.settle_files(&effects).await {
            Ok(()) => {
                if let Err(error) = writer.close(&Record::RolledBack { at: now() }) {
                    tracing::warn!(%error, "a journal cannot be written at the end of a rollback");
                }
            }
            Err(error) => {
                let why = format!("what was taken back may not be on the disk: {}", words(&error));
                report.torn.get_or_insert(why);
            }
        }
        report.kept.sort_by_key(|(n, ..)| *n);
        Ok(report)
    }

    /// Has what was taken back of files be on the disk.
    async fn settle_files(&self, effects: &[Entry<'_>]) -> Result<(), Error> {
        let actions: Vec<_> = effects.iter().map(|entry| entry.effect.action.clone()).collect();
        self.with_tree(move |tree| tree.settle(&actions)).await
    }

    /// Takes one effect back; answers why not.
    async fn undo(&self, entry: &Entry<'_>, directory: &Path, id: &str) -> Option<Kept> {
        let undone = match &entry.effect.action {
            // Done again once all is back.
            _ if entry.call == AT_END => Ok(None),
            Action::Remember { key, was } => {
                let (key, before) = (key.clone(), was.clone());
                self.with_memory(move |memory| match &before {
                    Some(value) => memory.set(&key, value),
                    None => memory.delete(&key),
                })
                .await
                .map(|_| None)
            }
            Action::AtEnd { action } => {
                let action = action.clone();
                self.with_memory(move |memory| memory.not_at_end(&action)).await.map(|()| None)
            }
            Action::Run { undo: Some(undo), user, .. } => {
                let spec = command::Spec { user: user.clone(), ..command::plain(undo.clone()) };
                self.execute(&spec).await.and_then(|ended| ended.ensure_success()).map(|_| None)
            }
            // What it wrote are effects of their own.
            Action::Run { undo: None, contained: true, .. } => Ok(None),
            Action::Run { undo: None, .. } => Ok(Some(Kept::Opaque)),
            Action::Packages { new, steps } if new.len() == steps.len() => {
                self.remove_packages(new).await.map(|()| None)
            }
            Action::Packages { .. } => Ok(Some(Kept::Opaque)),
            Action::Service { name, was: Some((running, enabled)), .. } => {
                let (running, enabled) = (Some(*running), Some(*enabled));
                let spec = services::Spec { name: name.clone(), running, enabled };
                self.ensure_service(&spec).await.map(|_| None)
            }
            Action::Service { .. } | Action::Task { .. } => Ok(None),
            Action::Account { name, group, new: true, .. } => {
                self.remove_account(name, *group).await.map(|_| None)
            }
            Action::Account { .. } => Ok(Some(Kept::Opaque)),
            _ => self.undo_in_tree(entry, directory, id).await,
        };
        undone.unwrap_or_else(|error| Some(Kept::Failed(words(&error).to_owned())))
    }

    async fn undo_in_tree(
        &self,
        entry: &Entry<'_>,
        directory: &Path,
        id: &str,
    ) -> Result<Option<Kept>, Error> {
        let (n, effect, moment) = (entry.n, entry.effect.clone(), entry.moment.clone());
        let parents = match entry.done {
            Some(Record::Done { parents, error: None, .. }) => Some(parents.clone()),
            _ => None,
        };
        let (directory, id) = (directory.to_owned(), id.to_owned());
        let undone = self.with_tree(move |tree| {
            let parents = parents.as_deref();
            let (effect, moment, directory, id) = (&effect, &moment, directory.as_path(), &*id);
            tree.undo(&Undo { n, effect, moment, parents, directory, id })
        });
        Ok(match undone.await? {
            Undone::AsBefore => None,
            Undone::Conflict(why) => Some(Kept::Conflict(why)),
        })
    }

    /// What was told at the end that something had changed is told again: it has changed back.
    async fn repeat(&self, effects: &[Entry<'_>]) {
        for entry in effects.iter().filter(|entry| entry.call == AT_END) {
            let Some(action) = later(entry.effect) else { continue };
            if let Err(error) = self.perform(&action).await {
                let what = &entry.effect.action;
                self.log().write(LogLevel::Warn, &format!("again: {what}: {}", words(&error)));
            }
        }
    }

    async fn remove_packages(&self, names: &[String]) -> Result<(), Error> {
        let spec = |name: &String| packages::Spec {
            name: name.clone(),
            state: packages::State::Absent,
            hold: None,
        };
        let specs: Vec<_> = names.iter().map(spec).collect();
        self.ensure_packages(&specs).await.map(drop)
    }
}

/// What was to be done at the end, from the effect that it became.
fn later(effect: &Effect) -> Option<Later> {
    match &effect.action {
        Action::Task { name: Some(name), .. } => Some(Later::RestartTask(name.clone())),
        Action::Service { name, steps, .. } => match steps.first().map(String::as_str) {
            Some("reload") => Some(Later::ReloadService(name.clone())),
            _ => Some(Later::RestartService(name.clone())),
        },
        Action::Run { argv, .. } => Some(Later::Run(argv.clone())),
        _ => None,
    }
}
