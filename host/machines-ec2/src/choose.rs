//! Which type of instance a machine becomes.

use cerebro_model::Capacity;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

/// How many types are tried at most before a zone counts as full.
const MOST: usize = 5;

/// A type's name, or a pattern of names in which `*` is anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no type of instance, nor a pattern of such: expected one like `m7i.large` or `m7i.*`"
)]
pub struct PatternError(String);

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        let is_well_formed = !text.is_empty()
            && text
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b".-*".contains(&it));
        if is_well_formed { Ok(Self(text)) } else { Err(PatternError(text)) }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Whether a type's name is like it.
    pub fn is_like(&self, name: &str) -> bool {
        let parts: Vec<&str> = self.0.split('*').collect();
        let [first, between @ .., last] = &parts[..] else { return self.0 == name };
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        for part in between {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// A type, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// Such as `m7i.large`.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory: u64,
    /// Such as `x86_64`.
    pub architectures: Vec<String>,
    /// Whether it is of a current generation.
    pub is_current: bool,
    /// Whether it is a whole host.
    pub is_bare_metal: bool,
    /// Whether it has GPUs or other accelerators.
    pub has_accelerators: bool,
    /// Whether it has its CPU by credits, so that it is slow once these are used up.
    pub is_burstable: bool,
}

impl TypeInfo {
    /// The number in a family's name: 7 of `m7i.large`.
    fn generation(&self) -> u32 {
        let digits = self.name.trim_start_matches(|it: char| it.is_ascii_lowercase());
        let end = digits.find(|it: char| !it.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().unwrap_or_default()
    }
}

/// What is asked of a type.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// At least this.
    pub capacity: Capacity,
    /// That of the image.
    pub architecture: &'a str,
    /// These; the usual ones, if there are none.
    pub allow: &'a [Pattern],
    /// None of these.
    pub deny: &'a [Pattern],
    /// Dollars an hour.
    pub prices: &'a BTreeMap<String, f64>,
}

impl Wish<'_> {
    /// How many CPUs are enough.
    pub fn vcpus(&self) -> u32 {
        self.capacity.cpu.millis().div_ceil(1000).max(1)
    }

    fn allows(&self, kind: &TypeInfo) -> bool {
        let is_usual =
            kind.is_current && !kind.is_bare_metal && !kind.has_accelerators && !kind.is_burstable;
        let is_allowed = match self.allow {
            [] => is_usual,
            allow => allow.iter().any(|it| it.is_like(&kind.name)),
        };
        is_allowed && !self.deny.iter().any(|it| it.is_like(&kind.name))
    }

    fn is_enough(&self, kind: &TypeInfo) -> bool {
        kind.vcpus >= self.vcpus() && kind.memory >= self.capacity.mem.get()
    }
}

