//! Every path of the controller's and the agent's API, once.

use cerebro_model::{
    DecisionId, DeploymentId, Digest, InstanceId, JobName, MachineId, RecipeName, SecretName,
    ZoneName,
};

/// Uploaded components: list; with a name: `PUT` to upload, `GET` to inspect.
pub const RECIPES: &str = "/v1/recipes";
/// Artifacts by digest: `POST` to upload.
pub const ARTIFACTS: &str = "/v1/artifacts";
/// Jobs.
pub const JOBS: &str = "/v1/jobs";
/// Deployments of all jobs.
pub const DEPLOYMENTS: &str = "/v1/deployments";
/// What agents on other machines are made of; with a digest: the bytes of one of the programs.
pub const AGENT: &str = "/v1/agent";
/// Machines: list; `POST` one that is to be joined by hand.
pub const MACHINES: &str = "/v1/machines";
/// Machines that were given up lately.
pub const TOMBSTONES: &str = "/v1/tombstones";
/// Machines that the provider has for the cluster, and that no record tells of; with an id: one, to `DELETE` it.
pub const STRAYS: &str = "/v1/strays";
/// Names that are published; with a job and `/advice`: what should be at the job's own name.
pub const NAMES: &str = "/v1/names";
/// Zones: list; with a name: `PATCH` to change how many machines it has.
pub const ZONES: &str = "/v1/zones";
/// Secrets: list; with a name: `PUT` to set, `DELETE` to remove. Nothing here gives one away.
pub const SECRETS: &str = "/v1/secrets";
/// Pauses: `GET` those in force, `PUT` one, `DELETE` to end one (`?job=` or `?zone=`).
pub const PAUSES: &str = "/v1/pauses";
/// Repairs that wait for a person.
pub const PROPOSALS: &str = "/v1/proposals";
/// Whether repairs are only proposed: `PUT` to say so.
pub const REPAIR_MODE: &str = "/v1/repair-mode";
/// What is not as it should be, and what holds Cerebro back.
pub const STATUS: &str = "/v1/status";
/// Instances of all jobs: the tasks.
pub const TASKS: &str = "/v1/tasks";
/// On the agent: every task's log files.
pub const LOGS: &str = "/v1/logs";
/// On the agent: how the machine is doing, at length.
pub const STATS: &str = "/v1/stats";
/// Events: a page of them, or with `Accept: text/event-stream` a live stream.
pub const EVENTS: &str = "/v1/events";
/// Looks that decided something: `?machine=`, `?job=`, `?limit=`; with an id: one, explained.
pub const DECISIONS: &str = "/v1/decisions";
/// What would be if something happened: `POST` it.
pub const WHAT_IF: &str = "/v1/what-if";
/// The OpenAPI description.
pub const OPENAPI: &str = "/v1/openapi.json";
/// Whether the process answers.
pub const HEALTHZ: &str = "/healthz";
/// What can be counted, in OpenMetrics' text format.
pub const METRICS: &str = "/metrics";

/// `RECIPES/{name}`.
pub fn recipe(name: &RecipeName) -> String {
    format!("{RECIPES}/{name}")
}

/// `STRAYS/{id}`.
pub fn stray(id: &MachineId) -> String {
    format!("{STRAYS}/{id}")
}

/// What should be at a job's own name.
pub fn name_advice(job: &JobName) -> String {
    format!("{NAMES}/{job}/advice")
}

/// The bytes of a component or artifact.
pub fn blob(digest: &Digest) -> String {
    format!("/v1/blobs/{digest}")
}

/// `JOBS/{job}`.
pub fn job(job: &JobName) -> String {
    format!("{JOBS}/{job}")
}

/// A job's deployments: `POST` to trigger one.
pub fn job_deployments(job: &JobName) -> String {
    format!("{JOBS}/{job}/deployments")
}

/// What a job's deployment would do: `POST` the request of one.
pub fn job_plans(job: &JobName) -> String {
    format!("{JOBS}/{job}/plans")
}

/// `SECRETS/{name}`.
pub fn secret(name: &SecretName) -> String {
    format!("{SECRETS}/{name}")
}

