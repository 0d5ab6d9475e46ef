//! What the administrator should have at a job's own name, which Cerebro never touches. Pure but for the lookup, which is
//! the caller's.

use async_trait::async_trait;
use cerebro_model::{JobName, ZoneName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What a resolver answers at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// No such name, or no address at it.
    Nothing,
    /// It is another name's alias.
    Alias {
        /// The first name that it leads to.
        to: String,
    },
    /// It has addresses itself.
    Addresses(BTreeSet<IpAddr>),
    /// It could not be found out.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Who asks a resolver: the one that clients use.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// What is at a name.
    async fn at(&self, name: &str) -> At;
}

/// Where the job's groups are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// In a DNS zone that an administrator has.
    Zone,
    /// By the controller's own server, which answers for the job's name as well.
    Embedded {
        /// Its host's name.
        host: String,
        /// Where it answers.
        address: SocketAddr,
    },
}

/// How things stand at a job's own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is to be done.
    Right,
    /// It reaches some of the job's zones.
    Partial,
    /// It leads elsewhere, which may be meant.
    Elsewhere,
    /// Something is to be created or removed.
    Wrong,
    /// It could not be found out.
    Unknown,
}

/// How things stand, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// How things stand.
    pub standing: Standing,
    /// The same in a sentence or two.
    pub words: String,
    /// Records for a zone file; where there are several, one of them is to be chosen unless the words say otherwise.
    pub records: Vec<String>,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        self.records.iter().try_for_each(|record| write!(f, "\n    {record}"))
    }
}

/// Looks, and says what to do.
pub async fn advise(
    job: &JobName,
    published: &BTreeMap<ZoneName, BTreeSet<IpAddr>>,
    via: &Via,
    lookup: &dyn Lookup,
) -> Advice {
    advice(job, published, via, &lookup.at(job.as_str()).await)
}

/// What to do for a job, of which these addresses are published by zone, where a resolver answers so at its name.
pub fn advice(
    job: &JobName,
    published: &BTreeMap<ZoneName, BTreeSet<IpAddr>>,
    via: &Via,
    at: &At,
) -> Advice {
    let records = records(job, published, via);
    let told = |standing, words: String, records| Advice { standing, words, records };
    if published.is_empty() {
        let words = format!("nothing of `{job}` is published yet: its name needs nothing so far.");
        return told(Standing::Right, words, Vec::new());
    }
    let todo = how(published, via);
    match at {
        At::Unknown { why } => {
            let words = format!("what is at `{job}` could not be found out ({why}). {todo}");
            told(Standing::Unknown, words, records)
        }
        At::Nothing => {
            let words = format!("nobody finds `{job}`. {todo}");
            told(Standing::Wrong, words, records)
        }
        At::Alias { to } => {
            let to = to.trim_end_matches('.').to_lowercase();
            let zone = published.keys().find(|zone| format!("{zone}.{job}") == to);
            match zone {
                Some(_) if published.len() == 1 => told(
                    Standing::Right,
                    format!("`{job}` leads to `{to}`, as it should."),
                    Vec::new(),
                ),
                Some(zone) => {
                    let words = format!("`{job}` leads to `{zone}` only. {todo}");
                    told(Standing::Partial, words, records)
                }
                None => {
                    let words = format!(
                        "`{job}` leads to `{to}`, which Cerebro does not publish: if that leads on to the job, as a name \
                         with weights does, all is right. {todo}"
                    );
                    told(Standing::Elsewhere, words, records)
                }
            }
        }
        At::Addresses(addresses) => {
            let all: BTreeSet<IpAddr> = published.values().flatten().copied().collect();
            let wrong: Vec<String> = addresses.difference(&all).map(ToString::to_string).collect();
            if !wrong.is_empty() {
                let words = format!(
                    "`{job}` has addresses where none of its instances serves: {}. Remove them. {todo}",
                    wrong.join(", ")
                );
                return told(Standing::Wrong, words, records);
            }
            match via {
                Via::Embedded { .. } => {
                    let words =
                        format!("`{job}` has the addresses of its instances, as it should.");
                    told(Standing::Right, words, Vec::new())
                }
                Via::Zone => {
                    let words = format!(
                        "`{job}` has the addresses of instances, but nobody keeps them so: once one is replaced, it leads \
                         to nothing. Remove them. {todo}"
                    );
                    told(Standing::Wrong, words, records)
                }
            }
        }
    }
}

/// What to do with the records.
fn how(published: &BTreeMap<ZoneName, BTreeSet<IpAddr>>, via: &Via) -> String {
    match via {
        Via::Embedded { address, .. } if address.port() == 53 => {
            "Delegate it to the controller's DNS server, in the zone above it:".to_owned()
        }
        Via::Embedded { address, .. } => format!(
            "Have the resolvers ask the controller's DNS server at {address} for it (a forward or stub zone); or have that \
             listen on port 53, and delegate it in the zone above it:"
        ),
        Via::Zone if published.len() == 1 => {
            "Create, in the zone that it is in (at that zone's own apex, where the DNS allows no CNAME, what your DNS \
             service calls ALIAS or ANAME):"
                .to_owned()
        }
        Via::Zone => "A name can have one CNAME only. Create one of these; or, where your DNS service has records with \
                      weights or by place, all of them as such alternatives:"
            .to_owned(),
    }
}

