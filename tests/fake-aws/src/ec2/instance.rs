//! An instance, and how it gets on by time alone.

use std::collections::BTreeMap;
use std::time::Duration;

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It is being ended.
    ShuttingDown,
    /// It has ended for good.
    Terminated,
    /// It is off.
    Stopped,
}

impl InstanceState {
    /// As AWS writes it: (code, name).
    pub fn wire(self) -> (&'static str, &'static str) {
        match self {
            Self::Pending => ("0", "pending"),
            Self::Running => ("16", "running"),
            Self::ShuttingDown => ("32", "shutting-down"),
            Self::Terminated => ("48", "terminated"),
            Self::Stopped => ("80", "stopped"),
        }
    }

    /// Whether it uses up room and quota.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::Stopped)
    }
}

/// What happened to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It runs, for the first time or again.
    Runs,
    /// It was rebooted.
    Rebooted,
    /// Nothing runs on it any more.
    Ended,
}

/// Something that happened to an instance.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// To which.
    pub instance: Instance,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Such as `i-0123456789abcdef0`.
    pub id: String,
    /// When it was launched.
    pub launched: Duration,
    /// Its type.
    pub instance_type: String,
    /// Its image.
    pub image: String,
    /// Its zone.
    pub zone: String,
    /// Its subnet.
    pub subnet: String,
    /// The key pair.
    pub key: Option<String>,
    /// Security groups.
    pub groups: Vec<String>,
    /// The instance profile.
    pub profile: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What it was given to start with, decoded.
    pub user_data: Vec<u8>,
    /// By which token it was asked for.
    pub client_token: Option<String>,
    /// Whether it is of the spot market.
    pub is_spot: bool,
    /// Whether its metadata service asks for tokens (IMDSv2).
    pub requires_tokens: bool,
    /// GiB of its root volume, and whether that goes with it.
    pub root_volume: Option<(u32, bool)>,
    /// Its address inside.
    pub private_address: String,
    /// Its address outside.
    pub public_address: Option<String>,
    /// Its address of IPv6.
    pub ipv6_address: Option<String>,
    /// How often it was rebooted.
    pub reboots: u32,
    /// Whether termination is refused.
    pub is_protected: bool,
    /// Why it ended.
    pub reason: String,
    /// How far what is seen of it lags behind.
    lag: Duration,
    /// Which state from when on.
    course: Vec<(Duration, InstanceState)>,
    told: Option<InstanceState>,
}

impl Instance {
    pub(super) fn new(id: &str, now: Duration, lag: Duration) -> Self {
        Self {
            id: id.to_owned(),
            launched: now,
            instance_type: String::new(),
            image: String::new(),
            zone: String::new(),
            subnet: String::new(),
            key: None,
            groups: Vec::new(),
            profile: None,
            tags: BTreeMap::new(),
            user_data: Vec::new(),
            client_token: None,
            is_spot: false,
            requires_tokens: false,
            root_volume: None,
            private_address: String::new(),
            public_address: None,
            ipv6_address: None,
            reboots: 0,
            is_protected: false,
            reason: String::new(),
            lag,
            course: vec![(now, InstanceState::Pending)],
            told: None,
        }
    }

    /// What it does.
    pub fn state(&self, now: Duration) -> InstanceState {
        let past = self.course.iter().rev().find(|(from, _)| *from <= now);
        past.map_or(InstanceState::Pending, |(_, state)| *state)
    }

    /// What is seen of it: nothing, for a while after its launch.
    pub fn seen(&self, now: Duration) -> Option<InstanceState> {
        let then = now.saturating_sub(self.lag);
        (self.launched <= then).then(|| self.state(then))
    }

    /// Its state is this from then on.
    pub(super) fn enter(&mut self, at: Duration, state: InstanceState) {
        self.course.retain(|(from, _)| *from < at);
        self.course.push((at, state));
    }

    /// Ends it, unless it has ended.
    pub(super) fn end(&mut self, now: Duration, after: Duration, reason: &str) {
        if let InstanceState::ShuttingDown | InstanceState::Terminated = self.state(now) {
            return;
        }
        self.enter(now, InstanceState::ShuttingDown);
        self.course.push((now + after, InstanceState::Terminated));
        self.reason = reason.to_owned();
    }

    /// What there is to be told since the last time.
    pub(super) fn tick(&mut self, now: Duration) -> Option<EventKind> {
        let state = self.state(now);
        let before = self.told.replace(state);
        if before == Some(state) {
            return None;
        }
        let ran = before == Some(InstanceState::Running);
        match state {
            InstanceState::Running => Some(EventKind::Runs),
            InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Stopped => {
                ran.then_some(EventKind::Ended)
            }
            InstanceState::Pending => None,
        }
    }

    pub(super) fn has_vanished(&self, now: Duration, after: Duration) -> bool {
        let end = self.course.iter().find(|(_, state)| *state == InstanceState::Terminated);
        end.is_some_and(|(at, _)| *at + after <= now)
    }
}
