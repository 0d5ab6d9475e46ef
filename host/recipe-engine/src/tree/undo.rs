//! Taking back what was done to files: only where all is as it was left, so that nobody's later change
//! is lost, and so that it may be done twice.

use super::keep::Keep;
use super::path::Plain;
use super::{Spot, Tree, failed, manifest, open_beneath};
use crate::bindings::interfaces::types::Error;
use crate::journal::{Moment, Stamp};
use cerebro_model::{Action, Effect, Seen};
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use std::collections::HashSet;

/// An effect to be taken back.
pub(crate) struct Undo<'a> {
    pub(crate) n: u32,
    pub(crate) effect: &'a Effect,
    pub(crate) moment: &'a Moment,
    /// When its directories were changed by it; none if nobody lived to tell.
    pub(crate) parents: Option<&'a [Stamp]>,
    /// The call's directory, and what tells its journal from others.
    pub(crate) directory: &'a std::path::Path,
    pub(crate) id: &'a str,
}

/// What came of taking an effect back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undone {
    /// All is as it was before it.
    AsBefore,
    /// Somebody has changed something since, which is kept; this is what differs.
    Conflict(String),
}

impl Tree {
    /// Takes an effect on files back.
    pub(crate) fn undo(&self, undo: &Undo<'_>) -> Result<Undone, Error> {
        let Some(path) = undo.effect.action.path() else { return Ok(Undone::AsBefore) };
        let path = Plain::parse(path)?;
        let spot = match self.exactly(&path) {
            Ok(spot) => spot,
            // What it was in is gone, and it with that.
            Err(Error::NotFound(_)) if undo.effect.before.is_none() => return Ok(Undone::AsBefore),
            Err(Error::NotFound(why) | Error::Invalid(why)) => return Ok(Undone::Conflict(why)),
            Err(error) => return Err(error),
        };
        let _changing = self.take(&spot);
        let to = match &undo.effect.action {
            Action::Rename { to, .. } => Some(self.exactly(&Plain::parse(to)?)?),
            _ => None,
        };
        let spots: Vec<&Spot> = [Some(&spot), to.as_ref()].into_iter().flatten().collect();
        // Before anything is touched: whose directory was changed since keeps that time.
        let mut untouched = Vec::new();
        for (at, spot) in spots.iter().enumerate() {
            let left = undo.parents.and_then(|parents| parents.get(at));
            untouched.push(left.is_none_or(|left| spot.stamp().ok() == Some(*left)));
        }
        let keep = Keep::new(undo.directory, undo.id, undo.n);
        let undone = self.undo_at(&spot, to.as_ref(), undo, &keep)?;
        for ((spot, stamp), untouched) in spots.iter().zip(&undo.moment.parents).zip(untouched) {
            if untouched && undone == Undone::AsBefore {
                spot.set_stamp(*stamp)?;
            }
        }
        Ok(undone)
    }

    /// Has what these changed be on the disk, as it is now: the directories that they happened in, and
    /// what has another mode or owner.
    pub(crate) fn settle(&self, actions: &[Action]) -> Result<(), Error> {
        let mut done = HashSet::new();
        for action in actions {
            let to = match action {
                Action::Rename { to, .. } => Some(to.as_str()),
                _ => None,
            };
            for path in action.path().into_iter().chain(to) {
                let spot = match self.exactly(&Plain::parse(path)?) {
                    Ok(spot) => spot,
                    // Its directory is gone, which was an effect on another.
                    Err(Error::NotFound(_) | Error::Invalid(_)) => continue,
                    Err(error) => return Err(error),
                };
                let what = match action {
                    Action::Attributes { .. } => spot.name.as_str(),
                    _ => ".",
                };
                let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
                let opened = open_beneath(spot.dir()?, what, flags, Mode::empty());
                let synced = opened.and_then(|opened| {
                    let found = fstat(&opened)?;
                    // Each is waited for once.
                    match done.insert((found.st_dev, found.st_ino)) {
                        true => fsync(&opened),
                        false => Ok(()),
                    }
                });
                match synced {
                    // Gone, or a link, which its directory says all of; or nothing that can be synced.
                    Ok(()) | Err(Errno::ENOENT | Errno::ELOOP | Errno::EINVAL | Errno::ENXIO) => {}
                    Err(errno) => return Err(failed(errno, "have on the disk", &spot.path)),
                }
            }
        }
        Ok(())
    }

