//! An agent: pulls what should run, decides by the real planner of machines, and takes its time.

use crate::world::Time;
use cerebro_api::body::{Heartbeat, JoinRequest, Report};
use cerebro_clustersitter::cluster::{AgentError, Cluster};
use cerebro_model::{
    Assignment, DeploymentId, InstanceId, InstanceStatus, Life, MachineDesired, MachineId,
    MachineStats, Phase,
};
use cerebro_planner::machine::{Action, Actual, Deployed, TRIES, plan};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// What a version is called whose task never becomes healthy, and what one whose recipe fails.
pub const BAD: &str = "bad";
pub const BROKEN: &str = "broken";

/// The agent of one machine, with the tasks there: those go on without it.
pub struct Agent {
    id: MachineId,
    /// What it proves itself with.
    token: String,
    /// When the controller heard it last, by the world's time.
    pub heard: Time,
    joined: bool,
    /// The greatest term that it was told of.
    term: u64,
    desired: Option<MachineDesired>,
    instances: BTreeMap<InstanceId, Run>,
    /// Whether what it said last is not what is.
    has_news: bool,
    /// Whether it was told something else since it decided last.
    is_told: bool,
    /// Instances whose tasks were started since somebody asked.
    started: Vec<InstanceId>,
}

/// An instance there.
struct Run {
    placement: u64,
    deployed: Option<Deployed>,
    /// What its task was started as, and when it is healthy; never, if that is far away.
    task: Option<(DeploymentId, Time)>,
    /// What it was started beside.
    beside: Vec<DeploymentId>,
    /// What is being done, until when.
    under_way: Option<(Action, Time)>,
    phase: Phase,
    since: Time,
}

/// Never.
const NEVER: Time = Time::MAX;

impl Agent {
    /// One that has not started.
    pub fn new(id: MachineId, token: String) -> Self {
        let (instances, desired, started) = (BTreeMap::new(), None, Vec::new());
        let (joined, has_news, is_told) = (false, false, false);
        let (term, heard) = (0, Time::ZERO);
        Self { id, token, heard, joined, term, desired, instances, has_news, is_told, started }
    }

