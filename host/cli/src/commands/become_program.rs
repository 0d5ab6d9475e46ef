//! Commands that another of Cerebro's programs carries out: this one becomes that.

use crate::fault::{ERROR, Fault};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Does not come back unless it failed. `mode` is the program's word for what is asked.
pub fn become_program(program: &str, mode: &str, arguments: &[OsString]) -> Fault {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(program));
    // Without one beside it, the one that is on the path.
    let found = beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(program));
    let error = Command::new(&found).arg(mode).args(arguments).exec();
    let fault = Fault::new(ERROR, format!("cannot run {}: {error}", found.display()));
    match error.kind() {
        ErrorKind::NotFound => fault.hint(format!(
            "`{program}` does this: it belongs beside `cerebro` or on the PATH; from a checkout, \
             `cargo xtask build` puts it there"
        )),
        _ => fault,
    }
}
