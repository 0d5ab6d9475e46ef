//! Secrets: which there are, and who may have one.

use super::{AgentError, ChangeError, Cluster, State, about_instance, event, on_disk};
use crate::records::{Change, SecretRecord};
use cerebro_api::body::SecretView;
use cerebro_model::{
    Denied, DeploymentId, EventKind, InstanceId, JobName, MachineId, Secret, SecretName, Subject,
};
use cerebro_store::StoreError;
use std::collections::BTreeSet;

/// Why an agent is not given a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is not listened to at all.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The instance is not its.
    #[error(
        "{instance} is not for {machine} to run, so it is given no secret for it: it was placed \
         elsewhere, or ended"
    )]
    Elsewhere {
        /// The instance.
        instance: InstanceId,
        /// The agent's machine.
        machine: MachineId,
    },
    /// The job does not grant it.
    #[error("{job}, as it is deployed: {denied}")]
    Denied {
        /// The job.
        job: JobName,
        /// What to add where.
        denied: Denied,
    },
    /// There is none.
    #[error("the cluster has no secret `{0}`: `cerebro secret set {0}` keeps one")]
    Unknown(SecretName),
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ChangeError> for SecretError {
    fn from(error: ChangeError) -> Self {
        AgentError::from(error).into()
    }
}

/// What was given for one placement of an instance, since it was told what to run or we began.
#[derive(Debug)]
pub struct Given {
    placement: u64,
    deployment: DeploymentId,
    names: BTreeSet<SecretName>,
}

impl Cluster {
    /// Every secret, without what it is.
    pub fn secrets(&self) -> Vec<SecretView> {
        let state = self.state();
        state.records.secrets.values().map(|record| view(&state, record)).collect()
    }

    /// Keeps a secret, in place of one that had its name before.
    pub fn set_secret(&self, name: &SecretName, secret: Secret) -> Result<SecretView, ChangeError> {
        self.change(|state| {
            let before = state.records.secrets.get(name);
            let told = event(
                EventKind::SecretChanged,
                Subject::default(),
                match before {
                    None => format!("the secret `{name}` was set"),
                    Some(_) => format!("the secret `{name}` was changed"),
                },
            );
            let record = SecretRecord {
                name: name.clone(),
                size: secret.reveal().len() as u64,
                created_at: before.map_or(state.now, |record| record.created_at),
                changed_at: state.now,
            };
            let answer = view(state, &record);
            Ok((Change::default().secret(name, Some((record, secret))).event(told), answer))
        })
    }

    /// Removes a secret; answers whether there was one.
    pub fn remove_secret(&self, name: &SecretName) -> Result<bool, ChangeError> {
        self.change(|state| {
            if !state.records.secrets.contains_key(name) {
                return Ok((Change::default(), false));
            }
            let message = format!("the secret `{name}` was removed");
            let told = event(EventKind::SecretRemoved, Subject::default(), message);
            Ok((Change::default().secret(name, None).event(told), true))
        })
    }

    /// A secret for an agent: only while the instance is its, and only if the job that it runs
    /// grants the secret. That it was given is told first, once for each deployment of an instance.
    pub fn secret_for(
        &self,
        machine: &MachineId,
        token: &str,
        id: &InstanceId,
        name: &SecretName,
    ) -> Result<Secret, SecretError> {
        let (subject, is_news) = {
            let mut state = self.state();
            Self::authenticate(&state, machine, token)?;
            let State { records, observed, .. } = &mut *state;
            let elsewhere =
                || SecretError::Elsewhere { instance: id.clone(), machine: machine.clone() };
            let instance = records.instances.get(id).and_then(|instance| instance.on(machine));
            let instance = &instance.ok_or_else(elsewhere)?;
            let deployment = records.deployments.get(&instance.deployment).ok_or_else(elsewhere)?;
            deployment
                .job
                .grants
                .secret(name.as_str())
                .map_err(|denied| SecretError::Denied { job: instance.job.clone(), denied })?;
            // Only now: who is not granted it need not know whether there is one.
            if !records.secrets.contains_key(name) {
                return Err(SecretError::Unknown(name.clone()));
            }
            observed.given.retain(|id, _| records.instances.contains_key(id));
            let none = || Given {
                placement: instance.placement,
                deployment: instance.deployment.clone(),
                names: BTreeSet::new(),
            };
            let given = observed.given.entry(id.clone()).or_insert_with(none);
            if given.placement != instance.placement || given.deployment != instance.deployment {
                *given = none();
            }
            (about_instance(instance), given.names.insert(name.clone()))
        };
        let given = self.give(id, name, is_news.then_some(subject));
        if is_news && given.is_err() {
            let observed = &mut self.state().observed;
            observed.given.get_mut(id).map(|given| given.names.remove(name));
        }
        given
    }

    fn give(
        &self,
        id: &InstanceId,
        name: &SecretName,
        news: Option<Subject>,
    ) -> Result<Secret, SecretError> {
        let secret = on_disk(|| self.store.secret(name.as_str()))?;
        let secret = secret.ok_or_else(|| SecretError::Unknown(name.clone()))?;
        if let Some(subject) = news {
            let message = format!("{id} was given the secret `{name}`");
            self.tell(vec![event(EventKind::SecretRead, subject, message)])?;
        }
        Ok(secret)
    }
}

fn view(state: &State, record: &SecretRecord) -> SecretView {
    let SecretRecord { name, size, created_at, changed_at } = record.clone();
    let granted = state.records.jobs.values().map(|record| &record.job);
    let granted = granted.filter(|job| job.grants.secret(name.as_str()).is_ok());
    let jobs = granted.map(|job| job.dns_basename.clone()).collect();
    SecretView { name, size, created_at, changed_at, jobs }
}
