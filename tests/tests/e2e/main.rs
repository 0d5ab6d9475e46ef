//! Whole clusters through the built binaries. Each test is one; dropped, it leaves nothing behind.

mod adoption;
mod deployments;
mod killed;
mod ladder;
mod names;
mod secrets;
mod story;
