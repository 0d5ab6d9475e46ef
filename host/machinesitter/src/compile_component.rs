//! Compiles one component for the agent that has started this program again.

use cerebro_recipe_engine::{Compiler, compile_as_child};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// The argument that asks for it.
const MODE: &str = "compile-component";

/// What compiles an agent's components.
pub(crate) fn compiler() -> Compiler {
    Compiler::this_program(MODE)
}

/// Does so, if that is what the arguments ask for: then the exit code, else none.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    arguments.nth(1).filter(|first| first == OsStr::new(MODE))?;
    Some(match compile_as_child() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    })
}
