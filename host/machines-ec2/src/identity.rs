//! How an instance is known as a machine of ours: by its tags. And by which token it is asked for.

use crate::launch::Launch;
use cerebro_machines::{CreateMachine, Intent};
use cerebro_model::{
    Capacity, ClusterName, Cores, Digest as TokenDigest, MachineId, Megabytes, ZoneName,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The tag with the cluster's name.
pub const CLUSTER: &str = "cerebro:cluster";
/// The tag with the machine's id.
pub const MACHINE: &str = "cerebro:machine";
/// The tag with the intent by which it was made.
pub const INTENT: &str = "cerebro:intent";
/// The tag with the zone.
pub const ZONE: &str = "cerebro:zone";
/// The tag with what the machine has to give, by our records.
pub const CAPACITY: &str = "cerebro:capacity";
/// The tag with the digest of the token that its agent proves itself with: there once that has joined.
pub const AGENT: &str = "cerebro:agent";

/// Whose an instance is, if it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The machine that it is.
    pub machine: MachineId,
    /// By which intent.
    pub intent: Intent,
}

impl Owner {
    /// By the tags of an instance: nothing, unless they say that this cluster made it.
    pub fn by_tags<'a>(
        cluster: &ClusterName,
        tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<Self> {
        let tags: BTreeMap<&str, &str> = tags.into_iter().collect();
        if tags.get(CLUSTER).copied() != Some(cluster.as_str()) {
            return None;
        }
        let machine = tags.get(MACHINE)?.parse().ok()?;
        let intent = Intent::written(tags.get(INTENT)?);
        Some(Self { machine, intent })
    }
}

/// What else the tags of an instance of ours tell whoever has no record of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The zone.
    pub zone: Option<ZoneName>,
    /// What it has to give.
    pub capacity: Option<Capacity>,
    /// The term in which it was decided to make it.
    pub term: Option<u64>,
    /// Of the token that its agent proves itself with.
    pub agent: Option<TokenDigest>,
}

impl Told {
    /// By the tags of an instance. What is not as we write it is not told.
    pub fn by_tags<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut told = Self::default();
        for (key, value) in tags {
            match key {
                ZONE => told.zone = value.parse().ok(),
                CAPACITY => told.capacity = read_capacity(value),
                TERM => told.term = value.parse().ok(),
                AGENT => told.agent = value.parse().ok(),
                _ => {}
            }
        }
        told
    }
}

/// A capacity in the characters that every tag may have: millicores, megabytes, megabytes.
fn write_capacity(capacity: Capacity) -> String {
    let Capacity { cpu, mem, disk } = capacity;
    format!("cpu={} mem={} disk={}", cpu.millis(), mem.get(), disk.get())
}

fn read_capacity(text: &str) -> Option<Capacity> {
    let (cpu, rest) = text.strip_prefix("cpu=")?.split_once(" mem=")?;
    let (mem, disk) = rest.split_once(" disk=")?;
    Some(Capacity {
        cpu: Cores::from_millis(cpu.parse().ok()?),
        mem: Megabytes::new(mem.parse().ok()?),
        disk: Megabytes::new(disk.parse().ok()?),
    })
}

/// The tag with the term in which it was decided to make it: for people who look for what happened.
pub const TERM: &str = "cerebro:term";

/// The tags that a machine's instance and volume get. They are the same for the same request, whoever of this version leads
/// when it is made.
pub fn tags(
    cluster: &ClusterName,
    request: &CreateMachine,
    further: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let own = [
        (CLUSTER, cluster.to_string()),
        (MACHINE, request.id.to_string()),
        (INTENT, Intent::of(&request.join_token).to_string()),
        (ZONE, request.zone.to_string()),
        (CAPACITY, write_capacity(request.capacity)),
        // What the console shows.
        ("Name", format!("{cluster} {}", request.id)),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    // Where it is not known it was not asked for with it before, by the same token.
    let term = (request.term > 0).then(|| (TERM.to_owned(), request.term.to_string()));
    further.clone().into_iter().chain(own).chain(term).collect()
}

/// What was tried last to make a machine. It is written down before it is tried, so that whoever goes on after a crash tries
/// the same once more, by the same token, and cannot make a second instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// By which intent.
    pub intent: Intent,
    /// In which region.
    pub region: String,
    /// The how-manieth attempt: those before have failed for good.
    pub attempt: u32,
    /// In which way.
    pub launch: Launch,
    /// The instance, once it is known.
    pub instance: Option<String>,
}

impl Note {
    /// Of a first attempt.
    pub fn first(intent: Intent, region: &str, launch: Launch) -> Self {
        Self { intent, region: region.to_owned(), attempt: 0, launch, instance: None }
    }

