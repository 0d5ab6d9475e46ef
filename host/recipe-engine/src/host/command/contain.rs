//! Commands that write to copies of directories, of which what they wrote is taken over if they
//! succeed.

use super::super::Scope;
use super::Outcome;
use super::confine::{Hold, visible};
use crate::bindings::interfaces::command::Spec;
use crate::bindings::interfaces::types::{Change, Error};
use crate::logbook::LogLevel;
use crate::tree::{Budget, Layer};
use cerebro_linux::sandbox::{Copy, Sandbox};
use nix::sys::stat::fstat;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, access, geteuid};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Changes that are told one by one.
const MOST_TOLD: usize = 20;
/// Where file systems in memory are, for where the agent's own directory takes no overlay's changes.
const IN_MEMORY: [&str; 2] = ["/run", "/dev/shm"];
/// The end of the name of a directory that is the kernel's, beside the one of a copy.
const WORK: &str = ".work";

impl Scope {
    /// Runs a command that finds copies of these directories to write to, and all else read-only.
    pub(super) async fn execute_contained(
        &self,
        spec: &Spec,
        directories: &[String],
    ) -> Result<Outcome, Error> {
        self.may_run(&spec.argv, spec.user.as_deref())?;
        let no_network = matches!(self.hold_of(spec), Hold::Bound(bound) if !bound.network);
        let directories = directories.to_vec();
        let call = self.call.clone();
        let (staging, layers, sandbox) = self
            .with_tree(move |tree| {
                let mut opened = Vec::new();
                for directory in &directories {
                    opened.push(tree.open_to_write(directory)?);
                }
                apart(&opened)?;
                let visible = visible(&call.root)?;
                let staging = Staging::new(&call.memory).map_err(|error| cannot_stage(&error))?;
                let (mut copies, mut layers) = (Vec::new(), Vec::new());
                for (number, (directory, path)) in opened.into_iter().enumerate() {
                    let staged = staging.copy(number, directory, path);
                    let (copy, layer) = staged.map_err(|error| cannot_stage(&error))?;
                    copies.push(copy);
                    layers.push(layer);
                }
                let sandbox = Sandbox { copies, visible, no_network, ..Sandbox::default() };
                Ok((staging, layers, sandbox))
            })
            .await?;
        let outcome = self.launch(spec, &self.log, true, Some(sandbox)).await?;
        if outcome.code() == 0 {
            self.take_over(layers).await?;
        }
        let _ = tokio::task::spawn_blocking(move || drop(staging)).await;
        Ok(outcome)
    }

    async fn take_over(&self, layers: Vec<Layer>) -> Result<(), Error> {
        let limits = &self.call.limits;
        let (entries, bytes) = (limits.unpacked_entries, limits.unpacked_bytes);
        let mut budget = Budget { entries, bytes };
        let changes = self.with_tree(move |tree| tree.take_over(&layers, &mut budget)).await?;
        for (path, change) in changes.iter().take(MOST_TOLD) {
            let how = match change {
                Change::Created => "created",
                Change::Removed => "removed",
                _ => "updated",
            };
            self.log.write(LogLevel::Info, &format!("taken over: `{path}` {how}"));
        }
        if let Some(more) = changes.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            self.log.write(LogLevel::Info, &format!("taken over: {more} more changes"));
        }
        Ok(())
    }
}

fn cannot_stage(error: &io::Error) -> Error {
    Error::Failed(format!("prepare copies for the command: {error}"))
}

/// Whether an overlay's changes can go there: not to another overlay.
fn takes_changes(directory: &Path) -> io::Result<bool> {
    Ok(statfs(directory)?.filesystem_type() != OVERLAYFS_SUPER_MAGIC)
}

fn is_in_memory(directory: &Path) -> bool {
    let kind = statfs(directory).map(|found| found.filesystem_type());
    kind == Ok(TMPFS_MAGIC) && access(directory, AccessFlags::W_OK).is_ok()
}

/// Refuses directories of which one holds another: what is in both would have two copies.
fn apart(opened: &[(OwnedFd, String)]) -> Result<(), Error> {
    for (at, (_, one)) in opened.iter().enumerate() {
        let others = opened.iter().enumerate().filter(|(other, _)| *other != at);
        for (_, (_, other)) in others {
            if Path::new(other).starts_with(one) {
                return Err(Error::Invalid(format!(
                    "`{other}` lies in `{one}`: contain one of them only"
                )));
            }
        }
    }
    Ok(())
}

/// Where what a command writes to its copies goes; nobody else comes there, and it ends with this.
struct Staging(PathBuf);

impl Staging {
    fn new(memory: &Path) -> io::Result<Self> {
        let random = crate::random().map_err(io::Error::other)?;
        let contained = memory.join("contained");
        DirBuilder::new().mode(0o700).recursive(true).create(&contained)?;
        let above = if takes_changes(&contained)? {
            contained
        } else {
            let mut in_memory = IN_MEMORY.into_iter().map(PathBuf::from);
            in_memory.find(|dir| is_in_memory(dir)).unwrap_or(contained)
        };
        let path = above.join(format!("cerebro-{random:032x}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn copy(&self, number: usize, directory: OwnedFd, path: String) -> io::Result<(Copy, Layer)> {
        let upper = self.0.join(format!("{number}"));
        let work = self.0.join(format!("{number}{WORK}"));
        for made in [&upper, &work] {
            DirBuilder::new().mode(0o700).create(made)?;
        }
        // The copy's owner and mode are those of its layer.
        let found = fstat(&directory)?;
        let root = File::open(&upper)?;
        if geteuid().is_root() {
            fchown(&root, Some(found.st_uid), Some(found.st_gid))?;
        }
        root.set_permissions(Permissions::from_mode(found.st_mode & 0o7777))?;
        let layer = Layer::new(root.into(), path)?;
        Ok((Copy { directory, upper, work }, layer))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The kernel leaves directories there that are open to nobody. What is beside them the
        // command chose.
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for work in entries.filter(|entry| entry.file_name().as_bytes().ends_with(WORK.as_bytes()))
        {
            let _ = fs::set_permissions(work.path().join("work"), Permissions::from_mode(0o700));
        }
        if let Err(error) = fs::remove_dir_all(&self.0) {
            let path = self.0.display();
            tracing::warn!(%error, "cannot remove `{path}`, where a command's copies were");
        }
    }
}
