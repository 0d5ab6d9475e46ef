//! Where a machine comes from.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a machine comes from, and so what may become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Origin {
    /// Cerebro had it made, and ends it when it is not wanted any more.
    #[default]
    Provisioned,
    /// An operator joined it by hand: it is used, and never terminated or rebooted. Who lets it go only forgets it.
    Joined {
        /// The machine, as the operator called it.
        host: String,
        /// Until when its agent may join.
        join_by: Timestamp,
    },
}

impl Origin {
    /// Whether Cerebro had it made.
    pub fn is_provisioned(&self) -> bool {
        matches!(self, Self::Provisioned)
    }

    /// Whether an operator joined it by hand.
    pub fn is_joined(&self) -> bool {
        matches!(self, Self::Joined { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capacity, Cores, Machine, MachineId, Megabytes};

    #[test]
    fn a_machine_of_an_older_version_was_made_by_cerebro() {
        let capacity = Capacity { cpu: Cores::ZERO, mem: Megabytes::ZERO, disk: Megabytes::ZERO };
        let (id, now) = (MachineId::nth(1), Timestamp::from_millis(1000));
        let made = Machine::new(id, "z-1".parse().unwrap(), capacity, now);
        let text = serde_json::to_string(&made).unwrap();
        assert!(!text.contains("origin"), "{text}");
        assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), made);
        let joined = made.joined_by_hand("box.example.com".to_owned(), now);
        let text = serde_json::to_string(&joined).unwrap();
        assert!(text.contains(r#""origin":{"from":"joined","host":"box.example.com""#), "{text}");
        assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), joined);
    }
}
