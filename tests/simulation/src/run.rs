//! One run: a seed, and what follows from it.

mod pace;

use crate::check::Check;
use crate::cloud::{Cloud, Plain};
use crate::controller::{Controller, Ground};
use crate::effects::Effects;
use crate::faults::{Death, Fault, drawn, strike};
use crate::operator::Operator;
use crate::world::{HostState, Time, locked};
use anyhow::{Context, Result};
use cerebro_clustersitter::clock::Clock;
use cerebro_clustersitter::cluster::ChangeError;
use cerebro_clustersitter::decisions::{DECISIONS, replay};
use cerebro_model::{EventKind, MachineId};
use cerebro_store::CommitError;
use fastrand::Rng;
use pace::Done;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a look waits for what changes with it. The executor waits for less; a look here takes no time, and there may
/// be as many machines to judge as there are answers.
const SETTLES: Duration = Duration::from_millis(50);
/// From one look to the next, while something is under way.
const TICK: Duration = Duration::from_secs(1);
/// The same while something is held back, and before something is to happen: a controller that does not look
/// for long doubts itself.
const SLOW: Duration = Duration::from_secs(2);
/// How long before something is to happen it begins to look.
const AHEAD: Duration = Duration::from_secs(12);
/// How long nothing has come of what is under way, or held back, until it is looked at now and then only.
const PATIENCE: Duration = Duration::from_secs(200);
/// From one such time to the next; each is as long as [`AHEAD`].
const REST: Duration = Duration::from_secs(4 * 60);
/// How long people take to approve what waits for them.
const APPROVED_AFTER: Duration = Duration::from_secs(90);
/// From one heartbeat to the next.
const BEAT: Duration = Duration::from_secs(1);
/// How long the cluster has to come up before anything goes wrong.
pub const BEGINNING: Duration = Duration::from_secs(20 * 60);
/// How long nothing goes wrong in the end.
const END: Duration = Duration::from_secs(40 * 60);
/// From one look for instances that run twice to the next.
const MINUTE: Duration = Duration::from_secs(60);

/// How many jobs there usually are.
pub const JOBS: usize = 12;

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where all chance comes from.
    pub seed: u64,
    /// How long, in the world's time.
    pub span: Duration,
    /// How many machines there are.
    pub machines: u32,
    /// What goes wrong.
    pub faults: Faults,
    /// How many jobs there are: at least four, to have one of each kind.
    pub jobs: usize,
    /// How often people do something.
    pub acts: usize,
    /// Whether to print what happens.
    pub trace: bool,
    /// Whether controllers keep what they decide, and all of it is planned again in the end.
    pub replays: bool,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Faults {
    /// So many faults, drawn from the seed.
    Drawn(usize),
    /// These, at these times.
    These(Vec<(Time, Fault)>),
}

/// What the controller told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When, in the world's time.
    pub at: Time,
    /// What sort of thing.
    pub kind: EventKind,
    /// In its words.
    pub message: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What must never be, and was.
    pub violations: Vec<String>,
    /// Looks of the executor's.
    pub looks: u64,
    /// Machines that were made, and that were ended.
    pub machines: (u64, u64),
    /// Machines that were rebooted.
    pub rebooted: u64,
    /// Controllers that led.
    pub terms: u64,
    /// Decisions that were planned again, to the same.
    pub replayed: usize,
    /// What was told, if these faults were given; of seeds only its digest is kept.
    pub history: Vec<Told>,
    /// Of all that was told.
    pub digest: u64,
}

enum Happening {
    Fault(Fault),
    /// A machine is cut off for a moment, so often still.
    Flap(MachineId, u8),
    Act,
    /// What was asked of a machine is taken back.
    Undo(MachineId),
    ClockIsRight,
}

struct Simulation {
    ground: Ground,
    options: Options,
    rng: Rng,
    leads: Option<Controller>,
    /// When the next one starts, if none leads.
    starts_at: Option<Time>,
    /// Those that stand still, and when they go on.
    stalled: Vec<(Time, Controller)>,
    to_come: BTreeMap<(Time, u64), Happening>,
    operator: Operator,
    check: Check,
    last_beat: Time,
    last_minute: Time,
    /// Events that were told, but for those of the controller's own doubts.
    happened: u64,
    /// What had come of all looks, and when that was more than before.
    done: (Done, Time),
    told: (u64, DefaultHasher),
    outcome: Outcome,
}

/// Runs a seed from its beginning to its end.
pub fn run(options: &Options) -> Result<Outcome> {
    run_at(options, |effects| Ok(Arc::new(Plain::new(effects))))
}

