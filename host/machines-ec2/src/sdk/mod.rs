//! The provider, by the SDK.

mod check;
mod convert;
mod create;
mod end;
mod proof;
mod region;

use crate::identity::Note;
use crate::notes::Notes;
use crate::presence::{Absences, Doubt, Instance, Look, State, look};
use crate::settings::{Ec2Settings, SettingsError, ZoneSettings};
use crate::words;
use crate::zone::Place;
use async_trait::async_trait;
use cerebro_aws::sdk::{Access, Account, Carrier};
use cerebro_aws::{Calls, Counts, Patience, Speed};
use cerebro_machines::{CreateMachine, Intent, MachineProvider, Made, Presence, ProviderError};
use cerebro_model::{ClusterName, Digest, MachineId, ZoneName};
use region::Region;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What an instance is given to start with, by an image of that architecture (`x86_64` or `arm64`): cloud-init's user data,
/// 16 KiB at most, or why there is none. It must be the same for the same request.
pub type UserData = Arc<dyn Fn(&CreateMachine, &str) -> Result<String, String> + Send + Sync>;

/// How often EC2 is asked, and what is believed when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How old a listing may be by which machines are described.
    pub listing: Duration,
    /// When a machine that listings do not show is believed not to be there.
    pub doubt: Doubt,
    /// How often it is looked whether an instance has ended.
    pub poll: Duration,
    /// How long that is waited for in one call.
    pub ends_within: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            listing: Duration::from_secs(2),
            doubt: Doubt { looks: 3, grace: Duration::from_secs(60) },
            poll: Duration::from_secs(1),
            // The controller waits for half a minute.
            ends_within: Duration::from_secs(20),
        }
    }
}

/// What an [`Ec2Provider`] needs to know.
#[derive(Clone)]
pub struct Ec2Config {
    /// Whose machines.
    pub cluster: ClusterName,
    /// The administrator's word.
    pub settings: Ec2Settings,
    /// What was tried: on a disk that outlives the controller.
    pub notes: Arc<dyn Notes>,
    /// What instances start with.
    pub user_data: UserData,
    /// By what right, where the settings do not say.
    pub access: Option<Access>,
    /// What carries calls; connections, if it is not said.
    pub carrier: Option<Arc<dyn Carrier>>,
    /// How long is waited for EC2.
    pub patience: Patience,
    /// How often it is asked.
    pub pace: Pace,
    /// How many calls are made.
    pub speeds: Speeds,
}

impl Ec2Config {
    /// By these settings, with times and speeds that suit Amazon.
    pub fn new(
        cluster: ClusterName,
        settings: Ec2Settings,
        notes: Arc<dyn Notes>,
        user_data: UserData,
    ) -> Self {
        let (access, carrier, patience) = (None, None, Patience::default());
        let (pace, speeds) = (Pace::default(), Speeds::default());
        Self { cluster, settings, notes, user_data, access, carrier, patience, pace, speeds }
    }
}

/// How many calls are made in each region, by the kinds that EC2 throttles by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speeds {
    /// Those that only look.
    pub look: Speed,
    /// Those that end or reboot something.
    pub change: Speed,
    /// Launches.
    pub run: Speed,
}

impl Default for Speeds {
    /// Half of what EC2 lets through: the account has other users.
    fn default() -> Self {
        Self {
            look: Speed { burst: 50, per_second: 10.0 },
            change: Speed { burst: 25, per_second: 2.5 },
            run: Speed { burst: 3, per_second: 1.0 },
        }
    }
}

/// Machines at EC2.
#[derive(Clone)]
pub struct Ec2Provider(Arc<Inner>);

struct Inner {
    config: Ec2Config,
    places: BTreeMap<ZoneName, Place>,
    regions: BTreeMap<String, Region>,
    calls: Arc<Calls>,
    absences: Mutex<Absences>,
    opened: Instant,
}

