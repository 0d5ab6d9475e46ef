//! Machines that an operator joins by hand.
//!
//! Nothing is made: that one is expected is recorded, with a token that its agent joins with once, in time. With
//! that it brings a token of its own, by which it is known from then on.

use super::{AgentError, ChangeError, Cluster, State, about_machine, event};
use crate::executor::new_token;
use crate::programs::{Programs, ProgramsError};
use crate::records::{AgentToken, Change, MachineRecord};
use cerebro_api::body::JoinRequest;
use cerebro_api::join::{JoinOrder, JoinOrderRequest};
use cerebro_machines::Intent;
use cerebro_model::{EventKind, Machine, MachineId, Origin, Timestamp, ZoneName};
use std::time::Duration;

/// The longest that an agent may take, in seconds.
const LONGEST: u64 = 3600;
/// The longest name of a machine, which is shown and nothing else.
const LONGEST_HOST: usize = 255;
/// The shortest token that an agent may bring: 128 bits in hexadecimal digits.
const SHORTEST_TOKEN: usize = 32;

/// What whoever joins a machine by hand has to be told.
#[derive(Debug)]
pub struct Joining {
    /// The agent's programs.
    pub programs: Programs,
    /// The controller's base URL, as other machines reach it.
    pub controller: String,
}

/// Why no machine is expected.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is no such zone.
    #[error(
        "this cluster has no zone `{zone}`; it has: {known}. A zone comes with `--zone` of the cluster sitter, also one that \
         makes no machines by itself (`{zone}=0..0`)"
    )]
    NoZone {
        /// The zone.
        zone: ZoneName,
        /// Those that there are.
        known: String,
    },
    /// It is not asked for as it should be.
    #[error("{0}")]
    Words(String),
    /// Nobody has said what agents are made of.
    #[error(
        "this controller was started without the agent's programs, and takes no machines that are joined by hand"
    )]
    Closed,
    /// What agents are made of cannot be read.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// It could not be recorded.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Cluster {
    /// Has a machine expected.
    pub fn order_join(&self, request: &JoinOrderRequest) -> Result<JoinOrder, JoinError> {
        let Joining { programs, controller } = self.joining.as_ref().ok_or(JoinError::Closed)?;
        check(request)?;
        if !self.policy.zones.contains_key(&request.zone) {
            let known: Vec<_> = self.policy.zones.keys().map(ZoneName::as_str).collect();
            let (zone, known) = (request.zone.clone(), known.join(", "));
            return Err(JoinError::NoZone { zone, known });
        }
        let programs = super::on_disk(|| programs.list())?;
        let join_token = new_token();
        let (machine, join_by) = self.change(|state| {
            let mut counters = state.records.counters;
            let id = MachineId::nth(counters.machine);
            counters.machine += 1;
            let join_by = state.now.after(Duration::from_secs(request.joins_within));
            let JoinOrderRequest { host, zone, capacity, labels, .. } = request.clone();
            let machine = Machine::new(id.clone(), zone, capacity, state.now);
            let machine = Machine { labels, ..machine.joined_by_hand(host, join_by) };
            let message = format!(
                "{} is to be joined to {} by hand, as {id}, until {join_by}",
                request.host, request.zone
            );
            let told = event(EventKind::MachineExpected, about_machine(&id), message);
            let (comebacks, attempts) = (Vec::new(), Vec::new());
            let (token, term) = (AgentToken::Known(join_token.clone()), self.term());
            let record = MachineRecord { machine, token, made_by: None, term, comebacks, attempts };
            let change = Change::default().counters(counters).machine(&id, Some(record));
            Ok::<_, JoinError>((change.event(told), (id, join_by)))
        })?;
        Ok(JoinOrder { machine, join_token, join_by, controller: controller.clone(), programs })
    }
}

fn check(request: &JoinOrderRequest) -> Result<(), JoinError> {
    let words = |why: String| Err(JoinError::Words(why));
    let JoinOrderRequest { host, labels, joins_within, .. } = request;
    if *joins_within == 0 || *joins_within > LONGEST {
        return words(format!("`joins_within` is {joins_within} s: expected up to {LONGEST}"));
    }
    let is_shown = !host.is_empty() && !host.chars().any(char::is_control);
    if !is_shown || host.len() > LONGEST_HOST {
        return words(format!("`host` is not a name: expected up to {LONGEST_HOST} characters"));
    }
    if labels.keys().any(|label| label.as_str() == Machine::OWN_LABEL) {
        let own = Machine::OWN_LABEL;
        return words(format!("`{own}` is the label that every machine has, its id"));
    }
    Ok(())
}

/// The record of the machine whose agent joins, by the token that it shows; and with that its own, if it brings one. One
/// whose first answer was lost shows both again.
pub(super) fn authenticate(
    state: &State,
    id: &MachineId,
    request: &JoinRequest,
) -> Result<MachineRecord, AgentError> {
    let shown = Cluster::authenticate(state, id, &request.token).cloned();
    let by = |record: MachineRecord, token: &str| {
        let made_by = record.made_by().filter(|it| *it != Intent::of(token));
        MachineRecord { made_by, token: AgentToken::Known(token.to_owned()), ..record }
    };
    let Some(own) = &request.own_token else {
        return in_time(by(shown?, &request.token), state.now);
    };
    match shown {
        Ok(record) if record.machine.state.is_pending() && own.len() >= SHORTEST_TOKEN => {
            in_time(by(record, own), state.now)
        }
        // Whoever has joined does not get another one.
        Ok(_) => Err(AgentError::WrongToken(id.clone())),
        Err(error) => match Cluster::authenticate(state, id, own) {
            Ok(record) => Ok(by(record.clone(), own)),
            Err(_) => Err(error),
        },
    }
}

fn in_time(record: MachineRecord, now: Timestamp) -> Result<MachineRecord, AgentError> {
    let Machine { id, origin, state, .. } = &record.machine;
    match origin {
        Origin::Joined { join_by, .. } if state.is_pending() && now > *join_by => {
            Err(AgentError::TooLate(id.clone(), *join_by))
        }
        _ => Ok(record),
    }
}
