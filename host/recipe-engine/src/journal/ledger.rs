//! Where the effects of one call are told: to its journal, to a plan, or to nobody.

use super::expected::Expected;
use super::frame::{Chain, frame};
use super::medium::{FileMedium, Medium};
use super::plan::Planning;
use super::record::{Begin, Moment, Record, Signature, Stamp};
use super::{KEPT, file, read};
use crate::bindings::interfaces::types::Error;
use cerebro_model::{Class, Effect};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The number of the call under which is told what is done at the end.
pub(crate) const AT_END: u32 = 0;

/// Opens the medium of a journal at a path, behind so many bytes.
pub(crate) type OpenMedium = Arc<dyn Fn(&Path, u64) -> io::Result<Box<dyn Medium>> + Send + Sync>;

/// A journal's files, as those of an agent's disk.
pub(crate) fn files() -> OpenMedium {
    Arc::new(|path, length| Ok(Box::new(FileMedium::open(path, length)?)))
}

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Where the effects of a call are told.
pub(crate) struct Ledger {
    call: AtomicU32,
    /// What the effects are held to, if that is a plan.
    expected: Option<Expected>,
    to: To,
}

enum To {
    Nobody,
    Journal(Writer),
    Plan(Planning),
}

/// An effect that was begun.
pub(crate) struct Open {
    pub(crate) n: u32,
    since: Instant,
}

impl Ledger {
    /// One that tells nobody.
    pub(crate) fn off() -> Self {
        Self::to(To::Nobody)
    }

    pub(crate) fn journal(writer: Writer) -> Self {
        Self::to(To::Journal(writer))
    }

    pub(crate) fn planning() -> Self {
        Self::to(To::Plan(Planning::default()))
    }

    fn to(to: To) -> Self {
        Self { call: AtomicU32::new(0), expected: None, to }
    }

    /// The same, held to a plan.
    pub(crate) fn held_to(self, expected: Option<Expected>) -> Self {
        Self { expected, ..self }
    }

    /// `effect` is about to be begun: what a plan has before it need not be done where it is there.
    pub(crate) fn pass(&self, effect: &Effect, is_there: impl Fn(&Effect) -> bool) {
        if let Some(expected) = &self.expected {
            expected.pass(effect, is_there);
        }
    }

    /// Why an effect was refused that is not as it was planned, if one was.
    pub(crate) fn departed(&self) -> Option<String> {
        self.expected.as_ref()?.departed()
    }

    /// The journal, if there is one.
    pub(crate) fn writer(&self) -> Option<&Writer> {
        match &self.to {
            To::Journal(writer) => Some(writer),
            _ => None,
        }
    }

    /// The plan, if one is made: then nothing is changed.
    pub(crate) fn plan(&self) -> Option<&Planning> {
        match &self.to {
            To::Plan(plan) => Some(plan),
            _ => None,
        }
    }

    /// The number of the component's call that is being answered.
    pub(crate) fn call(&self) -> u32 {
        self.call.load(Ordering::Relaxed)
    }

    /// The component made its next call; answers its number.
    pub(crate) fn next_call(&self) -> u32 {
        self.call.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The component has returned; what is done now is done at the end.
    pub(crate) fn at_end(&self) {
        self.call.store(AT_END, Ordering::Relaxed);
    }

    /// An effect is about to take place. Nothing happens where there is no journal; where it cannot
    /// be written, the effect must not take place.
    pub(crate) fn begin(&self, effect: Effect, moment: Moment) -> Result<Option<Open>, Error> {
        let Some(writer) = self.writer() else { return Ok(None) };
        if let Some(expected) = &self.expected {
            expected.take(&effect).map_err(Error::Failed)?;
        }
        let hard = effect.action.class() != Class::Reversible;
        writer.intent(self.call(), effect, moment, hard).map(Some)
    }

    /// It took place, or not.
    pub(crate) fn done(
        &self,
        open: Option<Open>,
        parents: Vec<Stamp>,
        left: Option<Signature>,
        error: Option<String>,
    ) -> Result<(), Error> {
        match (self.writer(), open) {
            (Some(writer), Some(open)) => writer.done(&open, parents, left, error),
            _ => Ok(()),
        }
    }

    /// Has all that was done be on the disk before what comes next.
    pub(crate) fn barrier(&self) -> Result<(), Error> {
        match self.writer() {
            Some(writer) => writer.barrier(),
            None => Ok(()),
        }
    }
}

/// A journal that is written, and made with its first record: a call without an effect has none.
pub(crate) struct Writer {
    directory: PathBuf,
    begin: Begin,
    open: OpenMedium,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    medium: Option<Box<dyn Medium>>,
    chain: Chain,
    effects: u32,
    /// Something was written since the last barrier.
    behind: bool,
}

impl Writer {
    /// A journal in `directory`, for a call that `begin` tells of.
    pub(crate) fn new(directory: PathBuf, begin: Begin, open: OpenMedium) -> Self {
        Self { directory, begin, open, state: Mutex::default() }
    }

