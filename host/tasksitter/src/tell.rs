//! Words for whoever looks after the machine: on standard error, which is `sitter.log` where an
//! agent has started the sitter.

use std::fmt::Display;
use std::io::Write;

/// Says something, if standard error takes it: on a disk that is full it does not, and that must not
/// end the sitter as `eprintln!` would.
pub fn tell(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "tasksitter: {message}");
}
