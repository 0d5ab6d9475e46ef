//! What carries the SDK's calls: to whom they are addressed, in some time, if at all.

use super::calls::reads;
use super::{Account, Strike};
use crate::store::Life;
use crate::world::locked;
use async_trait::async_trait;
use cerebro_aws::sdk::Carrier;
use cerebro_fake_aws::{ApiError, Call, Desk, Ec2, Service};
use cerebro_machines_ec2::identity::{AGENT, MACHINE};
use cerebro_model::MachineId;
use http::{Request, Response};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What a call takes, at the least and at the most.
const TAKES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(1500));

/// One controller's way.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) account: Arc<Account>,
    pub(super) life: Arc<Life>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl Carrier for Wire {
    async fn carry(&self, request: Request<String>) -> io::Result<Response<String>> {
        if self.life.is_over() {
            return Err(reset("the controller is dead"));
        }
        let this = self.clone();
        // What was sent gets there, also if nobody waits for the answer any more.
        let sent = tokio::spawn(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            if host == "route53.amazonaws.com" {
                return this.go(&this.account.route53, "route53", &request, |_| {}).await;
            }
            let region = host.strip_prefix("ec2.").and_then(|it| it.strip_suffix(".amazonaws.com"));
            match region.and_then(|name| this.account.regions.get(name)) {
                Some(region) => {
                    this.go(&region.ec2, "ec2", &request, |call| this.follows(&region.ec2, call))
                        .await
                }
                None => Err(io::Error::other(format!("nobody is at {host}"))),
            }
        });
        sent.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Wire {
    async fn go<S: Service>(
        &self,
        desk: &Desk<S>,
        service: &'static str,
        request: &Request<String>,
        follows: impl Fn(&Call),
    ) -> io::Result<Response<String>> {
        let effects = &self.account.effects;
        let takes = effects.world.lock().between(TAKES.0, TAKES.1);
        tokio::time::sleep(takes).await;
        let action = desk.action(request);
        let strike = locked(&self.account.calls).next(service, &action);
        let now = effects.clock.elapsed();
        let is_away = {
            let broken = &mut effects.world.lock().broken;
            let away = if service == "ec2" { &mut broken.provider } else { &mut broken.names };
            let is_away = now < *away;
            if strike.is_some() {
                // Until now it was broken, as far as anybody can tell.
                *away = (*away).max(now);
            }
            is_away
        };
        match strike {
            _ if is_away => return Err(reset("nobody is reached")),
            _ if action == "RunInstances" && self.is_full(request) => {
                return Ok(answer(desk, &ApiError::no_capacity()));
            }
            Some(Strike::Answer(error)) => return Ok(answer(desk, &error)),
            Some(Strike::Reset) => return Err(reset("it is reset")),
            Some(Strike::Hang) => std::future::pending().await,
            Some(Strike::DiesBefore) => self.life.end(),
            _ => {}
        }
        let changes = !reads(&action);
        if self.life.is_over() || (changes && self.life.ends_in_call(true)) {
            return Err(reset("the controller is dead"));
        }
        let (call, response) = desk.answer(request);
        follows(&call);
        match strike {
            Some(Strike::ReplyLost) => return Err(reset("it is reset")),
            Some(Strike::HangBehind) => std::future::pending().await,
            Some(Strike::DiesBehind) => self.life.end(),
            _ => {}
        }
        if changes {
            self.life.ends_in_call(false);
        }
        let is_lost = {
            let mut world = effects.world.lock();
            let (until, of_ten) = match service {
                "ec2" => world.broken.lost_answers,
                _ => (world.broken.names_answers, 5),
            };
            now < until && world.rng.u8(0..10) < of_ten
        };
        match is_lost || self.life.is_over() {
            true => Err(reset("the answer was lost")),
            false => Ok(response),
        }
    }

    /// Whether there is no machine to be had where this is to be made.
    fn is_full(&self, request: &Request<String>) -> bool {
        let effects = &self.account.effects;
        let (world, now) = (effects.world.lock(), effects.clock.elapsed());
        let full = world.broken.full.iter().filter(|(_, until)| now < **until);
        let mut zones = full.filter_map(|(zone, _)| zone.as_str().strip_prefix("aws-"));
        zones.any(|zone| request.body().contains(&format!("AvailabilityZone={zone}")))
    }

    /// What a call has changed is so in the world.
    fn follows(&self, ec2: &Desk<Ec2>, call: &Call) {
        let Account { effects, orders, made, .. } = &*self.account;
        let wrong = |what: String| {
            let now = effects.clock.elapsed();
            effects.world.lock().violated(now, what);
        };
        for id in &call.touched {
            let machine = locked(made).get(id).cloned();
            match (call.action.as_str(), machine) {
                ("RunInstances", None) => {
                    let tag = ec2.with(|ec2, _| ec2.instance(id)?.tags.get(MACHINE).cloned());
                    let machine: Option<MachineId> = tag.and_then(|tag| tag.parse().ok());
                    let order = machine.and_then(|it| locked(orders).get(&it).cloned());
                    let Some(order) = order else {
                        wrong(format!("{id} is made, and nobody has ordered it"));
                        continue;
                    };
                    if locked(made).values().any(|it| *it == order.id) {
                        wrong(format!("{id} is made, and {} is there already", order.id));
                    }
                    locked(made).insert(id.clone(), order.id.clone());
                    effects.made(&order);
                }
                ("TerminateInstances", Some(machine)) => effects.ended(&machine),
                ("RebootInstances" | "StartInstances", Some(machine)) => {
                    effects.booted(&machine);
                }
                ("CreateTags", Some(machine)) => {
                    let tag = ec2.with(|ec2, _| ec2.instance(id)?.tags.get(AGENT).cloned());
                    effects.proof_kept(&machine, tag.as_deref());
                }
                (action, _) => wrong(format!("{action} of {id}, which is none of ours")),
            }
        }
    }
}

fn reset(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, why.to_owned())
}

fn answer<S: Service>(desk: &Desk<S>, error: &ApiError) -> Response<String> {
    let body = desk.with(|service, _| service.error_body(error, "r-1"));
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(error.status).unwrap_or_default();
    response
}
