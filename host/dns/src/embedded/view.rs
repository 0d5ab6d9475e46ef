//! What the server answers from: built as a whole, never changed.

use crate::found::Found;
use crate::{Group, Ttl, wire};
use cerebro_model::JobName;
use hickory_proto::ProtoError;
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long it may be kept that a name or a set is not there, in seconds: as long as a new instance may go unseen.
const NEGATIVE_TTL: u32 = 5;
/// How long SOA, NS and the marks may be kept, in seconds.
const STEADY_TTL: u32 = 60;

/// A group that somebody has claimed here.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// Its mark and its records.
    pub found: Found,
    /// Whether it was published since this process began. If not, what is there of it is not known here, and no answer
    /// is better than one that says that there is nothing.
    pub is_known: bool,
}

/// All that is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Whether anything is answered.
    pub is_open: bool,
    /// The zones, by their apexes: one for each job.
    zones: HashMap<LowerName, Arc<Zone>>,
    /// The names above apexes: none of them may be called missing, for what is below is not.
    above: HashSet<LowerName>,
    /// How many labels an apex has at most.
    deepest: usize,
}

/// The names below one job's, and that itself.
#[derive(Debug)]
pub(super) struct Zone {
    apex: Name,
    soa: SOA,
    nodes: HashMap<LowerName, Node>,
    asked: Arc<Asked>,
}

/// When somebody was last told something of a zone. It goes over from one state of the zone to the next.
#[derive(Debug)]
pub(super) struct Asked {
    begun: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

impl Asked {
    /// Of a process that began then: who asked the one before may have done so until then.
    pub fn since(begun: Instant) -> Self {
        Self { begun, last: AtomicU64::new(0) }
    }

    /// Somebody is told something now.
    pub fn now(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(now, Relaxed);
    }

