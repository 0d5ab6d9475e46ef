//! Names never lie: asked from outside, as by whoever looks them up.

use super::Check;
use crate::agent::Agent;
use crate::controller::{Controller, Ground};
use crate::world::{Time, World};
use cerebro_clustersitter::cluster::State;
use cerebro_dns::Group;
use cerebro_model::{MachineState, Publication};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long names may lag behind what everybody knows: a change takes its time, and may fail once or twice.
const LAGS: Duration = Duration::from_secs(120);

impl Check {
    /// No name is empty while an instance of it serves, and none names a machine that is known to be gone, for longer
    /// than it takes to change it, where it can be changed.
    pub fn names(&mut self, ground: &Ground, controller: Option<&Controller>, now: Time) {
        let Some(controller) = controller else { return self.wrong_names.clear() };
        let (is_held, mut wrong) = (controller.is_held(), BTreeSet::new());
        let state = controller.cluster.state();
        let mut world = ground.world.lock();
        for publication in state.records.names.values() {
            let (name, addresses) = answered(ground, publication);
            let instances = state.records.instances.values().filter(|it| it.leaving.is_none());
            let mut of_it =
                instances.filter(|it| it.job == publication.job && it.zone == publication.zone);
            let is_served = of_it.any(|it| {
                let host = world.hosts.get(&it.machine).filter(|host| host.answers(now));
                host.is_some_and(|host| host.agent().serves(&it.id, it.placement))
            });
            if addresses.is_empty() && is_served {
                wrong.insert(format!("{name} is empty, and instances of it serve"));
            }
            for id in addresses.into_iter().map(Agent::at) {
                let record = state.records.machines.get(&id);
                let is_known_dead = record.is_none_or(|record| {
                    let of = &record.machine.state;
                    matches!(of, MachineState::Lost { .. }) || of.certificate().is_some()
                });
                if is_known_dead {
                    wrong.insert(format!("{name} names {id}, which is known to be gone"));
                }
            }
        }
        let broken = &world.broken;
        let ways = [broken.names, broken.names_answers, broken.store, broken.store_answers];
        if is_held || ways.into_iter().any(|until| now < until + LAGS) {
            return self.wrong_names.clear();
        }
        self.wrong_names.retain(|what, _| wrong.contains(what));
        for what in wrong {
            let since = *self.wrong_names.entry(what.clone()).or_insert(now);
            if now.saturating_sub(since) > LAGS {
                world.violated(now, format!("{what}, since {:.0} s", since.as_secs_f64()));
                self.wrong_names.insert(what, now);
            }
        }
    }

    /// In the end each name has the addresses of those that serve, and there is no other.
    pub(super) fn names_at_rest(
        ground: &Ground,
        state: &State,
        world: &World,
        is_held: impl Fn(&Publication) -> bool,
    ) -> Vec<String> {
        let (records, mut wrong) = (&state.records, Vec::new());
        let mut serving = BTreeMap::<String, BTreeSet<IpAddr>>::new();
        for instance in records.instances.values() {
            let name = Publication::name_of(&instance.zone, &instance.job);
            let addresses = serving.entry(name).or_default();
            let host = world.hosts.get(&instance.machine);
            if host.is_some_and(|host| host.agent().serves(&instance.id, instance.placement)) {
                addresses.insert(Agent::address(&instance.machine));
            }
        }
        for publication in records.names.values().filter(|it| !is_held(it)) {
            let (name, addresses) = answered(ground, publication);
            let wanted = serving.remove(&name).unwrap_or_default();
            if addresses != wanted {
                wrong.push(format!("{name} has {addresses:?}, and {wanted:?} serve"));
            }
        }
        for name in ground.cloud.published() {
            if !records.names.contains_key(&name) {
                wrong.push(format!("{name} is published, and nobody knows of it"));
            }
        }
        wrong
    }
}

fn answered(ground: &Ground, publication: &Publication) -> (String, BTreeSet<IpAddr>) {
    let group = Group { zone: publication.zone.clone(), job: publication.job.clone() };
    (group.name(), ground.cloud.addresses(&group))
}
