//! A look at an agent: whether it is there. The controller looks by itself, and asks other machines to.

use crate::body::AgentHealth;
use crate::paths;
use cerebro_model::MachineId;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// On the agent: look whether another machine's agent is there. `POST` a [`LookRequest`], get a
/// [`LookAnswer`]. It needs the machine's token.
pub const LOOK: &str = "/v1/look";

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// At whom to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookRequest {
    /// Whose agent should answer there.
    pub machine: MachineId,
    /// Its address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Its agent's port.
    pub port: u16,
}

/// What that met with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LookAnswer {
    /// Whether that machine's agent answered.
    pub answered: bool,
    /// What was met with, in words.
    pub said: String,
}

/// Looks at agents, over connections of its own.
#[derive(Debug, Clone)]
pub struct Looker(reqwest::Client);

impl Looker {
    /// Goes straight to the address, and nowhere that it is sent on to.
    pub fn new() -> Self {
        crate::choose_cryptography();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Whether there is a way is asked anew each time.
            .pool_max_idle_per_host(0)
            .build();
        // It fails only where TLS does, and then a plain one does too, with words.
        Self(client.unwrap_or_default())
    }

    /// Asks the agent of `machine` whether it is there; if not, what was met with.
    pub async fn look(&self, machine: &MachineId, at: SocketAddr) -> Result<(), String> {
        let request = self.0.get(format!("http://{at}{}", paths::HEALTHZ)).timeout(PATIENCE);
        let health: AgentHealth = async { request.send().await?.error_for_status()?.json().await }
            .await
            .map_err(|error: reqwest::Error| {
                let why = match (error.is_timeout(), error.is_connect()) {
                    (true, _) => "no answer in time",
                    (_, true) => "connection refused or not possible",
                    _ => "no agent's answer",
                };
                format!("{at}: {why}")
            })?;
        match health.machine == *machine {
            true => Ok(()),
            false => Err(format!("{at}: the agent of {} answers there", health.machine)),
        }
    }
}

impl Default for Looker {
    fn default() -> Self {
        Self::new()
    }
}
