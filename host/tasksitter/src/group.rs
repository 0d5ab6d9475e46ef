//! The task's control group: made, limited, and entered by every child.

use crate::child::Start;
use crate::tell::tell;
use cerebro_linux::cgroup::{Cgroup, CgroupError, Cgroups, Entrance, Occupancy, OomWatch};
use cerebro_linux::spawn::Spawned;
use cerebro_tasksitter::protocol::{Limits, OomKill};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Stack of the thread that starts children.
const STACK: usize = 64 << 10;

/// What limits and holds a task's tree, as far as the machine can.
pub struct Group {
    cgroup: Cgroup,
    entrance: Entrance,
    occupancy: Occupancy,
    /// The thread that is in the version 1 groups, where there are any.
    starter: Option<Starter>,
    /// Says when the kernel may have killed for want of memory.
    pub oom: Option<OomWatch>,
    /// The kernel kills all of the tree by itself.
    pub kills_as_one: bool,
    /// Controllers that limit nothing here.
    missing: Vec<&'static str>,
}

impl Group {
    /// Makes the group at `path` below the roots, or finds it, and sets its limits.
    pub fn open(path: &str, limits: &Limits) -> Result<Self, CgroupError> {
        let all = Cgroups::detect()?;
        let mut missing = all.missing();
        let cgroup = all.only(&limited(limits)).create(path)?;
        cgroup.thaw();
        // Version 1 refuses less memory than is in use. The group holds the tree together even so.
        let set = [
            ("cpu", cgroup.set_cpu(limits.cpu_millis)),
            ("memory", cgroup.set_memory(limits.memory, limits.swap)),
        ];
        for (controller, result) in set {
            if let Err(error) = result {
                let source = std::error::Error::source(&error);
                let source = source.map_or_else(String::new, |source| format!(": {source}"));
                tell(format_args!("`{controller}` is measured instead: {error}{source}"));
                missing.push(controller);
            }
        }
        let kills_as_one = cgroup.set_oom_group(limits.oom == OomKill::Group)?;
        let entrance = cgroup.entrance()?;
        let starter = match entrance.needs_thread() {
            true => Some(Starter::begin(cgroup.entrance()?)?),
            false => None,
        };
        // The thread counts.
        let own = u32::from(starter.is_some());
        cgroup.set_pids(limits.pids.map(|pids| pids.saturating_add(own)))?;
        // Without it, kills are noticed when the task ends.
        let oom = limits.memory.and_then(|_| cgroup.watch_oom().ok().flatten());
        let occupancy = cgroup.occupancy()?;
        Ok(Self { cgroup, entrance, occupancy, starter, oom, kills_as_one, missing })
    }

    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// How often the kernel killed in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let watched = self.oom.as_ref().and_then(OomWatch::kills);
        watched.unwrap_or_else(|| self.cgroup.oom_kills())
    }

    /// Whether the kernel enforces the limits of this controller.
    pub fn enforces(&self, controller: &str) -> bool {
        !self.missing.contains(&controller)
    }

    /// Kills whatever is in it; answers whether all were gone in time.
    pub fn kill(&self, within: Duration) -> bool {
        !self.occupancy.is_there() || self.cgroup.kill(within)
    }

    /// Removes it, once nothing runs in it.
    pub fn remove(self) {
        // The thread that is in it ends with its orders.
        drop(self.starter);
        let _ = self.cgroup.remove(Duration::from_secs(1));
        // The one above, if this was the last task's.
        if let (Ok(cgroups), Some((above, _))) =
            (Cgroups::detect(), self.cgroup.path().rsplit_once('/'))
        {
            let _ = cgroups.group(above).remove_empty();
        }
    }

    /// Starts a child in it.
    pub fn start(&self, start: Start) -> io::Result<Spawned> {
        match &self.starter {
            Some(starter) => starter.go(start),
            None => start.go(self.entrance.v2()),
        }
    }
}

/// The controllers that have something to limit.
fn limited(limits: &Limits) -> Vec<&'static str> {
    let all = [
        ("cpu", limits.cpu_millis.is_some()),
        ("memory", limits.memory.is_some()),
        ("pids", limits.pids.is_some()),
    ];
    all.into_iter().filter(|(_, is_limited)| *is_limited).map(|(name, _)| name).collect()
}

/// A thread from which children are born in the version 1 groups.
struct Starter {
    orders: Sender<Start>,
    results: Receiver<io::Result<Spawned>>,
}

impl Starter {
    fn begin(entrance: Entrance) -> Result<Self, CgroupError> {
        let (orders, taken) = channel::<Start>();
        let (done, results) = channel();
        let (tell, joined) = channel();
        let thread = thread::Builder::new().name("start".to_owned()).stack_size(STACK);
        let thread = thread.spawn(move || {
            let result = entrance.join_thread();
            let is_in = result.is_ok();
            if tell.send(result).is_err() || !is_in {
                return;
            }
            for start in taken {
                if done.send(start.go(entrance.v2())).is_err() {
                    return;
                }
            }
        });
        thread.map_err(CgroupError::from)?;
        joined.recv().map_err(|_| gone())??;
        Ok(Self { orders, results })
    }

    fn go(&self, start: Start) -> io::Result<Spawned> {
        self.orders.send(start).map_err(|_| gone())?;
        self.results.recv().map_err(|_| gone())?
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts children has ended")
}
