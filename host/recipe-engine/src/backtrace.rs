//! Where in a component something happened.

use crate::error::Failure;
use wasmtime::{FrameInfo, WasmBacktrace};

/// The failure of a component that was stopped: with its last words, if it panicked.
pub(crate) fn trapped(error: &wasmtime::Error, panic: Option<String>) -> Failure {
    Failure::Trapped {
        message: panic.unwrap_or_else(|| error.root_cause().to_string()),
        backtrace: frames(error).iter().take(32).map(function).collect(),
    }
}

/// The component's functions that were under way, innermost first.
fn frames(error: &wasmtime::Error) -> &[FrameInfo] {
    error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or(&[])
}

fn function(frame: &FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => name.to_owned(),
        None => format!("function {}", frame.func_index()),
    }
}

/// Where in the component that was: functions, as far as their names were kept, and how far into each,
/// innermost first.
pub(crate) fn site(error: &wasmtime::Error) -> Vec<String> {
    let place = |frame: &FrameInfo| {
        let offset = frame.func_offset().map_or_else(String::new, |offset| format!("+{offset:#x}"));
        function(frame) + &offset
    };
    frames(error).iter().map(place).collect()
}
