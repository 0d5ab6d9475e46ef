//! Backups, and what is made from them. A backup is a directory with the store and the blobs, as they
//! lie below a data directory.

use super::check::{self, Found};
use super::{Data, StoreCommandError, file};
use crate::clock::{Clock, WallClock};
use crate::cluster::event;
use crate::records::{Change, Counters, Records};
use cerebro_model::{EventKind, Subject};
use cerebro_store::{Blobs, Reader, SqliteStore, Store};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Numbers that may have been given between the backup and the loss: machines, deployments, terms.
/// None is to be given twice, so a restored store goes on behind them.
const LOST_NUMBERS: u64 = 1_000_000;
/// The key of the secrets, beside the state.
const KEY: &str = "secrets.key";
/// The state.
const STATE: &str = "state.db";

/// Makes a backup in `target`.
pub(super) fn take(data: &Data, target: &Path, with_key: bool) -> Result<(), StoreCommandError> {
    let partial = begin(target)?;
    let (store, blobs) = (partial.join("store"), partial.join("blobs"));
    for directory in [&store, &blobs] {
        fs::create_dir(directory).map_err(file("make", directory))?;
    }
    // The state first: what it names was uploaded before, and so is there to be copied after.
    Reader::open(&data.store())?.backup(&store.join(STATE))?;
    let (count, bytes) = copy_blobs(&data.blobs(), &blobs)?;
    let key = data.store().join(KEY);
    if with_key && key.exists() {
        copy(&key, &store.join(KEY))?;
    }
    sync(&store.join(STATE))?;
    for directory in [&store, &blobs, &partial] {
        sync(directory)?;
    }
    fs::rename(&partial, target).map_err(file("make", target))?;
    println!(
        "{}: the state, and {count} components and artifacts of {bytes} bytes",
        target.display()
    );
    if key.exists() && !with_key {
        println!(
            "the key of the secrets is not in it: without {} the secrets cannot be read again",
            key.display()
        );
    }
    Ok(())
}

/// Makes the data directory from the backup in `from`.
pub(super) fn restore(data: &Data, from: &Path) -> Result<(), StoreCommandError> {
    let (store, blobs) = (data.store(), data.blobs());
    if store.join(STATE).exists() {
        return Err(StoreCommandError::Taken(store));
    }
    let Found { wrong, secrets, .. } = check::look(&from.join("store"), &from.join("blobs"))?;
    if !wrong.is_empty() {
        wrong.iter().for_each(|wrong| println!("wrong: {wrong}"));
        return Err(StoreCommandError::Unsound { path: from.to_owned(), wrong: wrong.len() });
    }
    // No reason to be without all else.
    secrets.iter().for_each(|shut| println!("note: {shut}"));
    fs::create_dir_all(&data.directory).map_err(file("make", &data.directory))?;
    fs::create_dir_all(&blobs).map_err(file("make", &blobs))?;
    copy_blobs(&from.join("blobs"), &blobs)?;
    sync(&blobs)?;
    let (partial, key) = (begin(&store)?, from.join("store").join(KEY));
    copy(&from.join("store").join(STATE), &partial.join(STATE))?;
    if key.exists() {
        copy(&key, &partial.join(KEY))?;
    }
    let message = format!(
        "the store was restored from {}: what happened since that backup is not known here",
        from.display()
    );
    go_on_behind(&partial, message)?;
    finish(data, &partial)?;
    println!("{}: restored; start the cluster sitter with --data {0}", data.directory.display());
    Ok(())
}

/// Makes an empty store in place of one that is lost.
pub(super) fn begin_anew(data: &Data) -> Result<(), StoreCommandError> {
    let store = data.store();
    if store.join(STATE).exists() {
        return Err(StoreCommandError::Taken(store));
    }
    fs::create_dir_all(&data.directory).map_err(file("make", &data.directory))?;
    let partial = begin(&store)?;
    let message =
        "the store is new, in place of one that was lost: what that knew is not known here";
    go_on_behind(&partial, message.to_owned())?;
    finish(data, &partial)?;
    println!(
        "{}: a new store; start the cluster sitter with --data {0}, and take over the machines whose agents show \
         up, with `cerebro machine adopt`",
        data.directory.display()
    );
    Ok(())
}

/// Puts the store in its place that was made in `partial`.
fn finish(data: &Data, partial: &Path) -> Result<(), StoreCommandError> {
    let store = data.store();
    sync(partial)?;
    // An empty directory may have been left by a controller that never got further.
    let _ = fs::remove_dir(&store);
    fs::rename(partial, &store).map_err(file("make", &store))?;
    sync(&data.directory)
}

/// Has a store give no number that may have been given since what it was made from.
fn go_on_behind(directory: &Path, message: String) -> Result<(), StoreCommandError> {
    let store = SqliteStore::open(directory)?;
    store.raise(LOST_NUMBERS)?;
    let fence = store.take_term()?;
    let Counters { machine, deployment, placement } = Records::load(&store)?.counters;
    let counters = Counters {
        machine: machine + LOST_NUMBERS,
        deployment: deployment + LOST_NUMBERS,
        placement: placement + LOST_NUMBERS,
    };
    let told = event(EventKind::StoreRestored, Subject::default(), message);
    let change = Change::default().counters(counters).event(told);
    let batch =
        change.batch(&change.told(WallClock.now())).map_err(crate::cluster::ChangeError::from)?;
    store.commit(fence, batch).map_err(crate::cluster::ChangeError::from)?;
    Ok(())
}

/// The directory that becomes `target`; what an earlier try left of it goes.
fn begin(target: &Path) -> Result<PathBuf, StoreCommandError> {
    let is_empty = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    if target.exists() && !is_empty {
        return Err(StoreCommandError::Taken(target.to_owned()));
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = target.with_file_name(name);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(file("clear", &partial))?;
    }
    fs::create_dir_all(&partial).map_err(file("make", &partial))?;
    Ok(partial)
}

/// Copies what is not there yet; how many there are then of `from`, and their size in bytes.
fn copy_blobs(from: &Path, to: &Path) -> Result<(usize, u64), StoreCommandError> {
    let all = Blobs::list(from).map_err(file("list", from))?;
    let mut bytes = 0;
    for digest in &all {
        let (source, target) = (from.join(digest.to_string()), to.join(digest.to_string()));
        bytes += source.metadata().map_err(file("read", &source))?.len();
        if !target.exists() {
            copy(&source, &target)?;
        }
    }
    Ok((all.len(), bytes))
}

/// A whole copy with the same mode, or none under that name.
fn copy(from: &Path, to: &Path) -> Result<(), StoreCommandError> {
    let partial = to.with_extension("partial");
    fs::copy(from, &partial).map_err(file("copy", from))?;
    sync(&partial)?;
    fs::rename(&partial, to).map_err(file("make", to))
}

fn sync(path: &Path) -> Result<(), StoreCommandError> {
    File::open(path).and_then(|opened| opened.sync_all()).map_err(file("keep", path))
}
