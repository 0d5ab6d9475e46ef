//! What was seen and not yet told: a bounded queue.

use crate::time;
use cerebro_api::body::ReportedEvent;
use cerebro_model::{EventKind, Subject};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Events kept while nobody takes them.
const KEPT: usize = 1000;
/// Events that are shown to whoever asks the agent.
const SHOWN: usize = 200;
/// Events in one report.
const PORTION: usize = 200;

/// Events in the order in which they happened.
#[derive(Default)]
pub struct Events(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// The number of the first event in the queue.
    first: u64,
    waiting: VecDeque<ReportedEvent>,
    /// The last ones, taken or not.
    last: VecDeque<ReportedEvent>,
    dropped: u64,
}

/// Some events, and what to give back once they were taken.
pub struct Portion {
    /// The oldest events.
    pub events: Vec<ReportedEvent>,
    end: u64,
    dropped: u64,
}

impl Events {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event; the oldest makes room for it where there is none.
    pub fn push(&self, kind: EventKind, subject: Subject, message: String) {
        let mut queue = self.queue();
        if queue.waiting.len() == KEPT {
            queue.waiting.pop_front();
            queue.first += 1;
            queue.dropped += 1;
        }
        let event = ReportedEvent { at: time::now(), kind, subject, message };
        if queue.last.len() == SHOWN {
            queue.last.pop_front();
        }
        queue.last.push_back(event.clone());
        queue.waiting.push_back(event);
    }

    /// The latest, newest first, told or not.
    pub fn latest(&self) -> Vec<ReportedEvent> {
        self.queue().last.iter().rev().cloned().collect()
    }

    /// The oldest events, which stay until they are [`taken`](Self::taken).
    pub fn portion(&self) -> Portion {
        let queue = self.queue();
        let mut events: Vec<_> = queue.waiting.iter().take(PORTION).cloned().collect();
        if let (Some(event), 1..) = (events.first_mut(), queue.dropped) {
            event.message += &format!(" ({} events before it were dropped)", queue.dropped);
        }
        let end = queue.first + events.len() as u64;
        Portion { events, end, dropped: queue.dropped }
    }

    /// Removes what was taken; answers whether more is waiting.
    pub fn taken(&self, portion: &Portion) -> bool {
        let mut queue = self.queue();
        while queue.first < portion.end && queue.waiting.pop_front().is_some() {
            queue.first += 1;
        }
        queue.dropped = queue.dropped.saturating_sub(portion.dropped);
        !queue.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(events: &Events, number: usize) {
        events.push(EventKind::RecipeLog, Subject::default(), number.to_string());
    }

    #[test]
    fn events_stay_until_taken_and_the_oldest_are_dropped_with_a_count() {
        let events = Events::default();
        (0..KEPT).for_each(|number| push(&events, number));
        let portion = events.portion();
        // While the report is on its way, five of its events make room for others.
        (0..5).for_each(|number| push(&events, number));
        assert!(events.taken(&portion));
        let next = events.portion();
        assert_eq!(next.events.len(), PORTION);
        assert!(next.events[0].message.starts_with("200 (5 events"), "{:?}", next.events[0]);
        assert!(events.taken(&next));
        assert_eq!(events.portion().events[0].message, "400");
    }
}