fn records(
    job: &JobName,
    published: &BTreeMap<ZoneName, BTreeSet<IpAddr>>,
    via: &Via,
) -> Vec<String> {
    match via {
        Via::Embedded { host, .. } => {
            vec![format!("{job}. 3600 IN NS {}.", host.trim_end_matches('.'))]
        }
        Via::Zone => {
            published.keys().map(|zone| format!("{job}. 60 IN CNAME {zone}.{job}.")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(zones: &[&str]) -> BTreeMap<ZoneName, BTreeSet<IpAddr>> {
        let address = |n: usize| BTreeSet::from([IpAddr::from([10, 0, 0, n as u8])]);
        zones.iter().enumerate().map(|(n, zone)| (zone.parse().unwrap(), address(n))).collect()
    }

    fn told(zones: &[&str], via: &Via, at: At) -> Advice {
        advice(&"redis.startup.com".parse().unwrap(), &published(zones), via, &at)
    }

    fn embedded(port: u16) -> Via {
        let address = SocketAddr::from(([192, 0, 2, 1], port));
        Via::Embedded { host: "ns.startup.com".to_owned(), address }
    }

    fn alias(to: &str) -> At {
        At::Alias { to: to.to_owned() }
    }

    /// Has an alias for one name.
    struct Resolver;

    #[async_trait]
    impl Lookup for Resolver {
        async fn at(&self, name: &str) -> At {
            match name == "redis.startup.com" {
                true => alias("z-1.redis.startup.com"),
                false => At::Nothing,
            }
        }
    }

    #[tokio::test]
    async fn it_is_the_jobs_own_name_that_is_looked_up() {
        let job = "redis.startup.com".parse().unwrap();
        let advice = advise(&job, &published(&["z-1"]), &Via::Zone, &Resolver).await;
        assert_eq!(advice.standing, Standing::Right);
    }

    #[test]
    fn a_job_in_one_zone_wants_one_alias() {
        let missing = told(&["z-1"], &Via::Zone, At::Nothing);
        assert_eq!(missing.standing, Standing::Wrong);
        assert_eq!(missing.records, ["redis.startup.com. 60 IN CNAME z-1.redis.startup.com."]);
        assert!(missing.to_string().contains("ALIAS"), "{missing}");
        let right = told(&["z-1"], &Via::Zone, alias("Z-1.redis.startup.com."));
        assert_eq!((right.standing, right.records.len()), (Standing::Right, 0));
        let elsewhere = told(&["z-1"], &Via::Zone, alias("z-2.redis.startup.com"));
        assert_eq!(elsewhere.standing, Standing::Elsewhere);
        let unknown = told(&["z-1"], &Via::Zone, At::Unknown { why: "timed out".into() });
        assert_eq!(unknown.standing, Standing::Unknown);
        assert!(unknown.words.contains("timed out") && unknown.records.len() == 1, "{unknown}");
        assert_eq!(told(&[], &Via::Zone, At::Nothing).standing, Standing::Right);
    }

    #[test]
    fn a_job_in_several_zones_is_told_that_a_name_has_one_alias_only() {
        for (at, standing) in [
            (At::Nothing, Standing::Wrong),
            (alias("z-2.redis.startup.com"), Standing::Partial),
            (alias("redis.cdn.example"), Standing::Elsewhere),
        ] {
            let told = told(&["z-1", "z-2"], &Via::Zone, at);
            assert_eq!(told.standing, standing);
            assert_eq!(
                told.records,
                [
                    "redis.startup.com. 60 IN CNAME z-1.redis.startup.com.",
                    "redis.startup.com. 60 IN CNAME z-2.redis.startup.com."
                ]
            );
            assert!(told.words.contains("one CNAME only"), "{told}");
        }
    }

    #[test]
    fn addresses_by_hand_are_wrong_sooner_or_later() {
        let at = |last: u8| At::Addresses(BTreeSet::from([IpAddr::from([10, 0, 0, last])]));
        let dead = told(&["z-1"], &Via::Zone, at(9));
        assert!(dead.standing == Standing::Wrong && dead.words.contains("10.0.0.9"), "{dead}");
        let for_now = told(&["z-1"], &Via::Zone, at(0));
        assert!(
            for_now.standing == Standing::Wrong && for_now.words.contains("keeps"),
            "{for_now}"
        );
        assert_eq!(told(&["z-1"], &embedded(53), at(0)).standing, Standing::Right);
    }

    #[test]
    fn the_controllers_own_server_is_delegated_to_or_asked() {
        let ns = ["redis.startup.com. 3600 IN NS ns.startup.com."];
        let delegate = told(&["z-1", "z-2"], &embedded(53), At::Nothing);
        assert!(delegate.words.contains("Delegate") && delegate.records == ns, "{delegate}");
        let ask = told(&["z-1"], &embedded(30_053), At::Nothing);
        assert!(ask.words.contains("192.0.2.1:30053") && ask.records == ns, "{ask}");
    }
}