    /// How long ago that was.
    pub fn ago(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
}

#[derive(Debug, Default)]
struct Node {
    sets: Vec<Set>,
    is_known: bool,
}

/// Records of one name and type.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub kind: RecordType,
    pub ttl: u32,
    pub data: Vec<RData>,
}

/// What there is to say about a name and a type.
#[derive(Debug)]
pub(super) enum Known<'v> {
    /// This, of that zone.
    Records(&'v Zone, &'v Set),
    /// The name is there, and has none of these.
    NoData(&'v Zone),
    /// There is no such name, nor any below it.
    NoName(&'v Zone),
    /// Not yet known.
    NotYet,
    /// It is none of ours.
    Foreign,
}

impl View {
    /// The same, and it is answered.
    pub fn opened(&self) -> Self {
        Self { is_open: true, ..self.clone() }
    }

    /// The same with another zone of a job, or none.
    pub fn with(&self, apex: &LowerName, zone: Option<Zone>) -> Self {
        let mut zones = self.zones.clone();
        match zone {
            Some(zone) => drop(zones.insert(apex.clone(), Arc::new(zone))),
            None => drop(zones.remove(apex)),
        }
        let mut above = HashSet::new();
        for apex in zones.keys() {
            let mut name = apex.base_name();
            while !name.is_root() && above.insert(name.clone()) {
                name = name.base_name();
            }
        }
        let deepest = zones.keys().map(|apex| labels(apex)).max().unwrap_or_default();
        Self { is_open: self.is_open, zones, above, deepest }
    }

    /// When somebody was last told something of a job, if there is anything of it.
    pub fn asked(&self, apex: &LowerName) -> Option<Arc<Asked>> {
        self.zones.get(apex).map(|zone| Arc::clone(&zone.asked))
    }

    /// What there is to say.
    pub fn look_up(&self, name: &LowerName, kind: RecordType) -> Known<'_> {
        if !self.is_open {
            return Known::NotYet;
        }
        // The longest apex that the name has; no more labels are tried than one has, whatever was asked for.
        let most = labels(name).min(self.deepest);
        let mut apexes = (1..=most).rev().map(|count| LowerName::from(name.trim_to(count)));
        let Some(zone) = apexes.find_map(|apex| self.zones.get(&apex)) else {
            return Known::Foreign;
        };
        match zone.node(name) {
            // RFC 8482: any one set will do for who wants all of them.
            Some(node) => {
                let set = node.sets.iter().find(|set| kind == RecordType::ANY || set.kind == kind);
                match set {
                    Some(set) => Known::Records(zone, set),
                    None if node.is_known => Known::NoData(zone),
                    None => Known::NotYet,
                }
            }
            None if self.above.contains(name) => Known::NoData(zone),
            None if zone.is_known_above(name) => Known::NoName(zone),
            None => Known::NotYet,
        }
    }
}

impl Zone {
    /// That of a job, whose groups are these.
    pub fn build<'g>(
        job: &JobName,
        groups: impl Iterator<Item = (&'g Group, &'g Held)>,
        host: &Name,
        serial: u32,
        asked: Arc<Asked>,
    ) -> Result<Self, ProtoError> {
        let apex = wire::name(job.as_str())?;
        let soa = SOA::new(
            host.clone(),
            Name::from_ascii("hostmaster")?.append_domain(&apex)?,
            serial,
            3_600,
            600,
            86_400,
            NEGATIVE_TTL,
        );
        let ns = vec![RData::NS(NS(host.clone()))];
        let mut nodes: HashMap<LowerName, Node> = HashMap::new();
        let mut all: BTreeMap<RecordType, (Ttl, Vec<IpAddr>)> = BTreeMap::new();
        let mut is_any_known = false;
        for (group, held) in groups {
            is_any_known |= held.is_known;
            nodes.entry(lower(&group.name())?).or_default().is_known = held.is_known;
            let texts = held.found.texts.iter().map(|text| wire::text(text)).collect();
            let mark = Set { kind: RecordType::TXT, ttl: STEADY_TTL, data: texts };
            nodes.insert(lower(&group.mark_name())?, Node { sets: vec![mark], is_known: true });
            for (name, kind, set) in held.found.records.iter() {
                let kind = wire::record_type(kind);
                let data = set.addresses().iter().map(wire::address).collect();
                let node = nodes.entry(lower(name)?).or_default();
                node.is_known = true;
                node.sets.push(Set { kind, ttl: set.ttl.get(), data });
                if name == group.name() {
                    let (ttl, addresses) = all.entry(kind).or_insert((set.ttl, Vec::new()));
                    *ttl = set.ttl.min(*ttl);
                    addresses.extend(set.addresses());
                }
            }
        }
        let top = nodes.entry(LowerName::new(&apex)).or_default();
        top.is_known = is_any_known;
        // First, as any one will do for who asks for all.
        for (kind, (ttl, mut addresses)) in all {
            addresses.sort_unstable();
            addresses.dedup();
            let data = addresses.iter().map(wire::address).collect();
            top.sets.push(Set { kind, ttl: ttl.get(), data });
        }
        let data = vec![RData::SOA(soa.clone())];
        top.sets.push(Set { kind: RecordType::SOA, ttl: NEGATIVE_TTL, data });
        top.sets.push(Set { kind: RecordType::NS, ttl: STEADY_TTL, data: ns });
        Ok(Self { apex, soa, nodes, asked })
    }

    /// Somebody is told something of it.
    pub fn is_asked(&self) {
        self.asked.now();
    }

    /// What says that something is not there, and for how long that may be kept: RFC 2308.
    pub fn soa(&self) -> Record {
        Record::from_rdata(self.apex.clone(), NEGATIVE_TTL, RData::SOA(self.soa.clone()))
    }

    fn node(&self, name: &LowerName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Whether a name that is not there is in no group that is not known yet: groups are one label below the apex.
    fn is_known_above(&self, name: &LowerName) -> bool {
        let group = LowerName::from(name.trim_to(labels(&self.apex) + 1));
        self.node(&group).is_none_or(|node| node.is_known)
    }
}

/// How many there are, a wildcard's included.
fn labels(name: &Name) -> usize {
    name.iter().count()
}

fn lower(name: &str) -> Result<LowerName, ProtoError> {
    Ok(LowerName::from(wire::name(name)?))
}
