//! Changing files, directories and links, each at once.

use super::perform::Deed;
use super::{Access, Spot, Tree};
use crate::bindings::interfaces::files::{Kind, Metadata};
use crate::bindings::interfaces::types::{Change, Error};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, fchown};
use std::os::fd::AsFd;

/// A user and a group of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// How a file or directory should be; what is left out stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<Owner>,
}

impl Attributes {
    /// Whether `found` is so already.
    pub(super) fn hold(&self, found: &Metadata) -> bool {
        self.mode.is_none_or(|mode| mode & 0o7777 == found.mode)
            && self.owner.is_none_or(|o| (o.uid, o.gid) == (found.uid, found.gid))
    }

    /// These, with what they leave out taken from what is there, or from the defaults.
    pub(super) fn complete(self, found: Option<&Metadata>, mode: u32) -> Self {
        Self {
            mode: self.mode.or(found.map(inherited)).or(Some(mode)),
            owner: self.owner.or(found.map(|f| Owner { uid: f.uid, gid: f.gid })),
        }
    }
}

/// The mode of what is there, for what replaces it: other content does not inherit privileges.
fn inherited(found: &Metadata) -> u32 {
    match found.kind {
        Kind::File => found.mode & !0o6000,
        _ => found.mode,
    }
}

/// Gives `file` to `owner`; nothing to do, and no privilege needed, if it belongs to it.
pub(super) fn set_owner(file: impl AsFd, owner: Owner) -> Result<(), Errno> {
    let found = nix::sys::stat::fstat(&file)?;
    if (found.st_uid, found.st_gid) == (owner.uid, owner.gid) {
        return Ok(());
    }
    fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}

impl Tree {
    pub(crate) fn write(
        &self,
        path: &str,
        content: &[u8],
        secrets: Vec<String>,
        attributes: Attributes,
    ) -> Result<Change, Error> {
        let spot = self.spot_to_change(path)?;
        let _changing = self.take(&spot);
        if let Some(why) = self.unknown_at(&spot) {
            let attributes = attributes.complete(None, 0o644);
            return self.plan_over(&spot, &Deed::Write { content, secrets, attributes }, &why);
        }
        let found = self.metadata(&spot)?;
        if let Some(found) = &found {
            if found.kind != Kind::File {
                return Err(Error::Invalid(format!("`{}` is not a regular file", spot.path)));
            }
            if attributes.hold(found) && self.holds(&spot, content, found)? {
                return Ok(Change::Unchanged);
            }
        }
        let attributes = attributes.complete(found.as_ref(), 0o644);
        self.perform(&spot, found.as_ref(), &Deed::Write { content, secrets, attributes })?;
        Ok(if found.is_some() { Change::Updated } else { Change::Created })
    }

    pub(crate) fn directory(&self, path: &str, attributes: Attributes) -> Result<Change, Error> {
        let spot = self.spot_in_made(path, Access::Write).and_then(changeable)?;
        let _changing = self.take(&spot);
        if let Some(why) = self.unknown_at(&spot) {
            return self.plan_over(&spot, &Deed::Directory(attributes.complete(None, 0o755)), &why);
        }
        let found = self.metadata(&spot)?;
        let complete = attributes.complete(found.as_ref(), 0o755);
        match &found {
            Some(found) if found.kind != Kind::Directory => {
                Err(Error::Invalid(format!("`{}` is there and is not a directory", spot.path)))
            }
            Some(found) if attributes.hold(found) => Ok(Change::Unchanged),
            Some(_) => {
                self.perform(&spot, found.as_ref(), &Deed::Attributes(complete))?;
                Ok(Change::Updated)
            }
            None => {
                self.perform(&spot, None, &Deed::Directory(complete))?;
                Ok(Change::Created)
            }
        }
    }

    /// Makes a directory on the way to another, unless it is there.
    pub(super) fn make_missing(&self, spot: &Spot) -> Result<(), Error> {
        let _changing = self.take(spot);
        let attributes = Attributes::default().complete(None, 0o755);
        if let Some(why) = self.unknown_at(spot) {
            return self.plan_over(spot, &Deed::Directory(attributes), &why).map(drop);
        }
        match self.metadata(spot)? {
            Some(_) => Ok(()),
            None => self.perform(spot, None, &Deed::Directory(attributes)),
        }
    }

    pub(crate) fn symlink(&self, path: &str, target: &str) -> Result<Change, Error> {
        self.lead(path, target, false)
    }

    /// Has a link lead to `target`. If that makes what was done before count, that is on the disk
    /// then.
    pub(super) fn lead(&self, path: &str, target: &str, is_commit: bool) -> Result<Change, Error> {
        if target.is_empty() || target.len() > 4095 || target.contains('\0') {
            return Err(Error::Invalid(format!("`{target}` is not a target for a link")));
        }
        let spot = self.spot_to_change(path)?;
        let _changing = self.take(&spot);
        if let Some(why) = self.unknown_at(&spot) {
            return self.plan_over(&spot, &Deed::Link { target, is_commit }, &why);
        }
        let found = self.metadata(&spot)?;
        match &found {
            Some(found) if found.kind != Kind::Symlink => {
                return Err(Error::Invalid(format!("`{}` is there and is not a link", spot.path)));
            }
            Some(found) if found.target.as_deref() == Some(target) => return Ok(Change::Unchanged),
            _ => {}
        }
        self.perform(&spot, found.as_ref(), &Deed::Link { target, is_commit })?;
        Ok(if found.is_some() { Change::Updated } else { Change::Created })
    }

    /// Where a change to `path` takes place. The root itself is not changed.
    pub(super) fn spot_to_change(&self, path: &str) -> Result<Spot, Error> {
        self.spot(path, Access::Write).and_then(changeable)
    }
}

/// The root itself is not changed.
pub(super) fn changeable(spot: Spot) -> Result<Spot, Error> {
    match spot.name.as_str() {
        "." => Err(Error::Invalid("`/` itself cannot be changed".to_owned())),
        _ => Ok(spot),
    }
}
