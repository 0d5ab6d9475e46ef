//! Safe wrappers over the kernel: nothing of ours lies below.

pub mod cgroup;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod net;
pub mod pidfd;
pub mod process;
pub mod sandbox;
pub mod spawn;
pub mod usage;
