//! The clock that ends what computes too long. It ticks only while calls run: a machine on which
//! nothing is checked at the moment is not woken up by it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often a computing component is looked at.
const TICK: Duration = Duration::from_millis(10);

/// Moves an engine's epoch on from a thread of its own.
pub(crate) struct Epoch {
    shared: Arc<Shared>,
    ticker: Thread,
}

#[derive(Default)]
struct Shared {
    /// Calls that run.
    running: AtomicUsize,
    /// Calls that ever began.
    begun: AtomicU64,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// A call that runs, until this is dropped.
pub(crate) struct Running<'a>(&'a Shared);

impl Epoch {
    pub(crate) fn start(engine: &wasmtime::Engine) -> io::Result<Self> {
        let (shared, engine) = (Arc::<Shared>::default(), engine.weak());
        let ticks = shared.clone();
        let name = "wasm epoch".to_owned();
        let ticker = thread::Builder::new().name(name).spawn(move || {
            ticks.run(|| engine.upgrade().map(|engine| engine.increment_epoch()).is_some());
        })?;
        Ok(Self { shared, ticker: ticker.thread().clone() })
    }

    /// A call begins.
    pub(crate) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        self.shared.begun.fetch_add(1, SeqCst);
        if self.shared.asleep.load(SeqCst) {
            self.ticker.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.ticker.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Shared {
    fn run(&self, tick: impl Fn() -> bool) {
        let mut seen = 0;
        while !self.ended.load(SeqCst) && tick() {
            let begun = self.begun.load(SeqCst);
            // Where short calls follow each other it goes on, rather than sleep between them.
            if begun != seen || self.running.load(SeqCst) > 0 {
                seen = begun;
                thread::sleep(TICK);
                continue;
            }
            // Told before it looks again: a call that begins now either is seen or wakes it.
            self.asleep.store(true, SeqCst);
            while self.running.load(SeqCst) == 0 && !self.ended.load(SeqCst) {
                if self.begun.load(SeqCst) != seen {
                    break;
                }
                thread::park();
            }
            self.asleep.store(false, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc;

    #[test]
    fn it_ticks_while_a_call_runs_and_only_then() {
        let (shared, (told, ticks)) = (Arc::<Shared>::default(), mpsc::channel());
        let (ticker, told) = (shared.clone(), Mutex::new(told));
        let thread = thread::spawn(move || ticker.run(|| told.lock().unwrap().send(()).is_ok()));
        let epoch = Epoch { shared, ticker: thread.thread().clone() };
        let soon = Duration::from_secs(10);
        for _ in 0..3 {
            let call = epoch.running();
            (0..5).for_each(|_| ticks.recv_timeout(soon).unwrap());
            drop(call);
            // It falls silent by itself.
            while ticks.recv_timeout(TICK * 20).is_ok() {}
            assert!(epoch.shared.asleep.load(SeqCst));
        }
        drop(epoch);
        thread.join().unwrap();
    }
}
