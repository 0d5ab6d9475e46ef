//! What a command is held to while it runs.

use super::{Allowed, Grants, PathPattern};
use std::fmt;

/// What a sandbox holds a command to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandBound {
    /// The directories that it can write to; any that its user may if it is left out.
    pub writes: Option<Vec<PathPattern>>,
    /// Whether it has the network, and the sockets of the machine's services.
    pub network: bool,
}

impl CommandBound {
    /// None if nothing is bounded.
    pub(super) fn new(writes: Option<Vec<PathPattern>>, network: Option<bool>) -> Option<Self> {
        let network = network.unwrap_or(true);
        (writes.is_some() || !network).then_some(Self { writes, network })
    }

    /// Whether a command that is held to `own` may do all that one may that is held to `other`.
    pub(super) fn includes(own: Option<&Self>, other: Option<&Self>) -> bool {
        let (Some(own), Some(other)) = (own, other) else { return own.is_none() };
        let writes = match (&own.writes, &other.writes) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => {
                others.iter().all(|other| own.iter().any(|own| own.covers(other.as_str())))
            }
        };
        writes && (own.network || !other.network)
    }

    /// What both allow.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let writes = match (&self.writes, &other.writes) {
            (None, writes) | (writes, None) => writes.clone(),
            (Some(own), Some(others)) => Some(common(own, others)),
        };
        Self { writes, network: self.network && other.network }
    }
}

/// The trees that lie in one of each.
fn common(own: &[PathPattern], others: &[PathPattern]) -> Vec<PathPattern> {
    let mut common = Vec::new();
    for (one, other) in own.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
        let inner = match (one.covers(other.as_str()), other.covers(one.as_str())) {
            (true, _) => other,
            (false, true) => one,
            (false, false) => continue,
        };
        if !common.contains(inner) {
            common.push(inner.clone());
        }
    }
    common
}

impl Grants {
    /// What a command is held to that may be run; none if it is UNBOUNDED. Grants add up: where one
    /// line allows it without a bound, it has none; of several bounds the first one counts.
    pub fn bound(&self, argv: &[String], user: Option<&str>) -> Option<CommandBound> {
        let mut lines = self.commands.iter().filter(|line| line.covers(argv, user));
        let first = lines.next()?.bound()?;
        lines.all(|line| line.bound().is_some()).then(|| first.clone())
    }
}

impl Allowed {
    /// What a command is held to that may be run: by the job, and by what the component declares.
    pub fn bound(&self, argv: &[String], user: Option<&str>) -> Option<CommandBound> {
        let granted = self.grants.bound(argv, user);
        let declared = self.wants.as_ref().and_then(|wants| wants.bound(argv, user));
        match (granted, declared) {
            (Some(granted), Some(declared)) => Some(granted.and(&declared)),
            (granted, declared) => granted.or(declared),
        }
    }
}

