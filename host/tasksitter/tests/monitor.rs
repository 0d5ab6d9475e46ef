//! A task's own pages over HTTP, asked for over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use cerebro_tasksitter::protocol::{Monitor, Phase, Policy, TaskSpec};
use common::{PATIENCE, SITTER, Task, is_running, signal, throughout, until};
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Any free port of the loopback.
fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn monitored(spec: &mut TaskSpec) {
    spec.monitor = Some(Monitor { address: anywhere(), keep_running: false });
}

/// Where a sitter says that it serves.
fn address_in(words: &str) -> Option<SocketAddr> {
    let (_, rest) = words.split_once("serves http://")?;
    rest.split_once('/')?.0.parse().ok()
}

fn address(task: &Task) -> SocketAddr {
    until("its address", || address_in(&task.read("sitter.log")?))
}

/// An answer that was read to its end.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let own = |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        Some(self.head.lines().find(own)?.split_once(':')?.1.trim())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Says `request` and reads whatever comes back until the other side closes.
fn say(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: all[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") && !answer.body.is_empty() {
        answer.body = unchunked(&mut answer.body.as_slice()).collect::<Vec<_>>().concat();
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().unwrap();
        assert!(answer.body.is_empty() || answer.body.len() == length);
    }
    answer
}

fn get(address: SocketAddr, target: &str) -> Answer {
    say(address, format!("GET {target} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes())
}

/// The chunks of a body, up to the last, which must be there.
fn unchunked(body: &mut impl BufRead) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(|| {
        let mut size = String::new();
        body.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        let mut chunk = vec![0; size + 2];
        body.read_exact(&mut chunk).unwrap();
        assert_eq!(chunk.split_off(size), b"\r\n");
        (size > 0).then_some(chunk)
    })
}

/// A client that has asked, and was answered with a head.
fn follow(address: SocketAddr, target: &str) -> BufReader<TcpStream> {
    let mut stream = connect(address);
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    stream
}

#[test]
fn every_page_comes_in_every_form() {
    let task = Task::start("echo one; echo two; echo oops >&2; exec sleep 600", |spec| {
        monitored(spec);
        spec.name = "<script>ill</script>".to_owned();
        spec.limits.memory = Some(64 << 20);
        spec.version_file = Some(spec.cwd.join("VERSION"));
        fs::write(spec.cwd.join("VERSION"), "7.1\n").unwrap();
    });
    let (pid, state) = task.running();
    until("its words", || (task.log("stdout") == "one\ntwo\n").then_some(()));
    until("its other words", || (task.log("stderr") == "oops\n").then_some(()));
    let address = address(&task);

    for path in ["/", "/stats", "/logs"] {
        let page = get(address, path);
        assert_eq!((page.status, page.header("connection")), (200, Some("close")));
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
        assert!(page.text().contains("&lt;script&gt;ill") && !page.text().contains("<script"));
    }
    for path in ["/?nohtml", "/stats?format=text"] {
        let flat = get(address, path);
        let lines: BTreeMap<_, _> =
            flat.text().lines().map(|line| line.split_once(": ").unwrap()).collect();
        assert_eq!(lines["pid"], pid.to_string());
        assert_eq!((lines["phase"], lines["ready"], lines["starts"]), ("running", "true", "1"));
        assert_eq!((lines["version"], lines["mem.limit_bytes"]), ("7.1", "67108864"));
        assert!(lines["rss_bytes"].parse::<u64>().unwrap() > 0);
        assert_eq!(lines["log_bytes_written"], "13");
    }
    let stats = get(address, "/stats?format=json&pss").json();
    assert_eq!(stats["metadata"]["name"], "<script>ill</script>");
    assert_eq!(stats["metadata"]["sitter_pid"], state.sitter);
    assert_eq!(stats["constraints"]["mem"]["violations"], 0);
    assert!(stats["stats"]["pss_bytes"].as_u64().unwrap() > 0);

    assert!(get(address, "/logs?nohtml").text().starts_with("stdout.log: 8 20"));
    let files = get(address, "/logs?format=json").json();
    let names: Vec<_> = files["files"].as_array().unwrap().iter().map(|f| &f["name"]).collect();
    assert_eq!(names, ["stdout.log", "stderr.log"]);
    let url = files["files"][1]["url"].as_str().unwrap();
    assert_eq!(get(address, url).text(), "oops\n");
    for (cut, text) in [("", "one\ntwo\n"), ("&head=1", "one\n"), ("&tail=1", "two\n")] {
        let log = get(address, &format!("/logfile?name=stdout.log{cut}"));
        assert_eq!((log.status, log.text()), (200, text));
        assert_eq!(log.header("x-content-type-options"), Some("nosniff"));
    }
    let health = get(address, "/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
    // Its input and its outputs: nothing of the sitter's.
    until("three descriptors", || {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        (open == 3).then_some(())
    });
}

#[test]
fn the_next_sitter_serves_where_the_last_one_did() {
    // Any port that is free now; whoever takes it meanwhile makes this fail with the reason.
    let address = TcpListener::bind(anywhere()).unwrap().local_addr().unwrap();
    let task = Task::start("echo begin; exec sleep 600", |spec| {
        spec.monitor = Some(Monitor { address, keep_running: false });
    });
    let sitter = task.running().1.sitter;
    until("its words", || (task.log("stdout") == "begin\n").then_some(()));
    let mut follower = follow(address, "/logfile?name=stdout.log&follow");
    assert_eq!(unchunked(&mut follower).next().unwrap(), b"begin\n");
    task.kill_sitter();
    assert_eq!(follower.read(&mut [0]).unwrap_or(0), 0, "its follower sees that it is gone");
    task.launch();
    task.wait("adoption", |s| s.sitter != sitter && s.pid.is_some());
    assert_eq!(get(address, "/healthz").text(), "ok\n", "{:?}", task.read("sitter.log"));
}

#[test]
fn metrics_are_in_prometheus_text_format() {
    let task = Task::start("exec sleep 600", monitored);
    task.running();
    let answer = get(address(&task), "/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let (mut helped, mut typed, mut sampled) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    for line in answer.text().lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => assert!(helped.insert(name) && help.ends_with('.')),
            ["#", "TYPE", name, kind] => {
                assert!(["gauge", "counter"].contains(&kind) && helped.contains(name), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert_eq!(typed.insert(name, kind), None);
            }
            _ => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let name = name.split_once('{').map_or(name, |(name, labels)| {
                    assert!(labels.ends_with("\"}") && labels.contains("=\""), "{line}");
                    name
                });
                assert!(typed.contains_key(name) && value.parse::<f64>().is_ok(), "{line}");
                assert!(name.starts_with("cerebro_task_"), "{line}");
                sampled.insert(name);
            }
        }
    }
    assert_eq!(sampled, typed.keys().copied().collect());
    assert!(sampled.contains("cerebro_task_cpu_seconds_total"));
}

#[test]
fn health_has_a_reason_while_there_is_something_wrong() {
    let task = Task::start("exit 3", |spec| {
        monitored(spec);
        spec.policy.ensure_alive = false;
    });
    task.wait("it is given up", |s| s.phase == Phase::Failed);
    let health = get(address(&task), "/healthz");
    assert_eq!(health.status, 503);
    assert!(health.text().starts_with("failed: it exited with code 3; "), "{}", health.text());
    assert_eq!(health.text().lines().count(), 1);
}

#[test]
fn what_cannot_be_answered_says_what_can() {
    let task = Task::start("echo hello; exec sleep 600", monitored);
    let address = address(&task);
    until("its words", || (task.log("stdout") == "hello\n").then_some(()));
    let long = "x".repeat(9000);
    for (request, status, hint) in [
        ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404, "/metrics"),
        ("POST /stats HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 405, "GET"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "Host"),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), 400, "HTTP"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"), 431, "8192"),
        ("GET /?format=xml HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400, "json"),
        ("GET /logfile HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400, "stdout.log"),
        ("GET /logfile?name=stdout.log&tail=x HTTP/1.0\r\n\r\n".to_owned(), 400, "number"),
        ("GET /logfile?name=stdout.log&head=1&tail=1 HTTP/1.0\r\n\r\n".to_owned(), 400, "either"),
        ("GET /logfile?name=stdout.log&head=1&follow HTTP/1.0\r\n\r\n".to_owned(), 400, "tail"),
    ] {
        let answer = say(address, request.as_bytes());
        let start = &request[..request.len().min(60)];
        assert_eq!(answer.status, status, "{start}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(hint), "{start}: {problem}");
    }
    let head = say(address, b"HEAD /logfile?name=stdout.log HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("6")));
    assert!(head.body.is_empty());
}

#[test]
fn a_name_is_no_path() {
    let task = Task::start("echo hello; exec sleep 600", monitored);
    let address = address(&task);
    until("its words", || (task.log("stdout") == "hello\n").then_some(()));
    std::os::unix::fs::symlink("/etc/passwd", task.file("logs/stdout.log.7")).unwrap();
    let passwd = "../".repeat(20) + "etc/passwd";
    let encoded = "..%2f".repeat(20) + "etc%2fpasswd";
    let inside = task.file("logs/stdout.log").display().to_string();
    for name in [
        "../spec.json",
        "..%2Fspec.json",
        "%2e%2e/spec.json",
        "/etc/passwd",
        "./stdout.log",
        "logs/stdout.log",
        "stdout.log%00",
        "stdout.log.7",
        "",
        &passwd,
        &encoded,
        &inside,
    ] {
        let answer = get(address, &format!("/logfile?name={name}"));
        assert_eq!(answer.status, 404, "{name}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains("stdout.log"), "{name}");
    }
    assert_eq!(get(address, "/logfile/../../spec.json").status, 404);
    assert!(!get(address, "/logs?nohtml").text().contains("stdout.log.7"));
}

/// Waits for `go`, and then says all numbers up to `$1`.
const COUNT: &str =
    "echo begin; while [ ! -e go ]; do sleep 0.01; done; seq 1 20000; exec sleep 600";

fn in_small_files(spec: &mut TaskSpec) {
    monitored(spec);
    spec.logs.bytes = 4096;
    spec.logs.files = 1000;
}

#[test]
fn a_follower_sees_every_line_over_rotations_and_compression() {
    let task = Task::start(COUNT, in_small_files);
    let address = address(&task);
    until("its first word", || (task.log("stdout") == "begin\n").then_some(()));
    let mut stream = follow(address, "/logfile?name=stdout.log&follow");
    let mut latecomer = None;
    task.write("go", "");
    let (mut text, mut chunks) = (String::new(), unchunked(&mut stream));
    while !text.ends_with("\n20000\n") {
        text += std::str::from_utf8(&chunks.next().expect("more")).unwrap();
        // One that begins in the middle of it all.
        latecomer.get_or_insert_with(|| follow(address, "/logfile?name=stdout.log&follow&tail=1"));
    }
    let all: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    assert!(text.strip_prefix("begin\n") == Some(&all), "lines are lost, doubled or mixed");
    let mut late = String::new();
    let mut stream = latecomer.unwrap();
    let mut chunks = unchunked(&mut stream);
    while !late.ends_with("20000\n") {
        late += std::str::from_utf8(&chunks.next().expect("more")).unwrap();
    }
    assert!(text.ends_with(&late) && late.lines().count() >= 1, "{late:.100}");
    let files = get(address, "/logs?format=json").json();
    assert!(files["files"].as_array().unwrap().len() > 20, "{files}");
}

#[test]
fn compressed_files_are_sent_as_they_lie_or_by_their_first_lines() {
    let task = Task::start(COUNT, in_small_files);
    let address = address(&task);
    task.write("go", "");
    until("a compressed file", || task.file("logs/stdout.log.1.gz").exists().then_some(()));
    let target = "/logfile?name=stdout.log.1.gz";
    let kept = get(address, target);
    assert_eq!(kept.header("content-type"), Some("application/gzip"));
    assert!(kept.header("content-disposition").unwrap().contains("stdout.log.1.gz"));
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    let shown = say(address, request.as_bytes());
    assert_eq!(shown.header("content-encoding"), Some("gzip"));
    assert_eq!(shown.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(shown.body, kept.body);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&kept.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("begin\n1\n2\n"));
    assert_eq!(get(address, &format!("{target}&head=3")).text(), "begin\n1\n2\n");
    assert_eq!(get(address, &format!("{target}&head=1000000")).text(), text);
    let old = say(address, format!("GET {target}&head=2 HTTP/1.0\r\n\r\n").as_bytes());
    assert_eq!((old.header("transfer-encoding"), old.text()), (None, "begin\n1\n"));
    assert_eq!(get(address, &format!("{target}&tail=3")).status, 400);
    assert_eq!(get(address, &format!("{target}&follow")).status, 400);
}

fn resident_kilobytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_follower_that_stops_reading_costs_nothing() {
    let script = "echo begin; while [ ! -e go ]; do sleep 0.01; done; \
                  head -c 52428800 /dev/zero | tr '\\0' x | fold -w 99; : > done; exec sleep 600";
    let task = Task::start(script, |spec| {
        monitored(spec);
        spec.logs.bytes = 1 << 20;
        spec.logs.files = 2;
        spec.logs.compress = false;
    });
    let address = address(&task);
    let sitter = task.running().1.sitter;
    until("its first word", || (task.log("stdout") == "begin\n").then_some(()));
    let mut followers = Vec::new();
    for _ in 0..4 {
        let mut stream = follow(address, "/logfile?name=stdout.log&follow");
        assert_eq!(unchunked(&mut stream).next().unwrap(), b"begin\n");
        followers.push(stream);
    }
    let before = resident_kilobytes(sitter);
    task.write("go", "");
    // Nobody reads from now on.
    until("all is said", || task.file("done").exists().then_some(()));
    until("all is written", || {
        let stats = get(address, "/stats?format=json").json();
        (stats["output"]["log_bytes_written"].as_u64()? > 52_428_800).then_some(())
    });
    let more = resident_kilobytes(sitter).saturating_sub(before);
    // Its own buffer for the logs is a quarter of that.
    assert!(more < 1024, "the sitter has grown by {more} KiB");
    let health = get(address, "/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
    // One that reads on is still answered, with what the files held.
    let mut chunks = unchunked(followers.first_mut().unwrap());
    assert!(chunks.next().is_some_and(|chunk| chunk.starts_with(b"xxx")));
}

#[test]
fn there_are_so_many_clients_and_no_more() {
    let task = Task::start("exec sleep 600", monitored);
    let address = address(&task);
    let mut followers: Vec<_> =
        (0..32).map(|_| follow(address, "/logfile?name=stdout.log&follow")).collect();
    let answer = get(address, "/healthz");
    assert_eq!(answer.status, 503);
    assert!(answer.json()["detail"].as_str().unwrap().contains("try again"));
    followers.pop();
    until("a free place", || (get(address, "/healthz").status == 200).then_some(()));
}

/// How often a thread has waited.
fn waits(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_sitter_that_nobody_asks_sleeps() {
    let task = Task::start("echo begin; exec sleep 600", monitored);
    let address = address(&task);
    let sitter = task.running().1.sitter;
    until("its words", || (task.log("stdout") == "begin\n").then_some(()));
    let mut stream = follow(address, "/logfile?name=stdout.log&follow");
    assert_eq!(unchunked(&mut stream).next().unwrap(), b"begin\n");
    assert_eq!(get(address, "/healthz").status, 200);
    // A client that was answered is heard for two seconds at most.
    let quiet = |sitter| {
        let before = waits(sitter);
        throughout(Duration::from_millis(500), || assert!(is_running(sitter)));
        (waits(sitter) == before).then_some(())
    };
    until("silence with a follower", || quiet(sitter));
    drop(stream);
    until("silence without one", || quiet(sitter));
}

/// A sitter that stands alone; dropped, it takes everything with it.
struct Alone {
    child: Child,
    task: Task,
}

impl Alone {
    fn start(flags: &[&str], script: &str) -> Self {
        let task = Task { dir: tempfile::tempdir().unwrap(), group: None };
        let mut command = Command::new(SITTER);
        command.arg("--state").arg(task.path()).args(flags).args(["--", "sh", "-c", script]);
        let errors = fs::File::create(task.file("sitter.log")).unwrap();
        command.current_dir(task.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        Self { child: command.spawn().unwrap(), task }
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn code(&mut self) -> i32 {
        until("it ends", || self.child.try_wait().unwrap()).code().unwrap()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // Asked first, it removes its control group by itself.
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), Signal::SIGTERM);
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let spec = self.task.read("spec.json");
        let spec = spec.and_then(|spec| serde_json::from_str::<TaskSpec>(&spec).ok());
        self.task.group = spec.and_then(|spec| spec.cgroup);
    }
}

#[test]
fn the_pages_stay_after_the_end_if_they_are_to() {
    let flags = ["--http-monitoring-port", "0", "--keep-http-running", "--no-ensure-alive"];
    let mut alone = Alone::start(&flags, "echo last words; exit 7");
    let address = address(&alone.task);
    until("its end", || {
        let stats = get(address, "/stats?format=json").json();
        (stats["metadata"]["phase"] == "failed").then_some(())
    });
    let stats = get(address, "/stats?format=json").json();
    assert_eq!(stats["metadata"]["last_exit_status"], 7);
    assert_eq!(stats["metadata"]["pid"], serde_json::Value::Null);
    assert_eq!(get(address, "/healthz").status, 503);
    until("its words", || {
        (get(address, "/logfile?name=stdout.log").text() == "last words\n").then_some(())
    });
    assert!(alone.child.try_wait().unwrap().is_none(), "it goes on");
    signal(alone.pid(), Signal::SIGTERM);
    assert_eq!(alone.code(), 7);
}

#[test]
fn a_follower_gets_the_last_words_and_the_end() {
    let flags = ["--http-monitoring-port", "0", "--allow-exit"];
    let script = "echo first; while [ ! -e go ]; do sleep 0.01; done; echo last";
    let mut alone = Alone::start(&flags, script);
    let address = address(&alone.task);
    let mut stream = follow(address, "/logfile?name=stdout.log&follow");
    alone.task.write("go", "");
    let text = unchunked(&mut stream).collect::<Vec<_>>().concat();
    assert_eq!(text, b"first\nlast\n");
    assert_eq!(alone.code(), 0);
}

#[test]
fn a_port_that_is_taken_is_an_error_alone_and_a_word_beside_an_agent() {
    let taken = TcpListener::bind(anywhere()).unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    let mut alone = Alone::start(&["--http-monitoring-port", &port], ": > started; sleep 600");
    assert_eq!(alone.code(), 1);
    let error = alone.task.read("sitter.log").unwrap();
    assert!(error.contains(&port) && error.contains("--http-monitoring-port"), "{error}");
    assert!(!alone.task.file("started").exists() && !alone.task.file("child").exists());

    let task = Task::start("exec sleep 600", |spec| {
        spec.monitor = Some(Monitor { address, keep_running: false });
        spec.policy = Policy::default();
    });
    task.running();
    let words = task.read("sitter.log").unwrap();
    assert!(words.contains(&port) && words.contains("runs without its pages"), "{words}");
}
