//! What is told of deployments that takes the word of the agents: plans, and what was done.

pub use crate::plan_group::{OWN_NAME, PlanGroup};

use crate::call::CallReport;
use cerebro_model::{Deployment, InstanceId, MachineId, Plan};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a deployment would do, wherever it would go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanReport {
    /// The deployment that would be made; nothing of it is kept.
    pub deployment: Deployment,
    /// What it would do: instances of which the same is planned are together, the largest group first.
    pub groups: Vec<PlanGroup>,
    /// Instances whose agent gave no plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<Silent>,
    /// Instances that have no machine to be planned on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Instances that would end: the job is to have fewer, or none in their zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<InstanceId>,
    /// The machine that each instance with a plan was planned on: its plan says nothing of another.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub machines: BTreeMap<InstanceId, MachineId>,
}

/// Why an instance has no plan to be held to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// Nobody planned it.
    #[error("{instance} on {machine} is not in the plan: plan again, or let it go beyond the plan")]
    Unplanned {
        /// Which instance.
        instance: InstanceId,
        /// Where it is.
        machine: MachineId,
    },
    /// It was planned somewhere else.
    #[error(
        "{instance} was planned on {planned}, and is on {machine} now: plan again, or let it go beyond the plan"
    )]
    Elsewhere {
        /// Which instance.
        instance: InstanceId,
        /// Where it was planned.
        planned: MachineId,
        /// Where it is.
        machine: MachineId,
    },
}

impl PlanReport {
    /// What was planned for an instance on the machine where it is.
    pub fn plan_for(
        &self,
        instance: &InstanceId,
        machine: &MachineId,
    ) -> Result<Cow<'_, Plan>, NoPlan> {
        let group = self.groups.iter().find(|group| group.instances.contains(instance));
        let planned = self.machines.get(instance);
        if let (Some(group), Some(planned)) = (group, planned)
            && planned == machine
        {
            return Ok(group.plan_of(instance));
        }
        let (instance, machine) = (instance.clone(), machine.clone());
        Err(match (group, planned.cloned()) {
            (Some(_), Some(planned)) => NoPlan::Elsewhere { instance, planned, machine },
            _ => NoPlan::Unplanned { instance, machine },
        })
    }

    /// The exit code that says what there is: the worst of all plans, as [`Plan::exit_code`] has them.
    /// An agent without a plan is an error; of an instance without a machine nobody can know.
    pub fn exit_code(&self) -> u8 {
        let of_groups = self.groups.iter().map(|group| group.plan.exit_code());
        let silent = self.silent.iter().map(|_| 1);
        let waiting = self.waiting.iter().map(|_| 11);
        let leaving = self.leaving.iter().map(|_| 10);
        let all = of_groups.chain(silent).chain(waiting).chain(leaving);
        // An error is worse than all that is planned.
        all.max_by_key(|code| if *code == 1 { u8::MAX } else { *code }).unwrap_or(0)
    }
}

/// An instance whose agent did not answer as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Silent {
    /// The instance.
    pub instance: InstanceId,
    /// Its machine.
    pub machine: MachineId,
    /// Why, in a sentence.
    pub why: String,
}

/// An instance that waits for a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Waiting {
    /// The instance.
    pub instance: InstanceId,
    /// What it waits for.
    pub why: String,
}

/// A deployment, with what its recipe did where it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeploymentCalls {
    /// The deployment.
    pub deployment: Deployment,
    /// What its recipe did, for each instance that it came to and that is still where it was.
    pub calls: Vec<CallReport>,
    /// Instances whose agent did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<Silent>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_model::PlanEnd;

    fn report(ends: Vec<PlanEnd>) -> PlanReport {
        let job = serde_json::json!({
            "dns_basename": "a.b", "deployment_recipe": "r",
            "deployment_layout": { "z-1": { "mem": 1, "count": 1 } },
            "task_configuration": { "name": "t", "command": "true" },
        });
        let deployment = serde_json::json!({
            "id": "d-1", "revision": 1, "job": job, "version": "1", "recipe": "0".repeat(64),
            "checks": {}, "state": { "is": "running" }, "created_at": "2026-01-01T00:00:00Z",
        });
        let group = |end| {
            let plan = Plan { component: String::new(), lines: Vec::new(), end };
            PlanGroup { digest: plan.digest(), plan, instances: Vec::new(), named: false }
        };
        PlanReport {
            deployment: serde_json::from_value(deployment).unwrap(),
            groups: ends.into_iter().map(group).collect(),
            silent: Vec::new(),
            waiting: Vec::new(),
            leaving: Vec::new(),
            machines: BTreeMap::new(),
        }
    }

    #[test]
    fn the_worst_of_all_plans_is_the_exit_code() {
        let (whole, cut) = (PlanEnd::Whole, PlanEnd::Cut("x".to_owned()));
        assert_eq!(report(vec![]).exit_code(), 0);
        assert_eq!(report(vec![whole.clone(), cut.clone()]).exit_code(), 12);
        assert_eq!(report(vec![PlanEnd::Fails("x".to_owned()), cut]).exit_code(), 1);
        let mut waits = report(vec![whole]);
        let instance: InstanceId = "0.z-1.a.b".parse().unwrap();
        waits.waiting.push(Waiting { instance: instance.clone(), why: String::new() });
        assert_eq!(waits.exit_code(), 11);
        let silent = Silent { instance, machine: "m-1".parse().unwrap(), why: String::new() };
        waits.silent.push(silent);
        assert_eq!(waits.exit_code(), 1);
    }

    #[test]
    fn a_plan_is_of_one_instance_on_one_machine() {
        let mut report = report(vec![PlanEnd::Whole]);
        let instance: InstanceId = "0.z-1.a.b".parse().unwrap();
        let [here, there]: [MachineId; 2] = [1, 2].map(MachineId::nth);
        let unplanned = |machine: &MachineId| NoPlan::Unplanned {
            instance: instance.clone(),
            machine: machine.clone(),
        };
        assert_eq!(report.plan_for(&instance, &here), Err(unplanned(&here)));
        report.groups[0].instances.push(instance.clone());
        // Of an older controller, which did not say where.
        assert_eq!(report.plan_for(&instance, &here), Err(unplanned(&here)));
        report.machines.insert(instance.clone(), here.clone());
        assert_eq!(report.plan_for(&instance, &here), Ok(Cow::Borrowed(&report.groups[0].plan)));
        let elsewhere = report.plan_for(&instance, &there).unwrap_err();
        assert!(elsewhere.to_string().contains("planned on m-1, and is on m-2 now"), "{elsewhere}");
    }
}