impl Ec2Provider {
    /// Opens it. Nothing is asked of EC2 yet: [`check`](Self::check) does that.
    pub async fn open(config: Ec2Config) -> Result<Self, SettingsError> {
        let places = config.settings.places()?;
        let calls = Arc::new(Calls::new(config.patience));
        let names: BTreeSet<&String> = places.values().map(|place| &place.region).collect();
        let mut regions = BTreeMap::new();
        for name in names {
            let usual = Access::Usual { profile: config.settings.profile.clone() };
            let account = Account {
                region: name.clone(),
                endpoint: config.settings.endpoint.clone(),
                access: config.access.clone().unwrap_or(usual),
                carrier: config.carrier.clone(),
                patience: config.patience,
            };
            let region =
                Region::new(name, &account.config().await, Arc::clone(&calls), config.speeds);
            regions.insert(name.clone(), region);
        }
        let (absences, opened) = (Mutex::default(), Instant::now());
        Ok(Self(Arc::new(Inner { config, places, regions, calls, absences, opened })))
    }

    /// The instance of a machine as EC2 lists it now: its addresses, its type. Nothing is no proof that there is none.
    pub async fn instance(&self, machine: &MachineId) -> Result<Option<Instance>, ProviderError> {
        let listed = self.0.listed(Duration::ZERO, "look for an instance").await?;
        let mut found: Vec<Instance> = listed.of(machine).cloned().collect();
        found.sort_by_key(|it| (!it.state.is_alive(), it.launched));
        Ok(found.into_iter().next())
    }

    /// The policy that whoever Cerebro runs as needs, as JSON.
    pub fn policy(&self) -> String {
        crate::policy::policy(&self.0.config.cluster, &self.0.config.settings)
    }
}

/// All instances of ours, of all regions.
struct Listed {
    /// When the oldest part of it was asked for.
    at: Duration,
    instances: Vec<Instance>,
}

impl Listed {
    fn of<'a>(&'a self, machine: &'a MachineId) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |it| it.owner.machine == *machine)
    }

    /// What is answered of a machine that is not among them.
    fn unknown(&self, machine: &MachineId) -> ProviderError {
        let left = self.instances.iter().filter(|it| it.state != State::Terminated);
        let known: BTreeSet<_> = left.map(|it| it.owner.machine.as_str()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        ProviderError::Unknown { machine: machine.clone(), known }
    }
}

impl Inner {
    /// Lists what is ours, or takes a listing that is not older than that. Whole, or not at all.
    async fn listed(&self, age: Duration, doing: &str) -> Result<Listed, ProviderError> {
        let mut all = Listed { at: self.opened.elapsed(), instances: Vec::new() };
        let since = all.at.saturating_sub(age);
        for region in self.regions.values() {
            let cluster = &self.config.cluster;
            let part = region.listed(cluster, since, self.opened).await;
            let (at, instances) = part
                .map_err(|failure| words::error(format!("{doing} in {}", region.name), &failure))?;
            all.at = all.at.min(at);
            all.instances.extend(instances.iter().cloned());
        }
        Ok(all)
    }

    /// A zone's place, settings and region.
    fn zone(&self, zone: &ZoneName) -> Result<(&Place, &ZoneSettings, &Region), ProviderError> {
        let found = || {
            let place = self.places.get(zone)?;
            let settings = self.config.settings.zones.get(zone)?;
            Some((place, settings, self.regions.get(&place.region)?))
        };
        found().ok_or_else(|| ProviderError::Refused {
            doing: format!("make a machine in {zone}"),
            why: format!("there are no settings for it: add `[ec2.zones.{zone}]`"),
        })
    }

    /// Whether a machine that a whole listing does not show is believed not to be there.
    async fn is_gone(
        &self,
        machine: &MachineId,
        listed: &Listed,
        note: Option<&Note>,
    ) -> Result<bool, ProviderError> {
        let believed = {
            let mut absences = self.absences.lock().unwrap_or_else(PoisonError::into_inner);
            absences.missed(machine, listed.at, self.config.pace.doubt)
        };
        if !believed {
            return Ok(false);
        }
        // A listing goes by tags, and somebody may have removed those.
        let known = note.and_then(|note| Some((note.instance.as_ref()?, &note.region)));
        let Some((id, region)) = known else { return Ok(true) };
        let Some(region) = self.regions.get(region) else {
            return Err(ProviderError::Refused {
                doing: format!("find out about `{machine}`"),
                why: format!(
                    "it is instance `{id}` in {region}, and no zone of `[ec2.zones]` is in that region any more: add \
                     one, at least until the machine is gone"
                ),
            });
        };
        let state = region.state_of(id).await;
        let state =
            state.map_err(|failure| words::error(format!("ask about `{machine}`"), &failure))?;
        match state.filter(|state| state.is_alive()) {
            None => Ok(true),
            Some(_) => Err(ProviderError::Refused {
                doing: format!("take `{machine}` for what it was"),
                why: format!(
                    "instance `{id}` is there, but does not bear the tags that it was made with: put them back, or \
                     terminate it by hand"
                ),
            }),
        }
    }