/// The types that a machine may become, the best first: the cheapest where prices are known, then the smallest, then the
/// newest. The words say what there is, if there is none.
pub fn choose(types: &[TypeInfo], wish: &Wish<'_>) -> Result<Vec<String>, String> {
    let runs = |it: &&TypeInfo| it.architectures.iter().any(|it| it == wish.architecture);
    let allowed: Vec<&TypeInfo> = types.iter().filter(runs).filter(|it| wish.allows(it)).collect();
    let mut chosen: Vec<&TypeInfo> =
        allowed.iter().copied().filter(|it| wish.is_enough(it)).collect();
    if chosen.is_empty() {
        let largest = allowed.iter().max_by_key(|it| (it.vcpus, it.memory));
        let of_these = largest.map_or_else(String::new, |it| {
            format!("; the largest is `{}` with {} and {} MB", it.name, it.vcpus, it.memory)
        });
        return Err(format!(
            "of {} types of instances for {} that are offered and allowed, none has {} cores and {}{of_these}; allow \
             others, or make machines smaller",
            allowed.len(),
            wish.architecture,
            wish.vcpus(),
            wish.capacity.mem,
        ));
    }
    let price = |it: &TypeInfo| wish.prices.get(&it.name).copied().unwrap_or(f64::INFINITY);
    chosen.sort_by(|a, b| {
        let rest = |it: &TypeInfo| (it.vcpus, it.memory, Reverse(it.generation()), it.name.clone());
        price(a).total_cmp(&price(b)).then_with(|| rest(a).cmp(&rest(b)))
    });
    Ok(chosen.into_iter().take(MOST).map(|it| it.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_model::{Cores, Megabytes};
    use proptest::prelude::*;

    fn kind(name: &str, vcpus: u32, memory: u64) -> TypeInfo {
        TypeInfo {
            name: name.to_owned(),
            vcpus,
            memory,
            architectures: vec!["x86_64".to_owned()],
            is_current: true,
            is_bare_metal: false,
            has_accelerators: false,
            is_burstable: false,
        }
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|it| Pattern::try_from((*it).to_owned()).unwrap()).collect()
    }

    fn chosen(
        types: &[TypeInfo],
        allow: &[&str],
        deny: &[&str],
        prices: &[(&str, f64)],
    ) -> Vec<String> {
        let (allow, deny) = (patterns(allow), patterns(deny));
        let prices = prices.iter().map(|(name, price)| ((*name).to_owned(), *price)).collect();
        let (cpu, mem) = (Cores::from_millis(1500), Megabytes::new(4096));
        let capacity = Capacity { cpu, mem, disk: Megabytes::ZERO };
        let wish =
            Wish { capacity, architecture: "x86_64", allow: &allow, deny: &deny, prices: &prices };
        choose(types, &wish).unwrap_or_default()
    }

    fn types() -> Vec<TypeInfo> {
        vec![
            kind("c5.large", 2, 4096),
            kind("c7i.large", 2, 4096),
            kind("m7i.large", 2, 8192),
            kind("m7i.xlarge", 4, 16_384),
            kind("c6i.nano", 1, 4096),
            kind("c6i.tiny", 2, 2048),
            TypeInfo { is_burstable: true, ..kind("t3.medium", 2, 4096) },
            TypeInfo { is_current: false, ..kind("c3.large", 2, 4096) },
            TypeInfo { has_accelerators: true, ..kind("g5.large", 2, 4096) },
            TypeInfo { is_bare_metal: true, ..kind("m7i.metal", 96, 393_216) },
            TypeInfo { architectures: vec!["arm64".to_owned()], ..kind("c7g.large", 2, 4096) },
        ]
    }

    #[test]
    fn the_smallest_and_newest_that_is_enough_comes_first() {
        let all = chosen(&types(), &[], &[], &[]);
        assert_eq!(all, ["c7i.large", "c5.large", "m7i.large", "m7i.xlarge"]);
    }

    #[test]
    fn prices_decide_where_they_are_known() {
        let all = chosen(&types(), &[], &[], &[("m7i.large", 0.1), ("m7i.xlarge", 0.05)]);
        assert_eq!(all, ["m7i.xlarge", "m7i.large", "c7i.large", "c5.large"]);
    }

    #[test]
    fn what_is_allowed_by_name_need_not_be_usual() {
        assert_eq!(chosen(&types(), &["t3.*", "c3.large"], &[], &[]), ["c3.large", "t3.medium"]);
        assert_eq!(
            chosen(&types(), &["*"], &["*.metal", "g*", "c*", "t*"], &[]),
            ["m7i.large", "m7i.xlarge"]
        );
    }

    #[test]
    fn that_none_is_enough_is_said_with_what_there_is() {
        let prices = BTreeMap::new();
        let capacity = Capacity {
            cpu: Cores::from_millis(8000),
            mem: Megabytes::new(4096),
            disk: Megabytes::ZERO,
        };
        let wish =
            Wish { capacity, architecture: "x86_64", allow: &[], deny: &[], prices: &prices };
        let why = choose(&types(), &wish).unwrap_err();
        assert!(
            why.contains(
                "none has 8 cores and 4096 MB; the largest is `m7i.xlarge` with 4 and 16384 MB"
            ),
            "{why}"
        );
    }

    #[test]
    fn patterns_match_whole_names() {
        let is_like = |pattern: &str, name| patterns(&[pattern])[0].is_like(name);
        for (pattern, name) in [
            ("m7i.*", "m7i.large"),
            ("*", "a"),
            ("*.metal*", "m7i.metal-24xl"),
            ("m7i.large", "m7i.large"),
            ("m*i*large", "m7i.xlarge"),
        ] {
            assert!(is_like(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("m7i", "m7i.large"),
            ("*.metal", "m7i.metal-24xl"),
            ("m7*.large", "m6i.large"),
            ("aa*aa", "aaa"),
        ] {
            assert!(!is_like(pattern, name), "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_always_enough_and_allowed(
            sizes in proptest::collection::vec((1u32..64, 512u64..65_536, any::<bool>()), 0..20),
            millis in 1u32..32_000,
            memory in 1u64..65_536,
        ) {
            let types: Vec<TypeInfo> = sizes.iter().enumerate().map(|(n, (vcpus, memory, is_current))| {
                TypeInfo { is_current: *is_current, ..kind(&format!("m{n}.x"), *vcpus, *memory) }
            }).collect();
            let (prices, deny) = (BTreeMap::new(), patterns(&["m3.*"]));
            let capacity = Capacity {
                cpu: Cores::from_millis(millis),
                mem: Megabytes::new(memory),
                disk: Megabytes::ZERO,
            };
            let wish = Wish { capacity, architecture: "x86_64", allow: &[], deny: &deny, prices: &prices };
            let fits = |it: &&TypeInfo| it.is_current && !it.name.starts_with("m3.")
                && it.vcpus * 1000 >= millis && it.memory >= memory;
            match choose(&types, &wish) {
                Err(_) => prop_assert_eq!(types.iter().filter(fits).count(), 0),
                Ok(names) => for name in names {
                    let kind = types.iter().find(|it| it.name == name);
                    prop_assert!(kind.filter(fits).is_some());
                },
            }
        }
    }
}
