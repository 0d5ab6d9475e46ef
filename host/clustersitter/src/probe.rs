//! The controller's own look at an agent.

use cerebro_api::body::AgentHealth;
use cerebro_api::paths;
use cerebro_model::Machine;
use cerebro_planner::cluster::Probe;
use std::time::Duration;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// Asks a machine's agent whether it is there.
pub async fn probe(http: &reqwest::Client, machine: &Machine) -> Probe {
    let answer = ask(http, machine).await;
    let (answered, said) = match answer {
        Ok(()) => (true, "it answers".to_owned()),
        Err(why) => (false, why),
    };
    Probe { at: crate::cluster::now(), answered, said }
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