/// `DEPLOYMENTS/{id}`.
pub fn deployment(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}")
}

/// `DECISIONS/{id}`.
pub fn decision(id: &DecisionId) -> String {
    format!("{DECISIONS}/{id}")
}

/// How a job stands, and why.
pub fn job_explanation(job: &JobName) -> String {
    format!("{JOBS}/{job}/explanation")
}

/// How a machine stands, and why.
pub fn machine_explanation(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/explanation")
}

/// A deployment's events: live, from its start to its end.
pub fn deployment_events(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/events")
}

/// `POST` to take a deployment back.
pub fn deployment_rollback(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/rollback")
}

/// `POST` to hold a deployment that is on its way.
pub fn deployment_pause(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/pause")
}

/// `POST` to let a paused deployment go on.
pub fn deployment_resume(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/resume")
}

/// `POST` to let a deployment go on from its canary.
pub fn deployment_promote(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/promote")
}

/// `POST` to take a deployment out of the queue.
pub fn deployment_cancel(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/cancel")
}

/// What a deployment's recipe did, wherever it went.
pub fn deployment_calls(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/calls")
}

/// The recording of what it did for one instance.
pub fn deployment_recording(id: &DeploymentId, instance: &InstanceId) -> String {
    format!("{DEPLOYMENTS}/{id}/calls/{instance}/recording")
}

/// Who wrote a path of a machine last: `?path=`.
pub fn machine_why(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/why")
}

/// What has changed on a machine since Cerebro wrote it.
pub fn machine_drift(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/drift")
}

/// The bytes of a program of the agent's.
pub fn agent_program(digest: &Digest) -> String {
    format!("{AGENT}/{digest}")
}

/// `MACHINES/{id}`.
pub fn machine(id: &MachineId) -> String {
    format!("{MACHINES}/{id}")
}

/// A machine's labels: `PUT` to set them.
pub fn machine_labels(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/labels")
}

/// `POST` to take a machine over whose record is lost.
pub fn machine_adoption(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/adoption")
}

/// `PUT` to lock a machine against being terminated, `DELETE` to unlock it.
pub fn machine_lock(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/lock")
}

/// `PUT` to drain a machine, `DELETE` to have it take instances again.
pub fn machine_drain(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/drain")
}

/// `PUT` to have a machine left alone for a time, `DELETE` to end that.
pub fn machine_maintenance(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/maintenance")
}

/// `ZONES/{zone}`.
pub fn zone(zone: &ZoneName) -> String {
    format!("{ZONES}/{zone}")
}

/// Ends a local machine as a power cut would.
pub fn machine_kill(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/kill")
}

/// `POST` to approve a repair.
pub fn proposal_approval(id: &str) -> String {
    format!("{PROPOSALS}/{id}/approval")
}

/// From an agent: it is there.
pub fn machine_join(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/join")
}

/// From an agent: it is still there.
pub fn machine_heartbeat(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/heartbeat")
}

/// From an agent: what should run; a blocking query with `?term=&index=&wait=`.
pub fn machine_desired(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/desired")
}

/// From an agent: how its instances are, and what it saw.
pub fn machine_report(id: &MachineId) -> String {
    format!("{MACHINES}/{id}/report")
}

/// From an agent: a secret that one of its instances is granted.
pub fn machine_secret(id: &MachineId, instance: &InstanceId, name: &SecretName) -> String {
    format!("{MACHINES}/{id}/instances/{instance}/secrets/{name}")
}

/// A task's logs: `?stream=stdout|stderr&tail=N&follow=true`; on the agent under the same path.
pub fn task_logs(id: &InstanceId) -> String {
    format!("{TASKS}/{id}/logs")
}

/// On the agent: a task by its name, which may hold anything.
pub fn machine_task(name: &str) -> String {
    // Unreserved characters stay: RFC 3986, section 2.3.
    let encoded = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    format!("{TASKS}/{}", encoded.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_segment() {
        assert_eq!(machine_task("a/b c?é"), "/v1/tasks/a%2Fb%20c%3F%C3%A9");
    }
}
