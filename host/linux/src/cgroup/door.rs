//! The ways of a process into a group.
//!
//! Moving a process that is there already makes the kernel wait for all others to pass a quiet
//! point, which takes milliseconds. So a child is better born in the group: into version 2 by
//! `clone3`, which takes a descriptor of the group; into version 1, where each thread has groups of
//! its own, by forking from a thread that is in them.

use super::{At, Cgroup, CgroupError, at};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The files by which a process joins a group.
#[derive(Debug)]
pub struct Door(Vec<CString>);

impl Door {
    /// Moves the calling process into the group. Async-signal-safe: it may be called between fork
    /// and exec.
    pub fn enter(&self) -> io::Result<()> {
        for file in &self.0 {
            // SAFETY: the path is a C string, the buffer is valid for one byte, and the descriptor
            // is ours.
            let written = unsafe {
                let fd = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                if fd < 0 {
                    return Err(io::Error::last_os_error());
                }
                let written = libc::write(fd, c"0".as_ptr().cast(), 1);
                libc::close(fd);
                written
            };
            if written < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// What it takes for children to be born in a group.
#[derive(Debug)]
pub struct Entrance {
    v2: Option<File>,
    /// The files `tasks` of the version 1 groups.
    v1: Vec<PathBuf>,
}

impl Entrance {
    /// The version 2 group, for `clone3`.
    pub fn v2(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(AsFd::as_fd)
    }

    /// Whether children must be forked from a thread that has joined.
    pub fn needs_thread(&self) -> bool {
        !self.v1.is_empty()
    }

    /// Moves the calling thread, and it alone, into the version 1 groups.
    pub fn join_thread(&self) -> Result<(), CgroupError> {
        for file in &self.v1 {
            std::fs::write(file, "0").map_err(at("join the group of", file))?;
        }
        Ok(())
    }
}

impl Cgroup {
    /// The way into it, for a process between fork and exec.
    pub fn door(&self) -> Door {
        let files = self
            .directories()
            .into_iter()
            .map(|dir| dir.join("cgroup.procs").into_os_string().into_vec());
        // A path of ours holds no NUL.
        Door(files.filter_map(|file| CString::new(file).ok()).collect())
    }

    /// What it takes for children to be born in it.
    pub fn entrance(&self) -> Result<Entrance, CgroupError> {
        let v2 = match &self.cgroups.v2 {
            Some(root) => {
                let dir = root.join(&self.path);
                Some(File::open(&dir).map_err(at("open", &dir))?)
            }
            None => None,
        };
        let controllers = super::CONTROLLERS.into_iter().filter_map(|name| self.controller(name));
        let mut v1: Vec<PathBuf> = controllers
            .filter_map(|place| match place {
                At::V1(dir) => Some(dir.join("tasks")),
                At::V2(_) => None,
            })
            .collect();
        // Two controllers may share a hierarchy.
        v1.dedup();
        Ok(Entrance { v2, v1 })
    }
}
