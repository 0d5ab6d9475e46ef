//! Recording a call.

use super::entry::{Ended, Entry, Inputs, Question, USUAL, digest};
use crate::journal::{Chain, frame};
use crate::secrets::Secrets;
use serde::Serialize;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file of a recording, in its call's directory.
pub(crate) const FILE: &str = "recording";
/// Bytes of an answer; a longer one is not kept, and a replay ends there.
const LARGEST_ANSWER: usize = 4 << 20;
/// Bytes of a recording; what comes behind is lost, and a replay ends there.
const LARGEST: usize = 64 << 20;

/// A recording that is being made. It is kept in memory until the call ends: most are small, and
/// nothing waits for the disk.
pub(crate) struct Recorder {
    path: PathBuf,
    inputs: Inputs,
    secrets: Arc<Secrets>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    size: usize,
    is_full: bool,
}

impl Recorder {
    pub(crate) fn new(directory: &Path, inputs: Inputs, secrets: Arc<Secrets>) -> Self {
        Self { path: directory.join(FILE), inputs, secrets, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, size: usize, entry: Entry) {
        let mut state = self.state();
        let is_end = matches!(entry, Entry::Ended(_));
        if state.is_full && !is_end {
            return;
        }
        state.size += size + 64;
        if state.size > LARGEST && !is_end {
            state.is_full = true;
            let why = format!("more was answered than the {LARGEST} bytes that are recorded");
            state.entries.push(Entry::Lost(why));
            return;
        }
        state.entries.push(entry);
    }

    /// The component asks.
    pub(crate) fn asked(&self, n: u32, function: &str, about: &str, arguments: &impl Serialize) {
        let (function, about) = (function.to_owned(), about.to_owned());
        let size = about.len();
        let (question, arguments) = (Question { n, function, about }, digest(arguments));
        self.push(size, Entry::Asked { question, arguments });
    }

    /// It is answered.
    pub(crate) fn answered(&self, n: u32, answer: &impl Serialize) {
        match postcard::to_extend(answer, Vec::with_capacity(USUAL)) {
            Ok(answer) if answer.len() > LARGEST_ANSWER => {
                self.lost(format!("answer #{n}, of {} bytes, is too long", answer.len()));
            }
            Ok(answer) => self.push(answer.len(), Entry::Answered { n, answer }),
            Err(error) => self.lost(format!("answer #{n} cannot be recorded: {error}")),
        }
    }

    /// It reads a clock.
    pub(crate) fn clock(&self, is_wall: bool, now: u64) {
        self.push(0, Entry::Clock { is_wall, now });
    }

    /// It does something that is not recorded.
    pub(crate) fn lost(&self, what: String) {
        self.push(what.len(), Entry::Lost(what));
    }

    /// The call has ended. What is written holds no secret: each is a text of the same length that
    /// stands for it, so that what was equal still is.
    pub(crate) fn end(&self, ended: Ended) -> io::Result<()> {
        self.push(0, Entry::Ended(ended));
        let mut state = self.state();
        let (mut bytes, mut chain) = (Vec::with_capacity(state.size), Chain::default());
        let begin = Entry::Begin(serde_json::to_string(&self.inputs)?);
        for entry in [begin].into_iter().chain(std::mem::take(&mut state.entries)) {
            let entry = self.veiled(entry);
            let payload = postcard::to_allocvec(&entry).map_err(io::Error::other)?;
            let (frame, next) = frame(&chain, &payload);
            bytes.extend(frame);
            chain = next;
        }
        if let Some(directory) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut options = File::options();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(&bytes)
    }

    fn veiled(&self, entry: Entry) -> Entry {
        match entry {
            Entry::Answered { n, answer } => {
                Entry::Answered { n, answer: self.secrets.veil(answer) }
            }
            Entry::Asked { mut question, arguments } => {
                question.about = self.secrets.veil_text(question.about);
                Entry::Asked { question, arguments }
            }
            Entry::Ended(mut ended) => {
                ended.failure = ended.failure.map(|failure| self.secrets.veil_text(failure));
                Entry::Ended(ended)
            }
            other => other,
        }
    }
}
