//! What agents on other machines are made of: programs that lie beside this one.

use cerebro_api::join::AgentProgram;
use cerebro_model::Digest;
use cerebro_store::Blobs;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The agent, and what it starts.
const NAMES: [&str; 2] = ["machinesitter", "tasksitter"];

/// A program cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the agent's program `{}`: it belongs beside the cluster sitter, or into its `--bin-dir`", path.display()
)]
pub struct ProgramsError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The agent's programs in a directory. They may be replaced while this runs.
#[derive(Debug, Clone)]
pub struct Programs {
    directory: PathBuf,
    /// What each was when its digest was taken.
    known: Arc<Mutex<BTreeMap<&'static str, (Stamp, AgentProgram)>>>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        let changed = (file.ctime(), file.ctime_nsec());
        Ok(Self { inode: file.ino(), size: file.size(), changed })
    }
}

impl Programs {
    /// Those in `directory`.
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory, known: Arc::default() }
    }

    /// All of them, as they are now. The first time, and whenever one has changed, it is read through.
    pub fn list(&self) -> Result<Vec<AgentProgram>, ProgramsError> {
        NAMES.into_iter().map(|name| self.one(name)).collect()
    }

    /// Where the program with this digest lies, if it is one of them.
    pub fn find(&self, digest: &Digest) -> Result<Option<PathBuf>, ProgramsError> {
        let found = self.list()?.into_iter().find(|program| program.digest == *digest);
        Ok(found.map(|program| self.directory.join(program.name)))
    }

    fn one(&self, name: &'static str) -> Result<AgentProgram, ProgramsError> {
        let path = self.directory.join(name);
        let read = || -> io::Result<AgentProgram> {
            let stamp = Stamp::of(&path)?;
            // Whoever panicked over it had read a file at most.
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, program)) = known.get(name).filter(|(of, _)| *of == stamp) {
                return Ok(program.clone());
            }
            let (digest, size) = Blobs::digest_of(&path)?;
            let architecture = architecture(&path)?.map(str::to_owned);
            let program = AgentProgram { name: name.to_owned(), digest, size, architecture };
            known.insert(name, (stamp, program.clone()));
            Ok(program)
        };
        read().map_err(|source| ProgramsError { path: path.clone(), source })
    }
}

/// The processors that a program is for, as `uname -m` calls them, by its ELF header; none if it is no ELF of theirs.
fn architecture(path: &Path) -> io::Result<Option<&'static str>> {
    let mut head = Vec::new();
    File::open(path)?.take(20).read_to_end(&mut head)?;
    Ok(match (head.get(..5), head.get(18..20)) {
        (Some(b"\x7fELF\x02"), Some([62, 0])) => Some("x86_64"),
        (Some(b"\x7fELF\x02"), Some([183, 0])) => Some("aarch64"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_listed_as_they_are_now_and_found_by_their_digest() {
        let dir = tempfile::tempdir().unwrap();
        let programs = Programs::in_directory(dir.path().to_owned());
        let error = programs.list().unwrap_err();
        assert!(error.to_string().contains("machinesitter"), "{error}");
        fs::copy(std::env::current_exe().unwrap(), dir.path().join("machinesitter")).unwrap();
        fs::write(dir.path().join("tasksitter"), "#!/bin/sh\n").unwrap();
        let before = programs.list().unwrap();
        assert_eq!(before[0].architecture.as_deref(), Some(std::env::consts::ARCH));
        assert_eq!((before[1].architecture.clone(), before[1].size), (None, 10));
        assert_eq!(before[1].digest, Digest::of(b"#!/bin/sh\n"));
        assert_eq!(programs.list().unwrap(), before);

        fs::write(dir.path().join("new"), "#!/bin/ash\n").unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("tasksitter")).unwrap();
        let after = programs.list().unwrap();
        assert_eq!(after[0], before[0]);
        let found = programs.find(&after[1].digest).unwrap().unwrap();
        assert_eq!(found, dir.path().join("tasksitter"));
        assert_eq!(programs.find(&before[1].digest).unwrap(), None);
    }
}
