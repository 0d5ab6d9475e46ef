//! A tree, down to the last bit that a rollback must restore: for tests that compare one with what it
//! was.
#![allow(clippy::unwrap_used, reason = "a harness of tests")]

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is below `root`: a line for each path, with type, mode, owner, size, time, content, extended
/// attributes, and which paths are one file.
///
/// # Panics
/// If something there cannot be read.
pub fn manifest(root: &Path) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    list(root, root, &mut lines, &mut first_names);
    lines
}

fn list(
    root: &Path,
    path: &Path,
    lines: &mut BTreeMap<String, String>,
    first_names: &mut BTreeMap<u64, String>,
) {
    let found = fs::symlink_metadata(path).unwrap();
    let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    let content = if found.is_symlink() {
        fs::read_link(path).unwrap().to_string_lossy().into_owned()
    } else if found.is_file() {
        format!("{:x?}", &Sha256::digest(fs::read(path).unwrap())[..8])
    } else {
        String::new()
    };
    let same = match found.is_dir() {
        true => String::new(),
        false => first_names.entry(found.ino()).or_insert(name.clone()).clone(),
    };
    let size = if found.is_dir() { 0 } else { found.size() };
    let links = if found.is_dir() { 0 } else { found.nlink() };
    let (mode, uid, gid) = (found.mode(), found.uid(), found.gid());
    let time = format!("{}.{:09}", found.mtime(), found.mtime_nsec());
    let attributes = attributes(path);
    let line =
        format!("{mode:o} {uid}:{gid} {size} {links} {time} {same} {content} {attributes:?}");
    lines.insert(name, line);
    if found.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names.iter().for_each(|path| list(root, path, lines, first_names));
    }
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let c_path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let mut names = vec![0u8; 4096];
    // SAFETY: the path ends with a zero, and the buffer is as long as is said.
    let read = unsafe { libc::llistxattr(c_path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    let Ok(read) = usize::try_from(read) else { return Vec::new() };
    let names = names[..read].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let c_name = std::ffi::CString::new(name).unwrap();
        let mut value = vec![0u8; 4096];
        // SAFETY: as above.
        let read = unsafe {
            let (path, name) = (c_path.as_ptr(), c_name.as_ptr());
            libc::lgetxattr(path, name, value.as_mut_ptr().cast(), value.len())
        };
        value.truncate(usize::try_from(read).unwrap_or(0));
        (String::from_utf8_lossy(name).into_owned(), value)
    };
    names.map(value).collect()
}

/// Two manifests are the same.
///
/// # Panics
/// If they are not, with `what` and each path that differs.
#[track_caller]
pub fn assert_same(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    what: &str,
) {
    let mut differences = Vec::new();
    for (path, line) in before {
        match after.get(path) {
            Some(now) if now == line => {}
            Some(now) => differences.push(format!("{path}\n   was {line}\n   is  {now}")),
            None => differences.push(format!("{path} is gone")),
        }
    }
    let new = after.keys().filter(|path| !before.contains_key(*path));
    differences.extend(new.map(|path| format!("{path} is new")));
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}
