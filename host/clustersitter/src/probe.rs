//! The controller's own look at an agent, and that of another machine which it asks.

use crate::agent::{Agents, AskError};
use crate::cluster::Cluster;
use async_trait::async_trait;
use cerebro_api::look::{LOOK, LookAnswer, LookRequest, Looker};
use cerebro_model::{Machine, MachineId, Sight};
use reqwest::Method;
use std::net::SocketAddr;
use std::time::Duration;

/// How long another machine may take to look and to say what it met with.
const PEERS_PATIENCE: Duration = Duration::from_secs(2);

/// Who looks whether agents are there.
#[async_trait]
pub trait Probing: Send + Sync {
    /// Asks a machine's agent whether it is there; if not, what was met with.
    async fn probe(&self, machine: &Machine) -> Result<(), String>;

    /// Has the agent of `peer`, a machine of `cluster`, ask the same; what it met with, in words.
    async fn ask_peer(
        &self,
        cluster: &Cluster,
        peer: &MachineId,
        machine: &Machine,
    ) -> (Sight, String);
}

/// Asks over HTTP, as agents serve it.
pub struct HttpProbe {
    looker: Looker,
    agents: Agents,
}

impl HttpProbe {
    /// With connections of its own.
    pub fn new() -> Self {
        Self { looker: Looker::new(), agents: Agents::new() }
    }
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Probing for HttpProbe {
    async fn probe(&self, machine: &Machine) -> Result<(), String> {
        let at = agent_of(machine).ok_or("its address is not known")?;
        self.looker.look(&machine.id, at).await
    }

    async fn ask_peer(
        &self,
        cluster: &Cluster,
        peer: &MachineId,
        machine: &Machine,
    ) -> (Sight, String) {
        let Some(at) = agent_of(machine) else {
            return (Sight::Unknown, "its address is not known".to_owned());
        };
        let (address, port) = (at.ip(), at.port());
        let request = LookRequest { machine: machine.id.clone(), address, port };
        let (method, patience) = (Method::POST, PEERS_PATIENCE);
        let asked = self.agents.json(cluster, peer, method, LOOK, &request, patience).await;
        said(asked)
    }
}

fn agent_of(machine: &Machine) -> Option<SocketAddr> {
    Some(SocketAddr::new(machine.address?, machine.agent_port?))
}

/// What another machine's answer comes to. Whatever kept it from looking says nothing of the other one.
fn said(asked: Result<LookAnswer, AskError>) -> (Sight, String) {
    match asked {
        Ok(LookAnswer { answered: true, said }) => (Sight::Answered, said),
        Ok(LookAnswer { answered: false, said }) => (Sight::Silent, said),
        Err(AskError::Refused(problem)) if matches!(problem.status, 404 | 405) => {
            (Sight::Unknown, "its agent is of a version that cannot look".to_owned())
        }
        Err(error) => (Sight::Unknown, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_api::Problem;

    #[test]
    fn only_a_look_that_was_had_says_anything() {
        let answer = |answered| LookAnswer { answered, said: "so".to_owned() };
        assert_eq!(said(Ok(answer(true))), (Sight::Answered, "so".to_owned()));
        assert_eq!(said(Ok(answer(false))), (Sight::Silent, "so".to_owned()));
        for status in [404, 405, 429, 500] {
            let (sight, words) = said(Err(AskError::Refused(Problem::new(status, "no"))));
            assert_eq!(sight, Sight::Unknown);
            assert_eq!(words.contains("cannot look"), status < 429, "{words}");
        }
        let absent = AskError::Absent(MachineId::nth(1));
        assert_eq!(said(Err(absent)).0, Sight::Unknown);
    }
}
