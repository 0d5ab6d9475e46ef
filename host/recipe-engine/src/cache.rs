//! Compiled components on disk.
//!
//! Loading compiled code is trusting it, so it is kept where nobody else can write, and used only
//! if it has the digest that was written beside it. Anything else is compiled again.

use crate::error::EngineError;
use cerebro_model::Digest;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes that are kept; beyond that, what was not used for the longest time goes.
const MOST: u64 = 2 << 30;

/// A directory of compiled components.
pub(crate) struct Cache {
    dir: PathBuf,
    /// Stands for wasmtime's version and the engine's configuration.
    compatibility: String,
}

impl Cache {
    /// The cache in `dir`, which is made unless it is there.
    pub(crate) fn open(dir: PathBuf, compatibility: String) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Cache { path: dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
        let found = fs::symlink_metadata(&dir).map_err(failed)?;
        let ours = found.uid() == nix::unistd::geteuid().as_raw();
        if !found.is_dir() || !ours || found.mode() & 0o077 != 0 {
            return Err(EngineError::CacheNotPrivate(dir));
        }
        Ok(Self { dir, compatibility })
    }

    /// The compiled form of `component`, if it is there and whole.
    pub(crate) fn load(&self, component: Digest) -> Option<Vec<u8>> {
        let path = self.path(component);
        let expected = fs::read_to_string(beside(&path)).ok()?;
        let compiled = fs::read(&path).ok()?;
        if Digest::of(&compiled).to_string() == expected.trim() {
            // When it was used last, for `clean`.
            let used = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            let _ = used.inspect_err(|error| tracing::debug!(%error, "mark as used"));
            return Some(compiled);
        }
        tracing::warn!(path = %path.display(), "a compiled component is damaged: compiling again");
        None
    }

    /// Keeps the compiled form of `component`.
    pub(crate) fn store(&self, component: Digest, compiled: &[u8]) -> io::Result<()> {
        let path = self.path(component);
        // Between the two renames the pair does not match, which only means compiling again.
        replace(&path, compiled)?;
        replace(&beside(&path), Digest::of(compiled).to_string().as_bytes())?;
        self.clean(&path, MOST)
    }

    /// Removes what was not used for the longest time, except for `keep`, until `most` bytes are
    /// left: what other versions of the engine left behind as well.
    fn clean(&self, keep: &Path, most: u64) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "cwasm") {
                let file = path.metadata()?;
                kept.push((file.modified()?, file.len(), path));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in kept.iter().filter(|(.., path)| path != keep) {
            if total <= most {
                break;
            }
            remove(&beside(path))?;
            remove(path)?;
            total -= size;
        }
        Ok(())
    }

    fn path(&self, component: Digest) -> PathBuf {
        self.dir.join(format!("{component}-{}.cwasm", self.compatibility))
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_stored_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("compiled"), "v1".to_owned()).unwrap();
        let component = Digest::of(b"component");
        assert_eq!(cache.load(component), None);
        cache.store(component, b"code").unwrap();
        assert_eq!(cache.load(component).unwrap(), b"code");

        fs::write(cache.path(component), b"evil").unwrap();
        assert_eq!(cache.load(component), None);
        cache.store(component, b"code").unwrap();
        let other = Cache::open(dir.path().join("compiled"), "v2".to_owned()).unwrap();
        assert_eq!(other.load(component), None);
    }

    #[test]
    fn what_was_used_last_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("compiled"), "v1".to_owned()).unwrap();
        let components = [1, 2, 3].map(|number| Digest::of(&[number]));
        for (age, component) in components.iter().enumerate() {
            cache.store(*component, &[0; 100]).unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(100 - age as u64);
            File::open(cache.path(*component)).unwrap().set_modified(then).unwrap();
        }
        assert!(cache.load(components[0]).is_some(), "the oldest is used again");
        cache.clean(&cache.path(components[2]), 200).unwrap();
        let left = components.map(|component| cache.load(component).is_some());
        assert_eq!(left, [true, false, true]);
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), 4);
        cache.clean(&cache.path(components[2]), 0).unwrap();
        assert!(cache.load(components[2]).is_some(), "what was just stored is not removed");
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        let refused = Cache::open(dir.path().to_owned(), "v1".to_owned());
        assert!(matches!(refused, Err(EngineError::CacheNotPrivate(_))));
    }
}
