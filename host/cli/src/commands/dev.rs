//! `cerebro dev`: a cluster of local machines, for as long as it runs.

use crate::arguments::Dev;
use crate::fault::{ERROR, Fault};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// A controller that ends by itself sooner than this after its start will do so again.
const TOO_SOON: Duration = Duration::from_secs(2);

pub async fn run(options: Dev) -> Result<(), Fault> {
    let program = sibling("clustersitter")?;
    let data = match &options.data {
        Some(data) => data.clone(),
        None => default_data()?,
    };
    let served = serve(&program, &data, &options).await;
    anstream::eprintln!("ending the machines of {}", data.display());
    let purged = Command::new(&program).arg("purge").arg("--data").arg(&data).status().await;
    served?;
    match purged {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Fault::new(
            ERROR,
            format!("not every machine of {} could be ended", data.display()),
        )
        .hint(format!("try again: clustersitter purge --data {}", data.display()))),
    }
}

/// Keeps a controller running until a signal comes.
async fn serve(program: &Path, data: &Path, options: &Dev) -> Result<(), Fault> {
    let no_signals = |error| Fault::new(ERROR, format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    loop {
        let (mut controller, begun) = (start(program, data, options)?, Instant::now());
        tokio::select! {
            ended = controller.wait() => {
                // One that was killed did nothing wrong; one that gives up at once will again.
                let gave_up = ended.as_ref().is_ok_and(|status| status.signal().is_none());
                if gave_up && begun.elapsed() < TOO_SOON {
                    let message = "the cluster sitter does not stay up; its words are above";
                    return Err(Fault::new(ERROR, message));
                }
                anstream::eprintln!("the cluster sitter ended ({}); it is started again", how(ended));
            }
            _ = interrupt.recv() => return stop(controller, &mut interrupt).await,
            _ = terminate.recv() => return stop(controller, &mut interrupt).await,
            _ = hangup.recv() => return stop(controller, &mut interrupt).await,
        }
    }
}

fn how(ended: std::io::Result<ExitStatus>) -> String {
    ended.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// In a process group of its own, so that a terminal's Ctrl-C reaches only us.
fn start(program: &Path, data: &Path, options: &Dev) -> Result<Child, Fault> {
    let mut command = Command::new(program);
    command
        .arg("--data")
        .arg(data)
        .arg("--listen")
        .arg(&options.listen)
        .arg("--machine")
        .arg(&options.machine);
    command.arg("--network").arg(&options.network);
    for zone in &options.zones {
        command.arg("--zone").arg(zone);
    }
    for (flag, given) in
        [("--unprivileged", options.unprivileged), ("--no-repair-limits", options.no_repair_limits)]
    {
        if given {
            command.arg(flag);
        }
    }
    // Machines of this host are what this is for, whatever the environment says of another controller.
    command.arg("--machines").arg("local").env_remove("CEREBRO_SETTINGS");
    command.process_group(0).kill_on_drop(true);
    command
        .spawn()
        .map_err(|error| Fault::new(ERROR, format!("cannot start {}: {error}", program.display())))
}

async fn stop(
    mut controller: Child,
    interrupt: &mut tokio::signal::unix::Signal,
) -> Result<(), Fault> {
    if let Some(pid) = controller.id().and_then(|pid| i32::try_from(pid).ok()) {
        // Gone already is as good.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    tokio::select! {
        _ = controller.wait() => {}
        _ = interrupt.recv() => drop(controller.kill().await),
        () = tokio::time::sleep(Duration::from_secs(5)) => drop(controller.kill().await),
    }
    Ok(())
}

fn sibling(name: &str) -> Result<PathBuf, Fault> {
    let own = std::env::current_exe()
        .map_err(|error| Fault::new(ERROR, format!("cannot find myself: {error}")))?;
    let program = own.with_file_name(name);
    match program.is_file() {
        true => Ok(program),
        false => Err(Fault::new(ERROR, format!("{} is not there", program.display()))
            .hint("the binaries belong in one directory; from a checkout, `cargo xtask build` puts them there")),
    }
}

fn default_data() -> Result<PathBuf, Fault> {
    let from_home =
        || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(from_home);
    base.map(|base| base.join("cerebro")).ok_or_else(|| {
        Fault::new(ERROR, "neither HOME nor XDG_DATA_HOME is set").hint("name a place with --data")
    })
}
