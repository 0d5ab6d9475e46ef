//! What every scenario has at hand.

use crate::cgroup::Hierarchies;
use crate::contender::{self, Contender};
use crate::options::Options;
use crate::scenario::Scenario;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The contenders, and a directory for what they do; it is removed when this is dropped.
#[derive(Debug)]
pub struct Bench {
    /// What to run.
    pub options: Options,
    /// Where control groups are.
    pub hierarchies: Hierarchies,
    /// Where `kid`, `floor` and our own binaries are.
    pub bin: PathBuf,
    contenders: Vec<Contender>,
    directory: PathBuf,
}

impl Bench {
    /// Reads the descriptions, and makes the directory: in memory, so that no disk is measured.
    pub fn prepare(options: &Options) -> Result<Self> {
        let absolute = |path: &Path| {
            path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
        };
        let (bin, descriptions) = (absolute(&options.bin)?, absolute(&options.contenders)?);
        for program in ["kid", "floor"] {
            ensure!(bin.join(program).is_file(), "{} is not built", bin.join(program).display());
        }
        let contenders = contender::load(&descriptions, &bin, &options.only)?;
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        if parent != memory {
            println!("there is no /dev/shm: the logs go to {}, on a disk", parent.display());
        }
        let directory = parent.join(format!("cerebro-bench-{}", std::process::id()));
        let hierarchies = Hierarchies::detect()?;
        fs::create_dir(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self { options: options.clone(), hierarchies, bin, contenders, directory })
    }

    /// Who takes part in a scenario; the floors first.
    pub fn contenders(&self, scenario: Scenario) -> Vec<&Contender> {
        self.contenders.iter().filter(|contender| contender.takes_part_in(scenario)).collect()
    }

    /// The bench's own directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program that every task is.
    pub fn kid(&self) -> PathBuf {
        self.bin.join("kid")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