impl fmt::Display for CommandBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match &self.writes {
            None => "",
            Some(trees) if trees.is_empty() => {
                f.write_str("which writes nothing")?;
                " and "
            }
            Some(trees) => {
                let trees: Vec<&str> = trees.iter().map(PathPattern::as_str).collect();
                write!(f, "which writes to {} only", trees.join(", "))?;
                " and "
            }
        };
        match self.network {
            true => Ok(()),
            false => write!(f, "{separator}without a network"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn grants(commands: Value) -> Grants {
        serde_json::from_value(json!({ "commands": commands })).unwrap()
    }

    fn bound(writes: Option<&[&str]>, network: bool) -> CommandBound {
        let tree = |tree: &&str| PathPattern::try_from((*tree).to_owned()).unwrap();
        CommandBound { writes: writes.map(|trees| trees.iter().map(tree).collect()), network }
    }

    fn app() -> Vec<String> {
        vec!["/bin/app".to_owned()]
    }

    #[test]
    fn a_line_binds_by_what_it_says() {
        for (line, expected, text) in [
            (json!({}), None, "/bin/app"),
            (json!({"network": true}), None, "/bin/app"),
            (json!({"network": false}), Some(bound(None, false)), "/bin/app, without a network"),
            (
                json!({"writes": ["/a/", "/b"]}),
                Some(bound(Some(&["/a", "/b"]), true)),
                "/bin/app, which writes to /a, /b only",
            ),
            (
                json!({"writes": [], "network": false}),
                Some(bound(Some(&[]), false)),
                "/bin/app, which writes nothing and without a network",
            ),
        ] {
            let mut line = line;
            line["argv"] = json!(["/bin/app"]);
            let grants = grants(json!([line]));
            assert_eq!(grants.bound(&app(), None), expected);
            assert_eq!(grants.commands[0].to_string(), text);
            let written = serde_json::to_value(&grants).unwrap();
            assert_eq!(serde_json::from_value::<Grants>(written).unwrap(), grants);
        }
        for wrong in
            [json!({"writes": ["a"]}), json!({"writes": ["/a/../b"]}), json!({"reads": []})]
        {
            let mut line = wrong;
            line["argv"] = json!(["/bin/app"]);
            assert!(serde_json::from_value::<Grants>(json!({"commands": [line]})).is_err());
        }
    }

    #[test]
    fn grants_add_up_and_both_keys_bind() {
        let line = |tree: &str| json!({"argv": ["/bin/app"], "writes": [tree]});
        let one = grants(json!([line("/a"), line("/b")]));
        assert_eq!(one.bound(&app(), None), Some(bound(Some(&["/a"]), true)));
        let free = grants(json!([line("/a"), "/bin/app"]));
        assert_eq!(free.bound(&app(), None), None);

        let wants = grants(json!([
            {"argv": ["/bin/app"], "writes": ["/a/b", "/c"], "network": false}
        ]));
        let both = Allowed::new(Arc::new(one.clone()), Some(Arc::new(wants.clone())));
        assert_eq!(both.bound(&app(), None), Some(bound(Some(&["/a/b"]), false)));
        let both = Allowed::new(Arc::new(free), Some(Arc::new(wants)));
        assert_eq!(both.bound(&app(), None), Some(bound(Some(&["/a/b", "/c"]), false)));
        let both = Allowed::new(Arc::new(one), None);
        assert_eq!(both.bound(&app(), None), Some(bound(Some(&["/a"]), true)));
    }

    #[test]
    fn what_is_bounded_does_not_include_what_is_not() {
        let free = grants(json!(["/bin/app"]));
        let line = |writes: &[&str], network: bool| {
            grants(json!([{"argv": ["/bin/app"], "writes": writes, "network": network}]))
        };
        let held = line(&["/a"], false);
        assert_eq!(free.missing(&held), []);
        assert_eq!(held.missing(&free).len(), 1);
        assert_eq!(held.missing(&line(&["/a/b"], false)), []);
        assert_eq!(held.missing(&line(&[], false)), []);
        for more in [line(&["/a"], true), line(&["/a", "/b"], false)] {
            let missing = held.missing(&more);
            let added = serde_json::from_str::<Value>(&missing[0].value).unwrap();
            assert_eq!(grants(json!([added])), more);
        }
        let offline = grants(json!([{"argv": ["/bin/app"], "network": false}]));
        assert_eq!(held.missing(&offline).len(), 1);
    }

    #[test]
    fn a_bound_ends_what_is_unbounded_unless_it_does_not() {
        let shell = |writes: &[&str], network: bool| {
            let line = json!({"argv": ["/bin/sh", "**"], "writes": writes, "network": network});
            grants(json!([line])).unbounded().into_iter().map(|line| line.why).next()
        };
        assert_eq!(shell(&["/opt/app"], false), None);
        assert!(shell(&["/opt/app"], true).unwrap().contains("an interpreter"));
        assert!(shell(&["/opt/app", "/etc"], false).unwrap().contains("it can write there"));
    }
}
