//! `cerebro`: the user's hand.
//!
//! Each group of commands is a file; all of them speak to the controller through
//! [`cerebro_api::Client`]. What was asked for goes to standard output, words to standard error.

mod arguments;
mod commands;
mod edits;
mod fault;
mod output;
mod style;
mod templates;

use arguments::{Arguments, Command, Drift, Why};
use clap::Parser;
use fault::Fault;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Fault::new(1, format!("cannot start: {error}")).print(),
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(fault) => fault.print(),
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Fault> {
    let output = Output::new(arguments.output);
    let client = || cerebro_api::Client::new(&arguments.server);
    let done = match arguments.command {
        Command::Dev(options) => commands::dev::run(options).await,
        Command::Recipe(command) => commands::recipe::run(&client()?, output, command).await,
        Command::Artifact(command) => commands::recipe::artifact(&client()?, output, command).await,
        Command::Secret(command) => commands::secret::run(&client()?, output, command).await,
        Command::Job(command) => commands::job::run(&client()?, output, command).await,
        Command::Deploy(options) => {
            return commands::deploy::run(&client()?, output, options).await;
        }
        Command::Rollback(options) => {
            commands::rollback::of_job(&client()?, output, &options.job, options.follow).await
        }
        Command::Deployment(command) => {
            commands::deployment::run(&client()?, output, command).await
        }
        Command::Why(Why { machine, path }) => {
            commands::machine::why(&client()?, output, &machine, &path).await
        }
        Command::Drift(Drift { machine }) => {
            commands::machine::drift(&client()?, output, &machine).await
        }
        Command::Login(options) => return commands::login::run(&client()?, options).await,
        Command::Zone(command) => commands::zone::run(&client()?, output, command).await,
        Command::Name(command) => commands::name::run(&client()?, output, command).await,
        Command::Machine(command) => commands::machine::run(&client()?, output, command).await,
        Command::Task(command) => commands::task::run(&client()?, output, command).await,
        Command::Store { arguments } => {
            Err(commands::become_program::become_program("clustersitter", "store", &arguments))
        }
        Command::Settings { arguments } => {
            Err(commands::become_program::become_program("clustersitter", "settings", &arguments))
        }
        Command::Decisions { arguments } => {
            Err(commands::become_program::become_program("clustersitter", "decisions", &arguments))
        }
        Command::Explain(command) => commands::explain::run(&client()?, output, command).await,
        Command::Simulate(asked) => commands::explain::simulate(&client()?, output, asked).await,
        Command::Status => commands::brakes::status(&client()?, output).await,
        Command::Pause(options) => commands::brakes::pause(&client()?, output, options).await,
        Command::Resume(options) => commands::brakes::resume(&client()?, options).await,
        Command::Repair(command) => commands::brakes::repair(&client()?, output, command).await,
        Command::Events { follow } => commands::events::run(&client()?, output, follow).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}
