//! What is published together, and whose it is.

use cerebro_model::{ClusterName, InstanceId, JobName, ZoneName};
use std::fmt;

/// All that is published of one job in one zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The zone of machines: no DNS zone.
    pub zone: ZoneName,
    /// The job, whose name is the DNS name below which it is published.
    pub job: JobName,
}

impl Group {
    /// `<zone>.<basename>`: the addresses of all that serve.
    pub fn name(&self) -> String {
        format!("{}.{}", self.zone, self.job)
    }

    /// `<n>.<zone>.<basename>`: the addresses of one instance.
    pub fn instance_name(&self, number: u32) -> String {
        InstanceId::new(number, &self.zone, &self.job).to_string()
    }

    /// `_cerebro.<zone>.<basename>`: the TXT record that says whose the group is.
    pub fn mark_name(&self) -> String {
        format!("_cerebro.{}", self.name())
    }

    /// Whether a name is one of this group's: its own, or that of an instance. Without a final dot, in lower case.
    pub fn has(&self, name: &str) -> bool {
        let group = self.name();
        let below = name.strip_suffix(group.as_str());
        below
            .is_some_and(|below| below.is_empty() || below.strip_suffix('.').is_some_and(is_number))
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|number| number.to_string() == text)
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.zone, self.job)
    }
}

/// Whose a group is: the text of its TXT record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The cluster.
    pub cluster: ClusterName,
    /// The job, once more: a record that was copied to another name gives nobody a right to that.
    pub job: JobName,
    /// The term of the controller that claimed it: a controller of an earlier one is refused.
    pub epoch: u64,
}

/// Why a text is no mark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a mark of Cerebro's: expected `{HERITAGE},cluster=<name>,job=<name>,epoch=<number>`"
)]
pub struct MarkError(String);

const HERITAGE: &str = "heritage=cerebro";

impl Mark {
    /// Whether one who has this mark may change what bears `other`: of the same cluster and job, and no later epoch.
    pub fn may_follow(&self, other: &Self) -> bool {
        self.cluster == other.cluster && self.job == other.job && self.epoch >= other.epoch
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HERITAGE},cluster={},job={},epoch={}", self.cluster, self.job, self.epoch)
    }
}

impl std::str::FromStr for Mark {
    type Err = MarkError;

    /// Reads what [`Display`](fmt::Display) writes; further fields, of a later version, are passed over.
    fn from_str(text: &str) -> Result<Self, MarkError> {
        let wrong = || MarkError(text.to_owned());
        let mut fields = text.split(',');
        if fields.next() != Some(HERITAGE) {
            return Err(wrong());
        }
        let (mut cluster, mut job, mut epoch) = (None, None, None);
        for field in fields {
            match field.split_once('=') {
                Some(("cluster", value)) => cluster = value.parse().ok(),
                Some(("job", value)) => job = value.parse().ok(),
                Some(("epoch", value)) => epoch = value.parse().ok(),
                _ => {}
            }
        }
        match (cluster, job, epoch) {
            (Some(cluster), Some(job), Some(epoch)) => Ok(Self { cluster, job, epoch }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group { zone: "aws-us-west-1a".parse().unwrap(), job: "redis.startup.com".parse().unwrap() }
    }

    #[test]
    fn names_are_those_of_the_original() {
        let group = group();
        assert_eq!(group.name(), "aws-us-west-1a.redis.startup.com");
        assert_eq!(group.instance_name(0), "0.aws-us-west-1a.redis.startup.com");
        assert_eq!(group.mark_name(), "_cerebro.aws-us-west-1a.redis.startup.com");
    }

    #[test]
    fn a_group_has_its_name_and_its_instances_and_nothing_else() {
        let group = group();
        for ours in [group.name(), group.instance_name(0), group.instance_name(4_000_000_000)] {
            assert!(group.has(&ours), "{ours}");
        }
        let others = [
            "redis.startup.com",
            "www.aws-us-west-1a.redis.startup.com",
            "00.aws-us-west-1a.redis.startup.com",
            "0.1.aws-us-west-1a.redis.startup.com",
            "0aws-us-west-1a.redis.startup.com",
            ".aws-us-west-1a.redis.startup.com",
            "0.aws-us-west-1b.redis.startup.com",
        ];
        for other in others {
            assert!(!group.has(other), "{other}");
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_later_fields_are_passed_over() {
        let mark = Mark { cluster: "prod".parse().unwrap(), job: "a.b".parse().unwrap(), epoch: 7 };
        let text = mark.to_string();
        assert_eq!(text, "heritage=cerebro,cluster=prod,job=a.b,epoch=7");
        assert_eq!(text.parse(), Ok(mark.clone()));
        assert_eq!(format!("{text},colour=blue").parse(), Ok(mark));
        for foreign in [
            "",
            "heritage=external-dns,cluster=prod,job=a.b,epoch=7",
            "heritage=cerebro,cluster=prod,job=a.b",
            "heritage=cerebro,cluster=PROD,job=a.b,epoch=7",
            "heritage=cerebro,cluster=prod,job=a.b,epoch=-1",
        ] {
            assert!(foreign.parse::<Mark>().is_err(), "{foreign}");
        }
    }

    #[test]
    fn a_mark_gives_way_to_a_later_one_of_the_same_job_and_cluster_only() {
        let mark = |cluster: &str, job: &str, epoch| Mark {
            cluster: cluster.parse().unwrap(),
            job: job.parse().unwrap(),
            epoch,
        };
        let there = mark("prod", "a.b", 7);
        assert!(mark("prod", "a.b", 7).may_follow(&there));
        assert!(mark("prod", "a.b", 8).may_follow(&there));
        assert!(!mark("prod", "a.b", 6).may_follow(&there));
        assert!(!mark("other", "a.b", 8).may_follow(&there));
        assert!(!mark("prod", "c.b", 8).may_follow(&there));
    }
}
