//! `cerebro login`: a shell or a command on a machine, by the real `ssh`.

use super::names::{Meant, meant};
use crate::arguments::Login;
use crate::fault::{CONFLICT, ERROR, Fault, NOT_FOUND};
use crate::output::line;
use crate::style::printable;
use cerebro_api::Client;
use cerebro_api::body::{MachineView, TaskView};
use cerebro_model::MachineId;
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// What `ssh` answers where it did not get in.
const SSH_FAILED: u8 = 255;
/// Commands at a time.
const AT_A_TIME: usize = 16;

/// Somewhere to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// What was asked for: a machine or a task.
    name: String,
    machine: MachineId,
    address: IpAddr,
}

/// What is to be run there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Shell,
    Command(String),
    Script(PathBuf),
}

pub async fn run(client: &Client, options: Login) -> Result<ExitCode, Fault> {
    let (machines, tasks) = (client.machines().await?, client.tasks().await?);
    let mut places = find(&options.name, &machines, &tasks)?;
    let what = match &options.command {
        None => What::Shell,
        Some(command) => match command.strip_prefix('@') {
            Some(file) => What::Script(file.into()),
            None => What::Command(command.clone()),
        },
    };
    if options.all {
        // Tasks that share a machine are at one place.
        let mut seen = BTreeSet::new();
        places.retain(|place| seen.insert(place.machine.clone()));
        return run_on_all(&options, &what, places).await;
    }
    match places.as_slice() {
        [place] => {
            anstream::eprintln!("{} is at {}", place.name, place.address);
            Err(become_ssh(&options, &what, place))
        }
        several => {
            let names: Vec<_> =
                several.iter().map(|it| format!("{} on {}", it.name, it.machine)).collect();
            let message =
                format!("`{}` has {} tasks: {}", options.name, several.len(), names.join(", "));
            Err(Fault::new(CONFLICT, message)
                .hint("name one of them, or run a command on the machine of each with `--all --command …`"))
        }
    }
}

/// The places that are meant by a name: one of a machine or task, one for each task of a job.
fn find(name: &str, machines: &[MachineView], tasks: &[TaskView]) -> Result<Vec<Place>, Fault> {
    let ids: Vec<_> = machines.iter().map(|view| view.machine.id.as_str()).collect();
    let jobs: BTreeSet<_> = tasks.iter().map(|task| task.instance.job.as_str()).collect();
    let instances = tasks.iter().map(|task| task.instance.id.as_str()).collect();
    let name = match meant(name, &[ids.iter().copied().chain(jobs).collect(), instances]) {
        Meant::One(name) => name,
        Meant::Several(names) => {
            let message = format!("`{name}` may be any of: {}", names.join(", "));
            return Err(Fault::new(CONFLICT, message).hint("say more of the name"));
        }
        Meant::None(near) => {
            let fault = Fault::new(NOT_FOUND, format!("there is no machine, job or task `{name}`"));
            return Err(match near.as_slice() {
                [] => fault.hint("`cerebro machine list` and `cerebro task list` have them all"),
                near => fault.hint(format!("is it one of these: {}?", near.join(", "))),
            });
        }
    };
    if ids.contains(&name) {
        let machine = machines.iter().find(|view| view.machine.id.as_str() == name);
        return machine.map(|view| place(name, view)).into_iter().collect();
    }
    let is_meant =
        |task: &&TaskView| task.instance.id.as_str() == name || task.instance.job.as_str() == name;
    let of_task = |task: &TaskView| {
        let on = machines.iter().find(|view| view.machine.id == task.instance.machine);
        let gone = || {
            let TaskView { instance, .. } = task;
            Fault::new(
                NOT_FOUND,
                format!("{} is on {}, which is gone", instance.id, instance.machine),
            )
        };
        place(task.instance.id.as_str(), on.ok_or_else(gone)?)
    };
    tasks.iter().filter(is_meant).map(of_task).collect()
}

fn place(name: &str, view: &MachineView) -> Result<Place, Fault> {
    let id = &view.machine.id;
    if view.is_local {
        let fault = Fault::new(
            CONFLICT,
            format!("{id} is a part of the controller's own host, and has no SSH server"),
        );
        return Err(fault.hint(
            "its processes are seen on that host itself; `cerebro task logs` shows what a task says, `cerebro why` and \
             `cerebro drift` what was done to its files",
        ));
    }
    let Some(address) = view.machine.address else {
        let fault = Fault::new(
            CONFLICT,
            format!("{id} has not joined yet, so that its address is not known"),
        );
        return Err(fault.hint("`cerebro events -f` tells when it has"));
    };
    Ok(Place { name: name.to_owned(), machine: id.clone(), address })
}

