//! Tasks that say too much, or say it strangely, and disks that do not take it.

use crate::common::{Task, is_root, is_running, signal, throughout, until};
use cerebro_tasksitter::protocol::Request;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, mknod};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn a_hundred_thousand_words_without_newlines_are_kept_and_bounded() {
    let script = "perl -e '$| = 1; print \"word \" for 1 .. 100000' ; : > said; exec sleep 600";
    let task = Task::start(script, |spec| {
        (spec.logs.bytes, spec.logs.files, spec.logs.compress) = (64 << 10, 3, false);
    });
    let (_, state) = task.running();
    until("it has said it", || task.file("said").exists().then_some(()));
    until("all is written", || (task.stats().log_bytes == 500_000).then_some(()));
    // A file may hold a line to twice its size.
    assert!(task.bytes_of_logs() <= 4 * 2 * (64 << 10), "{}", task.bytes_of_logs());
    assert!(task.bytes_of_logs() >= 3 * (64 << 10), "{}", task.bytes_of_logs());
    assert_eq!(task.state().unwrap().sitter, state.sitter);
}

/// Of 200 MB, or as many megabytes as `CEREBRO_LONG_LINE` says.
#[test]
fn one_long_line_fills_neither_the_disk_nor_the_sitter() {
    let megabytes: u64 =
        std::env::var("CEREBRO_LONG_LINE").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let script = format!("head -c {megabytes}M /dev/zero | tr '\\0' x; : > said; exec sleep 600");
    let task = Task::start(&script, |spec| {
        (spec.logs.bytes, spec.logs.files, spec.logs.compress) = (1 << 20, 2, false);
    });
    let (_, state) = task.running();
    until("it has said it", || {
        assert!(task.bytes_of_logs() <= 4 * (2 << 20), "{}", task.bytes_of_logs());
        task.file("said").exists().then_some(())
    });
    until("all is written", || (task.stats().log_bytes == megabytes << 20).then_some(()));
    let status = fs::read_to_string(format!("/proc/{}/status", state.sitter)).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 32 << 10, "the sitter had {peak} kB");
}

#[test]
fn what_a_task_does_to_its_output_does_not_reach_its_next_life() {
    let script = "grep flags /proc/self/fdinfo/1 >> flags; \
                  perl -MFcntl -e 'fcntl(STDOUT, F_SETFL, O_NONBLOCK | O_WRONLY) or die' ; \
                  echo life; exec sleep 600";
    let task = Task::start(script, |_| {});
    for life in 1..=2 {
        let state = task.wait("a life", |s| s.incarnation == life && s.pid.is_some());
        until("its words", || (task.log("stdout").lines().count() == life as usize).then_some(()));
        signal(state.pid.unwrap(), Signal::SIGKILL);
    }
    let flags =
        until("three lives", || task.read("flags").filter(|flags| flags.lines().count() == 3));
    let mut flags = flags.lines();
    let first = flags.next().unwrap();
    assert!(flags.all(|next| next == first), "they differ from {first}");
}

#[test]
fn one_that_closes_its_output_runs_on_and_its_next_life_is_heard() {
    let script = "if [ -e closed ]; then echo back; exec sleep 600; fi; \
                  exec > /dev/null 2>&1 <&-; exec 1>&- 2>&-; : > closed; exec sleep 600";
    let task = Task::start(script, |_| {});
    let (pid, _) = task.running();
    until("it has closed it", || task.file("closed").exists().then_some(()));
    throughout(Duration::from_millis(100), || assert!(is_running(pid)));
    signal(pid, Signal::SIGKILL);
    until("the next life's words", || (task.log("stdout") == "back\n").then_some(()));
}

#[test]
fn a_pipe_filled_while_no_sitter_was_there_loses_nothing() {
    // More than any pipe holds: the task waits.
    let script = "until [ -e go ]; do sleep 0.01; done; \
                  perl -e '$| = 1; print \"line $_\\n\" for 1 .. 300000'; : > said; exec sleep 600";
    let task = Task::start(script, |spec| spec.logs.bytes = 100 << 20);
    task.running();
    task.kill_sitter();
    task.write("go", "");
    throughout(Duration::from_millis(300), || assert!(!task.file("said").exists()));
    task.launch();
    until("it goes on", || task.file("said").exists().then_some(()));
    let log = until("all lines", || {
        Some(task.log("stdout")).filter(|log| log.ends_with("line 300000\n"))
    });
    for (number, line) in (1..).zip(log.lines()) {
        assert_eq!(line, format!("line {number}"));
    }
}

