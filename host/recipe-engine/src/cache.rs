//! Compiled components on disk.
//!
//! Loading compiled code is trusting it, so it is kept where nobody else can write, and used only
//! if it has the digest that was written beside it. Anything else is compiled again.

use crate::error::EngineError;
use cerebro_model::Digest;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
        replace(&beside(&path), Digest::of(compiled).to_string().as_bytes())
    }

    fn path(&self, component: Digest) -> PathBuf {
        self.dir.join(format!("{component}-{}.cwasm", self.compatibility))
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("sha256")
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
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        let refused = Cache::open(dir.path().to_owned(), "v1".to_owned());
        assert!(matches!(refused, Err(EngineError::CacheNotPrivate(_))));
    }
}
