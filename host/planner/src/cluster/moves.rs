//! Where an instance goes that is to run something else: it stays if it can.

use super::fill::Filled;
use super::need::Need;
use super::yard::{Search, Standing};
use super::{Occupancy, Plan, Policy, Step, WhyNot};
use cerebro_model::{Deployment, Instance, InstanceId, Priority, Timestamp};

/// Brings deployments to instances that run another one, with what is left of the machines.
pub(super) struct Moves<'f, 'a> {
    pub occupancy: &'a Occupancy,
    pub policy: &'f Policy,
    pub now: Timestamp,
    pub filled: &'f mut Filled<'a>,
}

impl<'a> Moves<'_, 'a> {
    /// Has an instance run `deployment`: where it is, if there is room for that and it may stand
    /// there, else elsewhere. If there is no room anywhere, it keeps what it has.
    pub(super) fn bring(
        &mut self,
        deployment: &'a Deployment,
        instance: &'a Instance,
        plan: &mut Plan,
    ) {
        let (id, zone) = (&instance.id, &instance.zone);
        let reason = format!("{id} goes from {} to {}", instance.deployment, deployment.id);
        if let Some(placed) = self.filled.waiting.remove(id) {
            let reason = format!("{reason}, and to {}, beside its master", placed.machine);
            self.filled.placed.insert(id.clone());
            return plan.decide(Step::Place(placed), reason);
        }
        let master = self.master(deployment, instance);
        let host = master.as_ref().and_then(|master| self.occupancy.takes(master));
        if host.is_some_and(|(machine, _)| *machine != instance.machine) {
            // There is no room for it beside its master: that was told already.
            return;
        }
        let (Some(from), Some((_, had))) =
            (self.filled.yard.index(&instance.machine), self.occupancy.takes(id))
        else {
            return;
        };
        self.filled.yard.give_back(from, id, had);
        let mut need = Need::of(deployment, zone);
        if need.amounts.fit_in(had.amounts) {
            // What it has is its own, for whomever more is kept.
            need.priority = Priority::MAX;
        }
        let found = match (self.filled.yard.fits(from, &need), &master) {
            (true, _) => Ok(from),
            (false, Some(master)) => {
                let machine = &instance.machine;
                Err(self.filled.yard.why_not_beside(from, &need, machine, master.clone()))
            }
            (false, None) => self.elsewhere(deployment, instance),
        };
        match found {
            Ok(index) => {
                let keeps = self.put(index, from, &need, deployment, instance, reason, plan);
                if keeps {
                    self.filled.yard.put(from, id, had);
                }
            }
            Err(why) => {
                self.filled.yard.put(from, id, had);
                self.filled.has_no_place(deployment.job_name(), zone, why, plan);
            }
        }
    }

    /// The instance that this one is to be beside, if it is linked.
    fn master(&self, deployment: &Deployment, instance: &Instance) -> Option<InstanceId> {
        let first = self.filled.families.first(deployment.job_name())?;
        let is_linked = first.id != deployment.id;
        is_linked.then(|| InstanceId::new(instance.number, &instance.zone, first.job_name()))
    }

    /// A machine with room for an instance and all that are linked to it.
    fn elsewhere(&self, deployment: &Deployment, instance: &'a Instance) -> Result<u32, WhyNot> {
        let zone = &instance.zone;
        let family = self.filled.families.family(deployment.job_name());
        let need = match Need::of_family(family, zone) {
            Some(need) => need.map_err(WhyNot::Clash)?,
            None => Need::of(deployment, zone),
        };
        let yard = &self.filled.yard;
        yard.best(zone, Standing::Here, &need, &mut Search::default()).ok_or_else(|| {
            let at_most = self.policy.zones.get(zone).map_or(0, |zone| zone.max);
            WhyNot::NoRoom(Box::new(yard.why_not(
                zone,
                &need,
                self.policy.machine_capacity,
                at_most,
            )))
        })
    }

    /// Puts it there; answers whether it keeps its room where it was, because it has to end there first.
    #[allow(clippy::too_many_arguments, reason = "what goes where, from where, and why")]
    fn put(
        &mut self,
        index: u32,
        from: u32,
        need: &Need<'_>,
        deployment: &'a Deployment,
        instance: &'a Instance,
        reason: String,
        plan: &mut Plan,
    ) -> bool {
        let Instance { id, zone, number, .. } = instance;
        let before = (index == from).then_some(&instance.ports);
        let ports = self.filled.yard.take(index, need, deployment, id, before);
        if index == from && ports == instance.ports {
            plan.decide(Step::Retarget(id.clone(), deployment.id.clone()), reason);
            return false;
        }
        let Some(machine) = self.filled.yard.machine(index).cloned() else { return false };
        let reason = match index == from {
            true => format!("{reason}, with other ports"),
            false => {
                // Those that are linked to it follow; their room is theirs from now on.
                for linked in self.filled.families.family(deployment.job_name()).iter().skip(1) {
                    let id = InstanceId::new(*number, zone, linked.job_name());
                    self.filled.yard.take(index, &Need::of(linked, zone), linked, &id, None);
                }
                format!("{reason}, and to {machine}: {} has no room for that", instance.machine)
            }
        };
        let placed =
            self.filled.instance(deployment, id.clone(), *number, zone, machine, ports, self.now);
        self.filled.placed.insert(id.clone());
        let keeps = placed.leaving.as_ref().is_some_and(|left| left.machine == instance.machine);
        plan.decide(Step::Place(placed), reason);
        keeps
    }
}
