//! What tasks say of themselves, and what others say in their name.

use crate::common::{SOON, Task, is_root, throughout, until};
use cerebro_tasksitter::protocol::{Exit, Phase, Readiness, Reason, Request};
use std::time::{Duration, Instant};

/// Says its first argument by sd_notify(3), as often as its second.
const SAY: &str = "use Socket; my ($word, $times) = @ARGV; \
    socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; my $to = $ENV{NOTIFY_SOCKET}; $to =~ s/^@/\\0/; \
    for (1 .. $times) { send($s, $word, 0, pack_sockaddr_un($to)) or warn \"unheard: $!\" }";

/// A script with a command `say WORD TIMES`.
fn script(text: &str) -> String {
    format!("say() {{ perl -e '{SAY}' \"$@\"; }}; {text}")
}

fn start(text: &str) -> Task {
    Task::start(&script(text), |spec| {
        spec.readiness = Readiness::Notify;
        spec.policy.ready_within = Some(Duration::from_secs(30));
    })
}

#[test]
fn a_grandchild_may_say_that_its_task_is_ready() {
    let task = start(
        "until [ -e go ]; do sleep 0.01; done; (say READY=1 1; say STATUS=fine 1; sleep 600) & wait",
    );
    let (_, state) = task.running();
    assert!(!state.ready);
    task.write("go", "");
    task.wait("it is ready", |s| s.ready);
    task.wait("its status", |s| s.status == "fine");
}

#[test]
fn others_may_not_speak_for_a_task() {
    if !is_root("another user") {
        return;
    }
    let task = start("echo $NOTIFY_SOCKET > socket.new; mv socket.new socket; exec sleep 600");
    task.running();
    let socket = until("its socket", || task.read("socket"));
    let say = |user: Option<&str>| {
        let mut command = match user {
            Some(user) => {
                let mut command = std::process::Command::new("setpriv");
                command.args(["--reuid", user, "--clear-groups", "perl"]);
                command
            }
            None => std::process::Command::new("perl"),
        };
        let command = command.args(["-e", SAY, "READY=1\nSTATUS=forged", "1"]);
        assert!(command.env("NOTIFY_SOCKET", socket.trim()).status().unwrap().success());
    };
    // Another user, and our own from outside of the task. The latter is gone when it is weighed, and
    // then only its user counts: so it stays to be looked at.
    say(Some("65534"));
    throughout(Duration::from_millis(200), || {
        let state = task.state().unwrap();
        assert!(!state.ready && state.status.is_empty(), "a stranger was heard: {state:?}");
    });
}

#[test]
fn a_flood_of_words_does_not_keep_the_sitter_from_its_work() {
    let task = start("say READY=1 1; say STATUS=flood 100000000 & say WATCHDOG=1 100000000 & wait");
    let (_, before) = task.running();
    task.wait("it is ready", |s| s.ready);
    let begun = Instant::now();
    task.ask(Request::Stop);
    let state = task.stopped();
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    assert_eq!(state.sitter, before.sitter);
}

#[test]
fn a_word_said_while_no_sitter_was_there_is_not_held_against_the_task() {
    let task = Task::start(
        &script("until [ -e go ]; do sleep 0.01; done; say READY=1 1; : > said; exec sleep 600"),
        |spec| {
            spec.readiness = Readiness::Notify;
            spec.policy.ready_within = Some(Duration::from_millis(1500));
        },
    );
    let begun = Instant::now();
    let (pid, _) = task.running();
    task.kill_sitter();
    task.write("go", "");
    until("it has spoken", || task.file("said").exists().then_some(()));
    task.launch();
    task.wait("adoption", |s| s.adopted);
    until("its time is over", || (begun.elapsed() > Duration::from_millis(1800)).then_some(()));
    let state = task.wait("it is ready", |s| s.ready);
    assert_eq!((state.pid, state.incarnation, state.reason), (Some(pid), 1, None));
    assert_eq!(state.phase, Phase::Running);
}

#[test]
fn one_that_does_not_say_it_is_ready_is_restarted_with_the_reason() {
    let task = Task::start(&script("exec sleep 600"), |spec| {
        spec.readiness = Readiness::Notify;
        spec.policy.ready_within = Some(Duration::from_millis(200));
        spec.policy.max_restarts = Some(1);
    });
    let state = task.wait("it is given up", |s| s.phase == Phase::Failed);
    assert_eq!((state.restarts, state.incarnation), (1, 2));
    assert_eq!(state.last_exit, Some(Exit::Signal(libc::SIGTERM)));
}

#[test]
fn a_watchdog_bites_one_that_no_longer_pings_and_spares_one_that_does() {
    let watchdog = Duration::from_secs(3);
    let pinging = "i=0; while [ $i -lt 400 ] && [ ! -e hang ]; do say WATCHDOG=1 1; sleep 0.05; \
                   done; exec sleep 600";
    let task = Task::start(&script(pinging), |spec| {
        spec.policy.watchdog = Some(watchdog);
    });
    let begun = Instant::now();
    let (pid, _) = task.running();
    let twice = 2 * watchdog + Duration::from_millis(500);
    until("twice its time", || (begun.elapsed() > twice).then_some(()));
    assert_eq!(task.state().unwrap().pid, Some(pid), "it was bitten though it pings");
    task.write("hang", "");
    let state = task.wait("it is restarted", |s| s.incarnation == 2 && s.pid.is_some());
    assert_eq!(state.last_exit, Some(Exit::Signal(libc::SIGABRT)));
    assert_eq!(state.reason, Some(Reason::Watchdog));
}
