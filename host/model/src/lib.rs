//! What things are in Cerebro: jobs, machines, recipes, instances, deployments, events.
//!
//! Data and validation only: no I/O, no clock, no randomness. A value of these types is valid by
//! construction; what comes from outside is checked while it is parsed, so that an error can name
//! the place. The same types travel over the wire and into the store
//! (see `docs/decisions/0002-one-set-of-types.md`).

mod check;
mod course;
mod death;
mod deployment;
mod desired;
mod digest;
mod effect;
mod event;
mod grants;
mod instance;
mod job;
mod ladder;
mod link;
mod machine;
mod machine_moves;
mod machine_state;
mod names;
mod origin;
mod pause;
mod placement;
mod plan;
mod proposal;
mod publication;
mod quantity;
mod recipe;
mod rollback;
mod rollout;
mod secret;
mod task;
mod time;
mod tombstone;
mod what_if;
mod zone;

pub use check::{CheckAction, CheckKind, HealthCheck};
pub use course::{CanaryStage, Course, DeploymentPause};
pub use death::{DeathCertificate, PeerWord, Sight, Verdict};
pub use deployment::{Deployment, DeploymentState, HeldTo};
pub use desired::{Assignment, MachineDesired};
pub use digest::{Digest, DigestError};
pub use effect::{Action, Class, Effect, Form, Later, Seen, account_to_be};
pub use event::{Event, EventKind, Subject};
pub use grants::{
    Allowed, CommandBound, CommandPattern, Denied, Grants, HostPattern, Line, NamePattern,
    PathPattern, Unbounded, UrlPattern, is_treacherous_variable,
};
pub use instance::{Instance, InstanceStatus, Leaving, Life, Phase};
pub use job::{Job, JobRecord, Options, Ports, ZoneLayout};
pub use ladder::{Attempt, Rung};
pub use link::{LinkCycle, masters};
pub use machine::{Capacity, Machine, MachineStats};
pub use machine_moves::MoveError;
pub use machine_state::{AfterDrain, Drain, Lock, MachineState, Maintenance};
pub use names::{
    ClusterName, DecisionId, DeploymentId, InstanceId, JobName, LabelName, LabelValue, MachineId,
    NameError, PortName, RecipeName, SecretName, Version, ZoneName,
};
pub use origin::Origin;
pub use pause::{Pause, PauseScope};
pub use placement::{AnyOf, Failover, Labels, Moves, Placement, Priority, Spread};
pub use plan::{Plan, PlanEnd, PlanLine, Sureness};
pub use proposal::{Proposal, Repair};
pub use publication::{Dns, Lifetime, Member, Publication};
pub use quantity::{Cores, Megabytes, QuantityError, Seconds};
pub use recipe::{ComponentKind, Recipe};
pub use rollback::{Kept, Rollback};
pub use rollout::{Canary, OnFailure, Promote, Rollout, Strategy, WhenBusy};
pub use secret::{Secret, SecretSizeError};
pub use task::{
    Flap, Holds, MaxRestarts, OnViolation, OomKill, PerConstraint, Percent, PortRef, Readiness,
    Resource, Rlimit, StopSignal, TaskConfiguration, Umask, User, Violations, Warnings, WhenSlow,
};
pub use time::Timestamp;
pub use tombstone::Tombstone;
pub use what_if::{Foreseen, GivenUp, HeldBack, JobHit, Made, Moment, WhatIf};
pub use zone::{ZoneChange, ZoneError, ZoneSettings};
