//! Running other programs.

use anyhow::{Context, Result, ensure};
use std::process::Command;

/// Runs a program in the root of the repository; its words go where ours do.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    run_in("", program, arguments)
}

/// The same in a directory below the root.
pub fn run_in(directory: &str, program: &str, arguments: &[&str]) -> Result<()> {
    let words = format!("{program} {}", arguments.join(" "));
    say(&words);
    let status = command(directory, program).args(arguments).status();
    let status = status.with_context(|| format!("cannot run `{program}`: is it installed?"))?;
    ensure!(status.success(), "`{words}` failed ({status})");
    Ok(())
}

/// Says what is run.
pub fn say(words: &str) {
    eprintln!("\x1b[2m$ {words}\x1b[0m");
}

/// What a program prints.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = command("", program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run `{program}`: is it installed?"))?;
    ensure!(output.status.success(), "`{program} {}` failed", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// A program in a directory below the root, which knows nothing of who runs it.
pub fn command(directory: &str, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(cerebro_tests::root().join(directory));
    // What is built is looked for below the root, wherever somebody has the rest of their work built.
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET_DIR");
    // What cargo told us of our own package is none of theirs: build scripts that look at it would run again,
    // and all that is built on them, each time that somebody builds without us in between.
    for (name, _) in std::env::vars_os() {
        let name_is = |prefix: &str| name.to_string_lossy().starts_with(prefix);
        if name_is("CARGO_PKG_") || name_is("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
