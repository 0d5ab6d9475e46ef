//! Mounts of the calling process's mount namespace.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Why a mount could not be made or ended.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} `{}`", path.display())]
pub struct MountError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(nix::Error) -> MountError {
    let path = path.to_owned();
    move |errno| MountError { doing, path, source: errno.into() }
}

const NONE: Option<&Path> = None;

/// Keeps every mount of this namespace from showing elsewhere, and the other way round.
pub fn make_private() -> Result<(), MountError> {
    let root = Path::new("/");
    mount(NONE, root, NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(at("make private the mounts below", root))
}

/// Mounts at `target` what `lower` holds, with changes going to `upper`; `work` is the kernel's
/// scratch directory beside `upper`.
pub fn overlay(lower: &Path, upper: &Path, work: &Path, target: &Path) -> Result<(), MountError> {
    let mut options = Vec::new();
    for (name, path) in [("lowerdir=", lower), (",upperdir=", upper), (",workdir=", work)] {
        options.extend_from_slice(name.as_bytes());
        options.extend(escaped(path));
    }
    let options = OsString::from_vec(options);
    mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options.as_os_str()))
        .map_err(at("mount an overlay at", target))
}

/// A path in an overlay's options, where commas and colons separate.
pub(crate) fn escaped(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'\\' | b',' | b':') {
            bytes.push(b'\\');
        }
        bytes.push(*byte);
    }
    bytes
}

/// Shows `from` at `to`, with all that is mounted below.
pub fn bind(from: &Path, to: &Path) -> Result<(), MountError> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .map_err(at("show another directory at", to))
}

/// Shows `from` at `to`, without what is mounted below, and not to be written to there.
pub fn bind_read_only(from: &Path, to: &Path) -> Result<(), MountError> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE)
        .map_err(at("show another directory at", to))?;
    // The kernel ignores the flag on the first call.
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NONE, to, NONE, flags, NONE).map_err(at("make read-only", to))
}

/// Mounts an empty file system in memory, whose root has `mode`.
pub fn tmpfs(target: &Path, mode: u32) -> Result<(), MountError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = format!("mode={mode:o}");
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(at("mount a tmpfs at", target))
}

/// Mounts the process list of this pid namespace.
pub fn proc(target: &Path) -> Result<(), MountError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), target, Some("proc"), flags, NONE).map_err(at("mount proc at", target))
}

/// Makes the mount at `root` the root of this namespace, and lets go of the former one.
pub fn pivot(root: &Path) -> Result<(), MountError> {
    nix::unistd::chdir(root).map_err(at("go to", root))?;
    // Given the same directory twice, the old root lies on top of the new one: pivot_root(2).
    nix::unistd::pivot_root(".", ".").map_err(at("make a root of", root))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(at("let go of the root below", root))?;
    nix::unistd::chdir("/").map_err(at("go to the root in", root))
}

/// A mount, as `/proc/self/mountinfo` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// The file system's type, such as `ext4`.
    pub kind: String,
}

/// Every mount of this namespace, in the order in which they were made.
pub fn all() -> io::Result<Vec<Mount>> {
    Ok(parse(&fs::read("/proc/self/mountinfo")?))
}

fn parse(mountinfo: &[u8]) -> Vec<Mount> {
    let line = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = unescaped(fields.nth(4)?);
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        let kind = String::from_utf8_lossy(kind).into_owned();
        Some(Mount { point: OsString::from_vec(point).into(), kind })
    };
    mountinfo.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// Undoes the kernel's octal escapes of blanks and backslashes.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    bytes
}

/// Ends every mount at or below `directory`, newest first, also while it is in use.
pub fn unmount_below(directory: &Path) -> Result<(), MountError> {
    let mounts = all().map_err(|source| MountError {
        doing: "list the mounts below",
        path: directory.to_owned(),
        source,
    })?;
    for mount in mounts.iter().rev().filter(|mount| mount.point.starts_with(directory)) {
        umount2(&mount.point, MntFlags::MNT_DETACH).map_err(at("unmount", &mount.point))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_escapes() {
        let text = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n\
            31 23 0:28 / /a\\040b\\134 rw shared:7 master:1 - tmpfs tmpfs rw\n";
        let mount = |point: &str, kind: &str| Mount { point: point.into(), kind: kind.to_owned() };
        assert_eq!(parse(text), [mount("/", "ext4"), mount("/a b\\", "tmpfs")]);
    }

    #[test]
    fn separators_in_a_path_do_not_end_an_option() {
        assert_eq!(escaped(Path::new("/a,b:c\\d")), b"/a\\,b\\:c\\\\d");
    }
}
