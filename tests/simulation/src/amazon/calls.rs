//! All calls in their order, and which of them go wrong.

use cerebro_fake_aws::ApiError;
use std::ops::Range;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strike {
    /// It is answered with this, and does nothing.
    Answer(ApiError),
    /// It does not get there, and its connection is reset.
    Reset,
    /// It does not get there, and nobody answers.
    Hang,
    /// It is done, and its connection is reset.
    ReplyLost,
    /// It is done, and nobody answers.
    HangBehind,
    /// The controller is killed before it gets there.
    DiesBefore,
    /// It is done, and the controller is killed before it is answered.
    DiesBehind,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Of whom: `ec2` or `route53`.
    pub service: &'static str,
    /// Such as `RunInstances`.
    pub action: String,
}

impl Made {
    /// Whether it leaves everything as it was, so that it makes no difference whether it gets there.
    pub fn reads(&self) -> bool {
        reads(&self.action)
    }
}

/// Whether an action leaves everything as it was.
pub(super) fn reads(action: &str) -> bool {
    ["Describe", "List", "Get"].iter().any(|verb| action.starts_with(verb))
}

/// Calls, of both services.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// Those that were made.
    pub made: Vec<Made>,
    strikes: Option<(Range<usize>, Strike)>,
}

impl Calls {
    /// Those of these numbers go wrong, as far as they are of the same action as the first of them.
    pub fn struck(numbers: Range<usize>, strike: Strike) -> Self {
        Self { made: Vec::new(), strikes: Some((numbers, strike)) }
    }

    /// One more: what happens to it.
    pub(super) fn next(&mut self, service: &'static str, action: &str) -> Option<Strike> {
        let number = self.made.len();
        self.made.push(Made { service, action: action.to_owned() });
        let (numbers, strike) = self.strikes.as_ref()?;
        let first = self.made.get(numbers.start)?;
        (numbers.contains(&number) && first.action == action).then(|| strike.clone())
    }
}
