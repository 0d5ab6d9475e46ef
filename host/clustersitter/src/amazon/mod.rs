//! Machines and names at Amazon: with the feature `aws` by its SDK (`there.rs`), and without it words about how to get a
//! controller that has them (`absent.rs`). Both have the same functions.

#[cfg(not(feature = "aws"))]
mod absent;
#[cfg(feature = "aws")]
mod there;

#[cfg(not(feature = "aws"))]
pub use absent::{check_machines, check_names, machines, names};
#[cfg(feature = "aws")]
pub use there::{check_machines, check_names, machines, names};

use cerebro_machines::CreateMachine;
use cerebro_machines_ec2::Ec2Settings;
use cerebro_model::ClusterName;
use std::sync::Arc;

/// What instances start with by an image of that architecture, or why there is nothing.
pub type UserData = Arc<dyn Fn(&CreateMachine, &str) -> Result<String, String> + Send + Sync>;

/// Machines at EC2, as they were asked for.
pub struct Ec2 {
    /// Whose.
    pub cluster: ClusterName,
    /// The section `[ec2]`.
    pub settings: Ec2Settings,
    /// What instances start with.
    pub user_data: UserData,
}
