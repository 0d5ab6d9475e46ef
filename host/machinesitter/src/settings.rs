//! What the machine's init tells its agent.

use cerebro_model::{MachineId, ZoneName};
use std::net::IpAddr;
use std::path::PathBuf;

/// The agent of one machine.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "machinesitter", version)]
pub struct Settings {
    /// The machine's id.
    #[arg(long)]
    pub machine: MachineId,
    /// The zone that it stands in.
    #[arg(long)]
    pub zone: ZoneName,
    /// The controller's base URL.
    #[arg(long)]
    pub controller: String,
    /// The machine's address: where the agent listens, and the tasks.
    #[arg(long)]
    pub address: IpAddr,
    /// The port that the agent listens on.
    #[arg(long, default_value_t = cerebro_api::MACHINE_PORT)]
    pub port: u16,
    /// The directory for all that the agent keeps.
    #[arg(long)]
    pub data: PathBuf,
    /// The directory that stands for `/` in the eyes of recipes.
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// The directory of the other programs.
    #[arg(long)]
    pub bin: PathBuf,
    /// Cores that the machine has.
    #[arg(long)]
    pub cpu: f64,
    /// Megabytes that the machine has.
    #[arg(long)]
    pub mem: u64,
    /// The token that shows the controller that this is the machine's agent.
    #[arg(long)]
    pub token: String,
    /// The machine's control group, below which each task has its own.
    #[arg(long)]
    pub cgroup: Option<String>,
    /// The machine has a file system of its own.
    #[arg(long)]
    pub isolated: bool,
}

impl Settings {
    /// The program that watches a task.
    pub(crate) fn task_sitter(&self) -> PathBuf {
        self.bin.join("tasksitter")
    }

    /// The directory that stands for `/`, where that is not `/` itself.
    pub(crate) fn foreign_root(&self) -> Option<&std::path::Path> {
        (!self.isolated && self.root != std::path::Path::new("/")).then_some(self.root.as_path())
    }
}
