//! What is in a directory that was unpacked, by the signature that the file system gives each thing:
//! cheap to take, and different once anything was changed.

use super::look::names;
use super::{failed, failed_io};
use crate::bindings::interfaces::types::Error;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat, fstatat};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Directories within directories that are looked at.
const DEEPEST: u32 = 200;

/// Writes what is in `dir` to `file`.
pub(super) fn write(dir: &OwnedFd, file: &Path) -> Result<(), Error> {
    let of = |errno| failed(errno, "look through", &"what was unpacked");
    let text = take(dir).map_err(of)?;
    let lines: String = text.iter().fold(String::new(), |mut all, (path, line)| {
        // Writing to a string cannot fail.
        let _ = writeln!(all, "{line} {path}");
        all
    });
    fs::write(file, lines).map_err(|error| failed_io(&error, "write", &file.display()))
}

/// What in `dir` differs from what `file` says; none if there is no such file.
pub(super) fn differences(dir: &OwnedFd, file: &Path) -> Result<Option<Vec<String>>, Error> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed_io(&error, "read", &file.display())),
    };
    let mut expected: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        if let Some((signature, path)) = line.split_once(' ') {
            expected.insert(path, signature);
        }
    }
    let found = take(dir).map_err(|errno| failed(errno, "look through", &"what was unpacked"))?;
    let mut differences: Vec<String> = found
        .iter()
        .filter(|(path, signature)| expected.get(path.as_str()) != Some(&signature.as_str()))
        .map(|(path, _)| path.clone())
        .collect();
    let gone = expected.keys().filter(|path| !found.contains_key(**path));
    differences.extend(gone.map(|path| (*path).to_owned()));
    Ok(Some(differences))
}

fn take(dir: &OwnedFd) -> Result<BTreeMap<String, String>, Errno> {
    let mut found = BTreeMap::new();
    let own = fstat(dir)?;
    found.insert(".".to_owned(), signature(&own));
    list(dir, "", 0, &mut found)?;
    Ok(found)
}

fn list(
    dir: impl AsFd,
    above: &str,
    depth: u32,
    found: &mut BTreeMap<String, String>,
) -> Result<(), Errno> {
    if depth == DEEPEST {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut inner = Dir::from_fd(open_dir(&dir, c".")?)?;
    for name in names(&mut inner)? {
        let seen = fstatat(&inner, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        // One line each: what would break it is spelled out.
        let path = format!("{above}{}", name.to_string_lossy().escape_debug());
        if SFlag::from_bits_truncate(seen.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
            list(open_dir(&inner, &name)?, &format!("{path}/"), depth + 1, found)?;
        }
        found.insert(path, signature(&seen));
    }
    Ok(())
}

fn open_dir(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(dir, name, how)
}

fn signature(seen: &nix::sys::stat::FileStat) -> String {
    let (size, modified) = (seen.st_size, (seen.st_mtime, seen.st_mtime_nsec));
    let (mode, uid, gid, inode) = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_ino);
    let (seconds, nanoseconds) = modified;
    format!("{mode:o}:{uid}:{gid}:{size}:{seconds}.{nanoseconds:09}:{inode}")
}