/// The same, in another cloud.
pub fn run_at(
    options: &Options,
    cloud: impl FnOnce(Effects) -> Result<Arc<dyn Cloud>>,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("no runtime")?;
    // In memory: what the disk does is none of this.
    let directory = tempfile::tempdir_in("/dev/shm").context("no directory in memory")?;
    runtime.block_on(async {
        let ground = Ground::new(options.seed, options.machines, directory.path(), cloud)?;
        let mut simulation = Simulation::new(options.clone(), ground, directory.path());
        simulation.begin().await?;
        simulation.go_on().await?;
        simulation.replay()?;
        Ok(simulation.end())
    })
}

/// A component with the exports of a recipe, which is never run here.
pub fn component() -> Result<Vec<u8>> {
    let text = r#"(component
        (core module $m
            (memory (export "memory") 1)
            (func (export "f") (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
        (core instance $i (instantiate $m))
        (func $f (result (result (error string))) (canon lift (core func $i "f")
            (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
        (export "deploy" (func $f)) (export "undeploy" (func $f)))"#;
    Ok(wat::parse_str(text)?)
}

impl Simulation {
    fn new(options: Options, mut ground: Ground, directory: &Path) -> Self {
        ground.decisions = options.replays.then(|| directory.join(DECISIONS));
        let mut rng = Rng::with_seed(options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let operator = Operator::new(&mut rng, options.jobs, options.machines);
        let mut to_come = BTreeMap::new();
        let (from, until) = (BEGINNING, options.span.saturating_sub(END));
        let faults = match &options.faults {
            Faults::Drawn(how_many) => drawn(&mut rng, from, until, *how_many),
            Faults::These(faults) => faults.clone(),
        };
        for (n, (at, fault)) in (0u64..).zip(faults) {
            to_come.insert((at, n), Happening::Fault(fault));
        }
        for n in 0..options.acts as u64 {
            let at = rng.u64(from.as_millis() as u64..until.as_millis() as u64);
            to_come.insert((Duration::from_millis(at), 1 << 32 | n), Happening::Act);
        }
        let outcome = Outcome {
            violations: Vec::new(),
            looks: 0,
            machines: (0, 0),
            rebooted: 0,
            terms: 0,
            replayed: 0,
            history: Vec::new(),
            digest: 0,
        };
        Self {
            ground,
            options,
            rng,
            leads: None,
            starts_at: None,
            stalled: Vec::new(),
            to_come,
            operator,
            check: Check::default(),
            last_beat: Time::ZERO,
            last_minute: Time::ZERO,
            happened: 0,
            done: Default::default(),
            told: (0, DefaultHasher::new()),
            outcome,
        }
    }

    async fn begin(&mut self) -> Result<()> {
        let controller = Controller::start(&self.ground).await?;
        self.operator.begin(&controller.api, &component()?).await?;
        self.leads = Some(controller);
        self.outcome.terms = 1;
        Ok(())
    }

    async fn go_on(&mut self) -> Result<()> {
        loop {
            let now = self.ground.clock.elapsed();
            if now >= self.options.span {
                return Ok(());
            }
            self.happen(now).await;
            self.lead(now).await;
            self.machines_turn(now);
            self.agents_call(now);
            self.approve();
            self.look().await;
            self.stalled_go_on(now);
            let (next, wakes) = self.next();
            let (at, wakes) = (self.ground.clock.at(next), self.ground.clock.at(wakes));
            tokio::time::sleep_until(wakes).await;
            match &mut self.leads {
                Some(controller) => {
                    let _ = tokio::time::timeout_at(at, controller.changed.changed()).await;
                }
                None => tokio::time::sleep_until(at).await,
            }
        }
    }

    /// What is to happen until now.
    async fn happen(&mut self, now: Time) {
        while let Some(((at, n), happening)) = self.to_come.pop_first() {
            if at > now {
                self.to_come.insert((at, n), happening);
                return;
            }
            match happening {
                Happening::Fault(fault) => self.fault(fault, now),
                Happening::Flap(id, times) => self.flap(id, times, now),
                Happening::ClockIsRight => self.ground.clock.set_ahead(0),
                Happening::Act => self.act(now).await,
                Happening::Undo(id) => {
                    let Some(controller) = &self.leads else {
                        // Nobody to say it to: in a moment.
                        self.to_come.insert((now + MINUTE, n), Happening::Undo(id));
                        continue;
                    };
                    self.operator.undo(&controller.api, &id).await;
                }
            }
        }
    }

    /// People do something; what they ask of a machine they take back after a while.
    async fn act(&mut self, now: Time) {
        let Some(controller) = &self.leads else { return };
        let up = self.ground.world.lock().any_up();
        let asked = self.operator.act(&controller.api, &mut self.rng, up).await;
        match asked {
            Ok(None) => {}
            Ok(Some(id)) => {
                let after = Duration::from_secs(self.rng.u64(60..1800));
                self.to_come.insert((now + after, self.rng.u64(..) >> 1), Happening::Undo(id));
            }
            Err(error) if self.options.trace => {
                eprintln!("{:>10.3} refused: {error:#}", now.as_secs_f64());
            }
            Err(_) => {}
        }
    }

    fn fault(&mut self, fault: Fault, now: Time) {
        if self.options.trace {
            eprintln!("{:>10.3} FAULT {fault:?}", now.as_secs_f64());
        }
        strike(&self.ground.world, &fault, now);
        // Whatever was waited for in vain before, this is looked at.
        self.done.1 = now;
        self.ground.cloud.follow();
        match fault {
            Fault::MachineFlaps => {
                let id = self.ground.world.lock().any_up();
                if let Some(id) = id {
                    self.flap(id, 8, now);
                }
            }
            Fault::ControllerDies(death, away) => {
                let Some(controller) = &self.leads else { return };
                match death {
                    Death::Now => controller.life.end(),
                    Death::BeforeCommit(n) => controller.life.end_at_commit(n, true),
                    Death::BehindCommit(n) => controller.life.end_at_commit(n, false),
                    Death::BeforeCall => controller.life.end_in_call(true),
                    Death::BehindCall => controller.life.end_in_call(false),
                }
                self.starts_at = Some(away);
            }
            Fault::ControllerStalls(span) => {
                if let Some(controller) = self.leads.take() {
                    self.stalled.push((now + span, controller));
                    self.starts_at = Some(now + Duration::from_secs(5));
                }
            }
            Fault::ClockIsWrong(by, span) => {
                self.ground.clock.set_ahead(by * 1000);
                self.to_come.insert((now + span, u64::MAX), Happening::ClockIsRight);
            }
            _ => {}
        }
    }

    fn flap(&mut self, id: MachineId, times: u8, now: Time) {
        let mut world = self.ground.world.lock();
        let (cut, whole) = (
            world.between(Duration::from_secs(2), Duration::from_secs(8)),
            world.between(Duration::from_secs(1), Duration::from_secs(10)),
        );
        let Some(host) = world.hosts.get_mut(&id) else { return };
        host.cut_until = now + cut;
        if times > 1 {
            let n = u64::MAX - u64::from(times);
            self.to_come.insert((now + cut + whole, n), Happening::Flap(id, times - 1));
        }
    }

    /// A controller that has died is gone, and another starts when it is time.
    async fn lead(&mut self, now: Time) {
        if self.leads.as_ref().is_some_and(|controller| controller.life.is_over()) {
            self.leads = None;
            // How long that takes was said with its death.
            self.starts_at = Some(now + self.starts_at.unwrap_or(Duration::from_secs(1)));
        }
        if self.leads.is_some() || self.starts_at.is_none_or(|at| now < at) {
            return;
        }
        match Controller::start(&self.ground).await {
            Ok(controller) => {
                self.leads = Some(controller);
                self.starts_at = None;
                self.outcome.terms += 1;
                let mut world = self.ground.world.lock();
                world.hosts.values_mut().for_each(|host| host.agent().meets_a_new_controller());
            }
            // The store cannot be reached: again in a moment.
            Err(_) => self.starts_at = Some(now + Duration::from_secs(1)),
        }
    }

    fn machines_turn(&mut self, now: Time) {
        let mut world = self.ground.world.lock();
        let mut rng = world.rng.fork();
        for host in world.hosts.values_mut() {
            if host.state == HostState::Boots(None) || host.hangs(now) {
                continue;
            }
            if let HostState::Boots(Some(at)) = host.state
                && at <= now
            {
                (host.state, host.up_since) = (HostState::Up, now);
            }
            if host.state == HostState::Up {
                host.agent().turn(&mut rng, now);
            }
        }
        self.check.started(&mut world, now);
    }

    fn agents_call(&mut self, now: Time) {
        let Some(controller) = &mut self.leads else { return };
        let world = self.ground.world.lock();
        if now < world.broken.machines {
            return;
        }
        let beats = now >= self.last_beat + BEAT;
        let mut called = Vec::new();
        for (id, host) in world.hosts.iter().filter(|(_, host)| host.answers(now)) {
            let hears = controller.has_news_for(id);
            if beats || hears || host.agent().wants_to_call() {
                called.push((host.shared_agent(), hears));
            }
        }
        // The controller may look at the world while it is called.
        drop(world);
        for (agent, hears) in called {
            let mut agent = locked(&agent);
            let had_joined = agent.has_joined();
            if had_joined && beats {
                agent.beat(&controller.cluster);
            }
            agent.call(&controller.cluster, hears, now);
            if beats || (!had_joined && agent.has_joined()) {
                agent.heard = now;
            }
        }
        if beats {
            self.last_beat = now;
        }
    }

    /// People approve what waits for them, where there are any.
    fn approve(&mut self) {
        let Some(controller) = self.leads.as_ref().filter(|_| self.options.acts > 0) else {
            return;
        };
        let now = self.ground.clock.now();
        for proposal in controller.cluster.proposals() {
            if !proposal.approved
                && now.since(proposal.since) >= APPROVED_AFTER
                && controller.cluster.approve(&proposal.id, "a person").is_ok()
            {
                self.check.approved.insert(proposal.machine);
            }
        }
    }

    /// The executor looks, and does what follows.
    async fn look(&mut self) {
        let Some(controller) = &mut self.leads else { return };
        controller.changed.mark_unchanged();
        self.outcome.looks += 1;
        // What fails is tried again: the next look does.
        let _ = controller.executor.look();
        if !controller.life.is_over() {
            self.check.after_look(&self.ground, controller);
        }
        self.tell();
        tokio::time::sleep(SETTLES).await;
    }

    /// Follows the events that are kept.
    fn tell(&mut self) {
        use cerebro_store::Store;
        let Ok(events) = self.ground.committed.events(self.told.0, 10_000) else { return };
        for event in events {
            self.told.0 = event.seq;
            let Ok(read) = serde_json::from_slice::<cerebro_model::Event>(&event.value) else {
                continue;
            };
            // That it has not looked for a while comes of nothing.
            let is_doubt =
                matches!(read.kind, EventKind::ControllerInDoubt | EventKind::ControllerSure);
            self.happened += u64::from(!is_doubt);
            (read.at.millis(), &read.message).hash(&mut self.told.1);
            let at = self.ground.clock.elapsed();
            if self.options.trace {
                eprintln!(
                    "{:>10.3} {:<22} {}",
                    at.as_secs_f64(),
                    read.kind.to_string(),
                    read.message
                );
            }
            if matches!(self.options.faults, Faults::These(_)) {
                let (kind, message) = (read.kind, read.message);
                self.outcome.history.push(Told { at, kind, message });
            }
        }
    }

    /// Those that stood still go on as if nothing had been, until they find out.
    fn stalled_go_on(&mut self, now: Time) {
        let (go_on, wait): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.stalled).into_iter().partition(|(at, _)| *at <= now);
        self.stalled = wait;
        for (_, controller) in go_on {
            // Who was told that another one leads is gone; who had nothing to change looks on.
            let looked = controller.executor.look();
            if !matches!(looked, Err(ChangeError::Commit(CommitError::Fenced { .. }))) {
                self.stalled.push((now + Duration::from_secs(1), controller));
            }
        }
    }

    /// Plans all that was decided again: it must come to the same.
    fn replay(&mut self) -> Result<()> {
        let Some(directory) = &self.ground.decisions else { return Ok(()) };
        let again = replay::all(directory)?;
        let now = self.ground.clock.elapsed();
        let mut world = self.ground.world.lock();
        for (id, other) in again.others {
            world.violated(now, format!("{id}: {}", other.words()));
        }
        for (segment, why) in again.torn {
            world.violated(now, format!("{segment} is torn: {why}"));
        }
        self.outcome.replayed = again.same;
        Ok(())
    }

    fn end(mut self) -> Outcome {
        match &self.leads {
            Some(controller) => self.check.at_rest(&self.ground, controller),
            None => {
                let now = self.ground.clock.elapsed();
                self.ground.world.lock().violated(now, "no controller leads");
            }
        }
        let world = self.ground.world.lock();
        self.outcome.violations.clone_from(&world.violations);
        self.outcome.machines = (world.made, world.ended);
        self.outcome.rebooted = world.rebooted;
        self.outcome.digest = self.told.1.finish();
        self.outcome
    }
}
