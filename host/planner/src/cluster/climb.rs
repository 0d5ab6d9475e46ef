//! What follows for a machine that does not answer, and that its provider calls running: the ladder,
//! rung by rung, and its end.
//!
//! What ends tasks needs more than the controller's own word: another machine that is in contact must not
//! reach it either. If one does, it is the way between the controller and the machine that is broken,
//! and its tasks may well serve.

use super::ladder::{self, Next};
use super::peers::{self, InContact, Testimony};
use super::{Condemned, Fleet, ObservedMachine, Plan, Policy, Probe, ProviderWord, Step};
use cerebro_model::{DeathCertificate, PeerWord, Repair, Rung, Timestamp, Verdict};
use std::time::Duration;

/// A silence, and for how long a machine's own recipes may be the reason.
#[derive(Clone, Copy)]
pub(super) struct Silence {
    pub since: Timestamp,
    pub excused: Duration,
}

/// A machine that its provider calls running, or that has none, and that does not answer the controller.
pub(super) struct Case<'a> {
    pub observed: &'a ObservedMachine,
    pub silence: Silence,
    /// What the controller met with.
    pub probe: &'a Probe,
    /// What its provider said.
    pub word: &'a ProviderWord,
    /// Both, in a sentence.
    pub why: String,
    /// Whether so much of its zone is silent that the fault may be ours.
    pub breaker: bool,
    /// Whether both are of just now.
    pub is_fresh: bool,
}

impl Case<'_> {
    /// What is next for it; answers what there is to know, unless its end is decided.
    pub(super) fn climb(
        &self,
        fleet: &Fleet,
        contact: &InContact<'_>,
        policy: &Policy,
        now: Timestamp,
        plan: &mut Plan,
    ) -> Option<String> {
        let (observed, since) = (self.observed, self.silence.since);
        let testimony = contact.testimony(fleet, observed, since, now);
        let why = match &testimony {
            Testimony::Answers(word) => {
                return Some(format!(
                    "{}; but {} reaches its agent: it is the way between the controller and {} that is broken, and its \
                     tasks may well serve, so that nothing is done that would end them",
                    self.why, word.peer, observed.machine.id
                ));
            }
            Testimony::Silent(words) => format!("{}; {}", self.why, peers::in_words(words)),
            Testimony::Awaited | Testimony::Nobody => self.why.clone(),
        };
        let rules = ladder::rules(&observed.machine);
        let (attempts, flap) = (&observed.attempts, &policy.limits.flap);
        match ladder::next(rules, attempts, flap, self.silence.excused, since, now) {
            Next::Wait => Some(why),
            Next::Try(rung) if !rung.ends_tasks() => {
                self.attempt(rung, &why, plan);
                Some(why)
            }
            Next::Try(rung) => {
                let why = match testimony {
                    Testimony::Silent(_) => {
                        self.attempt(rung, &why, plan);
                        why
                    }
                    testimony => unsaid(&testimony, &why),
                };
                Some(why)
            }
            Next::Exhausted if !ladder::has_rested(attempts, since, now) => Some(why),
            Next::Exhausted => match testimony {
                Testimony::Silent(words) => {
                    self.replace(&words, why, now, plan);
                    None
                }
                testimony => Some(unsaid(&testimony, &why)),
            },
        }
    }

    fn attempt(&self, rung: Rung, why: &str, plan: &mut Plan) {
        if self.is_fresh {
            plan.decide(Step::Try(self.observed.machine.id.clone(), rung), why);
        }
        self.condemn(rung.into(), why, plan);
    }

    /// All was tried, and nobody reaches it: it is given up as if it were gone, but that something may
    /// still run on it.
    fn replace(&self, words: &[&PeerWord], why: String, now: Timestamp, plan: &mut Plan) {
        let why = format!("{why}; all was tried");
        self.condemn(Repair::Replace, &why, plan);
        if !self.is_fresh {
            return;
        }
        let in_this_silence = self.observed.attempts.iter().filter(|it| it.at > self.silence.since);
        let certificate = DeathCertificate {
            at: now,
            verdict: Verdict::Hangs,
            last_heartbeat: self.observed.last_heartbeat,
            probe: self.probe.said.clone(),
            provider: self.word.said.clone(),
            peers: words.iter().copied().cloned().collect(),
            attempts: in_this_silence.cloned().collect(),
        };
        plan.decide(Step::DeclareLost(self.observed.machine.id.clone(), certificate), why);
    }

    fn condemn(&self, repair: Repair, why: &str, plan: &mut Plan) {
        let machine = &self.observed.machine;
        plan.condemned.push(Condemned {
            repair,
            machine: machine.id.clone(),
            zone: machine.zone.clone(),
            why: why.to_owned(),
            since: self.silence.since,
            breaker: self.breaker,
        });
    }
}

/// What ends tasks is not done by the controller's word alone.
fn unsaid(testimony: &Testimony<'_>, why: &str) -> String {
    match testimony {
        Testimony::Nobody => format!(
            "{why}; all was tried that ends no task, and no other machine can say whether it answers: somebody has to \
             look"
        ),
        _ => format!("{why}; other machines are asked whether they reach it"),
    }
}
