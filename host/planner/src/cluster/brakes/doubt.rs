//! A controller that has reason to doubt itself acts on nothing.
//!
//! What it heard is worth no more than its own ears: one whose clock jumped, who was not there for a
//! while, or whose store fails, starts to listen anew, and judges nobody before a whole time of
//! detection has passed. One that hears nothing of most of the fleet is itself what is cut off.

use super::approval::Approved;
use crate::cluster::{Condemned, Fleet, Note, Plan, Policy, repair};
use cerebro_model::{PauseScope, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// How far the clocks may go apart between two looks: whoever sets a clock by less moves no verdict.
const CLOCKS_AGREE: Duration = Duration::from_millis(500);

/// Both clocks, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// What people and machines compare, and anyone can set.
    pub wall: Timestamp,
    /// What nobody can set, since some moment.
    pub monotonic: Duration,
}

/// What the controller knows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// No look goes by it, but [`Fleet::look`].
    #[serde(skip)]
    last: Option<Clocks>,
    doubt: Option<(Timestamp, String)>,
    /// When it began to listen anew, because its clock was set.
    anew: Option<Timestamp>,
}

impl Own {
    /// There is reason for doubt, now.
    pub fn doubt(&mut self, now: Timestamp, why: impl Into<String>) {
        self.doubt = Some((now, why.into()));
    }

    /// The same, as a look goes by it.
    pub(in crate::cluster) fn as_it_counts(&self) -> Self {
        Self { last: None, ..self.clone() }
    }

    /// When there was reason for doubt last.
    pub(in crate::cluster) fn last_doubt(&self) -> Option<Timestamp> {
        self.doubt.as_ref().map(|(at, _)| *at)
    }

    /// The policy, where silence counts from when the controller began to listen anew, as it does from
    /// a start.
    pub(in crate::cluster) fn excused<'p>(&self, policy: &'p Policy) -> Cow<'p, Policy> {
        match self.anew {
            Some(started_at) => Cow::Owned(Policy { started_at, ..policy.clone() }),
            None => Cow::Borrowed(policy),
        }
    }
}

impl Fleet {
    /// The clocks before a look. If they say that the controller's own time is not to be trusted, all
    /// that was heard is forgotten; answers whether it is.
    pub fn look(&mut self, clocks: Clocks, policy: &Policy) -> bool {
        let Some(last) = self.own.last.replace(clocks) else { return false };
        let away = clocks.monotonic.saturating_sub(last.monotonic);
        let by = (clocks.wall.millis() - last.wall.millis())
            .saturating_sub(i64::try_from(away.as_millis()).unwrap_or(i64::MAX));
        if by.unsigned_abs() > u64::try_from(CLOCKS_AGREE.as_millis()).unwrap_or(u64::MAX) {
            let how = if by > 0 { "forward" } else { "back" };
            let seconds = Duration::from_millis(by.unsigned_abs()).as_secs_f64();
            let why = format!("the controller's clock was set {how} by {seconds:.1} s");
            self.forget_what_was_heard();
            self.own.anew = Some(clocks.wall);
            self.own.doubt(clocks.wall, why);
            return true;
        }
        if away > policy.detection() {
            let why = format!("the controller stood still for {:.1} s", away.as_secs_f64());
            self.own.doubt(clocks.wall, why);
        }
        false
    }

    fn forget_what_was_heard(&mut self) {
        for observed in self.machines.values_mut() {
            (observed.last_heartbeat, observed.probe, observed.provider) = (None, None, None);
            observed.peers.clear();
            // How long it has had no work was told by the same clock.
            observed.idle_since = None;
        }
    }
}

/// Holds everything while there is doubt; answers whether there is.
pub(super) fn hold(fleet: &Fleet, policy: &Policy, now: Timestamp, plan: &mut Plan) -> bool {
    if let Some(why) = most_are_silent(fleet, policy, now, &plan.condemned) {
        let so = format!("{why}: the fault may be the controller's own, so it does nothing");
        plan.notes.push(Note::Doubt { why: so });
        plan.doubt = Some(why);
        plan.standstill.scopes.insert(PauseScope::Cluster);
        return true;
    }
    let Some((at, why)) = &fleet.own.doubt else { return false };
    let is_recent = now.since(*at) < policy.detection();
    if is_recent {
        let why = format!("{why}: it does nothing until it has listened for a while");
        plan.notes.push(Note::Doubt { why });
        plan.standstill.scopes.insert(PauseScope::Cluster);
    }
    is_recent
}

/// Whether it is too early for a verdict on any machine: after a start, or a doubt, agents have to be
/// given the time to be heard.
pub(super) fn is_too_early(fleet: &Fleet, policy: &Policy, now: Timestamp) -> bool {
    let since = fleet.own.last_doubt().unwrap_or(policy.started_at).max(policy.started_at);
    now.since(since) < policy.detection()
}

/// Two zones that fail at once, or one that is most of the fleet.
fn most_are_silent(
    fleet: &Fleet,
    policy: &Policy,
    now: Timestamp,
    condemned: &[Condemned],
) -> Option<String> {
    let watched = || fleet.machines.values().filter(|it| it.machine.state.is_watched());
    let silent = watched().filter(|it| repair::is_silent(it, policy, now));
    // Of those there is no doubt: a person has said that they are dead.
    let approved = Approved::of(fleet, condemned);
    let silent = silent.filter(|it| !approved.end_of(&it.machine.id)).count();
    // One machine may always die, however small the fleet.
    if silent < 2 {
        return None;
    }
    let all = watched().count();
    (silent * 2 > all).then(|| format!("{silent} of {all} machines are silent at once"))
}
