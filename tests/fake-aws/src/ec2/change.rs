//! How instances are ended, rebooted, started again and tagged.

use super::{Ec2, EventKind, InstanceState, response, run};
use crate::api::{ApiError, Done, Params};
use crate::xml::Xml;
use std::collections::BTreeMap;
use std::time::Duration;

impl Ec2 {
    pub(super) fn terminate_instances(
        &mut self,
        params: &Params,
        now: Duration,
    ) -> Result<Done, ApiError> {
        let ids = self.some_instances(params, now)?;
        let protected = |id: &&String| self.instances.get(*id).is_some_and(|it| it.is_protected);
        if let Some(id) = ids.iter().find(protected) {
            let message = format!(
                "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute \
                 and try again."
            );
            return Err(ApiError::new(400, "OperationNotPermitted", message));
        }
        let after = self.account.timings.shutting_down;
        self.change(ids, now, "TerminateInstances", |instance| {
            instance.end(now, after, "Client.UserInitiatedShutdown");
        })
    }

    pub(super) fn reboot_instances(
        &mut self,
        params: &Params,
        now: Duration,
    ) -> Result<Done, ApiError> {
        let ids = self.some_instances(params, now)?;
        self.all_are(&ids, now, InstanceState::Running, "rebooted")?;
        for id in &ids {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.reboots += 1;
            }
            if let Some(instance) = self.instances.get(id) {
                self.tell(EventKind::Rebooted, instance);
            }
        }
        let body = response("RebootInstances", Xml::new().text("return", "true"));
        Ok(Done { body, touched: ids })
    }

    pub(super) fn start_instances(
        &mut self,
        params: &Params,
        now: Duration,
    ) -> Result<Done, ApiError> {
        let ids = self.some_instances(params, now)?;
        self.all_are(&ids, now, InstanceState::Stopped, "started")?;
        let after = self.account.timings.pending;
        self.change(ids, now, "StartInstances", |instance| {
            instance.enter(now, InstanceState::Pending);
            instance.enter(now + after, InstanceState::Running);
        })
    }

    /// Of instances alone.
    pub(super) fn create_tags(&mut self, params: &Params, now: Duration) -> Result<Done, ApiError> {
        let ids = self.seen_instances(params.list("ResourceId"), now)?;
        let mut tags = BTreeMap::new();
        run::read_tags(params, "Tag", &mut tags)?;
        for (name, is_missing) in [("ResourceId", ids.is_empty()), ("Tag", tags.is_empty())] {
            if is_missing {
                let message = format!("The request must contain the parameter {name}");
                return Err(ApiError::new(400, "MissingParameter", message));
            }
        }
        for id in &ids {
            let own = self.instances.get(id).map(|it| it.tags.clone()).unwrap_or_default();
            run::fit(&own.into_iter().chain(tags.clone()).collect())?;
        }
        for id in &ids {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.tags.extend(tags.clone());
            }
        }
        let body = response("CreateTags", Xml::new().text("return", "true"));
        Ok(Done { body, touched: ids })
    }

    fn some_instances(&self, params: &Params, now: Duration) -> Result<Vec<String>, ApiError> {
        let ids = self.named_instances(params, now)?;
        match ids.is_empty() {
            true => {
                Err(ApiError::new(400, "MissingParameter", "The request must contain InstanceId"))
            }
            false => Ok(ids),
        }
    }

    fn all_are(
        &self,
        ids: &[String],
        now: Duration,
        state: InstanceState,
        to_be: &str,
    ) -> Result<(), ApiError> {
        let is_other =
            |id: &&String| self.instances.get(*id).is_some_and(|it| it.state(now) != state);
        match ids.iter().find(is_other) {
            None => Ok(()),
            Some(id) => {
                let message =
                    format!("The instance '{id}' is not in a state from which it can be {to_be}.");
                Err(ApiError::new(400, "IncorrectInstanceState", message))
            }
        }
    }

    fn change(
        &mut self,
        ids: Vec<String>,
        now: Duration,
        action: &str,
        change: impl Fn(&mut super::Instance),
    ) -> Result<Done, ApiError> {
        let mut changed = Vec::new();
        for id in &ids {
            let Some(instance) = self.instances.get_mut(id) else { continue };
            let before = instance.state(now);
            change(instance);
            let state = |state: InstanceState| {
                let (code, name) = state.wire();
                Xml::new().text("code", code).text("name", name)
            };
            let after = instance.state(now);
            changed.push(
                Xml::new()
                    .text("instanceId", id)
                    .within("currentState", state(after))
                    .within("previousState", state(before)),
            );
        }
        let body = response(action, Xml::new().items("instancesSet", "item", changed));
        Ok(Done { body, touched: ids })
    }
}
