//! How a machine is made: once, whatever happens meanwhile.

use super::region::{Image, Order, Region};
use super::{Inner, Listed};
use crate::choose::{Wish, choose};
use crate::identity::{Note, tags};
use crate::launch::{Launch, Launches, Market};
use crate::presence::{Instance, State};
use crate::settings::ZoneSettings;
use crate::words::{self, is_no_room};
use cerebro_aws::Kind;
use cerebro_machines::{CreateMachine, Intent, ProviderError};
use cerebro_model::{Capacity, Megabytes};
use std::time::Duration;

/// The largest user data that EC2 takes, in bytes.
const LARGEST_USER_DATA: usize = 16_384;
/// EC2 takes no longer lists of values for a filter.
const MOST_FILTER_VALUES: u32 = 200;

impl Inner {
    pub(super) async fn create(&self, request: &CreateMachine) -> Result<(), ProviderError> {
        let machine = &request.id;
        let intent = Intent::of(&request.join_token);
        let (place, settings, region) = self.zone(&request.zone)?;
        let note = self.note(machine).await?.filter(|note| note.intent == intent);
        if note.as_ref().is_some_and(|note| note.instance.is_some()) {
            // Also if it has died since: none is made in its place.
            return Ok(());
        }
        let listed = self.listed(Duration::ZERO, "look for what was made before").await?;
        if self.is_there(request, &intent, &listed).await? {
            return Ok(());
        }
        let doing = || format!("make `{machine}` in {}", request.zone);
        let image = region.image(&settings.image).await;
        let image = image.map_err(|failure| words::error(doing(), &failure))?;
        let types =
            self.types(request.capacity, settings, region, &place.availability_zone, &image);
        let types = types.await.map_err(|why| why.into_error(doing()))?;
        let refused = |why: String| ProviderError::Refused { doing: doing(), why };
        let order = Order {
            settings,
            image: &image,
            availability_zone: &place.availability_zone,
            tags: tags(&self.config.cluster, request, &self.config.settings.tags),
            user_data: (self.config.user_data)(request, &image.architecture).map_err(&refused)?,
            disk_gib: disk_gib(settings, &image, request.capacity),
        };
        if order.user_data.len() > LARGEST_USER_DATA {
            let found = order.user_data.len();
            return Err(refused(format!(
                "its user data has {found} bytes, and EC2 takes {LARGEST_USER_DATA} at most"
            )));
        }
        let mut launches = Launches::of(&types, &settings.subnets, settings.spot);
        let Some(first) = launches.first().cloned() else {
            return Err(refused("there is no way to try".to_owned()));
        };
        let mut note = match note {
            Some(note) => note,
            None => self.noted(machine, Note::first(intent.clone(), &place.region, first)).await?,
        };
        let mut tried = Vec::new();
        loop {
            let token = note.token(&self.config.cluster, machine);
            let failure = match region.run(&order, &note.launch, &token).await {
                Ok(id) => {
                    self.noted(machine, Note { instance: Some(id), ..note }).await?;
                    return Ok(());
                }
                Err(failure) => failure,
            };
            match failure.kind {
                _ if is_no_room(&failure) => {
                    let code = failure.code.as_deref();
                    tried.push(format!("{}: {}", note.launch, code.unwrap_or("no word")));
                    launches.no_room(&note.launch, code);
                }
                // It was made, and has died since: none is made in its place.
                Kind::Ended => return Ok(()),
                // It was asked for by other settings, and may have been made.
                Kind::Mismatch => {
                    let listed =
                        self.listed(Duration::ZERO, "look for what was made before").await?;
                    if self.is_there(request, &intent, &listed).await? {
                        return Ok(());
                    }
                    if !self.is_gone(machine, &listed, Some(&note)).await? {
                        let why =
                            format!("it was asked for before, and is not listed yet ({failure})");
                        return Err(ProviderError::Unavailable { doing: doing(), why });
                    }
                }
                // What was tried before a crash is not what the settings say now.
                Kind::Refused | Kind::NotFound if !launches.has(&note.launch) => {}
                _ => return Err(words::error(doing(), &failure)),
            }
            let Some(next) = launches.first().cloned() else {
                let (machine, zone) = (machine.clone(), request.zone.clone());
                return Err(ProviderError::NoCapacity { machine, zone, why: tried.join(", ") });
            };
            note = self.noted(machine, note.next(next)).await?;
        }
    }

