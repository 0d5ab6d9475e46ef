//! `cerebro recipe run` and `cerebro recipe replay`: become the machine sitter, which has the engine.

use crate::fault::{ERROR, Fault};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

const PROGRAM: &str = "machinesitter";

/// Does not come back unless it failed. `mode` is the machine sitter's word for what is asked.
pub fn run(mode: &str, arguments: &[OsString]) -> Fault {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    // Without one beside it, the one that is on the path.
    let program = beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(PROGRAM));
    let error = Command::new(&program).arg(mode).args(arguments).exec();
    let fault = Fault::new(ERROR, format!("cannot run {}: {error}", program.display()));
    match error.kind() {
        ErrorKind::NotFound => fault.hint(
            "components are run by the machine sitter: it belongs beside `cerebro` or on the PATH; \
             from a checkout, `cargo xtask build` puts it there",
        ),
        _ => fault,
    }
}
