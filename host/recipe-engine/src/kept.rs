//! Content that is kept under its digest. It is put there without a wait for the disk: it can be had
//! again. What a loss of power may have damaged is looked through before it is used again.

use crate::run::boot;
use cerebro_model::Digest;
use rustix::fs::{XattrFlags, fsetxattr, getxattr, removexattr};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The attribute that names the boot at which a file came.
const CAME: &str = "user.cerebro.boot";

/// Puts `file`, which is `part` and whole, to where it is kept.
pub fn keep(file: &File, part: &Path, path: &Path) -> io::Result<()> {
    let boot = boot();
    let is_marked =
        !boot.is_empty() && fsetxattr(file, CAME, boot.as_bytes(), XattrFlags::empty()).is_ok();
    if !is_marked {
        // Nothing would tell then that it is to be looked at.
        file.sync_all()?;
    }
    fs::rename(part, path)
}

/// Whether the content with this digest is kept at `path`; what is there and is something else goes.
/// It reads all of it once, if it came before the machine was started.
pub fn is_kept(path: &Path, digest: Digest) -> io::Result<bool> {
    let mut came = [0; 64];
    match getxattr(path, CAME, &mut came) {
        Err(Errno::NOENT) => return Ok(false),
        // It has no such attribute, or cannot have one: the disk had it before it was put there.
        Err(_) => return Ok(true),
        Ok(length) if came.get(..length) == Some(boot().as_bytes()) => return Ok(true),
        Ok(_) => {}
    }
    let mut file = File::open(path)?;
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; 1 << 17]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => hasher.update(&piece[..read]),
        }
    }
    if Digest::from_bytes(hasher.finalize().into()) != digest {
        tracing::warn!(%digest, "what was kept is damaged: it is fetched again");
        fs::remove_file(path)?;
        return Ok(false);
    }
    file.sync_all()?;
    match removexattr(path, CAME) {
        // Somebody else has just found the same.
        Ok(()) | Err(Errno::NODATA | Errno::NOENT) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (part, path) = (dir.path().join("part"), dir.path().join("kept"));
        fs::write(&part, content).unwrap();
        keep(&File::open(&part).unwrap(), &part, &path).unwrap();
        (dir, path)
    }

    /// As if the machine had been started since.
    fn restart(path: &Path) {
        let file = File::open(path).unwrap();
        fsetxattr(&file, CAME, b"another boot", XattrFlags::empty()).unwrap();
    }

    #[test]
    fn what_came_before_the_machine_was_started_is_looked_at_once() {
        let (_dir, path) = kept(b"content");
        let digest = Digest::of(b"content");
        assert!(is_kept(&path, digest).unwrap());
        restart(&path);
        assert!(is_kept(&path, digest).unwrap());
        assert_eq!(getxattr(&path, CAME, &mut [0; 64]), Err(Errno::NODATA));
    }

    #[test]
    fn what_a_loss_of_power_has_damaged_goes() {
        let (_dir, path) = kept(b"content");
        let digest = Digest::of(b"content");
        // As a file whose content never came to the disk.
        File::options().write(true).open(&path).unwrap().set_len(3).unwrap();
        restart(&path);
        assert!(!is_kept(&path, digest).unwrap());
        assert!(!path.exists() && !is_kept(&path, digest).unwrap());
    }
}
