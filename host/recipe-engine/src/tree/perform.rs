//! The one way in which files are changed: told to the ledger, what was there kept, then done, at
//! once. In a plan it is done to what the plan takes for the files.

use super::change::{Attributes, Owner, set_owner};
use super::keep::Keep;
use super::path::Plain;
use super::seen::sha256;
use super::{Access, Dir, Spot, Tree, Unpack, failed, open_beneath};
use crate::bindings::interfaces::files::Metadata;
use crate::bindings::interfaces::types::{Change, Error};
use crate::journal::{Moment, Signature, Stamp};
use cerebro_model::{Action, Effect, Form, Seen};
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat, renameat2};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, getegid, symlinkat, syncfs, unlinkat};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

/// Bytes of a file whose change is shown.
const LARGEST_DIFF: u64 = 64 << 10;

/// What is done at a spot, once it is decided.
pub(super) enum Deed<'a> {
    /// A file with this content is put there.
    Write { content: &'a [u8], secrets: Vec<String>, attributes: Attributes },
    /// A directory is made.
    Directory(Attributes),
    /// A link is put there; a commit makes what was done before count, and that must be on the disk.
    Link { target: &'a str, is_commit: bool },
    /// Mode and owner are set.
    Attributes(Attributes),
    /// What is there goes, with all that is in it.
    Remove,
    /// What is there goes to another spot.
    Rename(&'a Spot),
    /// What an artifact holds is put there.
    Unpack(&'a Unpack<'a>),
}

impl Tree {
    /// Does it. `found` is what is there.
    pub(super) fn perform(
        &self,
        spot: &Spot,
        found: Option<&Metadata>,
        deed: &Deed<'_>,
    ) -> Result<(), Error> {
        if let Some(plan) = self.ledger.plan() {
            let effect = self.effect(spot, deed, self.seen(spot)?)?;
            let diff = self.diff(spot, deed)?;
            if let Some(mut shadow) = self.shadow() {
                shadow.perform(self, spot, found, deed, &effect)?;
            }
            plan.note(self.ledger.call(), effect, diff);
            return Ok(());
        }
        let Some(writer) = self.ledger.writer() else {
            return self.act(spot, found, deed, None);
        };
        if let Deed::Link { is_commit: true, .. } = deed {
            self.flush(spot)?;
        }
        let effect = self.effect(spot, deed, self.seen(spot)?)?;
        let inode = match deed {
            Deed::Unpack(_) => spot.inode()?,
            _ => None,
        };
        let diff = match &effect.before {
            Some(_) => self.diff(spot, deed)?,
            None => None,
        };
        let capabilities = match deed {
            Deed::Attributes(_) => spot.capabilities()?,
            _ => None,
        };
        let moment = Moment { parents: stamps(spot, deed)?, diff, inode, capabilities };
        self.ledger.pass(&effect, |planned| self.is_there(planned));
        let open = self.ledger.begin(effect, moment)?;
        let keep = open.as_ref().map(|open| Keep::of(writer, open.n));
        let acted = self.act(spot, found, deed, keep.as_ref());
        let why = acted.as_ref().err().map(|error| crate::host::words(error).to_owned());
        self.ledger.done(open, stamps(spot, deed)?, left(spot, deed)?, why)?;
        acted
    }

    /// In a plan: why nobody can know what is at `spot`.
    pub(super) fn unknown_at(&self, spot: &Spot) -> Option<String> {
        self.shadow()?.unknown_at(&spot.path).map(str::to_owned)
    }

    /// In a plan: does it where nobody can know what is there. What is there then is known, and whether
    /// that changes anything is not.
    pub(super) fn plan_over(
        &self,
        spot: &Spot,
        deed: &Deed<'_>,
        why: &str,
    ) -> Result<Change, Error> {
        let effect = self.effect(spot, deed, None)?;
        if let Some(mut shadow) = self.shadow() {
            shadow.perform(self, spot, None, deed, &effect)?;
            if let Deed::Directory(_) = deed {
                shadow.taint(self, &spot.path, why)?;
            }
        }
        if let Some(plan) = self.ledger.plan() {
            plan.note_over(self.ledger.call(), effect, why);
        }
        Ok(Change::Done)
    }

    /// Whether what was planned is there already, just so. Of what an artifact holds it is enough that
    /// its directory is: to unpack it there looks at the rest.
    pub(crate) fn is_there(&self, planned: &Effect) -> bool {
        let path = match &planned.action {
            // What a secret came to is not in a plan.
            Action::Write { path, secrets } if secrets.is_empty() => path,
            Action::Directory { path }
            | Action::Link { path }
            | Action::Attributes { path }
            | Action::Remove { path }
            | Action::Unpack { path, .. } => path,
            _ => return false,
        };
        let spot = Plain::parse(path).and_then(|path| self.find(path, Access::Read));
        let found = match spot {
            Ok(spot) => self.seen(&spot),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        };
        // Where nobody can look, nobody can say that it is there.
        found.is_ok_and(|found| found == planned.after)
    }

    /// Has all that was done in the file system of `spot` be on the disk, and the journal.
    fn flush(&self, spot: &Spot) -> Result<(), Error> {
        self.ledger.barrier()?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let dir = open_beneath(spot.dir()?, ".", flags, Mode::empty());
        dir.and_then(syncfs)
            .map_err(|errno| failed(errno, "have on the disk what is in", &spot.path))
    }

    fn effect(&self, spot: &Spot, deed: &Deed<'_>, before: Option<Seen>) -> Result<Effect, Error> {
        let path = spot.path.to_string();
        let (action, after) = match deed {
            Deed::Write { content, secrets, attributes } => {
                let mut after = self.made(spot, Form::File, *attributes)?;
                (after.size, after.digest) = (Some(content.len() as u64), Some(sha256(content)));
                (Action::Write { path, secrets: secrets.clone() }, Some(after))
            }
            Deed::Directory(attributes) => {
                (Action::Directory { path }, Some(self.made(spot, Form::Directory, *attributes)?))
            }
            Deed::Link { target, .. } => {
                let mut after = self.made(spot, Form::Link, Attributes::default())?;
                (after.mode, after.target) = (0, Some((*target).to_owned()));
                (Action::Link { path }, Some(after))
            }
            Deed::Attributes(attributes) => {
                let after = before.clone().map(|mut seen| {
                    seen.mode = attributes.mode.unwrap_or(seen.mode) & 0o7777;
                    if let Some(owner) = attributes.owner {
                        (seen.uid, seen.gid) = (owner.uid, owner.gid);
                    }
                    seen
                });
                (Action::Attributes { path }, after)
            }
            Deed::Remove => (Action::Remove { path }, None),
            Deed::Rename(to) => (Action::Rename { path, to: to.path.to_string() }, before.clone()),
            Deed::Unpack(unpack) => {
                let attributes = Attributes { mode: Some(0o755), owner: unpack.owner };
                let artifact = unpack.digest.to_string();
                let after = self.made(spot, Form::Directory, attributes)?;
                (Action::Unpack { path, artifact }, Some(after))
            }
        };
        Ok(Effect { action, before, after })
    }

    /// How the text of a file changes.
    fn diff(&self, spot: &Spot, deed: &Deed<'_>) -> Result<Option<String>, Error> {
        let Deed::Write { content, secrets, .. } = deed else { return Ok(None) };
        if !secrets.is_empty() {
            return Ok(None);
        }
        let before = self.content_of(&spot.path, LARGEST_DIFF + 1)?.unwrap_or_default();
        Ok(crate::diff::unified(&before, content, LARGEST_DIFF))
    }

    /// How something new will be in the directory of `spot`.
    fn made(&self, spot: &Spot, form: Form, attributes: Attributes) -> Result<Seen, Error> {
        let (parent_gid, parent_mode) = match &spot.dir {
            Dir::Open(dir) => {
                let found = fstat(dir).map_err(|errno| failed(errno, "look at", &spot.path))?;
                (found.st_gid, found.st_mode & 0o7777)
            }
            Dir::Planned => match self.shadow() {
                Some(shadow) => shadow.above(self, spot)?,
                None => (0, 0),
            },
        };
        let inherits = parent_mode & 0o2000 != 0;
        let gid = if inherits { parent_gid } else { getegid().as_raw() };
        let own = Owner { uid: self.user.as_raw(), gid };
        let owner = attributes.owner.unwrap_or(own);
        let mode = attributes.mode.unwrap_or_default() & 0o7777;
        let (size, digest, target) = (None, None, None);
        Ok(Seen { form, mode, uid: owner.uid, gid: owner.gid, size, digest, target })
    }

    /// Does it to the machine's own files.
    fn act(
        &self,
        spot: &Spot,
        found: Option<&Metadata>,
        deed: &Deed<'_>,
        keep: Option<&Keep>,
    ) -> Result<(), Error> {
        match deed {
            Deed::Write { content, attributes, .. } => {
                let new = spot.beside("new");
                spot.clear(&new)?;
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
                let mode = Mode::from_bits_truncate(0o600);
                let file = open_beneath(spot.dir()?, &new, flags, mode)
                    .map_err(|errno| failed(errno, "make a file beside", &spot.path))?;
                let filled = fill(file, content, *attributes)
                    .map_err(|errno| failed(errno, "write", &spot.path));
                spot.place(&new, filled, found.is_some(), keep)
            }
            Deed::Link { target, .. } => {
                let new = spot.beside("new");
                spot.clear(&new)?;
                let linked = symlinkat(*target, spot.dir()?, new.as_str());
                let linked = linked.map_err(|errno| failed(errno, "make the link", &spot.path));
                spot.place(&new, linked, found.is_some(), keep)
            }
            Deed::Directory(attributes) => {
                mkdirat(spot.dir()?, spot.name.as_str(), Mode::S_IRWXU)
                    .map_err(|errno| failed(errno, "make the directory", &spot.path))?;
                spot.set(*attributes)
            }
            Deed::Attributes(attributes) => spot.set(*attributes),
            Deed::Remove => match keep {
                Some(keep) => keep.take(spot, &spot.name),
                None => spot.remove(&spot.name).map(drop),
            },
            Deed::Rename(to) => {
                let how = RenameFlags::RENAME_NOREPLACE;
                let (from, into) = (spot.dir()?, to.dir()?);
                match renameat2(from, spot.name.as_str(), into, to.name.as_str(), how) {
                    Ok(()) => Ok(()),
                    Err(Errno::EXDEV) => Err(Error::Invalid(format!(
                        "`{}` and `{}` are in different file systems",
                        spot.path, to.path
                    ))),
                    Err(errno) => Err(failed(errno, "rename", &spot.path)),
                }
            }
            Deed::Unpack(unpack) => self.act_unpack(spot, found.is_some(), unpack, keep),
        }
    }
}

impl Spot {
    /// A name for what will take this place; nobody else's while this is held.
    pub(super) fn beside(&self, what: &str) -> String {
        format!(".{}.cerebro-{what}", self.name)
    }

    /// Removes what an interrupted change may have left.
    pub(super) fn clear(&self, name: &str) -> Result<(), Error> {
        match unlinkat(self.dir()?, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(errno, "clear the way for", &self.path)),
        }
    }

    /// Puts the file or link `new`, if it was `made`, in this place at once, over what is there.
    fn place(
        &self,
        new: &str,
        made: Result<(), Error>,
        is_over: bool,
        keep: Option<&Keep>,
    ) -> Result<(), Error> {
        let (dir, name) = (self.dir()?, self.name.as_str());
        let placed = made.and_then(|()| {
            let put = |errno| failed(errno, "put the new one in the place of", &self.path);
            match keep.filter(|_| is_over) {
                Some(keep) if !keep.link(self)? => {
                    renameat2(dir, new, dir, name, RenameFlags::RENAME_EXCHANGE).map_err(put)?;
                    keep.take(self, new)
                }
                _ => renameat(dir, new, dir, name).map_err(put),
            }
        });
        if placed.is_err() {
            self.clear(new)?;
        }
        placed
    }

    /// Sets mode and owner of what is there.
    pub(super) fn set(&self, attributes: Attributes) -> Result<(), Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        open_beneath(self.dir()?, &self.name, flags, Mode::empty())
            .and_then(|file| attributes.apply(&file))
            .map_err(|errno| failed(errno, "set owner and mode of", &self.path))
    }
}

