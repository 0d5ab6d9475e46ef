//! What the child does between fork and exec. Nothing here allocates.

use super::call::{self, NO_DEV, NO_SUID, READ_ONLY};
use super::plan::{MOST_PLACES, Place, Plan, Sort};
use super::{Doing, Refused, ground, privileges};
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// What an error means at a point of the way.
pub(super) fn at(doing: Doing) -> impl Fn(Errno) -> Refused {
    move |errno| Refused { doing, errno }
}

impl Plan {
    /// Makes the calling process, which has one thread, live in the sandbox.
    pub(super) fn enter(&self) -> Result<(), Refused> {
        self.leave()?;
        ground::make_private().map_err(at(Doing::Private))?;
        let mut held = [const { None }; MOST_PLACES];
        for (place, held) in self.places.iter().zip(&mut held) {
            *held = Some(Held::new(place)?);
        }
        if self.read_only_root {
            self.make_read_only()?;
        }
        for (place, held) in self.places.iter().zip(&mut held) {
            if let Some(held) = held.take() {
                self.show(place, &held)?;
            }
        }
        privileges::bound().map_err(at(Doing::Privileges))?;
        privileges::become_user(self.user, self.group).map_err(at(Doing::Become))?;
        privileges::go_to(&self.directory).map_err(at(Doing::Directory))?;
        if self.no_new_privs {
            privileges::no_new().map_err(at(Doing::Privileges))?;
        }
        if let Some(ruleset) = &self.landlock {
            ruleset.restrict(self).map_err(at(Doing::Landlock))?;
        }
        match &self.filter {
            Some(filter) => filter.install().map_err(at(Doing::Filter)),
            None => Ok(()),
        }
    }

    fn leave(&self) -> Result<(), Refused> {
        let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWIPC;
        if self.no_network {
            flags |= libc::CLONE_NEWNET;
        }
        if self.identity.is_some() {
            flags |= libc::CLONE_NEWUSER;
        }
        // SAFETY: it changes nothing but what this process sees.
        Errno::result(unsafe { libc::unshare(flags) }).map_err(at(Doing::Namespaces))?;
        match &self.identity {
            Some(identity) => privileges::identify(identity).map_err(at(Doing::Identity)),
            None => Ok(()),
        }
    }

    fn make_read_only(&self) -> Result<(), Refused> {
        let devices = ground::Devices::hold().map_err(at(Doing::Devices))?;
        let root = call::open(c"/").map_err(at(Doing::ReadOnly))?;
        call::set_mount(root.as_fd(), READ_ONLY | NO_SUID | NO_DEV, 0, true)
            .map_err(at(Doing::ReadOnly))?;
        for path in &self.temporary {
            ground::temporary(path).map_err(at(Doing::Temporary))?;
        }
        devices.show().map_err(at(Doing::Devices))
    }

    /// Shows a directory where it was.
    fn show(&self, place: &Place, held: &Held) -> Result<(), Refused> {
        for dir in &place.way {
            // Where it is hidden by one of the sandbox's own it is made there; elsewhere it is there.
            let _ = ground::make_dir(dir, 0o755);
        }
        let target = call::open(&place.path).map_err(at(Doing::Find))?;
        call::attach(held.tree.as_fd(), target.as_fd()).map_err(at(Doing::Writable))
    }
}

/// What will be shown at a place: a mount that is attached nowhere yet.
struct Held {
    tree: OwnedFd,
}

impl Held {
    fn new(place: &Place) -> Result<Self, Refused> {
        let found = call::open(&place.path).map_err(at(Doing::Find))?;
        if !ground::is(found.as_fd(), place) {
            // Somebody has put another in its place.
            return Err(Refused { doing: Doing::Find, errno: Errno::ESTALE });
        }
        let read_only = match &place.sort {
            Sort::Copy(layers) => {
                let tree = call::overlay(found.as_fd(), layers).map_err(at(Doing::Copy))?;
                return Ok(Self { tree });
            }
            Sort::Visible => READ_ONLY,
            Sort::Writable => 0,
        };
        let doing = at(Doing::Writable);
        let tree = call::clone_tree(found.as_fd(), c"", true).map_err(&doing)?;
        call::set_mount(tree.as_fd(), NO_SUID | NO_DEV | read_only, 0, true).map_err(doing)?;
        Ok(Self { tree })
    }
}