    /// The journal that is in `directory`, to be gone on with.
    pub(crate) fn resume(directory: PathBuf, begin: Begin, open: OpenMedium) -> io::Result<Self> {
        let bytes = fs::read(file(&directory))?;
        let (length, chain) = read(&bytes).tail();
        let medium = open(&file(&directory), length as u64)?;
        // What is taken back gets no further effects.
        let state = State { medium: Some(medium), chain, effects: u32::MAX, behind: false };
        Ok(Self { directory, begin, open, state: Mutex::new(state) })
    }

    /// What tells it from other journals.
    pub(crate) fn id(&self) -> &str {
        &self.begin.id
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was no effect.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().medium.is_none()
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::Failed(format!(
            "the journal in `{}` cannot be written, and without it nothing is changed: {error}",
            self.directory.display()
        ))
    }

    fn start(&self, state: &mut State) -> io::Result<()> {
        if state.medium.is_some() {
            return Ok(());
        }
        let kept = self.directory.join(KEPT);
        DirBuilder::new().recursive(true).mode(0o700).create(&kept)?;
        let mut medium = (self.open)(&file(&self.directory), 0)?;
        medium.reserve(4096)?;
        state.medium = Some(medium);
        write(state, &Record::Begin(self.begin.clone()))
    }

    fn intent(&self, call: u32, effect: Effect, moment: Moment, hard: bool) -> Result<Open, Error> {
        let mut state = self.state();
        let is_first = state.effects == 0;
        let written = self.start(&mut state).and_then(|()| {
            let n = state.effects + 1;
            write(&mut state, &Record::Intent { n, call, at: now(), moment, effect })?;
            state.effects = n;
            if hard || is_first {
                sync(&mut state)?;
            }
            Ok(n)
        });
        let n = written.map_err(|error| self.failed(&error))?;
        Ok(Open { n, since: Instant::now() })
    }

    fn done(
        &self,
        open: &Open,
        parents: Vec<Stamp>,
        left: Option<Signature>,
        error: Option<String>,
    ) -> Result<(), Error> {
        let took = u64::try_from(open.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.write(&Record::Done { n: open.n, took, parents, left, error })
            .map_err(|error| self.failed(&error))
    }

    pub(crate) fn barrier(&self) -> Result<(), Error> {
        let mut state = self.state();
        match state.medium.is_some() && state.behind {
            true => sync(&mut state).map_err(|error| self.failed(&error)),
            false => Ok(()),
        }
    }

    /// Writes a record of what is no effect, if there is a journal.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let mut state = self.state();
        match state.medium.is_some() {
            true => write(&mut state, record),
            false => Ok(()),
        }
    }

    /// Writes the last record of a part, and has all be on the disk.
    pub(crate) fn close(&self, record: &Record) -> io::Result<()> {
        let mut state = self.state();
        match state.medium.is_some() {
            true => {
                write(&mut state, record)?;
                sync(&mut state)
            }
            false => Ok(()),
        }
    }
}

fn write(state: &mut State, record: &Record) -> io::Result<()> {
    let payload = serde_json::to_vec(record)?;
    let (bytes, chain) = frame(&state.chain, &payload);
    let Some(medium) = &mut state.medium else { return Ok(()) };
    if matches!(record, Record::Intent { .. }) {
        medium.reserve(bytes.len())?;
    }
    medium.append(&bytes)?;
    state.chain = chain;
    state.behind = true;
    Ok(())
}

fn sync(state: &mut State) -> io::Result<()> {
    if let Some(medium) = &mut state.medium {
        medium.sync()?;
    }
    write(state, &Record::Barrier)?;
    state.behind = false;
    Ok(())
}
