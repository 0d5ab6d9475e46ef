//! Both keys: what the job grants, and what the component declares.

use super::{Denied, Grants};
use std::sync::Arc;

/// What one call of a component may do: what the job grants *and*, if the component declares what
/// it wants, that too. A component that declares nothing is bound by the job's grants alone.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// What the job grants.
    pub grants: Arc<Grants>,
    /// What the component declares.
    pub wants: Option<Arc<Grants>>,
}

impl Allowed {
    /// What `grants` and `wants` allow.
    pub fn new(grants: Arc<Grants>, wants: Option<Arc<Grants>>) -> Self {
        Self { grants, wants }
    }

    /// Asks both. The error tells which of them refused, the job first.
    pub fn check(&self, check: impl Fn(&Grants) -> Result<(), Denied>) -> Result<(), Denied> {
        check(&self.grants)?;
        match &self.wants {
            Some(wants) => check(wants).map_err(Denied::undeclared),
            None => Ok(()),
        }
    }
}
