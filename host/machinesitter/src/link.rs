//! The agent's side of what it and the controller say to each other. Three loops, none of which
//! waits for another: the heart, the ears and the mouth.

use crate::agent::Agent;
use crate::machine::stats;
use crate::settings::{JoinToken, Settings, global_ipv6};
use crate::time;
use cerebro_api::Client;
use cerebro_api::body::{Heartbeat, JoinRequest, Report};
use cerebro_model::InstanceStatus;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use sysinfo::System;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// From one heartbeat to the next.
const BEAT: Duration = Duration::from_secs(1);
/// The status of a heartbeat's answer after which the agent joins anew.
const NOT_JOINED: u16 = 409;
/// How long a blocking query waits for news.
const WAIT: Duration = Duration::from_secs(30);
/// How long news wait for company.
const COALESCE: Duration = Duration::from_millis(20);
/// How long nothing new is not worth a report.
const REPEAT: Duration = Duration::from_secs(10);

/// The controller, and what shows it who calls.
#[derive(Clone)]
pub struct Link {
    pub client: Client,
    /// The same controller, each time over a new connection.
    pub anew: Client,
    pub token: String,
    /// What it joins with instead, the first time.
    pub join_token: Option<JoinToken>,
}

/// Joins, then says each second that the machine is there.
pub async fn beat(agent: Arc<Agent>, link: Link) {
    let (mut system, mut ticks) = (System::new().ok(), interval(BEAT));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut joined, mut join_token) = (false, link.join_token.clone());
    let mut told = String::new();
    loop {
        ticks.tick().await;
        let heard = match joined {
            false => join(&agent, &link, &mut join_token).await,
            true => {
                let stats = stats::brief(system.as_mut(), &agent.settings.data);
                let (token, pid) = (link.token.clone(), std::process::id());
                let heartbeat = Heartbeat { token, pid, stats };
                let heard = link.client.heartbeat(&agent.settings.machine, &heartbeat).await;
                heard.map(|(term, date)| {
                    if let Some(date) = date {
                        agent.machine.hear_clock(time::now(), date);
                    }
                    term
                })
            }
        };
        match heard {
            Ok(term) => {
                joined = true;
                agent.hear_term(term.term);
            }
            Err(error) => {
                // A controller may know less than the one before it, as one whose store was restored.
                joined &= error.status() != Some(NOT_JOINED);
                tracing::debug!(%error, "the controller did not take a heartbeat");
                let why = error.to_string();
                // Said once: it is tried each second.
                if !joined && told != why {
                    tracing::warn!("this machine has not joined: {why}");
                    told = why;
                }
            }
        }
    }
}

/// Where else what runs here is reached.
fn also_at(settings: &Settings) -> Vec<IpAddr> {
    let ipv6 = settings.ipv6.then(global_ipv6);
    if ipv6 == Some(None) {
        tracing::warn!(
            "this machine has no global IPv6 address: names lead to {} alone",
            settings.address
        );
    }
    let ipv6 = ipv6.flatten().map(IpAddr::V6);
    ipv6.into_iter().filter(|address| *address != settings.address).collect()
}

/// Joins; with a token that is good for that once, it brings its own. Where the answer is lost, both are shown again.
async fn join(
    agent: &Agent,
    link: &Link,
    join_token: &mut Option<JoinToken>,
) -> Result<cerebro_api::body::Term, cerebro_api::ClientError> {
    let settings = &agent.settings;
    let once = join_token.as_ref().map(|it| it.token.clone());
    let request = JoinRequest {
        own_token: once.as_ref().map(|_| link.token.clone()),
        token: once.unwrap_or_else(|| link.token.clone()),
        address: settings.address,
        also_at: also_at(settings),
        port: settings.port,
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        term: agent.term(),
        runs: agent.table.map(|entry| entry.record.task.clone()).into_iter().flatten().collect(),
    };
    let term = link.client.join(&settings.machine, &request).await?;
    if let Some(used) = join_token.take()
        && let Err(error) = std::fs::remove_file(&used.file)
    {
        // It is worth nothing any more.
        tracing::debug!(%error, file = %used.file.display(), "a token that was used is left");
    }
    Ok(term)
}

/// Asks what should run, and asks again.
pub async fn obey(agent: Arc<Agent>, link: Link) {
    let (mut seen, mut failures) = (None, 0u32);
    loop {
        let settings = &agent.settings;
        let answer = link.client.desired(&settings.machine, &link.token, seen, WAIT).await;
        match answer {
            Ok(desired) => {
                let now = Some((desired.term, desired.index));
                if now == seen || Agent::accept(&agent, desired) {
                    (seen, failures) = (now, 0);
                    continue;
                }
            }
            Err(error) => tracing::debug!(%error, "the controller did not say what should run"),
        }
        sleep(time::back_off(failures, time::jitter())).await;
        failures = failures.saturating_add(1);
    }
}

/// Reports how the instances are, whenever that changes.
pub async fn report(agent: Arc<Agent>, link: Link) {
    let mut said: Option<(u64, Vec<InstanceStatus>)> = None;
    let (mut at, mut failures) = (Instant::now(), 0u32);
    loop {
        if timeout(REPEAT, agent.table.changed()).await.is_ok() {
            sleep(COALESCE).await;
        }
        loop {
            let (term, instances) = (agent.term(), agent.table.statuses());
            let portion = agent.events.portion();
            let is_news = said.as_ref() != Some(&(term, instances.clone()));
            if !is_news && portion.events.is_empty() && at.elapsed() < REPEAT {
                break;
            }
            let token = link.token.clone();
            let report = Report { token, instances, events: portion.events.clone() };
            match link.client.report(&agent.settings.machine, &report).await {
                Ok(heard) => {
                    agent.hear_term(heard.term);
                    (said, at, failures) = (Some((term, report.instances)), Instant::now(), 0);
                    if !agent.events.taken(&portion) {
                        break;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the controller did not take a report");
                    sleep(time::back_off(failures, time::jitter())).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }
}
