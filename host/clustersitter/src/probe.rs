//! The controller's own look at an agent.

use async_trait::async_trait;
use cerebro_api::body::AgentHealth;
use cerebro_api::paths;
use cerebro_model::Machine;
use std::time::Duration;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// Who looks whether agents are there.
#[async_trait]
pub trait Probing: Send + Sync {
    /// Asks a machine's agent whether it is there; if not, what was met with.
    async fn probe(&self, machine: &Machine) -> Result<(), String>;
}

/// Asks over HTTP, as agents serve it.
pub struct HttpProbe(reqwest::Client);

impl HttpProbe {
    /// With connections of its own.
    pub fn new() -> Self {
        cerebro_api::choose_cryptography();
        Self(reqwest::Client::new())
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
        ask(&self.0, machine).await
    }
}

async fn ask(http: &reqwest::Client, machine: &Machine) -> Result<(), String> {
    let (Some(address), Some(port)) = (machine.address, machine.agent_port) else {
        return Err("its address is not known".to_owned());
    };
    let at = std::net::SocketAddr::new(address, port);
    let request = http.get(format!("http://{at}{}", paths::HEALTHZ)).timeout(PATIENCE);
    let health: AgentHealth = async { request.send().await?.error_for_status()?.json().await }
        .await
        .map_err(|error| {
            let why = match (error.is_timeout(), error.is_connect()) {
                (true, _) => "no answer in time",
                (_, true) => "connection refused or not possible",
                _ => "no agent's answer",
            };
            format!("{at}: {why}")
        })?;
    match health.machine == machine.id {
        true => Ok(()),
        false => Err(format!("{at}: the agent of {} answers there", health.machine)),
    }
}
