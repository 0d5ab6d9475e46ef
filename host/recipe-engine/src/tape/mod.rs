//! What a call asked and what it was answered, so that it can be run again elsewhere, without the
//! machine.
//!
//! A component computes the same from the same answers: it has no threads, and all else that could
//! differ, random numbers and clocks, comes from here too. What is recorded is therefore the
//! answers; of the arguments a digest is enough to see where an edited component departs.

mod entry;
mod player;
mod recorder;
mod recording;

pub(crate) use entry::{Arguments, Ended, digest_of};
pub use entry::{Inputs, Question};
pub use player::Departure;
pub(crate) use player::{Answered, Player};
pub(crate) use recorder::Recorder;
pub use recording::{Recording, RecordingError};

/// Where the answers come from.
pub(crate) enum Tape {
    /// The machine, and nobody remembers.
    Off,
    /// The machine, and they are recorded.
    Recording(Box<Recorder>),
    /// A recording.
    Playing(Box<Player>),
}

impl Tape {
    /// Whether nobody needs the arguments.
    pub(crate) fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }
}
