//! Names in memory: strict as the trait says, with faults by a script, and a history of every state.

use super::Outside;
use crate::found::Claim;
use crate::{DnsError, DnsProvider, Found, Group, Kind, Listed, Mark, Records, Ttl};
use async_trait::async_trait;
use cerebro_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// [`DnsProvider::claim`].
    Claim,
    /// [`DnsProvider::publish`].
    Publish,
    /// [`DnsProvider::withdraw`].
    Withdraw,
    /// [`DnsProvider::list`].
    List,
}

/// A call, as a script is asked about it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// When.
    pub at: Timestamp,
    /// Which call of all it is, from 0.
    pub number: u64,
    /// What is asked for.
    pub call: Call,
    /// Of which group.
    pub group: &'a Group,
}

/// How a call fails, as [`DnsError::Unavailable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done.
    Before,
    /// It is done, and the answer is lost.
    After,
}

/// A state of a group, from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Since when.
    pub at: Timestamp,
    /// The group.
    pub group: Group,
    /// By which call; none if it was put there from outside.
    pub by: Option<Call>,
    /// All that is there from then on.
    pub found: Found,
}

impl Moment {
    /// The addresses under the group's own name.
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        addresses(&self.found, &self.group.name())
    }
}

type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;
type Script = Box<dyn FnMut(&Asked<'_>) -> Option<Fault> + Send>;

/// The provider. Shared by all controllers of a test, as a DNS service is.
pub struct MemoryDns {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    groups: BTreeMap<Group, Found>,
    history: Vec<Moment>,
    calls: u64,
    script: Option<Script>,
    away_until: Option<Timestamp>,
}

impl MemoryDns {
    /// With nothing in it, by this clock.
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { clock: Box::new(clock), inner: Mutex::default() }
    }

    /// Asks this about every call from now on.
    pub fn script(&self, script: impl FnMut(&Asked<'_>) -> Option<Fault> + Send + 'static) {
        self.inner().script = Some(Box::new(script));
    }

    /// Is not to be reached until then.
    pub fn unavailable_until(&self, then: Timestamp) {
        self.inner().away_until = Some(then);
    }

    /// Changes what is there as another would.
    pub fn plant(&self, group: &Group, change: impl FnOnce(&mut Found)) {
        let mut inner = self.inner();
        let mut found = inner.groups.get(group).cloned().unwrap_or_default();
        change(&mut found);
        inner.set(group, found, None, (self.clock)());
    }

    /// All that is there, by group.
    pub fn now(&self) -> BTreeMap<Group, Found> {
        self.inner().groups.clone()
    }

    /// Every state that there was, in order.
    pub fn history(&self) -> Vec<Moment> {
        self.inner().history.clone()
    }

    /// The addresses under one of a group's names, as who asks for it now is answered.
    pub fn addresses(&self, group: &Group, name: &str) -> BTreeSet<IpAddr> {
        self.inner().groups.get(group).map(|found| addresses(found, name)).unwrap_or_default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call: with its fault, if it has one.
    fn call<T>(
        &self,
        call: Call,
        group: &Group,
        act: impl FnOnce(&Found) -> Result<(Option<Found>, T), DnsError>,
    ) -> Result<T, DnsError> {
        let at = (self.clock)();
        let mut inner = self.inner();
        let number = inner.calls;
        inner.calls += 1;
        let asked = Asked { at, number, call, group };
        let fault = inner.script.as_mut().and_then(|script| script(&asked));
        let unavailable = |why: &str| DnsError::Unavailable {
            doing: format!("{} `{group}`", format!("{call:?}").to_lowercase()),
            why: why.to_owned(),
        };
        if inner.away_until.is_some_and(|until| at < until) {
            return Err(unavailable("it is not to be reached"));
        }
        if fault == Some(Fault::Before) {
            return Err(unavailable("the question was lost"));
        }
        let found = inner.groups.get(group).cloned().unwrap_or_default();
        let (after, answer) = act(&found)?;
        if let Some(after) = after.filter(|after| *after != found) {
            inner.set(group, after, Some(call), at);
        }
        match fault {
            Some(Fault::After) => Err(unavailable("the answer was lost")),
            _ => Ok(answer),
        }
    }
}

impl Inner {
    fn set(&mut self, group: &Group, found: Found, by: Option<Call>, at: Timestamp) {
        if found == Found::default() {
            self.groups.remove(group);
        } else {
            self.groups.insert(group.clone(), found.clone());
        }
        self.history.push(Moment { at, group: group.clone(), by, found });
    }
}

fn addresses(found: &Found, name: &str) -> BTreeSet<IpAddr> {
    let sets = [Kind::A, Kind::Aaaa].into_iter().filter_map(|kind| found.records.get(name, kind));
    sets.flat_map(|set| set.addresses()).copied().collect()
}

#[async_trait]
impl DnsProvider for MemoryDns {
    fn name(&self) -> &str {
        "memory"
    }

    async fn claim(&self, group: &Group, mark: &Mark) -> Result<(), DnsError> {
        self.call(Call::Claim, group, |found| {
            let claimed = match found.claim(group, mark)? {
                Claim::Done => None,
                Claim::First | Claim::Over { .. } => {
                    Some(Found { texts: [mark.to_string()].into(), ..found.clone() })
                }
            };
            Ok((claimed, ()))
        })
    }

    async fn publish(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
        wanted: &Records,
    ) -> Result<(), DnsError> {
        self.call(Call::Publish, group, |found| {
            let mut after = found.clone();
            for change in found.publish(group, mark, expected, wanted)? {
                after.records.apply(change);
            }
            Ok((Some(after), ()))
        })
    }

    async fn withdraw(
        &self,
        group: &Group,
        mark: &Mark,
        expected: &Records,
    ) -> Result<(), DnsError> {
        self.call(Call::Withdraw, group, |found| {
            let gone = found.withdraw(group, mark, expected)?;
            let left = Found { others: found.others.clone(), ..Found::default() };
            Ok((gone.map(|_| left), ()))
        })
    }

    async fn list(&self, group: &Group) -> Result<Listed, DnsError> {
        self.call(Call::List, group, |found| Ok((None, found.clone().listed())))
    }
}

#[async_trait]
impl Outside for MemoryDns {
    async fn put_address(&self, group: &Group, name: &str, address: IpAddr) -> bool {
        self.plant(group, |found| found.records.add(name, Ttl::at_most(60), address));
        true
    }

    async fn put_mark(&self, group: &Group, text: &str) -> bool {
        self.plant(group, |found| {
            found.texts.insert(text.to_owned());
        });
        true
    }

    async fn others(&self) -> BTreeSet<String> {
        let all = self.now().into_iter();
        let others = all.filter(|(group, _)| !group.job.as_str().contains("contract."));
        others.map(|(group, found)| format!("{group} {found:?}")).collect()
    }
}