impl Attributes {
    pub(super) fn apply(&self, file: impl std::os::fd::AsFd) -> Result<(), Errno> {
        if let Some(owner) = self.owner {
            set_owner(&file, owner)?;
        }
        // After the owner: changing that clears the set-id bits.
        match self.mode {
            Some(mode) => nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(mode & 0o7777)),
            None => Ok(()),
        }
    }
}

/// When the directories that a deed changes were changed last.
fn stamps(spot: &Spot, deed: &Deed<'_>) -> Result<Vec<Stamp>, Error> {
    let mut stamps = vec![spot.stamp()?];
    if let Deed::Rename(to) = deed {
        stamps.push(to.stamp()?);
    }
    Ok(stamps)
}

/// What tells later that what a deed left there is still so.
fn left(spot: &Spot, deed: &Deed<'_>) -> Result<Option<Signature>, Error> {
    match deed {
        Deed::Write { .. } | Deed::Attributes(_) => spot.signature(),
        Deed::Rename(to) => to.signature(),
        // What is there says all of itself, or is told apart by what is in it.
        Deed::Link { .. } | Deed::Directory(_) | Deed::Remove | Deed::Unpack(_) => Ok(None),
    }
}

fn fill(file: OwnedFd, content: &[u8], attributes: Attributes) -> Result<(), Errno> {
    let mut file = File::from(file);
    file.write_all(content).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    attributes.apply(&file)
}
