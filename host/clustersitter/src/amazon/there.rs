//! Amazon, by its SDK.

use super::Ec2;
use anyhow::{Context, Result};
use cerebro_aws::Finding;
use cerebro_dns::DnsProvider;
use cerebro_dns_route53::{Route53Config, Route53Dns, Route53Settings};
use cerebro_machines::{CreateMachine, MachineProvider, ProviderError};
use cerebro_machines_ec2::identity::Note;
use cerebro_machines_ec2::notes::{Notes, NotesDir};
use cerebro_machines_ec2::{Ec2Config, Ec2Provider};
use cerebro_model::MachineId;
use std::path::Path;
use std::sync::Arc;

/// Machines at EC2; what is tried to make them is written down in `notes`.
pub async fn machines(ec2: Ec2, notes: &Path) -> Result<Arc<dyn MachineProvider>> {
    let notes = NotesDir::open(notes).context("cannot keep notes of what is made at EC2")?;
    let config = Ec2Config::new(ec2.cluster, ec2.settings, Arc::new(notes), ec2.user_data);
    Ok(Arc::new(Ec2Provider::open(config).await?))
}

/// Names at Route 53.
pub async fn names(settings: Route53Settings) -> Result<Arc<dyn DnsProvider>> {
    Ok(Arc::new(Route53Dns::open(Route53Config::new(settings)).await?))
}

/// Looks at all that machines like this one need at EC2.
pub async fn check_machines(ec2: Ec2, like: &CreateMachine) -> Vec<Finding> {
    let notes = Arc::new(NothingIsMade);
    let config = Ec2Config::new(ec2.cluster, ec2.settings, notes, ec2.user_data);
    match Ec2Provider::open(config).await {
        Ok(provider) => provider.check(like).await,
        Err(error) => vec![Finding::wrong("machines at EC2", error.to_string())],
    }
}

/// Looks at all that names at Route 53 need.
pub async fn check_names(settings: Route53Settings) -> Vec<Finding> {
    match Route53Dns::open(Route53Config::new(settings)).await {
        Ok(provider) => provider.check().await,
        Err(error) => vec![Finding::wrong("names at Route 53", error.to_string())],
    }
}

/// The notes of who only looks.
struct NothingIsMade;

impl Notes for NothingIsMade {
    fn read(&self, _: &MachineId) -> Result<Option<Note>, ProviderError> {
        Ok(None)
    }

    fn write(&self, machine: &MachineId, _: &Note) -> Result<(), ProviderError> {
        Err(ProviderError::Unavailable {
            doing: format!("make `{machine}`"),
            why: "settings are only looked at".to_owned(),
        })
    }

    fn forget(&self, _: &MachineId) -> Result<(), ProviderError> {
        Ok(())
    }
}
