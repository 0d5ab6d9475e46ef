//! Jobs: what a user wants to run, where, and how it is kept alive.

use crate::{
    Cores, Dns, Grants, HealthCheck, JobName, Megabytes, Moves, Placement, PortName, PortRef,
    RecipeName, Rollout, Strategy, TaskConfiguration, Timestamp, ZoneName,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// A dictionary that Cerebro hands on to a recipe or check as it is.
pub type Options = serde_json::Map<String, serde_json::Value>;

/// The ports that a task listens on; 0 asks Cerebro to choose one that is free on the machine.
pub type Ports = BTreeMap<PortName, u16>;

/// A job, as its file describes it. The keys are the original's; those after
/// `task_configuration` are Cerebro's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Job {
    /// The job's name, and the DNS name below which its instances are published.
    pub dns_basename: JobName,
    /// The recipe that deploys it, by the name under which it was uploaded.
    pub deployment_recipe: RecipeName,
    /// How many instances run in each zone, and what a machine there must have. A linked job may
    /// leave it out, and its numbers are not looked at: its master's are.
    #[serde(default, deserialize_with = "layout", skip_serializing_if = "BTreeMap::is_empty")]
    pub deployment_layout: BTreeMap<ZoneName, ZoneLayout>,
    /// Handed to the recipe as they are.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    #[schema(value_type = Object)]
    pub recipe_options: Options,
    /// Whether tasks are started again after their machine was rebooted.
    #[serde(default = "yes")]
    pub persistent: bool,
    /// The job beside whose instances this one's run, one beside each, and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_job: Option<JobName>,
    /// The process, its limits, and what to do when it ends.
    pub task_configuration: TaskConfiguration,
    /// The ports that each instance listens on.
    #[serde(default, skip_serializing_if = "Ports::is_empty")]
    #[schema(value_type = BTreeMap<String, u16>)]
    pub ports: Ports,
    /// What decides whether an instance is healthy, beside its process being there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<HealthCheck>,
    /// What recipe and checks may do; nothing that is not named here.
    #[serde(default)]
    pub grants: Grants,
    /// How a new version replaces the one that runs.
    #[serde(default)]
    pub rollout: Rollout,
    /// Where its instances may stand, and who goes first when room is short.
    #[serde(default, skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// How its names are published.
    #[serde(default, skip_serializing_if = "Dns::is_default")]
    pub dns: Dns,
}

impl Job {
    /// CPU and memory that one instance in `zone` reserves: what its task may use, else one core
    /// and the memory that the layout names.
    pub fn reserves(&self, zone: &ZoneName) -> (Cores, Megabytes) {
        let task = &self.task_configuration;
        let layout = self.deployment_layout.get(zone).map_or(Megabytes::ZERO, |zone| zone.mem);
        (task.cpu.unwrap_or(Cores::from_millis(1000)), task.mem.unwrap_or(layout))
    }

    /// The numbers of the ports that each instance takes of its machine, whichever that is.
    pub fn fixed_ports(&self) -> BTreeSet<u16> {
        let named = self.ports.values().copied().filter(|port| *port != 0);
        let by_number = self.task_configuration.port_refs().filter_map(|(_, port)| match port {
            PortRef::Number(number) => (*number != 0).then_some(*number),
            PortRef::Name(_) => None,
        });
        named.chain(by_number).collect()
    }

    /// What no single key shows to be wrong with where it should run.
    fn fault(&self) -> Option<String> {
        let (name, apart) = (&self.dns_basename, &self.placement.apart_from);
        match &self.linked_job {
            None if self.deployment_layout.is_empty() => Some(
                "`deployment_layout` is missing: expected one, or `linked_job`, the job beside whose \
                 instances this one's run"
                    .to_owned(),
            ),
            Some(master) if master == name => {
                Some(format!("`linked_job` names {name} itself: expected another job, or none"))
            }
            Some(master) if apart.contains(master) => Some(format!(
                "{name} is linked to {master} and to be apart from it: take it out of `linked_job` or \
                 `apart_from`"
            )),
            Some(master) if self.rollout.strategy == Strategy::BlueGreen => Some(format!(
                "{name} is linked to {master} and has the strategy `blue-green`: it goes where {master} goes, so \
                 give {master} that strategy"
            )),
            _ if self.rollout.strategy == Strategy::BlueGreen
                && self.placement.moves == Moves::StopFirst =>
            {
                Some(format!(
                    "the strategy `blue-green` runs two versions of {name} at a time, and `moves` of \
                     `stop-first` forbids that: take one of them out"
                ))
            }
            _ if apart.contains(name) => Some(format!(
                "`apart_from` names {name} itself: to have one of its instances on each machine, set \
                 `spread` to `require`"
            )),
            _ if self.placement.failover.is_some() => self.fault_of_failover(),
            _ => None,
        }
    }

