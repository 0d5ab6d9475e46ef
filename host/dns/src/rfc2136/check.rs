//! Whether a server lets a key do what publishing needs, without changing anything.

use super::Rfc2136;
use crate::{DnsError, Group};

/// A zone of machines that nobody has, below whose name it is tried what is allowed.
const PROBE: &str = "cerebro-check";

impl Rfc2136 {
    /// Whether the server answers, knows the key, and lets it read the zone.
    pub async fn may_read(&self) -> Result<(), DnsError> {
        self.find(&self.probe()?).await.map(drop)
    }

    /// Whether it lets the key change the zone: asked to remove what is not there, on the condition that it is not.
    pub async fn may_change(&self) -> Result<(), DnsError> {
        let group = self.probe()?;
        let mark = group.mark_name();
        let asked = self.update("try to change", &group, |update| {
            update.demand_mark(&mark, None)?;
            update.set_mark(&mark, None)
        });
        match asked.await? {
            true => Ok(()),
            false => Err(DnsError::Refused {
                doing: format!("try to change `{group}`"),
                why: format!(
                    "there is a TXT record `{mark}`, which nobody of ours has made: remove it"
                ),
            }),
        }
    }

    fn probe(&self) -> Result<Group, DnsError> {
        match (PROBE.parse(), self.zone.parse()) {
            (Ok(zone), Ok(job)) => Ok(Group { zone, job }),
            _ => Err(DnsError::Refused {
                doing: format!("publish in `{}`", self.zone),
                why: "no job can have a name in it".to_owned(),
            }),
        }
    }
}