    /// Of the next attempt, once this one has failed for good.
    pub fn next(self, launch: Launch) -> Self {
        Self { attempt: self.attempt.saturating_add(1), launch, instance: None, ..self }
    }

    /// The client token of the attempt. What is launched is not part of it: a token that was used for something else tells
    /// that there is an instance, also to a controller that has no notes.
    pub fn token(&self, cluster: &ClusterName, machine: &MachineId) -> String {
        let attempt = self.attempt.to_string();
        digest(&["token", cluster.as_str(), machine.as_str(), self.intent.as_str(), &attempt], 32)
    }
}

/// So many bytes of a digest, in hexadecimal digits.
fn digest(parts: &[&str], bytes: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts are one text.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(bytes).fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Market;
    use cerebro_model::{Capacity, Cores, Megabytes};

    fn request(machine: &str, join_token: &str) -> CreateMachine {
        CreateMachine {
            id: machine.parse().unwrap(),
            zone: "aws-us-west-2a".parse().unwrap(),
            capacity: Capacity {
                cpu: Cores::from_millis(1000),
                mem: Megabytes::new(1024),
                disk: Megabytes::ZERO,
            },
            controller: String::new(),
            join_token: join_token.to_owned(),
            term: 3,
            environment: BTreeMap::new(),
        }
    }

    #[test]
    fn an_instance_is_ours_only_by_all_of_our_tags() {
        let cluster: ClusterName = "prod".parse().unwrap();
        let tags = tags(&cluster, &request("m-1", "secret"), &BTreeMap::new());
        let pairs = || tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let owner = Owner::by_tags(&cluster, pairs()).unwrap();
        assert_eq!((owner.machine.as_str(), &owner.intent), ("m-1", &Intent::of("secret")));
        assert_eq!(Owner::by_tags(&"other".parse().unwrap(), pairs()), None);
        for lacking in [CLUSTER, MACHINE, INTENT] {
            let others = pairs().filter(|(key, _)| *key != lacking);
            assert_eq!(Owner::by_tags(&cluster, others), None, "{lacking}");
        }
        assert_eq!(Owner::by_tags(&cluster, [("Name", "prod m-1")]), None);
    }

    #[test]
    fn tags_tell_what_a_machine_was_made_as_and_nothing_that_is_not_as_we_write_it() {
        let request = request("m-1", "secret");
        let mut tags = tags(&"prod".parse().unwrap(), &request, &BTreeMap::new());
        let token = TokenDigest::of(b"the agent's own");
        tags.insert(AGENT.to_owned(), token.to_string());
        let told = |tags: &BTreeMap<String, String>| {
            Told::by_tags(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        };
        let expected = Told {
            zone: Some(request.zone),
            capacity: Some(request.capacity),
            term: Some(3),
            agent: Some(token),
        };
        assert_eq!(told(&tags), expected);
        for key in [ZONE, CAPACITY, TERM, AGENT] {
            tags.insert(key.to_owned(), "somebody's words".to_owned());
        }
        assert_eq!(told(&tags), Told::default());
        for wrong in
            ["", "cpu=1 mem=2", "cpu=1 mem=2 disk=", "cpu=1 mem=2 disk=3 ", "cpu=-1 mem=2 disk=3"]
        {
            assert_eq!(read_capacity(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_tag_tells_the_join_token_and_none_of_ours_is_replaced() {
        let cluster = "prod".parse().unwrap();
        let further = BTreeMap::from([(MACHINE.to_owned(), "m-2".to_owned())]);
        let tags = tags(&cluster, &request("m-1", "secret"), &further);
        assert_eq!(tags[MACHINE], "m-1");
        assert!(!tags.values().any(|value| value.contains("secret")));
    }

    #[test]
    fn a_token_is_the_same_for_the_same_attempt_and_for_no_other() {
        let launch = |name: &str| Launch {
            instance_type: name.to_owned(),
            subnet: None,
            market: Market::OnDemand,
        };
        let token = |cluster: &str, machine: &str, note: &Note| {
            note.token(&cluster.parse().unwrap(), &machine.parse().unwrap())
        };
        let note = Note::first(Intent::of("a"), "r", launch("x"));
        let first = token("prod", "m-1", &note);
        assert_eq!(first, token("prod", "m-1", &Note::first(Intent::of("a"), "r", launch("y"))));
        assert!(first.len() <= 64 && first.is_ascii());
        let others = [
            token("prod", "m-2", &note),
            token("test", "m-1", &note),
            token("prod", "m-1", &Note::first(Intent::of("b"), "r", launch("x"))),
            token("prod", "m-1", &note.clone().next(launch("x"))),
        ];
        assert!(!others.contains(&first));
    }
}
