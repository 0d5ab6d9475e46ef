//! All that a child needs to make its sandbox, prepared while there still is somebody to allocate.

use super::{Copy, Sandbox, landlock, seccomp};
use nix::sys::stat::fstat;
use nix::unistd::{getegid, geteuid};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Directories that hold what programs put aside.
pub(super) const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Directories that a sandbox has its own ones of.
const OWN: [&str; 3] = ["/dev", TEMPORARY[0], TEMPORARY[1]];

/// Directories that a sandbox may have beside the rest: as many descriptors the child holds.
pub(super) const MOST_PLACES: usize = 64;

/// What a child does, in C strings and descriptors.
pub(super) struct Plan {
    pub(super) read_only_root: bool,
    /// Whether a directory of that name is made for the command alone: /tmp, /var/tmp.
    pub(super) temporary: Vec<CString>,
    pub(super) places: Vec<Place>,
    pub(super) no_network: bool,
    pub(super) no_new_privs: bool,
    /// What to write to the child's files, for one that has no privileges: its user and group.
    pub(super) identity: Option<[CString; 2]>,
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) directory: CString,
    pub(super) landlock: Option<landlock::Ruleset>,
    pub(super) filter: Option<seccomp::Filter>,
}

/// A directory that is not as the rest.
pub(super) struct Place {
    /// Where it really is.
    pub(super) path: CString,
    /// The directories to make on the way to it, where an empty one hides the real one.
    pub(super) way: Vec<CString>,
    /// By what it is known again.
    pub(super) device: libc::dev_t,
    pub(super) inode: libc::ino_t,
    pub(super) sort: Sort,
}

/// What is with such a directory.
pub(super) enum Sort {
    /// It is there to be seen.
    Visible,
    /// It can be written.
    Writable,
    /// What is written goes elsewhere.
    Copy(Layers),
}

/// Where what is written to an overlay goes.
pub(super) struct Layers {
    pub(super) upper: CString,
    pub(super) work: CString,
    /// Whether the kernel is to mark what is gone by attributes that everybody may set.
    pub(super) user_attributes: bool,
}

fn c_string(text: impl Into<Vec<u8>>) -> io::Result<CString> {
    CString::new(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn real_path(fd: &OwnedFd) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

impl Place {
    fn new(fd: &OwnedFd, sort: Sort) -> io::Result<Self> {
        let (path, found) = (real_path(fd)?, fstat(fd)?);
        let hidden =
            |dir: &Path| OWN.iter().any(|own| dir.starts_with(own) && dir != Path::new(own));
        let mut way: Vec<&Path> = path.ancestors().filter(|dir| hidden(dir)).collect();
        way.reverse();
        let way = way.into_iter().map(|dir| c_string(dir.as_os_str().to_owned().into_vec()));
        let way = way.collect::<io::Result<Vec<_>>>()?;
        let path = c_string(path.into_os_string().into_vec())?;
        Ok(Self { path, way, device: found.st_dev, inode: found.st_ino, sort })
    }
}

impl Plan {
    pub(super) fn new(sandbox: Sandbox) -> io::Result<Self> {
        let Sandbox { writable, copies, visible, directory, user, group, .. } = sandbox;
        let mut places = Vec::new();
        for fd in &visible {
            places.push(Place::new(fd, Sort::Visible)?);
        }
        for fd in &writable {
            places.push(Place::new(fd, Sort::Writable)?);
        }
        let is_root = geteuid().is_root();
        for Copy { directory, upper, work } in &copies {
            places.push(Place::new(
                directory,
                Sort::Copy(Layers {
                    upper: c_string(crate::mount::escaped(upper))?,
                    work: c_string(crate::mount::escaped(work))?,
                    user_attributes: !is_root,
                }),
            )?);
        }
        if places.len() > MOST_PLACES {
            let why = format!("a sandbox has at most {MOST_PLACES} directories of its own");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // Those above come first, so that none is mounted over.
        places.sort_by(|a, b| a.path.cmp(&b.path));
        let is_open = |places: &[Place], own: &str| {
            places.iter().any(|place| {
                matches!(place.sort, Sort::Writable) && place.path.to_bytes() == own.as_bytes()
            })
        };
        let read_only_root = sandbox.read_only_root && !is_open(&places, "/");
        if !read_only_root {
            // All of them are there to be seen and written.
            places.retain(|place| matches!(place.sort, Sort::Copy(_)));
        }
        let temporary = TEMPORARY.into_iter().filter(|own| {
            read_only_root
                && !is_open(&places, own)
                && Path::new(own).is_dir()
                && !Path::new(own).is_symlink()
        });
        let temporary = temporary.map(c_string).collect::<io::Result<Vec<_>>>()?;
        let identity = match is_root {
            true => None,
            false => {
                let (uid, gid) = (geteuid(), getegid());
                Some([c_string(format!("{uid} {uid} 1\n"))?, c_string(format!("{gid} {gid} 1\n"))?])
            }
        };
        // Both want that privileges cannot come back.
        let (reads, cut_off) = (read_only_root, sandbox.no_network);
        let lines = sandbox.no_new_privs;
        let landlock = lines.then(|| landlock::Ruleset::new(reads, cut_off)).flatten();
        let filter = (lines && cut_off).then(seccomp::Filter::without_services).flatten();
        Ok(Self {
            read_only_root,
            temporary,
            places,
            no_network: sandbox.no_network,
            no_new_privs: sandbox.no_new_privs,
            identity,
            user,
            group,
            directory: c_string(directory.into_os_string().into_vec())?,
            landlock,
            filter,
        })
    }
}
