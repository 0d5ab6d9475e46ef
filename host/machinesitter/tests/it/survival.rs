//! What is not lost when sitters and tasks are killed together.

use crate::alone::{Alone, kill_hard, state};
use crate::machine::bin_dir;
use cerebro_api::paths::machine_task;
use cerebro_model::Phase;
use cerebro_tasksitter::protocol::{Exit, Notice, Request, TaskState, socket_path};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

#[test]
fn how_a_task_ended_is_known_though_its_sitter_died_with_it() {
    let alone = Alone::start();
    alone.define("t", "exec sleep 1000", json!({}));
    alone.act("t", "start");
    for round in 0..5 {
        let before = alone.wait_healthy("t");
        // The sitter first, so that nobody but the agent can have seen the end of the task; stopped,
        // so that it cannot restart the task in between.
        kill(Pid::from_raw(before.sitter.unwrap().cast_signed()), Signal::SIGSTOP).unwrap();
        kill_hard(before.pid);
        kill_hard(before.sitter);
        let after = alone.wait("t", "another takes its place", |task| {
            task.phase == Phase::Healthy && task.pid.is_some() && task.pid != before.pid
        });
        assert_ne!(after.sitter, before.sitter);
        assert_eq!(after.restarts, round + 1);
        let last = state(&alone.task_dirs()[0]).unwrap().last_exit;
        assert_eq!(last, Some(Exit::Signal(9)), "round {round}");
    }
    alone.wait_event(&["task `t`", "died"]);
}

#[test]
fn a_task_goes_on_when_its_sitter_is_killed() {
    let alone = Alone::start();
    alone.define("t", "exec sleep 1000", json!({}));
    alone.act("t", "start");
    let before = alone.wait_healthy("t");
    kill_hard(before.sitter);
    let after = alone.wait("t", "another sitter has it", |task| {
        task.sitter != before.sitter && task.phase == Phase::Healthy
    });
    assert_eq!((after.pid, after.restarts), (before.pid, before.restarts));
    alone.wait_event(&["task `t`", "took it over"]);
}

#[test]
fn a_sitter_of_another_version_is_asked_to_go_on_as_ours() {
    let mut alone = Alone::start();
    alone.define("t", "exec sleep 1000", json!({}));
    alone.act("t", "start");
    let first = alone.wait_healthy("t");
    let dir = alone.task_dirs().remove(0);
    let mut told = state(&dir).unwrap();
    alone.kill_agent();
    kill_hard(first.sitter);
    kill_hard(first.pid);

    // An older sitter, as far as an agent can see.
    std::fs::remove_file(dir.join("control.sock")).unwrap();
    let entrance = std::fs::File::open(&dir).unwrap();
    let socket = UnixListener::bind(socket_path(entrance.as_fd())).unwrap();
    (told.version, told.sitter, told.pid) = ("0.0.1".to_owned(), 1, None);
    alone.start_agent();
    let (mut stream, _) = socket.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut say = |state: &TaskState| {
        let notice = Notice::State(Box::new(state.clone()));
        writeln!(stream, "{}", serde_json::to_string(&notice).unwrap()).unwrap();
    };
    say(&told);
    // Asked once is enough: it may have its reasons.
    say(&told);
    told.status = "the last word".to_owned();
    say(&told);
    alone.wait("t", "the last word was heard", |task| task.status == "the last word");
    // Before the agent has a reason to launch another, which will have a socket of its own there.
    std::fs::remove_file(dir.join("control.sock")).unwrap();
    drop(socket);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut asked = String::new();
    stream.read_to_string(&mut asked).unwrap();
    let requests: Vec<Request> =
        asked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(requests, [Request::Upgrade(bin_dir().join("tasksitter"))]);
    alone.wait_healthy("t");
}

#[test]
fn many_tasks_start_and_stop_together() {
    const MANY: usize = 60;
    let alone = Alone::start();
    let names: Vec<String> = (0..MANY).map(|number| format!("t-{number}")).collect();
    for name in &names {
        alone.define(name, "exec sleep 1000", json!({}));
    }
    for verb in ["start", "stop"] {
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| alone.act(name, verb));
            }
        });
        let wanted = if verb == "start" { Phase::Healthy } else { Phase::Stopped };
        for name in &names {
            alone.wait(name, verb, |task| task.phase == wanted);
        }
    }
    let log = alone.ask("GET", &format!("{}/logs?stream=stderr", machine_task("t-0")), "");
    assert_eq!((log.status, log.body.as_str()), (200, ""));
}

#[test]
fn an_agent_without_anything_to_do_does_nothing() {
    let alone = Alone::start();
    for number in 0..5 {
        let name = format!("t-{number}");
        alone.define(&name, "exec sleep 1000", json!({}));
        alone.act(&name, "start");
        alone.wait_healthy(&name);
    }
    // Its threads may still be going to sleep: it counts as soon as it is quiet for a second.
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let before = alone.switches();
        std::thread::sleep(Duration::from_secs(1));
        // Fewer, where a thread has ended meanwhile: then it was not quiet either.
        let after = alone.switches();
        if after == before {
            break;
        }
        assert!(Instant::now() < end, "it goes on: {before} switches, and {after} a second later");
    }
}
