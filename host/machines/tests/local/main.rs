//! Local machines, with real processes, namespaces, mounts and control groups.

#![allow(clippy::unwrap_used)]

mod fixture;
mod host;
mod life;
mod user;