    fn seen(&self, machine: &MachineId) {
        self.absences.lock().unwrap_or_else(PoisonError::into_inner).seen(machine);
    }

    async fn note(&self, machine: &MachineId) -> Result<Option<Note>, ProviderError> {
        let machine = machine.clone();
        self.with_notes(move |notes| notes.read(&machine)).await
    }

    /// Files make callers wait: that is no work for an async thread.
    async fn with_notes<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Notes) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let notes = Arc::clone(&self.config.notes);
        match tokio::task::spawn_blocking(move || act(notes.as_ref())).await {
            Ok(result) => result,
            Err(error) => Err(ProviderError::Unavailable {
                doing: "keep notes".to_owned(),
                why: format!("the task was ended: {error}"),
            }),
        }
    }

    async fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError> {
        let listed = self.listed(self.config.pace.listing, "list machines").await?;
        let unknown = |why: String| ProviderError::Unavailable {
            doing: format!("say whether `{machine}` is there"),
            why,
        };
        let note = self.note(machine).await?;
        // What an earlier store made of that name, and is listed as terminated for an hour, is no word on this one.
        let is_meant =
            |it: &&Instance| note.as_ref().is_none_or(|note| note.intent == it.owner.intent);
        let look = look(listed.of(machine).filter(is_meant));
        if look != Look::Absent {
            self.seen(machine);
        }
        match look {
            Look::There => Ok(Presence::Running),
            Look::Ending(why) => Ok(Presence::Ending { why }),
            Look::Ended(why) => Ok(Presence::Gone { why }),
            Look::Absent => match self.is_gone(machine, &listed, note.as_ref()).await? {
                true => Ok(Presence::Gone {
                    why: format!("EC2 has not listed it for {:?}", self.config.pace.doubt.grace),
                }),
                false => Err(unknown("EC2 does not list it, or not yet".to_owned())),
            },
        }
    }
}

#[async_trait]
impl MachineProvider for Ec2Provider {
    fn name(&self) -> &str {
        "ec2"
    }

    async fn create(&self, machine: &CreateMachine) -> Result<(), ProviderError> {
        self.0.create(machine).await
    }

    /// An instance that is switched off counts as running: a reboot starts it again.
    async fn describe(&self, machine: &MachineId) -> Result<Presence, ProviderError> {
        self.0.describe(machine).await
    }

    async fn list(&self) -> Result<Vec<MachineId>, ProviderError> {
        let listed = self.0.listed(Duration::ZERO, "list machines").await?;
        let is_left = |it: &&Instance| it.state != State::Terminated;
        let left = listed.instances.iter().filter(is_left).map(|it| it.owner.machine.clone());
        Ok(left.collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn made(&self, machine: &MachineId) -> Result<Made, ProviderError> {
        self.0.made(machine).await
    }

    async fn is_made_by(
        &self,
        machine: &MachineId,
        intent: &Intent,
    ) -> Result<bool, ProviderError> {
        let listed = self.0.listed(Duration::ZERO, "look for a machine").await?;
        // What has ended is no word on what is there.
        let mut left = listed.of(machine).filter(|it| it.state != State::Terminated).peekable();
        match left.peek() {
            None => Err(listed.unknown(machine)),
            Some(_) => Ok(left.any(|it| it.owner.intent == *intent)),
        }
    }

    fn keeps_proofs(&self) -> bool {
        true
    }

    async fn keep_proof(
        &self,
        machine: &MachineId,
        intent: &Intent,
        token: &Digest,
    ) -> Result<(), ProviderError> {
        self.0.keep_proof(machine, intent, token).await
    }

    async fn reboot(&self, machine: &MachineId) -> Result<(), ProviderError> {
        self.0.reboot(machine).await
    }

    async fn sweep(&self) -> Result<Vec<String>, ProviderError> {
        self.0.sweep().await
    }

    fn calls(&self) -> Counts {
        self.0.calls.counts()
    }

    async fn destroy(
        &self,
        machine: &MachineId,
        intent: Option<&Intent>,
    ) -> Result<(), ProviderError> {
        self.0.destroy(machine, intent).await
    }
}
