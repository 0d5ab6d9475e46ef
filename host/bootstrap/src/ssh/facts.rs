//! What a machine is.

use super::connect::Connection;
use super::error::SshError;
use super::report::Report;
use crate::files::{BIN, START, mark_expression, read_mark};
use crate::setup::{Setup, Start};
use cerebro_model::Digest;
use std::collections::BTreeMap;
use std::time::Duration;

/// The oldest kernel on which tasks are watched as they should be: `clone3` into a control group came with it.
pub const OLDEST_KERNEL: (u32, u32) = (5, 7);

/// Room that is left beside the programs, in bytes.
const MARGIN: u64 = 64 << 20;
/// How long it may take to find all of it out: the programs' digests are taken.
const WITHIN: Duration = Duration::from_secs(120);

/// What a machine is, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What `uname -s` says.
    pub system: String,
    /// What `uname -m` says.
    pub architecture: String,
    /// What `uname -r` says.
    pub kernel: String,
    /// The name of its first process.
    pub init: String,
    /// Whether systemd runs it.
    pub has_systemd: bool,
    /// Cores.
    pub cores: u32,
    /// Memory, in MB.
    pub memory_mb: u64,
    /// The size of the disk for the agent's data, in MB.
    pub disk_mb: u64,
    /// What is free where the programs are, in bytes.
    pub free_for_programs: u64,
    /// What is free where the agent's data are, in bytes.
    pub free_for_data: u64,
    /// Whose agent is there already.
    pub agent: Option<Start>,
    /// The programs that are there already.
    pub programs: BTreeMap<String, Digest>,
}

/// A script that says all of it, a line each; of a text with line breaks, the first line.
fn script() -> String {
    let mark = mark_expression();
    format!(
        r#"LC_ALL=C; export LC_ALL
say() {{ printf '%s=%s\n' "$1" "$(printf '%s\n' "$2" | sed -n 1p)"; }}
room() {{
  d=$1
  until [ -d "$d" ]; do d=$(dirname "$d"); done
  df -Pk "$d" | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9][0-9]*  *\(-*[0-9][0-9]*\)  *[0-9]*%.*/\1 \2/p'
}}
say system "$(uname -s)"
say architecture "$(uname -m)"
say kernel "$(uname -r)"
say init "$(cat /proc/1/comm 2>/dev/null)"
if [ -d /run/systemd/system ]; then say systemd yes; fi
say cores "$(getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c ^processor /proc/cpuinfo)"
say memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
say programs-room "$(room {BIN})"
say data-room "$(room /var/lib/cerebro)"
if [ -f {START} ]; then say agent "$(sed -n '{mark}' {START})"; fi
for program in {BIN}/*; do
  case $program in *.new) continue ;; esac
  if [ -f "$program" ]; then say program "$(sha256sum <"$program" | cut -c1-64) ${{program##*/}}"; fi
done
"#
    )
}

impl Facts {
    /// Reads what the script said. What is missing is as nothing.
    fn read(text: &str) -> Self {
        let mut facts = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let text = value.to_owned();
            let room = || {
                let (size, free) = value.split_once(' ')?;
                Some((size.parse::<u64>().ok()?, free.parse::<u64>().ok()?))
            };
            match key {
                "system" => facts.system = text,
                "architecture" => facts.architecture = text,
                "kernel" => facts.kernel = text,
                "init" => facts.init = text,
                "systemd" => facts.has_systemd = true,
                "cores" => facts.cores = value.parse().unwrap_or_default(),
                "memory" => facts.memory_mb = value.parse::<u64>().unwrap_or_default() / 1024,
                "programs-room" => {
                    facts.free_for_programs = room().map_or(0, |(_, free)| free << 10);
                }
                "data-room" => {
                    let (size, free) = room().unwrap_or_default();
                    (facts.disk_mb, facts.free_for_data) = (size >> 10, free << 10);
                }
                "agent" => facts.agent = read_mark(value),
                "program" => {
                    let found = value.split_once(' ');
                    let found = found.and_then(|(sha, name)| Some((name, sha.parse().ok()?)));
                    facts.programs.extend(found.map(|(name, digest)| (name.to_owned(), digest)));
                }
                _ => {}
            }
        }
        facts
    }

    fn has_kernel(&self) -> bool {
        let mut numbers = self.kernel.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST_KERNEL,
            _ => false,
        }
    }

    /// Whether a machine can have what it is to have; the first thing that stands in the way.
    pub(super) fn check(
        &self,
        host: &str,
        setup: &Setup,
        replaces: Option<&Start>,
    ) -> Result<(), SshError> {
        let host = host.to_owned();
        if self.system != "Linux" {
            return Err(SshError::NotLinux { host, system: self.system.clone() });
        }
        let own = self.architecture.parse().ok();
        let needs = |it: &&crate::Program| it.architecture.is_some() && it.architecture != own;
        if let Some(program) = setup.programs.iter().find(needs)
            && let Some(built_for) = program.architecture
        {
            let (found, program) = (self.architecture.clone(), program.name.clone());
            return Err(SshError::WrongArchitecture { host, found, program, built_for });
        }
        if !self.has_kernel() {
            return Err(SshError::OldKernel { host, found: self.kernel.clone() });
        }
        let is_others = |there: &&Start| **there != setup.start() && Some(*there) != replaces;
        if let Some(there) = self.agent.as_ref().filter(is_others).cloned() {
            return Err(SshError::Taken { host, there });
        }
        let is_there =
            |it: &&crate::Program| self.programs.get(it.name.as_str()) == Some(&it.digest);
        let to_come: u64 = setup.programs.iter().filter(|it| !is_there(it)).map(|it| it.size).sum();
        // Where all is there already, what it took is no longer free.
        let margin = if to_come == 0 { 0 } else { MARGIN };
        let rooms =
            [(BIN, self.free_for_programs, to_come + margin), (DATA, self.free_for_data, margin)];
        for (path, free, needed) in rooms {
            if free < needed {
                let (free_mb, needed_mb) = (free >> 20, needed.div_ceil(1 << 20));
                return Err(SshError::NoRoom { host, path: path.to_owned(), free_mb, needed_mb });
            }
        }
        Ok(())
    }
}

