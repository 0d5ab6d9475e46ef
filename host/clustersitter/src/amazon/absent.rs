//! What a controller says that was built without Amazon's SDK.

use super::Ec2;
use anyhow::{Result, bail};
use cerebro_aws::Finding;
use cerebro_dns::DnsProvider;
use cerebro_dns_route53::Route53Settings;
use cerebro_machines::{CreateMachine, MachineProvider};
use std::path::Path;
use std::sync::Arc;

/// What to do about it.
const BUILD: &str = "this cluster sitter was built without Amazon's SDK, which takes minutes and 8 GB of memory to \
                     compile: build one that has it, by `cargo build --release -p cerebro-clustersitter --features aws`";

/// Machines at EC2.
pub async fn machines(_: Ec2, _: &Path) -> Result<Arc<dyn MachineProvider>> {
    bail!("machines are to come from EC2, but {BUILD}")
}

/// Names at Route 53.
pub async fn names(_: Route53Settings) -> Result<Arc<dyn DnsProvider>> {
    bail!("names are to be published at Route 53, but {BUILD}")
}

/// What there is to be said of machines at EC2.
pub async fn check_machines(_: Ec2, _: &CreateMachine) -> Vec<Finding> {
    vec![Finding::wrong("machines at EC2", BUILD)]
}

/// What there is to be said of names at Route 53.
pub async fn check_names(_: Route53Settings) -> Vec<Finding> {
    vec![Finding::wrong("names at Route 53", BUILD)]
}
