//! Jobs that are linked to others: who runs where whom runs.

use crate::JobName;

/// Jobs that are linked in a circle: none of them would have a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{} are linked in a circle: leave `linked_job` out of one of them", circle(.0))]
pub struct LinkCycle(Vec<JobName>);

fn circle(jobs: &[JobName]) -> String {
    let names = jobs.iter().chain(jobs.first()).map(JobName::as_str);
    names.collect::<Vec<_>>().join(" -> ")
}

/// The jobs that `job` is linked to, from the nearest to the one that is linked to none.
pub fn masters<'a>(
    job: &'a JobName,
    linked_to: impl Fn(&JobName) -> Option<&'a JobName>,
) -> Result<Vec<&'a JobName>, LinkCycle> {
    let mut chain = vec![job];
    while let Some(master) = chain.last().and_then(|last| linked_to(last)) {
        if let Some(at) = chain.iter().position(|known| *known == master) {
            return Err(LinkCycle(chain.split_off(at).into_iter().cloned().collect()));
        }
        chain.push(master);
    }
    chain.remove(0);
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_chain_is_followed_to_its_end_and_a_circle_is_named() {
        let name = |text: &str| text.parse::<JobName>().unwrap();
        let links: BTreeMap<_, _> = [("c", "b"), ("b", "a"), ("x", "y"), ("y", "z"), ("z", "y")]
            .map(|(job, master)| (name(job), name(master)))
            .into();
        let linked_to = |job: &JobName| links.get(job);
        let (a, c, x) = (name("a"), name("c"), name("x"));
        assert_eq!(masters(&a, linked_to).unwrap(), Vec::<&JobName>::new());
        assert_eq!(masters(&c, linked_to).unwrap(), [&name("b"), &a]);
        let error = masters(&x, linked_to).unwrap_err().to_string();
        assert!(error.starts_with("y -> z -> y are linked in a circle"), "{error}");
    }
}
