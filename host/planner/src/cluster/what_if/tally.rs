//! Keeps count of who serves while time passes, of what is done, and of what is held back.

use super::world::World;
use crate::cluster::family::Families;
use crate::cluster::{Brake, Fleet, Note, Plan, Step};
use cerebro_model::{
    Foreseen, GivenUp, HeldBack, InstanceId, JobHit, JobName, MachineId, Made, Moment, PauseScope,
    Seconds, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Decisions that are told one by one.
const TOLD: usize = 40;

pub(super) struct Tally {
    begun: Timestamp,
    last: Timestamp,
    jobs: BTreeMap<JobName, Count>,
    made: Vec<Made>,
    given_up: Vec<GivenUp>,
    held: BTreeMap<String, HeldBack>,
    course: Vec<Moment>,
    /// Decisions that are not told one by one.
    more: usize,
    approvals: Vec<String>,
}

struct Count {
    all: BTreeSet<InstanceId>,
    lost: Vec<InstanceId>,
    before: u32,
    serving: u32,
    worst: u32,
    below: Duration,
    none: Duration,
}

fn number(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

fn seconds(span: Duration) -> Seconds {
    // In range: nobody looks a hundred years ahead.
    Seconds::try_from(span.as_secs_f64()).unwrap_or(Seconds::new(u64::from(u32::MAX)))
}

impl Tally {
    /// Of the jobs that have an instance on one of these machines.
    pub(super) fn new(fleet: &Fleet, dead: &BTreeSet<MachineId>, now: Timestamp) -> Self {
        let families = Families::of(fleet);
        let mut jobs: BTreeMap<JobName, Count> = BTreeMap::new();
        let lost = fleet.instances.values().filter(|it| dead.contains(&it.instance.machine));
        for seen in lost.filter(|it| it.is_healthy()) {
            let job = &seen.instance.job;
            let count = jobs.entry(job.clone()).or_insert_with(|| {
                let all = families.wanted(job);
                let serves =
                    |id: &&InstanceId| fleet.instances.get(*id).is_some_and(|it| it.is_healthy());
                let before = number(all.iter().filter(serves).count());
                let (below, none) = (Duration::ZERO, Duration::ZERO);
                Count { all, lost: Vec::new(), before, serving: before, worst: before, below, none }
            });
            count.lost.push(seen.instance.id.clone());
        }
        Self {
            begun: now,
            last: now,
            jobs,
            made: Vec::new(),
            given_up: Vec::new(),
            held: BTreeMap::new(),
            course: Vec::new(),
            more: 0,
            approvals: Vec::new(),
        }
    }

    fn count(&mut self, world: &World<'_>) {
        for count in self.jobs.values_mut() {
            count.serving = number(count.all.iter().filter(|id| world.serves(id)).count());
            count.worst = count.worst.min(count.serving);
        }
    }

    /// Time has passed since it was counted last.
    pub(super) fn passed(&mut self, world: &World<'_>) {
        let span = world.now.since(self.last);
        self.last = world.now;
        for count in self.jobs.values_mut() {
            if count.serving < count.before {
                count.below += span;
            }
            if count.serving == 0 {
                count.none += span;
            }
        }
        self.count(world);
    }

    /// The controller has looked.
    pub(super) fn looked(&mut self, world: &World<'_>, plan: &Plan) {
        let after = seconds(world.now.since(self.begun));
        for decision in plan.decisions.iter().filter(|it| !it.step.only_looks()) {
            let why = decision.reason.clone();
            match &decision.step {
                Step::Provision { zone } => {
                    self.made.push(Made { zone: zone.clone(), after, why });
                }
                Step::DeclareLost(machine, _) | Step::GiveUp(machine) => {
                    self.given_up.push(GivenUp { machine: machine.clone(), after, why });
                }
                _ => {}
            }
            // What is left of a machine is destroyed with each look until it is.
            let what = decision.to_string();
            let is_again = self.course.iter().rev().take(8).any(|it| it.what == what);
            match self.course.len() < TOLD {
                _ if is_again => {}
                true => self.course.push(Moment { after, what }),
                false => self.more += 1,
            }
        }
        let mut holds = BTreeSet::new();
        for note in &plan.notes {
            let Some(key) = key(note) else { continue };
            holds.insert(key.clone());
            let what = note.to_string();
            let held = self.held.entry(key);
            held.or_insert(HeldBack { what, from: after, until: None }).until = None;
        }
        for (key, held) in &mut self.held {
            if !holds.contains(key) {
                held.until.get_or_insert(after);
            }
        }
        self.approvals =
            plan.proposals.iter().filter(|it| !it.approved).map(|it| it.id.clone()).collect();
        // Those that are lost do not serve from the first moment on.
        self.count(world);
    }

    pub(super) fn tell(self, world: &World<'_>, foreseen: &mut Foreseen) {
        foreseen.looked_ahead = seconds(world.now.since(self.begun));
        let hit = |(job, count): (JobName, Count)| JobHit {
            job,
            wanted: number(count.all.len()),
            before: count.before,
            instances: count.lost,
            worst: count.worst,
            below: seconds(count.below),
            none: seconds(count.none),
            in_the_end: count.serving,
        };
        foreseen.hit = self.jobs.into_iter().map(hit).collect();
        (foreseen.made, foreseen.given_up) = (self.made, self.given_up);
        foreseen.held = self.held.into_values().collect();
        foreseen.held.sort_by(|one, other| {
            let from = |it: &HeldBack| it.from.duration();
            from(one).cmp(&from(other)).then_with(|| one.what.cmp(&other.what))
        });
        foreseen.approvals = self.approvals;
        foreseen.course = self.course;
        if self.more > 0 {
            let after = foreseen.looked_ahead;
            let what = format!("and {} decisions more until then", self.more);
            foreseen.course.push(Moment { after, what });
        }
    }
}

/// What is the same, though the words about it change; none for what a person need not know here.
fn key(note: &Note) -> Option<String> {
    Some(match note {
        Note::Suspect { .. } | Note::Proposed { .. } => return None,
        Note::Unplaceable { job, zone, .. } => format!("unplaceable {job} {zone}"),
        Note::Masterless { job, .. } => format!("masterless {job}"),
        Note::DeploymentWaits { deployment, .. } => format!("waits {deployment}"),
        Note::Failing { deployment, .. } => format!("failing {deployment}"),
        Note::BreakerOpen { zone, .. } => format!("breaker {zone}"),
        Note::Doubt { .. } => "doubt".to_owned(),
        Note::Held { brake, .. } => match brake {
            Brake::Losses(zone) => format!("losses {}", zone.as_ref().map_or("", |it| it.as_str())),
            Brake::Reboots(zone) => format!("reboots {zone}"),
            Brake::Births(zone) => format!("births {zone}"),
            Brake::ZoneBudget(zone) => format!("budget {zone}"),
            Brake::JobBudget(job) => format!("budget of {job}"),
            Brake::Machine(id) => format!("machine {id}"),
            Brake::Instance(id) => format!("instance {id}"),
        },
        Note::Paused { scope: PauseScope::Cluster, .. } => "paused".to_owned(),
        Note::Paused { scope, .. } => format!("paused {scope}"),
        Note::Waits { machine, .. } => format!("waits {machine}"),
    })
}
