//! The init of a local machine: see `cerebro_machines::init`.
//!
//! `localmachine DIRECTORY` starts the machine that is recorded there;
//! `localmachine --probe DIRECTORY` says what this host lets a machine have.

use cerebro_machines::init;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match arguments.as_slice() {
        [flag, directory] if flag == "--probe" => init::probe(Path::new(directory)),
        [directory] => init::start(Path::new(directory)),
        _ => {
            eprintln!("usage: localmachine [--probe] DIRECTORY");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("localmachine: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}