#[test]
fn a_device_that_takes_nothing_costs_the_log_and_nothing_else() {
    if !is_root("a device as a log") {
        return;
    }
    // A device like /dev/full, of our own: no test should find out by that one.
    let place = tempfile::tempdir().unwrap();
    let full = place.path().join("full");
    mknod(&full, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, libc::makedev(1, 7)).unwrap();
    let task = Task::start("yes | head -c 1000000; echo x >&2; exec sleep 600", |spec| {
        spec.logs.stdout = Some(full.clone());
        spec.logs.bytes = 8192;
    });
    let (pid, _) = task.running();
    until("what comes after", || (task.log("stderr") == "x\n").then_some(()));
    // Two pipes: the one says nothing of the other.
    until("all is dropped", || {
        // Asked, it writes down how much.
        task.stats();
        (task.state()?.counts.log_bytes_dropped == 1_000_000).then_some(())
    });
    task.ask(Request::Stop);
    let state = task.stopped();
    assert_eq!(state.counts.log_bytes_dropped, 1_000_000);
    assert!(!is_running(pid));
    assert!(fs::metadata(&full).unwrap().file_type().is_char_device(), "it was set aside");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

/// A file system of 1 MB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let options = Some("size=1m");
        let none = None::<&str>;
        mount(none, disk.0.path(), Some("tmpfs"), MsFlags::empty(), options).unwrap();
        disk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fill(&self) {
        // Until the disk takes no more, which is an error.
        let _ = fs::write(self.file("filler"), vec![0; 2 << 20]);
    }

    fn free(&self) {
        fs::remove_file(self.file("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_costs_what_is_said_meanwhile_and_nothing_that_was_kept() {
    if !is_root("a full disk") {
        return;
    }
    let disk = SmallDisk::mount();
    let log = disk.file("out");
    let script = "echo before; until [ -e full ]; do sleep 0.01; done; \
                  yes lost | head -c 1000000; : > said; \
                  until [ -e free ]; do sleep 0.01; done; echo; echo after; exec sleep 600";
    let task = Task::start(script, |spec| {
        spec.logs.stdout = Some(log.clone());
        // More than what its pipe and its sitter may still hold once there is room again.
        (spec.logs.bytes, spec.logs.files, spec.logs.compress) = (500_000, 2, false);
    });
    let (pid, _) = task.running();
    until("its first word", || (fs::read_to_string(&log).ok()? == "before\n").then_some(()));
    disk.fill();
    task.write("full", "");
    until("it has spoken in vain", || task.file("said").exists().then_some(()));
    disk.free();
    task.write("free", "");
    until("its last word", || fs::read_to_string(&log).ok()?.ends_with("\nafter\n").then_some(()));
    assert!(fs::read_to_string(&log).unwrap().starts_with("before\n"), "what was kept is gone");
    task.ask(Request::Stop);
    let state = task.stopped();
    assert!(state.counts.log_bytes_dropped > 900_000, "{:?}", state.counts);
    assert!(!is_running(pid));
}

#[test]
fn a_task_whose_own_directory_is_full_runs_on_under_its_sitter() {
    if !is_root("a full directory") {
        return;
    }
    let task = Task::prepare("echo up; trap 'exit 0' TERM; while :; do sleep 0.02; done", |_| {});
    mount(None::<&str>, task.path(), Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
    let _mounted = Unmount(task.path().to_owned());
    let spec = Task::prepare("echo up; trap 'exit 0' TERM; while :; do sleep 0.02; done", |spec| {
        spec.cwd = task.path().to_owned();
    });
    fs::copy(spec.file("spec.json"), task.file("spec.json")).unwrap();
    task.launch();
    let (pid, state) = task.running();
    until("it is up", || (task.log("stdout") == "up\n").then_some(()));
    let _ = fs::write(task.file("filler"), vec![0; 2 << 20]);
    // The state changes, and there is no room for it.
    task.ask(Request::Stop);
    until("it is stopped", || (!is_running(pid)).then_some(()));
    throughout(Duration::from_millis(200), || assert!(is_running(state.sitter), "it gave up"));
    fs::remove_file(task.file("filler")).unwrap();
    // It is written down as soon as that is possible, without anything else happening.
    task.stopped();
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn logs_removed_under_its_feet_come_back() {
    let script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done";
    let task = Task::start(script, |_| {});
    task.running();
    until("its first words", || task.log("stdout").contains("line 5\n").then_some(()));
    fs::remove_file(task.file("logs/stdout.log")).unwrap();
    until("a new file", || task.log("stdout").contains("line").then_some(()));
    fs::remove_dir_all(task.file("logs")).unwrap();
    until("a new directory", || task.log("stdout").contains("line").then_some(()));
}
