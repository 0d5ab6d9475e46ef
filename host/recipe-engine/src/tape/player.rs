//! Answering from a recording.

use super::entry::{Arguments, Entry, Question, digest};
use super::recording::Recording;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Where a replay leaves its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// The component asks for something else than it did.
    Asks {
        /// The number of the call, from 1.
        n: u32,
        /// What it asks for now.
        now: String,
        /// What it asked for then; none if it asked for nothing more.
        then: Option<String>,
    },
    /// What came next was not recorded.
    Lost {
        /// The number of the call, from 1.
        n: u32,
        /// Why not.
        why: String,
    },
    /// As far as was asked.
    Until(u32),
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks { n, now, then: Some(then) } => {
                write!(f, "call #{n} departs: it was `{then}`, and is `{now}` now")
            }
            Self::Asks { n, now, then: None } => {
                write!(f, "call #{n} departs: `{now}`, where there was none")
            }
            Self::Lost { n, why } => write!(f, "the recording ends at call #{n}: {why}"),
            Self::Until(n) => write!(f, "stopped after call #{n}, as asked"),
        }
    }
}

/// An answer, or where there is none.
pub(crate) enum Answered<T> {
    Is(T),
    Departed(Departure),
}

/// A recording that is played.
pub(crate) struct Player {
    /// Whether each call must come where it came.
    is_strict: bool,
    until: u32,
    state: Mutex<State>,
}

struct State {
    calls: Vec<Call>,
    /// The wall's, and the one that only goes on.
    clocks: [Clock; 2],
    at: usize,
    departed: Option<Departure>,
    answered: Vec<Question>,
    site: Vec<String>,
}

#[derive(Default)]
struct Clock {
    readings: VecDeque<u64>,
    last: u64,
}

struct Call {
    question: Question,
    arguments: Arguments,
    answer: Option<Vec<u8>>,
    lost: Option<String>,
    used: bool,
}

impl Player {
    /// Plays `recording`: strictly, or for an edited component, whose calls are found by what they
    /// ask wherever they come. It stops after call `until`.
    pub(crate) fn new(recording: &Recording, is_strict: bool, until: Option<u32>) -> Self {
        let (mut calls, mut clocks) = (Vec::<Call>::new(), <[Clock; 2]>::default());
        for entry in &recording.entries {
            match entry {
                Entry::Asked { question, arguments } => calls.push(Call {
                    question: question.clone(),
                    arguments: *arguments,
                    answer: None,
                    lost: None,
                    used: false,
                }),
                Entry::Answered { answer, n } => {
                    if let Some(call) = calls.iter_mut().rev().find(|call| call.question.n == *n) {
                        call.answer = Some(answer.clone());
                    }
                }
                Entry::Lost(why) => {
                    if let Some(call) = calls.last_mut() {
                        call.lost = Some(why.clone());
                    }
                }
                Entry::Clock { is_wall, now } => {
                    clocks[usize::from(!is_wall)].readings.push_back(*now);
                }
                Entry::Begin(_) | Entry::Ended(_) => {}
            }
        }
        let state =
            State { calls, clocks, at: 0, departed: None, answered: Vec::new(), site: Vec::new() };
        Self { is_strict, until: until.unwrap_or(u32::MAX), state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call as it was answered.
    pub(crate) fn answer<T: DeserializeOwned>(
        &self,
        n: u32,
        function: &str,
        about: &str,
        arguments: &impl Serialize,
    ) -> Answered<T> {
        let mut state = self.state();
        let depart = |state: &mut State, departure: Departure| {
            state.departed.get_or_insert(departure.clone());
            Answered::Departed(departure)
        };
        if n > self.until {
            return depart(&mut state, Departure::Until(self.until));
        }
        let arguments = digest(arguments);
        let is_same = |call: &Call| {
            !call.used && call.question.function == function && call.arguments == arguments
        };
        let at = state.at;
        let found = match self.is_strict {
            true => state.calls.get(at).is_some_and(is_same).then_some(at),
            false => {
                let later = state.calls.iter().skip(at).position(is_same).map(|found| at + found);
                later.or_else(|| state.calls.iter().position(is_same))
            }
        };
        let Some(found) = found else {
            let now = format!("{function} {about}");
            let then = state.calls.get(at).map(|call| call.question.to_string());
            return depart(&mut state, Departure::Asks { n, now, then });
        };
        state.at = found + 1;
        let call = &mut state.calls[found];
        call.used = true;
        let (question, answer, lost) =
            (call.question.clone(), call.answer.clone(), call.lost.clone());
        let Some(answer) = answer else {
            let why = lost.unwrap_or_else(|| {
                format!("`{question}` was never answered: the call ended while it waited for that")
            });
            return depart(&mut state, Departure::Lost { n, why });
        };
        state.answered.push(question);
        match postcard::from_bytes(&answer) {
            Ok(answer) => Answered::Is(answer),
            Err(error) => {
                let why = format!("an answer cannot be read: {error}");
                depart(&mut state, Departure::Lost { n, why })
            }
        }
    }

    /// Reads the clock that was read; where it was read no further, it goes on slowly.
    pub(crate) fn clock(&self, is_wall: bool) -> u64 {
        let mut state = self.state();
        let clock = &mut state.clocks[usize::from(!is_wall)];
        clock.last = clock.readings.pop_front().unwrap_or(clock.last + 1_000);
        clock.last
    }

    /// What comes next is not in the recording.
    pub(crate) fn lost(&self, n: u32, why: String) {
        self.state().departed.get_or_insert(Departure::Lost { n, why });
    }

    /// Where in the component the replay ended that did not come to the component's own end.
    pub(crate) fn ended_at(&self, site: Vec<String>) {
        self.state().site = site;
    }

    /// Where the replay left the recording, what it was answered up to there, and where in the
    /// component that was.
    pub(crate) fn finish(&self) -> (Option<Departure>, Vec<Question>, Vec<String>) {
        let mut state = self.state();
        let (answered, site) =
            (std::mem::take(&mut state.answered), std::mem::take(&mut state.site));
        (state.departed.take(), answered, site)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (function, about) = (&self.function, &self.about);
        match about.is_empty() {
            true => f.write_str(function),
            false => write!(f, "{function} {about}"),
        }
    }
}