    /// The address of a machine.
    pub fn address(id: &MachineId) -> IpAddr {
        let number: u32 = id.as_str().trim_start_matches("m-").parse().unwrap_or(0);
        let [_, a, b, c] = number.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, a, b, c))
    }

    /// The machine that has an address.
    pub fn at(address: IpAddr) -> MachineId {
        let IpAddr::V4(address) = address else { return MachineId::nth(0) };
        let [_, a, b, c] = address.octets();
        MachineId::nth(u32::from_be_bytes([0, a, b, c]).into())
    }

    /// Its machine is gone.
    pub fn end(&mut self) {
        self.instances.clear();
        self.desired = None;
    }

    /// Its machine was started again: whatever ran there does not.
    pub fn rebooted(&mut self) {
        self.end();
        self.joined = false;
    }

    /// A task dies there, and is started again; which one is up to `rng`.
    pub fn crash_a_task(&mut self, rng: &mut Rng, now: Time) {
        let mut running: Vec<&mut Run> =
            self.instances.values_mut().filter(|run| run.phase == Phase::Healthy).collect();
        if running.is_empty() {
            return;
        }
        let at = rng.usize(0..running.len());
        let run = &mut running[at];
        if let Some((_, healthy)) = &mut run.task {
            *healthy = now + Duration::from_secs(2);
            (run.phase, run.since) = (Phase::Starting, now);
            self.has_news = true;
        }
    }

    /// The instances whose tasks run there.
    pub fn running(&self) -> impl Iterator<Item = &InstanceId> {
        self.instances.iter().filter(|(_, run)| run.task.is_some()).map(|(id, _)| id)
    }

    /// The instances whose tasks were started there since this was asked last.
    pub fn started(&mut self) -> Vec<InstanceId> {
        std::mem::take(&mut self.started)
    }

    /// When something ends there next, or it has something to decide.
    pub fn next(&self, now: Time) -> Option<Time> {
        if self.is_told {
            return Some(now);
        }
        let ends = self.instances.values().flat_map(|run| {
            let healthy =
                run.task.as_ref().map(|(_, at)| *at).filter(|_| run.phase == Phase::Starting);
            run.under_way.as_ref().map(|(_, at)| *at).into_iter().chain(healthy)
        });
        let decides = self.is_told.then_some(now);
        ends.chain(decides).filter(|at| *at != NEVER).map(|at| at.max(now)).min()
    }

    /// What ends until now, ends; then it decides what is next.
    pub fn turn(&mut self, rng: &mut Rng, now: Time) {
        if self.next(now).is_none_or(|at| at > now) {
            return;
        }
        self.is_told = false;
        let desired = self.desired.as_ref();
        let told =
            |id: &InstanceId| desired?.assignments.iter().find(|told| told.instance.id == *id);
        self.has_news = true;
        self.instances.retain(|id, run| {
            if let Some((action, _)) = run.under_way.take_if(|(_, at)| *at <= now) {
                if let Action::Remove(_) = action {
                    return false;
                }
                run.end(&action, told(id), rng, now);
                if matches!(action, Action::Start(_) | Action::Replace(_)) && run.task.is_some() {
                    self.started.push(id.clone());
                }
            }
            if run.phase == Phase::Starting
                && run.task.as_ref().is_some_and(|(_, healthy)| *healthy <= now)
            {
                (run.phase, run.since) = (Phase::Healthy, now);
            }
            true
        });
        self.decide(rng, now);
    }

    /// Begins what the planner of machines says.
    fn decide(&mut self, rng: &mut Rng, now: Time) {
        let Some(desired) = &self.desired else { return };
        let actual: BTreeMap<InstanceId, Actual> =
            self.instances.iter().map(|(id, run)| (id.clone(), run.actual())).collect();
        for action in plan(desired, &actual) {
            let (id, takes) = match &action {
                Action::Deploy(id) => (id, 500..6_000),
                Action::Start(id) => (id, 50..400),
                Action::Replace(id) => (id, 300..3_000),
                Action::Remove(id) => (id, 100..2_000),
            };
            let placement = desired
                .assignments
                .iter()
                .find(|told| told.instance.id == *id)
                .map_or(0, |told| told.instance.placement);
            let run = self.instances.entry(id.clone()).or_insert_with(|| Run::new(placement, now));
            let phase = match &action {
                Action::Deploy(_) if run.task.is_none() => Phase::Deploying,
                Action::Deploy(_) => run.phase,
                Action::Start(_) => Phase::Starting,
                Action::Replace(_) | Action::Remove(_) => Phase::Stopping,
            };
            if run.phase != phase {
                (run.phase, run.since) = (phase, now);
            }
            run.under_way = Some((action, now + Duration::from_millis(rng.u64(takes))));
            self.has_news = true;
        }
    }

    /// Calls the controller, as far as there is something to say or to hear. `hears` tells whether the
    /// controller has news for it.
    pub fn call(&mut self, cluster: &Cluster, hears: bool, now: Time) {
        if !self.joined {
            let address = Self::address(&self.id);
            let (token, version) = (self.token.clone(), "0".to_owned());
            let request = JoinRequest {
                token,
                own_token: None,
                address,
                also_at: Vec::new(),
                port: 40_000,
                pid: 1,
                version,
                term: 0,
                runs: Vec::new(),
            };
            match cluster.joined(&self.id, &request) {
                Ok(()) => (self.joined, self.has_news) = (true, true),
                Err(error) => return self.refused(&error),
            }
        }
        if hears || self.desired.is_none() {
            match cluster.desired_by(&self.id, &self.token) {
                Ok(desired) if desired.term >= self.term => {
                    self.term = desired.term;
                    self.desired = Some(desired);
                    self.is_told = true;
                }
                Ok(_) => {}
                Err(error) => return self.refused(&error),
            }
        }
        if std::mem::take(&mut self.has_news) {
            let instances =
                self.instances.iter().map(|(id, run)| run.status(id, cluster, now)).collect();
            let report = Report { token: self.token.clone(), instances, events: Vec::new() };
            if let Err(error) = cluster.reported(&self.id, &report) {
                self.has_news = true;
                self.refused(&error);
            }
        }
    }

    /// Says that it is there.
    pub fn beat(&mut self, cluster: &Cluster) {
        let stats = MachineStats::default();
        let heartbeat = Heartbeat { token: self.token.clone(), pid: 1, stats };
        if let Err(error) = cluster.beat(&self.id, &heartbeat) {
            self.refused(&error);
        }
    }

    /// Whether it has something to say.
    pub fn wants_to_call(&self) -> bool {
        !self.joined || self.has_news || self.desired.is_none()
    }

    /// Whether it has joined.
    pub fn has_joined(&self) -> bool {
        self.joined
    }

    /// It has a new controller, which knows nothing of what was said.
    pub fn meets_a_new_controller(&mut self) {
        self.has_news = true;
    }

    /// Who was given up runs nothing any longer; who is merely not known goes on.
    fn refused(&mut self, error: &AgentError) {
        match (error, &mut self.desired) {
            (AgentError::GivenUp(_), Some(desired)) if !desired.assignments.is_empty() => {
                desired.assignments.clear();
                self.is_told = true;
            }
            (AgentError::NotJoined(_), _) => self.joined = false,
            _ => {}
        }
    }

    /// Whether a placement is healthy there, and nothing is being done with it.
    pub fn serves(&self, id: &InstanceId, placement: u64) -> bool {
        self.instances
            .get(id)
            .is_some_and(|run| run.placement == placement && run.told_phase() == Phase::Healthy)
    }

    /// What of `wanted` does not run there, as it should.
    pub fn lacks<'a>(&self, wanted: &BTreeSet<&'a InstanceId>) -> Vec<&'a InstanceId> {
        let healthy =
            |id: &InstanceId| self.instances.get(id).is_some_and(|run| run.phase == Phase::Healthy);
        wanted.iter().copied().filter(|id| !healthy(id)).collect()
    }
}

