//! The machine sitter: the agent that runs on each machine.

use cerebro_machinesitter::{Arguments, compile_component, replay_component, run, run_component};
use clap::Parser;
use std::error::Error;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let another = compile_component(std::env::args_os());
    let another = another.or_else(|| run_component(std::env::args_os()));
    if let Some(code) = another.or_else(|| replay_component(std::env::args_os())) {
        return code;
    }
    let settings = match Arguments::parse().settings() {
        Ok(settings) => settings,
        Err(error) => {
            tell(&error);
            return ExitCode::FAILURE;
        }
    };
    let filter = EnvFilter::try_from_env("CEREBRO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

fn tell(error: &dyn Error) {
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
}
