//! `cerebro store`: the store looked after from beside, on the controller's own host. Checks, backups
//! and queries change nothing, and need no controller to be ended for them.

mod backup;
mod check;
mod sql;

use clap::{Args, Subcommand};
use std::io;
use std::path::{Path, PathBuf};

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// See whether everything in it can be read: pages, records, secrets, components, artifacts.
    Check {
        /// Which store.
        #[command(flatten)]
        data: Data,
    },
    /// Copy it, as it is at one moment, also while a cluster sitter runs. The key of the secrets is
    /// not copied: keep it elsewhere, or whoever has the backup has the secrets.
    Backup {
        /// Which store.
        #[command(flatten)]
        data: Data,
        /// The directory to make.
        target: PathBuf,
        /// Copy the key of the secrets too.
        #[arg(long)]
        with_key: bool,
    },
    /// Make a data directory from a backup. It must have no store yet.
    Restore {
        /// Which store.
        #[command(flatten)]
        data: Data,
        /// The backup.
        backup: PathBuf,
    },
    /// Make a new, empty store in place of one that is lost: it goes on behind all numbers that the lost one
    /// can have given, so that agents obey its controller and `cerebro machine adopt` can take them over.
    Begin {
        /// Which store.
        #[command(flatten)]
        data: Data,
    },
    /// Ask it in SQL; nothing can be changed. Tables: entry (key, value, revision), event (seq,
    /// value), counter (name, value).
    Sql {
        /// Which store.
        #[command(flatten)]
        data: Data,
        /// The query.
        query: String,
        /// An object for each row, in place of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Which store.
#[derive(Debug, Args)]
pub struct Data {
    /// The directory that the cluster sitter has as `--data`.
    #[arg(long = "data", default_value = "cerebro-data")]
    directory: PathBuf,
}

impl Data {
    fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    fn blobs(&self) -> PathBuf {
        self.directory.join("blobs")
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreCommandError {
    /// The store says why.
    #[error(transparent)]
    Store(#[from] cerebro_store::StoreError),
    /// A record cannot be read or written.
    #[error(transparent)]
    Load(#[from] crate::records::LoadError),
    /// The restored store does not take its first commit.
    #[error("the restored store cannot be written")]
    Change(#[from] crate::cluster::ChangeError),
    /// A file.
    #[error("cannot {doing} `{}`", .path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is there already.
    #[error("`{}` is there already: name another, or move it away first", .0.display())]
    Taken(PathBuf),
    /// Not all is well.
    #[error("{}: {} of what was looked at is not as it should be", .path.display(), .wrong)]
    Unsound {
        /// Which store.
        path: PathBuf,
        /// How much.
        wrong: usize,
    },
}

/// Carries it out; what it has to say goes to standard output.
pub fn run(command: StoreCommand) -> Result<(), StoreCommandError> {
    match command {
        StoreCommand::Check { data } => check::report(&data.store(), &data.blobs()),
        StoreCommand::Backup { data, target, with_key } => backup::take(&data, &target, with_key),
        StoreCommand::Restore { data, backup } => backup::restore(&data, &backup),
        StoreCommand::Begin { data } => backup::begin_anew(&data),
        StoreCommand::Sql { data, query, json } => sql::answer(&data.store(), &query, json),
    }
}

fn file<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StoreCommandError + 'a {
    move |source| StoreCommandError::File { doing, path: path.to_owned(), source }
}
