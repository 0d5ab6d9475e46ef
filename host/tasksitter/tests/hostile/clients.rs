//! Clients of the control socket that do not behave.

use crate::common::{SOON, Task, is_running, line, signal, until};
use cerebro_tasksitter::protocol::{Phase, Request};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// The sitter is well: it sees an end, and obeys.
fn is_well(task: &Task) {
    let (pid, before) = task.running();
    signal(pid, Signal::SIGKILL);
    let after = task.wait("a restart", |s| s.incarnation > before.incarnation && s.pid.is_some());
    assert_eq!(after.sitter, before.sitter);
    let begun = Instant::now();
    task.ask(Request::Stop);
    task.stopped();
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    task.ask(Request::Start);
    task.wait("a start", |s| s.incarnation > after.incarnation && s.pid.is_some());
}

#[test]
fn one_that_never_reads_is_left() {
    let task = Task::start("exec sleep 600", |_| {});
    task.running();
    let mut deaf = task.connect();
    for _ in 0..2000 {
        // Each is answered by some hundred bytes; at last it is hung up on.
        if deaf.write_all(&line(&Request::Stats { pss: false })).is_err() {
            break;
        }
    }
    until("it is hung up on", || {
        deaf.write_all(&line(&Request::Stats { pss: false })).is_err().then_some(())
    });
    is_well(&task);
}

#[test]
fn garbage_is_hung_up_on() {
    let task = Task::start("exec sleep 600", |_| {});
    task.running();
    for garbage in [&b"start\n"[..], b"\xff\xfe\n", b"{}\n", b"\"dance\"\n", b"\n", &[0; 70_000]] {
        let mut client = task.connect();
        // It may have hung up before the end.
        let _ = client.write_all(garbage);
        let mut rest = Vec::new();
        // By its end, or by a reset, since it did not read all.
        let _ = client.read_to_end(&mut rest);
        assert!(client.write_all(b"\"start\"\n").is_err(), "{garbage:?} is still heard");
    }
    is_well(&task);
}

#[test]
fn a_megabyte_without_a_newline_is_not_kept() {
    let task = Task::start("exec sleep 600", |_| {});
    let (_, state) = task.running();
    let mut client = task.connect();
    assert!(client.write_all(&[b'x'; 1 << 20]).is_err(), "all of it was taken");
    let status = std::fs::read_to_string(format!("/proc/{}/status", state.sitter)).unwrap();
    assert!(status.contains("VmRSS"), "{status}");
    is_well(&task);
}

#[test]
fn a_request_in_pieces_is_one() {
    let task = Task::start("exec sleep 600", |_| {});
    task.running();
    let mut client = task.connect();
    for byte in b"\"stop\"\n" {
        client.write_all(&[*byte]).unwrap();
        client.flush().unwrap();
    }
    task.stopped();
}

#[test]
fn a_flood_of_requests_drowns_neither_the_task_nor_other_clients() {
    let task = Task::start("exec sleep 600", |_| {});
    task.running();
    let (ends, mut flood) = (Arc::new(AtomicBool::new(false)), task.connect());
    let stop = ends.clone();
    let flooder = std::thread::spawn(move || {
        // Of requests that change nothing, and so are not answered.
        let requests = b"\"reload\"\n".repeat(1000);
        let requests = String::from_utf8(requests).unwrap().replace("\"reload\"", "{\"signal\":0}");
        while !stop.load(Relaxed) && flood.write_all(requests.as_bytes()).is_ok() {}
    });
    let stop = StopFlood(ends);
    is_well(&task);
    drop(stop);
    flooder.join().unwrap();
}

struct StopFlood(Arc<AtomicBool>);

impl Drop for StopFlood {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_thousand_clients_do_not_use_up_its_descriptors() {
    let task = Task::start("exec sleep 600", |_| {});
    let (_, state) = task.running();
    let mut clients = Vec::new();
    let mut limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .map(|(soft, _)| soft)
        .unwrap();
    limit = limit.min(1100).saturating_sub(100);
    for _ in 0..limit {
        clients.push(task.connect());
    }
    let open = || std::fs::read_dir(format!("/proc/{}/fd", state.sitter)).unwrap().count();
    until("it has few", || (open() < 200).then_some(()));
    is_well(&task);
    drop(clients);
    assert!(is_running(state.sitter) && task.state().unwrap().phase == Phase::Running);
}
