//! Who changes what at the moment: two who change one path take turns, others do not wait for them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The paths that are being changed.
#[derive(Default)]
pub(crate) struct Changing {
    held: Mutex<HashSet<PathBuf>>,
    freed: Condvar,
}

/// A path that nobody else changes until this is dropped.
pub(crate) struct Held<'a> {
    all: &'a Changing,
    path: PathBuf,
}

impl Changing {
    fn all(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else changes `path`. Nobody holds two of them, so that none waits for ever.
    pub(crate) fn hold(&self, path: &Path) -> Held<'_> {
        let mut all = self.all();
        while !all.insert(path.to_owned()) {
            all = self.freed.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
        Held { all: self, path: path.to_owned() }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.all().remove(&self.path);
        self.all.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    #[test]
    fn only_who_changes_the_same_waits() {
        let changing = Arc::new(Changing::default());
        let (one, other) = (Path::new("/a"), Path::new("/b"));
        let held = changing.hold(one);
        drop(changing.hold(other));
        let (waits, count) = (changing.clone(), Arc::new(AtomicU32::new(0)));
        let counted = count.clone();
        let waiting = std::thread::spawn(move || {
            let _held = waits.hold(Path::new("/a"));
            counted.fetch_add(1, SeqCst);
        });
        assert_eq!(count.load(SeqCst), 0);
        drop(held);
        waiting.join().unwrap();
        assert_eq!(count.load(SeqCst), 1);
    }
}