/// The words for `ssh`; none of them goes through a shell of this machine.
fn words(options: &Login, what: &What, address: IpAddr) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    for key in &options.keys {
        words.extend(["-i".into(), key.into()]);
    }
    if let Some(user) = &options.user {
        words.extend(["-l".into(), user.into()]);
    }
    if let Some(port) = options.port {
        words.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(file) = &options.known_hosts {
        let mut option = OsString::from("UserKnownHostsFile=");
        option.push(file);
        words.extend(["-o".into(), option]);
    }
    if options.all {
        // Nobody is there to be asked.
        words.extend(["-o".into(), "BatchMode=yes".into()]);
    }
    words.push(address.to_string().into());
    match what {
        What::Shell => {}
        What::Command(command) => words.push(command.into()),
        What::Script(_) => words.push("sh -s".into()),
    }
    words
}

fn open(what: &What) -> Result<Option<File>, Fault> {
    let What::Script(file) = what else { return Ok(None) };
    let unreadable = |error| Fault::new(ERROR, format!("cannot read {}: {error}", file.display()));
    File::open(file).map(Some).map_err(unreadable)
}

fn no_ssh(error: &std::io::Error) -> Fault {
    let fault = Fault::new(ERROR, format!("cannot run `ssh`: {error}"));
    match error.kind() {
        ErrorKind::NotFound => fault.hint("it is in the package `openssh-client`"),
        _ => fault,
    }
}

/// Does not come back unless it failed.
fn become_ssh(options: &Login, what: &What, place: &Place) -> Fault {
    let mut command = std::process::Command::new("ssh");
    command.args(words(options, what, place.address));
    match open(what) {
        Ok(Some(script)) => {
            command.stdin(script);
        }
        Ok(None) => {}
        Err(fault) => return fault,
    }
    no_ssh(&command.exec())
}

/// Runs it on each, a few at a time; the worst of the exit codes.
async fn run_on_all(options: &Login, what: &What, places: Vec<Place>) -> Result<ExitCode, Fault> {
    let (mut waiting, mut running) = (places.into_iter(), FuturesUnordered::new());
    let mut worst = 0;
    loop {
        while running.len() < AT_A_TIME
            && let Some(place) = waiting.next()
        {
            running.push(run_on(options, what, place));
        }
        match running.next().await {
            Some(code) => worst = worst.max(code?),
            None => return Ok(ExitCode::from(worst)),
        }
    }
}

async fn run_on(options: &Login, what: &What, place: Place) -> Result<u8, Fault> {
    let mut command = tokio::process::Command::new("ssh");
    command.args(words(options, what, place.address)).kill_on_drop(true);
    command.stdin(open(what)?.map_or_else(Stdio::null, Stdio::from));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| no_ssh(&error))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let name = &place.name;
    let (told, warned) = tokio::join!(
        each_line(out, |text| line(&format!("[{name}] {}", printable(text)))),
        each_line(err, |text| {
            anstream::eprintln!("[{name}] {}", printable(text));
            Ok(())
        }),
    );
    told.and(warned)?;
    let ended = child.wait().await;
    let ended =
        ended.map_err(|error| Fault::new(ERROR, format!("cannot wait for `ssh`: {error}")))?;
    Ok(code(ended))
}

/// What was killed has no code, and is as bad as it gets.
fn code(ended: ExitStatus) -> u8 {
    ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(SSH_FAILED)
}

async fn each_line(
    from: Option<impl AsyncRead + Unpin>,
    mut tell: impl FnMut(&str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(from) = from else { return Ok(()) };
    let (mut from, mut text) = (BufReader::new(from), Vec::new());
    let broken = |error| Fault::new(ERROR, format!("cannot read what `ssh` says: {error}"));
    while from.read_until(b'\n', &mut text).await.map_err(broken)? > 0 {
        tell(String::from_utf8_lossy(&text).trim_end_matches(['\n', '\r']))?;
        text.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn options(arguments: &[&str]) -> Login {
        let all = ["cerebro", "login", "m-1"].iter().chain(arguments);
        match crate::arguments::Arguments::parse_from(all).command {
            crate::arguments::Command::Login(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ssh_is_given_words_and_no_shell_reads_them() {
        let given = options(&[
            "--user",
            "admin",
            "--key",
            "a b",
            "--key",
            "c",
            "--port",
            "2222",
            "--known-hosts",
            "k h",
        ]);
        let what = What::Command("echo $HOME; id".to_owned());
        let words = words(&given, &what, "10.0.0.7".parse().unwrap());
        let expected = [
            "-i",
            "a b",
            "-i",
            "c",
            "-l",
            "admin",
            "-p",
            "2222",
            "-o",
            "UserKnownHostsFile=k h",
            "10.0.0.7",
            "echo $HOME; id",
        ];
        assert_eq!(words, expected.map(OsString::from));
        let plain = options(&[]);
        let script = What::Script("x".into());
        let words = super::words(&plain, &script, "fd00::7".parse().unwrap());
        assert_eq!(words, ["fd00::7", "sh -s"].map(OsString::from));
    }
}
