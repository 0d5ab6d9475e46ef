//! What is measured: one scenario, one table.

mod behaviour;
mod log;
mod memory;
mod rest;
mod restart;

use crate::bench::Bench;
use crate::table::Table;
use anyhow::Result;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// From the kill of a task to the first instruction of the next one.
    Restart,
    /// Memory and CPU at rest: 100 tasks.
    Rest,
    /// The same while logs are captured.
    RestLogs,
    /// 1000 tasks.
    Rest1000,
    /// How far over its limit a task gets.
    Memory,
    /// How fast a task's output is kept.
    Log,
    /// What becomes of a task when its supervisor is killed or asked to stop.
    Behaviour,
}

impl Scenario {
    /// All, in the order in which they are run.
    pub const ALL: [Self; 7] = [
        Self::Restart,
        Self::Rest,
        Self::RestLogs,
        Self::Rest1000,
        Self::Memory,
        Self::Log,
        Self::Behaviour,
    ];

    /// What it is called on the command line and in descriptions of contenders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Rest => "rest",
            Self::RestLogs => "rest-logs",
            Self::Rest1000 => "rest-1000",
            Self::Memory => "memory",
            Self::Log => "log",
            Self::Behaviour => "behaviour",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.name() == name);
        found.ok_or_else(|| anyhow::anyhow!("there is no scenario `{name}`"))
    }

    /// The contender that the others are compared with; none where nothing is compared.
    pub fn floor(self) -> Option<&'static str> {
        match self {
            Self::Restart | Self::Rest | Self::Rest1000 => Some("floor-waitid"),
            Self::RestLogs => Some("floor-log-64k"),
            Self::Memory => Some("floor-cgroup"),
            Self::Log => Some("floor-log-1m"),
            Self::Behaviour => None,
        }
    }

    /// Runs it.
    pub(crate) fn run(self, bench: &Bench) -> Result<Table> {
        eprintln!("running {}", self.name());
        match self {
            Self::Restart => restart::run(bench),
            Self::Rest => rest::run(bench, self, 100),
            Self::RestLogs => rest::run(bench, self, 100),
            Self::Rest1000 => rest::run(bench, self, 1000),
            Self::Memory => memory::run(bench),
            Self::Log => log::run(bench),
            Self::Behaviour => behaviour::run(bench),
        }
    }
}
