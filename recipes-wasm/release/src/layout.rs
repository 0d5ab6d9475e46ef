//! Where things go in a release directory, and which releases are old. Pure.

use cerebro_recipe::template::{self, Values};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a job may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The directory of all releases, in which `{{ name }}` stands for a value.
    pub release_dir: String,
    /// The SHA-256 of the artifact, a tar or tar.gz in the cluster's store.
    pub artifact: String,
    /// How many releases stay, beside those that are needed.
    #[serde(default = "five")]
    pub keep: usize,
    /// Leading parts to cut off each path in the artifact.
    #[serde(default)]
    pub strip: u32,
    /// Template files of the release, and where each goes filled in: relative to the release, or
    /// absolute.
    #[serde(default)]
    pub templates: BTreeMap<String, String>,
    /// Further values for templates.
    #[serde(default)]
    pub variables: Values,
}

fn five() -> usize {
    5
}

/// A release directory.
#[derive(Debug)]
pub struct Layout {
    /// Its path.
    pub dir: String,
}

impl Layout {
    /// The release directory that the options name.
    pub fn new(options: &Options, values: &Values) -> Result<Self, String> {
        let dir = template::render(&options.release_dir, values)
            .map_err(|why| format!("`release_dir`: {why}"))?;
        let dir = dir.trim_end_matches('/').to_owned();
        if dir.is_empty() || !dir.starts_with('/') {
            return Err("`release_dir`: expected an absolute path other than `/`".to_owned());
        }
        Ok(Self { dir })
    }

    /// The directory of one release.
    pub fn release(&self, version: &str) -> Result<String, String> {
        if version == "current" || version.starts_with('.') {
            return Err(format!("`{version}` cannot name a release: it has a meaning here"));
        }
        Ok(format!("{}/{version}", self.dir))
    }

    /// The link to the release in use.
    pub fn current(&self) -> String {
        format!("{}/current", self.dir)
    }

    /// The directory with one file per instance.
    pub fn instances(&self) -> String {
        format!("{}/.cerebro", self.dir)
    }

    /// The file of one instance.
    pub fn instance(&self, id: &str) -> String {
        format!("{}/.cerebro/{id}", self.dir)
    }
}

/// Where a template is and where it goes.
pub fn template(release: &str, from: &str, to: &str) -> Result<(String, String), String> {
    let source = format!("{release}/{from}");
    let destination = if to.starts_with('/') { to.to_owned() } else { format!("{release}/{to}") };
    if source == destination {
        // The second deployment of this version would find it filled in already.
        return Err(format!("the template `{from}` cannot be filled in in its own place"));
    }
    Ok((source, destination))
}

/// A release that is there.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its version.
    pub version: String,
    /// When it came, in seconds since 1970.
    pub modified: i64,
}

/// The versions that may go: neither among the `keep` youngest nor needed.
pub fn superfluous(mut there: Vec<Release>, needed: &[String], keep: usize) -> Vec<String> {
    there.sort_by(|a, b| (b.modified, &b.version).cmp(&(a.modified, &a.version)));
    let old = there.into_iter().skip(keep).map(|release| release.version);
    old.filter(|version| !needed.contains(version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_and_the_needed_stay() {
        let release = |n: i64| Release { version: format!("v{n}"), modified: n };
        let there: Vec<_> = [3, 1, 5, 2, 4].map(release).into();
        let needed = ["v1".to_owned(), "v5".to_owned()];
        assert_eq!(superfluous(there.clone(), &needed, 2), ["v3", "v2"]);
        assert!(superfluous(there.clone(), &[], 5).is_empty());
        assert_eq!(superfluous(there, &needed, 0).len(), 3);
    }

    #[test]
    fn templates_go_beside_their_source_or_to_an_absolute_path() {
        let to = |to| template("/r/1", "app.tmpl", to).map(|(_, to)| to);
        assert_eq!(to("app.conf").unwrap(), "/r/1/app.conf");
        assert_eq!(to("/etc/app.conf").unwrap(), "/etc/app.conf");
        assert!(to("app.tmpl").is_err());
    }

    #[test]
    fn a_version_cannot_take_the_links_place() {
        let layout = Layout { dir: "/r".to_owned() };
        assert_eq!(layout.release("1.2").unwrap(), "/r/1.2");
        assert!(layout.release("current").is_err() && layout.release(".cerebro").is_err());
    }
}