impl Run {
    fn new(placement: u64, now: Time) -> Self {
        let (deployed, task, under_way, phase) = (None, None, None, Phase::Waiting);
        Self { placement, deployed, task, beside: Vec::new(), under_way, phase, since: now }
    }

    fn actual(&self) -> Actual {
        Actual {
            placement: self.placement,
            deployed: self.deployed.clone(),
            task: self.task.as_ref().map(|(deployment, _)| deployment.clone()),
            beside: self.beside.clone(),
            busy: self.under_way.is_some(),
        }
    }

    /// What came of an action.
    fn end(&mut self, action: &Action, told: Option<&Assignment>, rng: &mut Rng, now: Time) {
        let Some(told) = told else { return };
        let (deployment, version) = (&told.deployment.id, told.deployment.version.as_str());
        match action {
            Action::Deploy(_) => {
                let before = self.deployed.as_ref().filter(|it| it.deployment == *deployment);
                let failures = version
                    .contains(BROKEN)
                    .then(|| before.and_then(|it| it.failures).unwrap_or(0) + 1);
                if failures.is_some_and(|failures| failures >= TRIES) && self.task.is_none() {
                    (self.phase, self.since) = (Phase::Failed, now);
                }
                self.deployed = Some(Deployed { deployment: deployment.clone(), failures });
            }
            Action::Start(_) | Action::Replace(_) => {
                let healthy = match version.contains(BAD) {
                    true => NEVER,
                    false => now + Duration::from_millis(rng.u64(200..5_000)),
                };
                self.task = Some((deployment.clone(), healthy));
                self.beside.clone_from(&told.instance.beside);
                (self.phase, self.since) = (Phase::Starting, now);
            }
            Action::Remove(_) => {}
        }
    }

    /// As an agent tells it: of the deployment that it was told of, whatever runs on meanwhile.
    fn told_phase(&self) -> Phase {
        match self.under_way {
            Some((Action::Deploy(_), _)) => return Phase::Deploying,
            Some((Action::Start(_), _)) => return Phase::Starting,
            Some((Action::Replace(_) | Action::Remove(_), _)) => return Phase::Stopping,
            None => {}
        }
        match &self.deployed {
            None => Phase::Waiting,
            Some(Deployed { failures: Some(failures), .. }) if *failures >= TRIES => Phase::Failed,
            Some(Deployed { failures: Some(_), .. }) => Phase::Deploying,
            Some(Deployed { deployment, .. }) => match &self.task {
                Some((runs, _)) if runs == deployment => self.phase,
                _ => Phase::Deploying,
            },
        }
    }

    fn status(&self, id: &InstanceId, cluster: &Cluster, now: Time) -> InstanceStatus {
        let ago = now.saturating_sub(self.since);
        InstanceStatus {
            id: id.clone(),
            placement: self.placement,
            deployment: self.deployed.as_ref().map(|it| it.deployment.clone()),
            phase: self.told_phase(),
            pid: self.task.as_ref().map(|_| 7),
            restarts: 0,
            message: String::new(),
            since: cerebro_model::Timestamp::from_millis(
                cluster.now().millis() - i64::try_from(ago.as_millis()).unwrap_or(0),
            ),
            life: Life { beside: Some(self.beside.clone()), ..Life::default() },
        }
    }
}
