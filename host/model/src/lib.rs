//! What things are in Cerebro: jobs, machines, recipes, instances, deployments, events.
//!
//! Data and validation only: no I/O, no clock, no randomness. A value of these types is valid by
//! construction; what comes from outside is checked while it is parsed, so that an error can name
//! the place. The same types travel over the wire and into the store
//! (see `docs/decisions/0002-one-set-of-types.md`).

mod check;
mod deployment;
mod desired;
mod digest;
mod effect;
mod event;
mod grants;
mod instance;
mod job;
mod machine;
mod names;
mod plan;
mod quantity;
mod recipe;
mod rollback;
mod secret;
mod task;
mod time;

pub use check::{CheckAction, CheckKind, HealthCheck};
pub use deployment::{Deployment, DeploymentState};
pub use desired::{Assignment, MachineDesired};
pub use digest::{Digest, DigestError};
pub use effect::{Action, Class, Effect, Form, Later, Seen};
pub use event::{Event, EventKind, Subject};
pub use grants::{
    Allowed, CommandBound, CommandPattern, Denied, Grants, HostPattern, Line, NamePattern,
    PathPattern, Unbounded, UrlPattern, is_treacherous_variable,
};
pub use instance::{Instance, InstanceStatus, Phase};
pub use job::{Job, JobRecord, OnFailure, Options, Ports, Rollout, ZoneLayout};
pub use machine::{Capacity, DeathCertificate, Machine, MachineState, MachineStats};
pub use names::{
    DeploymentId, InstanceId, JobName, MachineId, NameError, PortName, RecipeName, SecretName,
    Version, ZoneName,
};
pub use plan::{Plan, PlanEnd, PlanLine, Sureness};
pub use quantity::{Cores, Megabytes, QuantityError, Seconds};
pub use recipe::{ComponentKind, Recipe};
pub use rollback::{Kept, Rollback};
pub use secret::{Secret, SecretSizeError};
pub use task::{
    Flap, Holds, MaxRestarts, OnViolation, OomKill, PerConstraint, Percent, PortRef, Readiness,
    Resource, Rlimit, StopSignal, TaskConfiguration, Umask, User, Violations, Warnings, WhenSlow,
};
pub use time::Timestamp;
