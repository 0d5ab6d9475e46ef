//! Starting the task's process, and finding one that an earlier sitter started.
//!
//! The child writes its pid and the time since boot into the file `child` before exec, behind its
//! incarnation, and holds the sitter's lock until exec. So whoever gets the lock knows: either no
//! child was made, or its lines are there. There is no moment at which a second one could be started.

use crate::credentials;
use crate::files::TaskDir;
use cerebro_linux::process::Identity;
use cerebro_linux::spawn::{Program, Spawned, spawn, write_file};
use cerebro_tasksitter::protocol::{Attributes, MARKER, Rlimit, TaskSpec};
use nix::sys::resource::Resource;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A start that is ready to be made: all that may fail or allocate has been done.
pub struct Start {
    kit: Arc<Kit>,
    no_new_privileges: bool,
    attributes: Attributes,
    rlimits: Vec<(Resource, Rlimit)>,
    oom_score_adj: Option<String>,
    cwd: CString,
    /// Where in the note the child's own line begins.
    line_at: libc::off_t,
    /// What the child is at. It shares our memory until exec, so it is told here without a word.
    step: AtomicU8,
}

/// What a child does before exec that may fail, and what is said of it then.
#[derive(Debug, Clone, Copy)]
enum Step {
    Session,
    Limits,
    Nice,
    OomScore,
    User,
    Directory,
    Word,
    Execute,
}

/// What stays the same from start to start, unless the user's entry changes.
struct Kit {
    identity: Option<credentials::Identity>,
    program: Program,
    stdio: [File; 3],
    /// The file `child`.
    note: File,
}

impl Kit {
    fn open(
        spec: &TaskSpec,
        dir: &TaskDir,
        identity: Option<credentials::Identity>,
        variables: &[(&str, String)],
    ) -> io::Result<Self> {
        let environment = environment(spec, dir.path(), identity.as_ref(), variables);
        let argv = spec.argv.iter().map(OsStr::new);
        let environment = environment.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let program = Program::new(argv, environment)?;
        let error = if spec.one_stream() { "stdout" } else { "stderr" };
        let stdio = [
            File::open("/dev/null")?,
            dir.open_for_task("stdout", identity.as_ref())?,
            dir.open_for_task(error, identity.as_ref())?,
        ];
        let note =
            File::options().create(true).truncate(false).write(true).open(dir.child_file())?;
        Ok(Self { identity, program, stdio, note })
    }
}

/// Keeps the [`Kit`] of the last start for the next.
#[derive(Default)]
pub struct Prepared(Option<Arc<Kit>>);

impl Prepared {
    fn kit(
        &mut self,
        spec: &TaskSpec,
        dir: &TaskDir,
        variables: &[(&str, String)],
    ) -> io::Result<Arc<Kit>> {
        let identity = credentials::find(&spec.credentials)?;
        if let Some(kit) = self.0.as_ref().filter(|kit| kit.identity == identity) {
            return Ok(kit.clone());
        }
        let kit = Arc::new(Kit::open(spec, dir, identity, variables)?);
        self.0 = Some(kit.clone());
        Ok(kit)
    }
}

impl Start {
    /// Gets everything ready to start the task as its `incarnation` in this `boot`; `variables` are
    /// added to its environment, the same ones each time.
    pub fn prepare(
        spec: &TaskSpec,
        dir: &TaskDir,
        (boot, incarnation): (&str, u64),
        variables: &[(&str, String)],
        prepared: &mut Prepared,
    ) -> io::Result<Self> {
        let kit = prepared.kit(spec, dir, variables)?;
        let rlimits =
            spec.attributes.rlimits.iter().map(|(name, limit)| Ok((resource(name)?, *limit)));
        let rlimits = rlimits.collect::<io::Result<Vec<_>>>()?;
        // Over what was there, rather than truncated: what is left of it stands behind the line that
        // counts, and some file systems flush what was truncated before they go on.
        let head = format!("{incarnation:020} {boot}\n");
        // The line of the child before is no longer one.
        kit.note.write_all_at(format!("{head}-\n").as_bytes(), 0)?;
        Ok(Self {
            kit,
            no_new_privileges: spec.credentials.no_new_privileges,
            rlimits,
            oom_score_adj: spec.attributes.oom_score_adj.map(|adjust| adjust.to_string()),
            attributes: spec.attributes.clone(),
            cwd: CString::new(spec.cwd.as_os_str().as_bytes())?,
            line_at: libc::off_t::try_from(head.len()).map_err(io::Error::other)?,
            step: AtomicU8::new(Step::Session as u8),
        })
    }

    /// Starts the task, in the version 2 control group of which `group` is a descriptor. Once this
    /// answers, exec has succeeded.
    pub fn go(&self, group: Option<BorrowedFd<'_>>) -> io::Result<Spawned> {
        // SAFETY: `in_child` makes only async-signal-safe calls.
        unsafe { spawn(&self.kit.program, group, || self.in_child()) }
            .map_err(|error| self.explain(&error))
    }