    /// What is wrong with letting other zones stand in.
    fn fault_of_failover(&self) -> Option<String> {
        let name = &self.dns_basename;
        match &self.linked_job {
            _ if self.placement.moves == Moves::StopFirst => Some(format!(
                "`failover` starts an instance of {name} elsewhere while the one that is silent may still run, and \
                 `moves` of `stop-first` forbids that: take one of them out"
            )),
            Some(master) => Some(format!(
                "{name} is linked to {master}, and stands where {master} stands: set `failover` there"
            )),
            None if self.deployment_layout.len() < 2 => Some(format!(
                "`failover` of {name} has no other zone that could stand in: name two at least in \
                 `deployment_layout`, or take it out"
            )),
            None => None,
        }
    }
}

impl Serialize for Job {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, target)
    }
}

impl<'de> Deserialize<'de> for Job {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let job = Self::deserialize(source)?;
        if let Some(fault) = job.fault() {
            return Err(serde::de::Error::custom(fault));
        }
        for (key, port) in job.task_configuration.port_refs() {
            if let PortRef::Name(name) = port
                && !job.ports.contains_key(name)
            {
                let message =
                    format!("`{key}` names port `{name}`: expected a number or a key of `ports`");
                return Err(serde::de::Error::custom(message));
            }
        }
        Ok(job)
    }
}

/// One zone's part of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneLayout {
    /// Megabytes that a machine must have to be given an instance.
    pub mem: Megabytes,
    /// The number of instances, under the name that it had in the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<InstanceCount>,
    /// The number of instances; wins over `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<InstanceCount>,
}

impl ZoneLayout {
    /// `count` instances on machines of at least `mem`.
    pub fn new(mem: Megabytes, count: u32) -> Self {
        Self { mem, cpu: None, count: Some(InstanceCount(count)) }
    }

    /// The number of instances in this zone.
    pub fn instances(&self) -> u32 {
        self.count.or(self.cpu).map_or(0, |count| count.0)
    }
}

/// A number of instances in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "u64")]
#[schema(value_type = u32)]
struct InstanceCount(u32);

impl TryFrom<u64> for InstanceCount {
    type Error = String;
    fn try_from(count: u64) -> Result<Self, String> {
        match u32::try_from(count) {
            Ok(count) if count <= 10_000 => Ok(Self(count)),
            _ => Err(format!("{count} instances in one zone: expected 10000 at most")),
        }
    }
}

fn layout<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<BTreeMap<ZoneName, ZoneLayout>, D::Error> {
    use serde::de::Error;
    let zones = BTreeMap::<ZoneName, ZoneLayout>::deserialize(source)?;
    if zones.is_empty() {
        return Err(D::Error::custom("`deployment_layout` names no zone: expected one at least"));
    }
    for (name, zone) in &zones {
        if zone.count.is_none() && zone.cpu.is_none() {
            let message = format!(
                "zone `{name}` has no number of instances: expected `count` (or the original's `cpu`)"
            );
            return Err(D::Error::custom(message));
        }
    }
    Ok(zones)
}

/// A job as the controller keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobRecord {
    /// What its file says.
    pub job: Job,
    /// Raised by one whenever what the file says changes; the first is 1.
    pub revision: u64,
    /// When this revision came.
    pub changed_at: Timestamp,
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::Job;
    use serde_json::{Value, json};

    /// A job of these keys, over those that every one has.
    fn job(keys: Value) -> Result<Job, String> {
        let mut job = json!({
            "dns_basename": "a.b", "deployment_recipe": "r",
            "task_configuration": { "name": "t", "command": "true" },
        });
        if let (Value::Object(job), Value::Object(keys)) = (&mut job, keys) {
            job.extend(keys);
        }
        serde_json::from_value(job).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused_with_what_to_do() {
        let zones = json!({ "z-1": { "mem": 1, "count": 1 }, "z-2": { "mem": 1, "count": 1 } });
        let layout =
            |placement: Value| json!({ "deployment_layout": zones, "placement": placement });
        let linked = |placement| json!({ "linked_job": "c.d", "placement": placement });
        for (bad, expected) in [
            (json!({}), "`deployment_layout` is missing"),
            (json!({ "linked_job": "a.b" }), "names a.b itself"),
            (linked(json!({ "apart_from": ["c.d"] })), "linked to c.d and to be apart from it"),
            (linked(json!({ "failover": {} })), "stands where c.d stands: set `failover` there"),
            (layout(json!({ "apart_from": ["a.b"] })), "set `spread` to `require`"),
            (layout(json!({ "failover": {}, "moves": "stop-first" })), "`stop-first` forbids that"),
            (
                json!({ "deployment_layout": { "z-1": { "mem": 1, "count": 1 } }, "placement": { "failover": {} } }),
                "name two at least",
            ),
        ] {
            let error = job(bad.clone()).err().unwrap_or_default();
            assert!(error.contains(expected), "{bad}: {error}");
        }
        assert!(job(layout(json!({ "failover": { "after": 30 } }))).is_ok());
    }
}
