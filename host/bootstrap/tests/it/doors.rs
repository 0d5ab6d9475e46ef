//! Who is let in, and by whom we let ourselves in: names, ports, host keys, keys, root.

use crate::machine::{Like, Machine};
use cerebro_bootstrap::ssh::{Connection, HostKey, Key, Outcome, Report, SshError, Target};
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Goes in; what came of it, and what was told.
async fn open(target: &Target) -> (Result<Connection, SshError>, Vec<String>) {
    let mut report = Report::new(|_| ());
    let opened = Connection::open(target, &mut report).await;
    let told = report.steps().iter();
    let told = told.map(|step| format!("{} {:?}: {}", step.what, step.outcome, step.output));
    let told = told.collect();
    if opened.is_ok() {
        assert!(report.steps().iter().all(|step| step.outcome == Outcome::Found));
    }
    (opened, told)
}

async fn refused(target: &Target) -> SshError {
    let (opened, told) = open(target).await;
    assert!(told.last().unwrap().contains("Failed"), "{told:?}");
    match opened {
        Ok(_) => panic!("it was let in: {told:?}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_machine_that_is_not_there_is_told_from_one_that_does_not_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = |host: &str, port: u16| Target {
        host: host.to_owned(),
        port,
        user: "root".to_owned(),
        keys: Vec::new(),
        host_key: HostKey::Known { file: "/nonexistent".into(), accept_new: false },
        answers_within: Duration::from_millis(300),
    };
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let error = refused(&target("127.0.0.1", port)).await;
    assert!(matches!(error, SshError::Connect { .. }), "{error:?}");
    let error = refused(&target("127.0.0.1", mute.local_addr().unwrap().port())).await;
    assert!(matches!(error, SshError::Timeout { .. }), "{error:?}");
    let error = refused(&target("no-such-machine.invalid", 22)).await;
    assert!(matches!(error, SshError::Resolve { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_machine_that_is_meant_is_spoken_to() {
    /// How often it lets us in below.
    const LOGINS: usize = 4;
    let machine = Machine::start(Like::default());
    let right = machine.target("root");
    open(&right).await.0.unwrap().close().await;

    // Its other key does as well.
    let rsa = fs::read_to_string(machine.file("host_rsa.pub")).unwrap();
    let pinned = HostKey::Pinned(rsa.parse().unwrap());
    open(&Target { host_key: pinned, ..right.clone() }).await.0.unwrap().close().await;

    let other = fs::read_to_string(machine.file("right.pub")).unwrap();
    let pinned = HostKey::Pinned(other.parse().unwrap());
    let error = refused(&Target { host_key: pinned, ..right.clone() }).await;
    let SshError::HostKeyOther { offered, .. } = &error else { panic!("{error:?}") };
    assert_eq!(offered.len(), 2, "all of its keys are looked at: {error}");

    let file = machine.file("known_hosts");
    let known = |accept_new| Target {
        host_key: HostKey::Known { file: file.clone(), accept_new },
        ..right.clone()
    };
    let error = refused(&known(false)).await;
    assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error:?}");
    assert!(!file.exists(), "nothing is kept unless that was asked for");
    let (opened, told) = open(&known(true)).await;
    opened.unwrap().close().await;
    assert!(told[0].contains("taken at its word"), "{told:?}");
    let (opened, told) = open(&known(false)).await;
    opened.unwrap().close().await;
    assert!(!told[0].contains("taken at its word"), "{told:?}");

    let entry = format!("[127.0.0.1]:{} {other}", machine.port);
    fs::write(&file, entry).unwrap();
    for accept_new in [false, true] {
        let error = refused(&known(accept_new)).await;
        assert!(matches!(error, SshError::HostKeyChanged { line: 1, .. }), "{error:?}");
    }
    // Nobody was asked to log in by those that were not trusted.
    let logins = || machine.said().matches("Accepted publickey").count();
    // What it says takes a way of its own to us.
    let end = Instant::now() + Duration::from_secs(20);
    while logins() < LOGINS && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(logins(), LOGINS, "{}", machine.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_tried_in_order_and_all_that_failed_are_named() {
    let machine = Machine::start(Like::default());
    let right = machine.target("root");
    let (wrong, locked) = (machine.wrong_key("wrong", ""), machine.wrong_key("locked", "secret"));
    let missing = Key::File(machine.file("missing"));
    let bad = vec![wrong.clone(), locked, missing];
    let error = refused(&Target { keys: bad.clone(), ..right.clone() }).await;
    let SshError::NoKeyAccepted { tried, .. } = &error else { panic!("{error:?}") };
    assert_eq!(tried.len(), 3);
    let words = error.to_string();
    for part in ["wrong (the machine does not know it)", "has a passphrase", "cannot be read"] {
        assert!(words.contains(part), "{words}");
    }
    let keys = [bad, vec![machine.right_key()]].concat();
    let (opened, told) = open(&Target { keys, ..right.clone() }).await;
    opened.unwrap().close().await;
    assert!(told[1].contains("right"), "{told:?}");

    // A machine lets nobody try without end: behind its limit, the others are tried all the same.
    let mut keys: Vec<Key> = (0..8).map(|n| machine.wrong_key(&format!("wrong-{n}"), "")).collect();
    keys.push(machine.right_key());
    open(&Target { keys, ..right.clone() }).await.0.unwrap().close().await;

    let error = refused(&Target { keys: Vec::new(), ..right.clone() }).await;
    assert!(error.to_string().contains("there is none to try"), "{error}");
    let error = refused(&Target { user: "nobody-there".to_owned(), ..right }).await;
    assert!(matches!(error, SshError::NoKeyAccepted { .. }), "{error:?}");
}

/// An ssh-agent, until it is dropped.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_an_agent_are_tried_too() {
    let machine = Machine::start(Like::default());
    let socket = machine.file("agent");
    let child =
        Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn();
    let _agent = Agent(child.unwrap());
    let end = Instant::now() + Duration::from_secs(10);
    while !socket.exists() {
        assert!(Instant::now() < end, "no ssh-agent");
        std::thread::sleep(Duration::from_millis(10));
    }
    let with_agent = Target { keys: vec![Key::Agent(socket.clone())], ..machine.target("root") };
    let error = refused(&with_agent).await;
    assert!(error.to_string().contains("it has no keys"), "{error}");
    for key in ["right", "host_rsa"] {
        let added =
            Command::new("ssh-add").arg(machine.file(key)).env("SSH_AUTH_SOCK", &socket).output();
        assert!(added.unwrap().status.success());
    }
    open(&with_agent).await.0.unwrap().close().await;
    let gone = Target { keys: vec![Key::Agent(machine.file("none"))], ..machine.target("root") };
    assert!(refused(&gone).await.to_string().contains("does not answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_become_root_is_told_so() {
    let machine = Machine::start(Like::default());
    let error = refused(&machine.target("plain")).await;
    let SshError::NoSudo { user, said, .. } = &error else { panic!("{error:?}") };
    assert_eq!(user, "plain");
    assert!(!said.is_empty());
    open(&machine.target("ops")).await.0.unwrap().close().await;
}
