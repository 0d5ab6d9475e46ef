//! Following one task sitter after another, for as long as a task is wanted.

use crate::observe::{self, Heard};
use crate::sitters::Sitters;
use crate::time;
use crate::witness::Witness;
use cerebro_model::EventKind;
use cerebro_tasksitter::protocol::{Notice, Request, TaskState};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// Whose task it is.
pub trait Owner: Send + Sync + 'static {
    /// The task's directory.
    fn dir(&self) -> PathBuf;
    /// Its sitter says how it is; `before` is what was said before.
    fn saw(&self, before: Option<&TaskState>, state: &TaskState)
    -> impl Future<Output = ()> + Send;
    /// Something happened.
    fn tell(&self, kind: EventKind, message: String);
    /// It has no sitter, and none can be started.
    fn unreachable(&self, error: &io::Error);
}

/// Follows the sitter of a task from now on, and launches one whenever there is none; `found` tells
/// whether the task is an earlier agent's. It ends when the answer is dropped.
pub fn follow(sitters: Arc<Sitters>, owner: impl Owner, found: bool) -> AbortOnDropHandle<()> {
    let heard = if found { Heard::Found } else { Heard::Launched };
    let dir = owner.dir();
    let follower = Follower { sitters, owner, dir, last: None, witness: None, heard, asked: None };
    AbortOnDropHandle::new(tokio::spawn(follower.run()))
}

struct Follower<O> {
    sitters: Arc<Sitters>,
    owner: O,
    dir: PathBuf,
    last: Option<TaskState>,
    witness: Option<Arc<Witness>>,
    heard: Heard,
    /// The sitter that was asked to go on as our own version.
    asked: Option<i32>,
}

impl<O: Owner> Follower<O> {
    async fn run(mut self) {
        let (mut lost, mut mourned, mut failures) = (Instant::now(), false, 0u32);
        loop {
            match self.sitters.reach(&self.dir, self.witness.clone()).await {
                Ok(mut connection) => {
                    failures = 0;
                    let mut is_first = true;
                    while let Some(notice) = connection.next().await {
                        let Notice::State(state) = notice else { continue };
                        if std::mem::take(&mut is_first) {
                            self.met(&state, lost, mourned);
                            mourned = false;
                        }
                        if self.is_outdated(&state) {
                            let program = self.sitters.program().to_owned();
                            let _ = connection.ask(Request::Upgrade(program)).await;
                        }
                        self.take(*state).await;
                    }
                    lost = Instant::now();
                }
                Err(error) => {
                    if !std::mem::replace(&mut mourned, true) {
                        self.mourn();
                    }
                    self.owner.unreachable(&error);
                    sleep(time::back_off(failures, time::jitter())).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    /// A sitter says its first word after one was lost.
    fn met(&mut self, state: &TaskState, lost: Instant, mourned: bool) {
        let Some(last) = &self.last else { return };
        if last.sitter != state.sitter {
            if !mourned {
                self.mourn();
            }
            self.heard = Heard::Relaunched(lost.elapsed());
        } else if last.version != state.version {
            let message = format!(
                "task sitter {} went on as version {}; it was {}",
                state.sitter, state.version, last.version
            );
            self.owner.tell(EventKind::SitterUpgraded, message);
        }
    }

    fn mourn(&self) {
        if let Some(last) = &self.last {
            let message = format!("task sitter {} died; another takes its place", last.sitter);
            self.owner.tell(EventKind::SitterDied, message);
        }
    }

    /// Whether a sitter is of another version than ours, and has not been asked about that.
    fn is_outdated(&mut self, state: &TaskState) -> bool {
        let is_outdated =
            state.version != env!("CARGO_PKG_VERSION") && self.asked != Some(state.sitter);
        if is_outdated {
            self.asked = Some(state.sitter);
        }
        is_outdated
    }

    async fn take(&mut self, state: TaskState) {
        if !self.witness.as_ref().is_some_and(|witness| witness.is_of(&state)) {
            self.witness = Witness::of(&state).map(Arc::new);
        }
        let heard = std::mem::replace(&mut self.heard, Heard::Told);
        let events = observe::events(self.last.as_ref(), &state, heard);
        self.owner.saw(self.last.as_ref(), &state).await;
        for (kind, message) in events {
            self.owner.tell(kind, message);
        }
        self.last = Some(state);
    }
}
