//! Instances of which the same is planned, told once.
//!
//! What a recipe does for an instance often names that instance, and nothing else tells it from the next
//! one. So plans are compared with [`OWN_NAME`] in place of each instance's own name.

use cerebro_model::{Digest, InstanceId, Plan};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What stands for the name of each instance in a plan that is of many.
pub const OWN_NAME: &str = "<instance>";

/// Instances of which the same is planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanGroup {
    /// The plan.
    pub plan: Plan,
    /// Its digest.
    pub digest: Digest,
    /// The instances.
    pub instances: Vec<InstanceId>,
    /// Whether `<instance>` stands in the plan for the name of each of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
}

impl PlanGroup {
    /// The plan of one instance, as it is.
    pub fn one(instance: InstanceId, plan: Plan) -> Self {
        Self { digest: plan.digest(), plan, instances: vec![instance], named: false }
    }

    /// The same plans together, the largest group first.
    pub fn gather(plans: impl IntoIterator<Item = (InstanceId, Plan)>) -> Vec<Self> {
        let mut groups: BTreeMap<Digest, Vec<(InstanceId, Plan, bool)>> = BTreeMap::new();
        for (instance, plan) in plans {
            let unnamed = without_name(&plan, &instance);
            let digest = unnamed.as_ref().unwrap_or(&plan).digest();
            groups.entry(digest).or_default().push((instance, plan, unnamed.is_some()));
        }
        let mut groups: Vec<_> = groups.into_values().filter_map(Self::of).collect();
        groups.sort_by_key(|group| {
            (Reverse(group.instances.len()), group.instances.first().cloned())
        });
        groups
    }

    /// Of plans that are the same, but for their instances' names.
    fn of(mut members: Vec<(InstanceId, Plan, bool)>) -> Option<Self> {
        members.sort_by(|one, other| one.0.cmp(&other.0));
        let (first, plan, named) = members.first()?;
        if members.len() == 1 {
            return Some(Self::one(first.clone(), plan.clone()));
        }
        let plan = match named {
            true => without_name(plan, first)?,
            false => plan.clone(),
        };
        let (digest, named) = (plan.digest(), *named);
        let instances = members.into_iter().map(|(instance, ..)| instance).collect();
        Some(Self { plan, digest, instances, named })
    }

    /// What is planned for one of them.
    pub fn plan_of(&self, instance: &InstanceId) -> Cow<'_, Plan> {
        match self.named {
            // What was written from a plan is read as one.
            true => replaced(&self.plan, OWN_NAME, &instance.to_string())
                .map_or(Cow::Borrowed(&self.plan), Cow::Owned),
            false => Cow::Borrowed(&self.plan),
        }
    }
}

/// The plan with [`OWN_NAME`] for the instance's; none if it names it nowhere, or if the one could not
/// be told from the other again.
fn without_name(plan: &Plan, instance: &InstanceId) -> Option<Plan> {
    let name = instance.to_string();
    let text = serde_json::to_string(plan).ok()?;
    if !text.contains(&name) || text.contains(OWN_NAME) {
        return None;
    }
    replaced(plan, &name, OWN_NAME)
}

/// The plan with `this` by `that` in all its texts.
fn replaced(plan: &Plan, this: &str, that: &str) -> Option<Plan> {
    let mut value = serde_json::to_value(plan).ok()?;
    replace(&mut value, this, that);
    serde_json::from_value(value).ok()
}

fn replace(value: &mut Value, this: &str, that: &str) {
    match value {
        Value::String(text) if text.contains(this) => *text = text.replace(this, that),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, this, that)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, this, that)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_model::{Action, Effect, PlanEnd, PlanLine, Sureness};

    fn writes(paths: &[String]) -> Plan {
        let line = |path: &String| {
            let action = Action::Write { path: path.clone(), secrets: Vec::new() };
            let effect = Effect { action, before: None, after: None };
            let (sure, notes) = (Sureness::Certain, vec![format!("about {path}")]);
            PlanLine { call: 1, sure, effect, over_unknown: false, diff: None, notes }
        };
        let lines = paths.iter().map(line).collect();
        Plan { component: "c".repeat(64), lines, end: PlanEnd::Whole }
    }

    fn instance(n: usize) -> InstanceId {
        format!("{n}.z-1.a.b").parse().unwrap()
    }

    #[test]
    fn plans_that_differ_by_their_own_instance_only_are_one_and_are_had_again() {
        let plan = |n: usize| writes(&[format!("/opt/needs/{}", instance(n)), "/opt/a".to_owned()]);
        let groups = PlanGroup::gather((0..12).rev().map(|n| (instance(n), plan(n))));
        let [all] = &groups[..] else { panic!("{groups:?}") };
        let mut sorted: Vec<_> = (0..12).map(instance).collect();
        sorted.sort();
        assert_eq!(all.instances, sorted);
        assert!(all.plan.lines[0].to_string().contains("/opt/needs/<instance>"));
        assert_eq!(all.digest, all.plan.digest());
        for n in 0..12 {
            assert_eq!(*all.plan_of(&instance(n)), plan(n), "of {n}");
        }
    }

    #[test]
    fn what_names_another_instance_or_the_placeholder_itself_is_had_again_too() {
        let others = |n: usize| writes(&[format!("/near/{}", instance(n + 1))]);
        let literal = |n: usize| writes(&[format!("/of/{OWN_NAME}/{}", instance(n))]);
        let same = |_: usize| writes(&[format!("/of/{OWN_NAME}")]);
        for plan in [&others as &dyn Fn(usize) -> Plan, &literal, &same] {
            for group in PlanGroup::gather((0..12).map(|n| (instance(n), plan(n)))) {
                for instance in &group.instances {
                    let n: usize = instance.to_string().split('.').next().unwrap().parse().unwrap();
                    assert_eq!(*group.plan_of(instance), plan(n), "{group:?}");
                }
            }
        }
    }

    #[test]
    fn one_alone_is_told_by_its_name() {
        let plan = writes(&[format!("/opt/{}", instance(0))]);
        let groups = PlanGroup::gather([(instance(0), plan.clone())]);
        assert_eq!(groups, [PlanGroup::one(instance(0), plan)]);
    }
}
