//! Time, and the end of it: every wait is through here, so that Ctrl-C ends a run between two
//! steps, and whatever was started is cleared away.

use anyhow::{Result, ensure};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

extern "C" fn remember(_signal: i32) {
    ASKED_TO_END.store(true, Ordering::Relaxed);
}

/// From now on the signals that ask us to end are heard by [`check`].
pub fn heed_signals() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(remember), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler does nothing but store to an atomic.
        unsafe { sigaction(signal, &action) }?;
    }
    // A shell that starts us in the background ignores it, and contenders would inherit that.
    let usual = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is set.
    unsafe { sigaction(Signal::SIGQUIT, &usual) }?;
    Ok(())
}

/// An error once we were asked to end.
pub fn check() -> Result<()> {
    ensure!(!ASKED_TO_END.load(Ordering::Relaxed), "interrupted");
    Ok(())
}

/// CLOCK_MONOTONIC in nanoseconds: the clock of the tasks' own stamps.
pub fn now_ns() -> u64 {
    // It exists on every Linux; zero would show in every figure.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    time.as_nanos() as u64
}

/// Sleeps, unless we are asked to end meanwhile.
pub fn pause(length: Duration) -> Result<()> {
    until(length, || false).map(drop)
}

/// Waits until something holds, looking every few milliseconds; whether it did within the bound.
pub fn until(bound: Duration, mut holds: impl FnMut() -> bool) -> Result<bool> {
    let mut asked = Ok(());
    let held = until_regardless(bound, || {
        asked = check();
        asked.is_err() || holds()
    });
    asked.map(|()| held)
}

/// The same, also when we were asked to end: for clearing away.
pub fn until_regardless(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    const STEP: Duration = Duration::from_millis(20);
    let begun = Instant::now();
    loop {
        if holds() {
            return true;
        }
        let left = bound.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(STEP));
    }
}