    /// Says what the child was at when it failed.
    fn explain(&self, error: &io::Error) -> io::Error {
        let step = self.step.load(Relaxed);
        let is = |other: Step| step == other as u8;
        let doing = match () {
            () if is(Step::Limits) => "cannot set its resource limits".to_owned(),
            () if is(Step::Nice) => "cannot set its nice value".to_owned(),
            () if is(Step::OomScore) => "cannot set its OOM score adjustment".to_owned(),
            () if is(Step::User) => match &self.kit.identity {
                Some(identity) => format!("cannot become the user `{}`", identity.name),
                None => "cannot give up privileges".to_owned(),
            },
            () if is(Step::Directory) => {
                format!("cannot enter its working directory {}", self.cwd.to_string_lossy())
            }
            () if is(Step::Word) => "cannot write down who it is".to_owned(),
            () if is(Step::Execute) => "cannot execute it".to_owned(),
            () => "cannot prepare its process".to_owned(),
        };
        io::Error::new(error.kind(), format!("{doing}: {error}"))
    }

    fn at(&self, step: Step) {
        self.step.store(step as u8, Relaxed);
    }

    /// Between fork and exec: leaves what it inherited, becomes the user, and writes down who it is.
    fn in_child(&self) -> io::Result<()> {
        nix::unistd::setsid()?;
        for (number, file) in self.kit.stdio.iter().enumerate() {
            // SAFETY: two descriptors; what stood at the second one is the sitter's, which has its
            // own table.
            let result = unsafe { libc::dup2(file.as_raw_fd(), number as RawFd) };
            nix::errno::Errno::result(result)?;
        }
        let umask = self.attributes.umask;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));
        // What is ignored stays so over exec. The sitter ignores nothing but what Rust does.
        // SAFETY: sets a default action.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        // What the sitter reads from a descriptor, the task must get as a signal.
        nix::sys::signal::SigSet::empty().thread_set_mask()?;
        // SAFETY: closes at exec whatever was inherited; takes no pointers.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        self.at(Step::Limits);
        nix::sys::resource::setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        for (resource, limit) in &self.rlimits {
            let number = |limit: Option<u64>| limit.unwrap_or(nix::sys::resource::RLIM_INFINITY);
            nix::sys::resource::setrlimit(*resource, number(limit.soft), number(limit.hard))?;
        }
        self.at(Step::Nice);
        if let Some(nice) = self.attributes.nice {
            // SAFETY: takes no pointers.
            let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
            nix::errno::Errno::result(result)?;
        }
        self.at(Step::OomScore);
        if let Some(adjust) = &self.oom_score_adj {
            write_file(c"/proc/self/oom_score_adj", adjust.as_bytes())?;
        }
        self.at(Step::User);
        if let Some(identity) = &self.kit.identity {
            identity.assume()?;
        }
        if self.no_new_privileges {
            nix::sys::prctl::set_no_new_privs()?;
        }
        self.at(Step::Directory);
        nix::unistd::chdir(self.cwd.as_c_str())?;
        self.at(Step::Word);
        // Last, so that a line means a child that is about to be the task.
        write_identity(self.kit.note.as_raw_fd(), self.line_at)?;
        self.at(Step::Execute);
        Ok(())
    }
}

fn environment(
    spec: &TaskSpec,
    dir: &Path,
    identity: Option<&credentials::Identity>,
    variables: &[(&str, String)],
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = [("PATH".into(), PATH.into())].into();
    if let Some(identity) = identity {
        let (home, name) = (&identity.home, &identity.name);
        let own = [("HOME", home), ("USER", name), ("LOGNAME", name)];
        all.extend(own.map(|(name, value)| (name.into(), value.into())));
    }
    all.extend(spec.env.iter().map(|(name, value)| (name.into(), value.into())));
    all.extend(variables.iter().map(|(name, value)| ((*name).into(), value.into())));
    all.insert(MARKER.into(), dir.into());
    all
}

/// Without a look into `/proc`, which takes as long as all else that a child does: the pid and the
/// time tell whose process it is, too.
fn write_identity(note: RawFd, at: libc::off_t) -> io::Result<()> {
    // SAFETY: all zeros is a valid `timespec`, and the pointer is to it.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now);
        now
    };
    let mut line = [0u8; 64];
    let left = {
        let mut rest = &mut line[..];
        // Numbers are written without allocating.
        writeln!(rest, "{} {} {}", nix::unistd::getpid(), now.tv_sec, now.tv_nsec)?;
        rest.len()
    };
    // SAFETY: the buffer is valid for less than its length, and the descriptor is open.
    let written = unsafe { libc::pwrite(note, line.as_ptr().cast(), line.len() - left, at) };
    if written > 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The resource of that name, as `setrlimit` has it, in lower case and without its prefix.
pub fn resource(name: &str) -> io::Result<Resource> {
    Ok(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => {
            let message = format!("there is no resource limit `{name}`; see setrlimit(2)");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    })
}

/// What a child wrote about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub incarnation: u64,
    pub identity: Identity,
    /// The boot that it belongs to.
    pub boot: String,
}

/// The child that the last sitter started, dead or alive; none if it started none.
pub fn last(dir: &TaskDir) -> Option<Child> {
    let note = fs::read_to_string(dir.child_file()).ok()?;
    let mut lines = note.lines();
    let mut head = lines.next()?.split(' ');
    let incarnation = head.next()?.parse().ok()?;
    let boot = head.next()?.to_owned();
    let mut own = lines.next()?.split(' ');
    let pid = own.next()?.parse().ok()?;
    let time = Duration::new(own.next()?.parse().ok()?, own.next()?.parse().ok()?);
    Some(Child { incarnation, identity: Identity::at_time(pid, time), boot })
}

/// The way to `directory`, as an environment entry.
pub fn marker(directory: &Path) -> String {
    format!("{MARKER}={}", directory.display())
}