/// Above the data of all agents that a machine ever had.
const DATA: &str = "/var/lib/cerebro";

impl Connection {
    /// Finds out what the machine is.
    pub async fn look(&self, report: &mut Report<'_>) -> Result<Facts, SshError> {
        let what = "look at the machine";
        let ran = self.find_out(what, &script(), WITHIN, report).await?;
        match ran.is_ok() {
            true => Ok(Facts::read(&ran.out)),
            false => Err(self.failed(what, &ran)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::setup;
    use cerebro_model::MachineId;

    fn good() -> Facts {
        Facts {
            system: "Linux".to_owned(),
            architecture: "x86_64".to_owned(),
            kernel: "6.1.0-31-amd64".to_owned(),
            init: "systemd".to_owned(),
            has_systemd: true,
            free_for_programs: 1 << 30,
            free_for_data: 1 << 30,
            ..Facts::default()
        }
    }

    fn why(facts: &Facts) -> String {
        facts
            .check("box", &setup("t"), None)
            .map_or_else(|error| format!("{error:?}"), |()| String::new())
    }

    #[test]
    fn what_the_machine_says_is_read() {
        let digest = Digest::of(b"a");
        let text = format!(
            "system=Linux\narchitecture=aarch64\nkernel=6.1.0\ninit=systemd\nsystemd=yes\ncores=4\nmemory=2097152\n\
             programs-room=1000 500\ndata-room=2048000 1024\nprogram={digest} tasksitter\nagent=\n"
        );
        let facts = Facts::read(&text);
        assert_eq!((facts.cores, facts.memory_mb, facts.disk_mb), (4, 2048, 2000));
        assert_eq!((facts.free_for_programs, facts.free_for_data), (500 << 10, 1024 << 10));
        assert!(facts.has_systemd && facts.agent.is_none());
        assert_eq!(facts.programs.get("tasksitter"), Some(&digest));
        assert_eq!(Facts::read("nonsense\n=\na=b"), Facts::default());
    }

    #[test]
    fn this_machine_says_all_of_it() {
        let output =
            std::process::Command::new("/bin/sh").arg("-c").arg(script()).output().unwrap();
        let facts = Facts::read(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(facts.system, "Linux");
        assert!(facts.cores > 0 && facts.memory_mb > 0 && facts.disk_mb > 0, "{facts:?}");
        assert!(facts.free_for_programs > 0 && !facts.init.is_empty(), "{facts:?}");
    }

    #[test]
    fn each_thing_that_stands_in_the_way_is_told_apart() {
        assert_eq!(why(&good()), "");
        let bad = |change: &dyn Fn(&mut Facts)| {
            let mut facts = good();
            change(&mut facts);
            why(&facts)
        };
        assert!(bad(&|it| it.system = "FreeBSD".to_owned()).starts_with("NotLinux"));
        assert!(bad(&|it| it.architecture = "riscv64".to_owned()).starts_with("WrongArchitecture"));
        for kernel in ["4.19.0", "5.6.19", "", "x"] {
            assert!(bad(&|it| it.kernel = kernel.to_owned()).starts_with("OldKernel"), "{kernel}");
        }
        assert_eq!(bad(&|it| it.kernel = "5.7.0".to_owned()), "");
        assert!(bad(&|it| it.free_for_programs = 80 << 20).contains("needed_mb: 84"));
        assert!(bad(&|it| it.free_for_data = 0).contains("/var/lib/cerebro"));
        let other = Start { machine: MachineId::nth(8), ..setup("t").start() };
        assert!(bad(&|it| it.agent = Some(other.clone())).starts_with("Taken"));
        let taken = Facts { agent: Some(other.clone()), ..good() };
        assert!(taken.check("box", &setup("t"), Some(&other)).is_ok());
        assert_eq!(bad(&|it| it.agent = Some(setup("t").start())), "");
    }

    #[test]
    fn what_is_there_needs_no_room() {
        let programs = setup("t").programs;
        let programs = programs.iter().map(|it| (it.name.to_string(), it.digest)).collect();
        let facts = Facts { programs, free_for_programs: 0, free_for_data: 0, ..good() };
        assert_eq!(why(&facts), "");
    }
}