    /// Whether a listing shows the machine that is to be made; what there is more than one of is ended.
    async fn is_there(
        &self,
        request: &CreateMachine,
        intent: &Intent,
        listed: &Listed,
    ) -> Result<bool, ProviderError> {
        let machine = &request.id;
        let is_other = |it: &&Instance| it.owner.intent != *intent && it.state != State::Terminated;
        if listed.of(machine).any(|it| is_other(&it)) {
            return Err(ProviderError::Taken { machine: machine.clone() });
        }
        let ours: Vec<Instance> =
            listed.of(machine).filter(|it| it.owner.intent == *intent).cloned().collect();
        let age = |it: &&Instance| (!it.state.is_alive(), it.launched, it.id.clone());
        let Some(eldest) = ours.iter().min_by_key(age) else { return Ok(false) };
        self.seen(machine);
        self.end_doubles(&ours).await?;
        let launch = Launch {
            instance_type: eldest.instance_type.clone(),
            subnet: None,
            market: Market::OnDemand,
        };
        let region = self.region_of(eldest).map_or_else(String::new, |region| region.name.clone());
        let note = Note::first(intent.clone(), &region, launch);
        self.noted(machine, Note { instance: Some(eldest.id.clone()), ..note }).await?;
        Ok(true)
    }

    /// Writes a note down, for good.
    async fn noted(
        &self,
        machine: &cerebro_model::MachineId,
        note: Note,
    ) -> Result<Note, ProviderError> {
        let machine = machine.clone();
        self.with_notes(move |notes| notes.write(&machine, &note).map(|()| note)).await
    }

    /// The types that a machine of this capacity may become in a zone.
    pub(super) async fn types(
        &self,
        capacity: Capacity,
        settings: &ZoneSettings,
        region: &Region,
        availability_zone: &str,
        image: &Image,
    ) -> Result<Vec<String>, NoTypes> {
        let wish = Wish {
            capacity,
            architecture: &image.architecture,
            allow: &settings.allow,
            deny: &settings.deny,
            prices: &self.config.settings.prices,
        };
        // Amazon has hundreds: those that are far too large are not asked for. Most have 2 GiB at least for each CPU.
        let least = wish.vcpus();
        let for_memory = u32::try_from(capacity.mem.get() / 2048).unwrap_or(u32::MAX);
        let most = least.saturating_mul(4).max(for_memory).max(8);
        let vcpus = (most - least < MOST_FILTER_VALUES).then_some((least, most));
        let types =
            region.types(availability_zone, &image.architecture, vcpus, &settings.allow).await;
        choose(&types.map_err(NoTypes::Failure)?, &wish).map_err(NoTypes::None)
    }
}

/// Why there are no types to choose from.
pub(super) enum NoTypes {
    /// They could not be listed.
    Failure(cerebro_aws::Failure),
    /// None is enough.
    None(String),
}

impl NoTypes {
    pub(super) fn into_error(self, doing: String) -> ProviderError {
        match self {
            Self::Failure(failure) => words::error(doing, &failure),
            Self::None(why) => ProviderError::Refused { doing, why },
        }
    }
}

/// How large the root volume is made.
pub(super) fn disk_gib(settings: &ZoneSettings, image: &Image, capacity: Capacity) -> u32 {
    let asked = capacity.disk.saturating_add(Megabytes::new(1023)).get() / 1024;
    let asked = u32::try_from(asked).unwrap_or(u32::MAX);
    asked.max(image.size_gib).max(settings.root_volume_gib.unwrap_or_default()).max(8)
}
