//! Events: what Cerebro saw and did, for people.

use crate::{DecisionId, DeploymentId, InstanceId, JobName, MachineId, RecipeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that Cerebro saw or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Its place in the order of all events of this cluster; the first is 1.
    pub seq: u64,
    /// When the controller recorded it.
    pub at: Timestamp,
    /// What sort of thing.
    pub kind: EventKind,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// What happened and why, in a sentence.
    pub message: String,
    /// The decision that it comes from, if it comes from one: `cerebro explain decision` explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
}

/// What an event is about; whatever is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Subject {
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobName>,
    /// The machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// The recipe or check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<RecipeName>,
}

/// What sort of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each says what happened")]
pub enum EventKind {
    ControllerStarted,
    /// The controller's store was made from a backup.
    StoreRestored,
    RecipeUploaded,
    JobChanged,
    JobDeleted,
    SecretChanged,
    SecretRemoved,
    /// A machine was given a secret, for the first time in one deployment of one instance.
    SecretRead,
    DeploymentStarted,
    DeploymentSucceeded,
    DeploymentFailed,
    DeploymentSuperseded,
    /// It waits until what is on its way of the same job has ended.
    DeploymentQueued,
    DeploymentCancelled,
    /// A person holds it, or something fails while it is held.
    DeploymentPaused,
    DeploymentResumed,
    /// Its canary is well, and waits for a person.
    DeploymentWaits,
    DeploymentPromoted,
    InstancePlaced,
    InstanceRemoved,
    /// An instance serves on another machine than before, and has left that.
    InstanceMoved,
    /// Nothing was done, because nothing could be: an instance fits on no machine.
    InstanceUnplaceable,
    InstancePhase,
    RecipeLog,
    TaskStarted,
    TaskExited,
    TaskAdopted,
    SitterDied,
    SitterUpgraded,
    /// A definition of a task on a machine cannot be read, and was set aside.
    DefinitionSetAside,
    /// The machine itself is not well: its disk, its clock, its memory, its descriptors.
    MachineProblem,
    MachineProblemOver,
    MachineProvisioning,
    /// A machine is to be joined by hand, and its agent is waited for.
    MachineExpected,
    MachineJoined,
    MachineLabelled,
    MachineSilent,
    MachineBack,
    MachineLost,
    /// Somebody locked a machine against being terminated.
    MachineLocked,
    MachineUnlocked,
    MachineDraining,
    /// Nothing is on a machine any more that was to be drained.
    MachineDrained,
    MachineUndrained,
    MaintenanceBegun,
    MaintenanceOver,
    /// Something is to be done with a machine, and cannot be yet.
    MachineWaits,
    /// The end of a machine is recorded.
    MachineTerminating,
    /// An agent shows up whose machine is not known here: it is left alone.
    MachineUnknown,
    /// The provider has a machine of this cluster that no record tells of: it is left alone.
    MachineStray,
    /// A machine is taken over whose agent is ours, and was not known here.
    MachineAdopted,
    ZoneChanged,
    MachineTerminated,
    /// Repairs stand still, because too much looks dead at once.
    BreakerOpen,
    BreakerClosed,
    /// A person has automation stand still.
    AutomationPaused,
    AutomationResumed,
    /// The controller has reason to doubt itself, and does nothing.
    ControllerInDoubt,
    ControllerSure,
    /// A brake holds back what was decided.
    RepairHeld,
    RepairFreed,
    /// A machine's provider was asked to have it answer again.
    RepairTried,
    /// A repair is decided, and waits for a person.
    RepairProposed,
    RepairApproved,
    /// Whether repairs are only proposed.
    RepairMode,
    AgentStarted,
    ProviderFailed,
    /// Other instances of a job are to be published than before.
    NameChanged,
    /// A name could not be changed, and was now.
    NamePublished,
    /// A name cannot be changed.
    NameFailed,
    /// The log of decisions cannot be written: what is decided from now on cannot be explained later.
    DecisionsUnlogged,
    DecisionsLogged,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The wire's word is the person's word; a unit variant always serializes to a string.
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => f.write_str(&word),
            _ => write!(f, "{self:?}"),
        }
    }
}
