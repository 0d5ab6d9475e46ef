//! What is remembered of a machine that was given up.

use crate::{DeathCertificate, InstanceId, MachineId, Timestamp, ZoneName};
use serde::{Deserialize, Serialize};

/// A machine that was given up: why, by whose word, and what was on it. The limits of repair go by
/// these, so that a controller that starts again remembers what another one did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tombstone {
    /// The machine.
    pub machine: MachineId,
    /// Where it stood.
    pub zone: ZoneName,
    /// When Cerebro decided to create it.
    pub created_at: Timestamp,
    /// When it was given up.
    pub at: Timestamp,
    /// Why, in a sentence.
    pub why: String,
    /// The evidence, if it had ever joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<DeathCertificate>,
    /// What was on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceId>,
    /// When its provider confirmed that nothing is left of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
}
