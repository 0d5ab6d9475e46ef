//! What to do next: two pure planners, one for the whole cluster and one for a single machine.
//!
//! A planner is a function from a snapshot to decisions. It does nothing, asks nobody, and reads
//! no clock; whoever calls it carries the decisions out, looks again, and calls it again. Each
//! decision is so specific that its executor has no choice left, and tells its reason in words.

pub mod cluster;
pub mod machine;
