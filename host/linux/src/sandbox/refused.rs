//! What a child tells of a sandbox that could not be made.

use nix::errno::Errno;
use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;

/// What was being done when a sandbox could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Doing {
    /// Leaving the machine's namespaces.
    Namespaces = 1,
    /// Telling the kernel who the command is in its user namespace.
    Identity,
    /// Keeping its mounts to itself.
    Private,
    /// Finding a directory again.
    Find,
    /// Making a directory writable.
    Writable,
    /// Laying a copy over a directory.
    Copy,
    /// Making the file system read-only.
    ReadOnly,
    /// Making temporary directories of its own.
    Temporary,
    /// Making devices of its own.
    Devices,
    /// Becoming its user and group.
    Become,
    /// Going to the directory that it starts in.
    Directory,
    /// Giving up privileges.
    Privileges,
    /// Restricting it by Landlock.
    Landlock,
    /// Restricting its system calls.
    Filter,
}

const ALL: [Doing; 14] = [
    Doing::Namespaces,
    Doing::Identity,
    Doing::Private,
    Doing::Find,
    Doing::Writable,
    Doing::Copy,
    Doing::ReadOnly,
    Doing::Temporary,
    Doing::Devices,
    Doing::Become,
    Doing::Directory,
    Doing::Privileges,
    Doing::Landlock,
    Doing::Filter,
];

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "give it namespaces of its own",
            Self::Identity => "name its user in a user namespace",
            Self::Private => "keep its mounts to itself",
            Self::Find => "find a directory of its again",
            Self::Writable => "make a directory writable",
            Self::Copy => "lay an overlay over a directory",
            Self::ReadOnly => "make the file system read-only",
            Self::Temporary => "give it temporary directories of its own",
            Self::Devices => "give it devices of its own",
            Self::Become => "run it as its user and group",
            Self::Directory => "go to its directory",
            Self::Privileges => "take privileges from it",
            Self::Landlock => "restrict it by Landlock",
            Self::Filter => "restrict its system calls",
        })
    }
}

/// Why a sandbox could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What the kernel refused.
    pub doing: Doing,
    /// With what error.
    pub errno: Errno,
}

impl Refused {
    /// Whether this machine cannot make such a sandbox at all.
    pub fn is_unsupported(&self) -> bool {
        !matches!(self.doing, Doing::Find | Doing::Become | Doing::Directory)
    }

    fn advice(&self) -> &'static str {
        match (self.doing, self.errno) {
            (Doing::Copy, Errno::ENODEV) => ": it has no overlayfs; load the module `overlay`",
            (Doing::Copy, Errno::EINVAL) => {
                ": it lays none whose changes go to the agent's own directory; have the agent keep \
                 its data on a file system with extended attributes, such as ext4 or XFS"
            }
            (_, Errno::ENOSYS) => ": it needs Linux 5.12 or later",
            (Doing::Namespaces, Errno::ENOSPC) => {
                ": raise the sysctls user.max_user_namespaces, user.max_mnt_namespaces and \
                 user.max_net_namespaces, or run the agent as root"
            }
            (
                Doing::Namespaces | Doing::Identity | Doing::Private,
                Errno::EPERM | Errno::EACCES,
            ) => {
                ": run the agent as root with CAP_SYS_ADMIN, or allow unprivileged user namespaces \
                 (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
            }
            _ => "",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, errno } = self;
        write!(f, "this machine's kernel refused to {doing} ({}){}", errno.desc(), self.advice())
    }
}

impl std::error::Error for Refused {}

/// Where it is found what a child told.
#[derive(Debug)]
pub struct Verdict(PipeReader);

/// Where a child tells it.
pub(super) struct Teller(PipeWriter);

impl Verdict {
    pub(super) fn new() -> io::Result<(Self, Teller)> {
        let (read, write) = io::pipe()?;
        Ok((Self(read), Teller(write)))
    }

    /// Why the sandbox could not be made, if that is why the command could not be started. To be
    /// asked once the command, which holds the other end, is dropped.
    pub fn refused(mut self) -> Option<Refused> {
        let mut told = [0; 5];
        self.0.read_exact(&mut told).ok()?;
        let [doing, errno @ ..] = told;
        let doing = ALL.into_iter().find(|one| *one as u8 == doing)?;
        Some(Refused { doing, errno: Errno::from_raw(i32::from_ne_bytes(errno)) })
    }
}

impl Teller {
    /// Tells it, and answers with it as the error that ends the child. Async-signal-safe.
    pub(super) fn tell(&self, refused: Refused) -> io::Error {
        let mut told = [refused.doing as u8; 5];
        told[1..].copy_from_slice(&(refused.errno as i32).to_ne_bytes());
        // SAFETY: a descriptor of ours, and a buffer of its own length. If it cannot be told, the
        // errno alone is.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), told.as_ptr().cast(), told.len()) };
        refused.errno.into()
    }
}