    fn undo_at(
        &self,
        spot: &Spot,
        to: Option<&Spot>,
        undo: &Undo<'_>,
        keep: &Keep,
    ) -> Result<Undone, Error> {
        let (before, after) = (&undo.effect.before, &undo.effect.after);
        let now = self.seen(spot)?;
        // It may have been cut off half-way.
        let is_open = undo.parents.is_none();
        let is_as = |expected: &Option<Seen>| match (&now, expected) {
            (None, None) => true,
            (Some(now), Some(expected)) => now.is(expected),
            _ => false,
        };
        match &undo.effect.action {
            Action::Write { .. } | Action::Link { .. } => {
                // What an effect that was cut off has left beside.
                spot.clear(&spot.beside("new"))?;
                if is_as(before) {
                    keep.forget(spot)?;
                } else if !is_as(after) {
                    return Ok(spot.conflict(now.as_ref()));
                } else if before.is_none() {
                    spot.clear(&spot.name)?;
                } else if !keep.put_back(spot, true)? {
                    return Ok(Undone::Conflict("what was there before is not kept".to_owned()));
                }
            }
            Action::Directory { .. } if now.is_some() => {
                return spot.undo_directory(is_as(after) || is_open);
            }
            Action::Attributes { .. } => {
                match before {
                    _ if is_as(before) => {}
                    Some(before) if is_as(after) || is_open => spot.set(super::Attributes {
                        mode: Some(before.mode),
                        owner: Some(super::Owner { uid: before.uid, gid: before.gid }),
                    })?,
                    _ => return Ok(spot.conflict(now.as_ref())),
                }
                if let Some(capabilities) = &undo.moment.capabilities
                    && spot.capabilities()?.is_none()
                {
                    spot.set_capabilities(capabilities)?;
                }
            }
            Action::Remove { .. } => {
                if now.is_none() && !keep.put_back(spot, false)? {
                    return Ok(Undone::Conflict("what was there before is not kept".to_owned()));
                }
                if now.is_some() && (!is_as(before) || keep.has(spot)?) {
                    return Ok(spot.conflict(now.as_ref()));
                }
            }
            Action::Rename { .. } => {
                let Some(to) = to else { return Ok(Undone::AsBefore) };
                let there = self.seen(to)?;
                match (&now, there) {
                    (Some(_), None) => {}
                    (None, Some(_)) => {
                        let how = RenameFlags::RENAME_NOREPLACE;
                        let (from, name) = (to.dir()?, to.name.as_str());
                        renameat2(from, name, spot.dir()?, spot.name.as_str(), how)
                            .map_err(|errno| failed(errno, "rename", &to.path))?;
                    }
                    (None, None) => return Ok(to.conflict(None)),
                    (Some(_), Some(_)) => return Ok(spot.conflict(now.as_ref())),
                }
            }
            Action::Unpack { .. } => return spot.undo_unpack(now.as_ref(), undo, keep),
            _ => {}
        }
        Ok(Undone::AsBefore)
    }
}

impl Spot {
    fn conflict(&self, now: Option<&Seen>) -> Undone {
        let path = &self.path;
        Undone::Conflict(match now {
            None => format!("`{path}` was removed since"),
            Some(_) => format!("`{path}` was changed since"),
        })
    }

    fn undo_directory(&self, is_as_left: bool) -> Result<Undone, Error> {
        if !is_as_left {
            return Ok(Undone::Conflict(format!("`{}` was changed since", self.path)));
        }
        match unlinkat(self.dir()?, self.name.as_str(), UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(Undone::AsBefore),
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {
                let names = self.entries()?.into_iter().take(3).map(|entry| entry.name);
                let names = names.collect::<Vec<_>>().join("`, `");
                Ok(Undone::Conflict(format!("`{}` holds `{names}` since", self.path)))
            }
            Err(errno) => Err(failed(errno, "remove", &self.path)),
        }
    }

    fn undo_unpack(
        &self,
        now: Option<&Seen>,
        undo: &Undo<'_>,
        keep: &Keep,
    ) -> Result<Undone, Error> {
        let new = self.beside("unpack");
        let before = &undo.effect.before;
        let is_back = match (now, before) {
            (None, None) => true,
            (Some(_), Some(_)) => self.inode()? == undo.moment.inode,
            _ => false,
        };
        if is_back {
            self.remove(&new)?;
            return Ok(Undone::AsBefore);
        }
        if now.is_none() {
            return Ok(self.conflict(None));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let dir = open_beneath(self.dir()?, &self.name, flags, Mode::empty())
            .map_err(|errno| failed(errno, "open", &self.path))?;
        let differing = match manifest::differences(&dir, &keep.manifest())? {
            Some(differing) => differing,
            None => return Ok(self.conflict(now)),
        };
        if !differing.is_empty() {
            let (some, path) = (differing.iter().take(3), &self.path);
            let some = some.map(String::as_str).collect::<Vec<_>>().join("`, `");
            return Ok(Undone::Conflict(match differing.len() {
                0..=3 => format!("in `{path}`, `{some}` was changed since"),
                all => format!("in `{path}`, {all} things were changed since, such as `{some}`"),
            }));
        }
        if before.is_none() {
            self.remove(&self.name)?;
            return Ok(Undone::AsBefore);
        }
        if !keep.has(self)? {
            // It was cut off between putting the new one there and keeping the old one.
            keep.take(self, &new)?;
        }
        match keep.swap_back(self)? {
            true => Ok(Undone::AsBefore),
            false => Ok(Undone::Conflict("what was there before is not kept".to_owned())),
        }
    }
}
