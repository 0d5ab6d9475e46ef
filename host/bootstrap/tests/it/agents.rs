//! Programs that stand in for the agent.

use crate::controller::Controller;
use cerebro_bootstrap::{JoinToken, Program, Setup};
use cerebro_model::MachineId;

/// One that joins.
pub fn good() -> Vec<u8> {
    let tests = std::env::current_exe().unwrap();
    let directory = tests.parent().unwrap().parent().unwrap();
    let program = directory.join("examples/stand_in_agent");
    std::fs::read(&program).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: `cargo build -p cerebro-bootstrap --example stand_in_agent` makes it",
            program.display()
        )
    })
}

/// One that says something, and ends.
pub fn dying() -> Vec<u8> {
    script("echo 'no such device or address' >&2; exit 7")
}

/// One that runs, and calls nobody.
pub fn silent() -> Vec<u8> {
    script("echo 'waits for better times'; exec sleep 1000")
}

/// One that is built for another system.
pub fn foreign() -> Vec<u8> {
    b"#!/bin/sh\necho \"version 'GLIBC_9.99' not found\" >&2\nexit 1\n".to_vec()
}

fn script(body: &str) -> Vec<u8> {
    format!("#!/bin/sh\nif [ \"$1\" = --version ]; then exit 0; fi\n{body}\n").into_bytes()
}

pub fn task_sitter() -> Vec<u8> {
    script("exit 0")
}

/// The programs, served by a controller.
pub fn served(controller: &Controller, agent: &[u8]) -> Vec<Program> {
    vec![controller.serve("machinesitter", agent), controller.serve("tasksitter", &task_sitter())]
}

pub fn setup(controller: &Controller, ordinal: u64, programs: Vec<Program>) -> Setup {
    let (machine, zone) = (MachineId::nth(ordinal), "z-1".parse().unwrap());
    // A token that would break out where it could.
    let token = JoinToken::new("it's $(one) token");
    Setup::new(machine, zone, &controller.base, token, programs).unwrap()
}
