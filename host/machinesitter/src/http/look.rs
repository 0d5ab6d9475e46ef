//! A look at another machine's agent, for the controller, which does not reach it.

use super::answer::{Body, Refusal};
use crate::agent::Agent;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cerebro_api::look::{LookAnswer, LookRequest, Looker};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Looks at a time: each ends within a second, and a controller asks for few.
const AT_A_TIME: usize = 8;

/// Looks at other machines' agents.
pub struct Looks {
    looker: Looker,
    turns: Semaphore,
}

impl Default for Looks {
    fn default() -> Self {
        Self { looker: Looker::new(), turns: Semaphore::new(AT_A_TIME) }
    }
}

/// Whether another machine's agent answers this one. It is asked how it is and nothing else, and of its
/// answer no more is told than whether it is that machine's.
pub async fn look(
    State(agent): State<Arc<Agent>>,
    Body(LookRequest { machine, address, port }): Body<LookRequest>,
) -> Result<Json<LookAnswer>, Refusal> {
    if agent.link.is_none() {
        let detail = "an agent without a controller looks at no other";
        return Err(Refusal::new(StatusCode::NOT_FOUND, detail));
    }
    let Ok(_turn) = agent.looks.turns.try_acquire() else {
        let detail = "the agent looks at so many others already: ask again in a second";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, detail));
    };
    let met = agent.looks.looker.look(&machine, SocketAddr::new(address, port)).await;
    let (answered, said) = match met {
        Ok(()) => (true, "it answers".to_owned()),
        Err(why) => (false, why),
    };
    Ok(Json(LookAnswer { answered, said }))
}
