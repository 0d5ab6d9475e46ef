//! What a job may say of its releases, and where things go. Pure.

use cerebro_recipe::Source;
use cerebro_recipe::host::files::Owner;
use cerebro_recipe::host::release::{Layout, Shared};
use cerebro_recipe::template::{self, Values};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a job may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The directory of all releases, in which `{{ name }}` stands for a value.
    pub release_dir: String,
    /// The SHA-256 of the artifact, a tar or tar.gz in the cluster's store, or at `url`.
    pub artifact: String,
    /// Where to fetch the artifact from, if it is not in the cluster's store; `{{ name }}` stands
    /// for a value.
    pub url: Option<String>,
    /// How many releases stay, beside those that are needed.
    #[serde(default = "five")]
    pub keep: u32,
    /// Leading parts to cut off each path in the artifact.
    #[serde(default)]
    pub strip: u32,
    /// The user that all belongs to; the agent's own by default.
    pub user: Option<String>,
    /// What outlives releases, relative to each: a directory if it ends with `/`, a file otherwise.
    #[serde(default)]
    pub shared: Vec<String>,
    /// Template files of the release, and where each goes filled in: relative to the release, or
    /// absolute.
    #[serde(default)]
    pub templates: BTreeMap<String, String>,
    /// Further values for templates.
    #[serde(default)]
    pub variables: Values,
}

fn five() -> u32 {
    5
}

/// How the releases are laid out.
pub fn layout(options: &Options, values: &Values) -> Result<Layout, String> {
    let base = template::render(&options.release_dir, values)
        .map_err(|why| format!("`release_dir`: {why}"))?;
    let base = base.trim_end_matches('/').to_owned();
    if !base.starts_with('/') {
        return Err("`release_dir`: expected an absolute path other than `/`".to_owned());
    }
    let shared = options.shared.iter().map(|path| Shared {
        path: path.trim_end_matches('/').to_owned(),
        directory: path.ends_with('/'),
    });
    let owner = options.user.clone().map(|user| Owner { user, group: None });
    Ok(Layout { base, owner, shared: shared.collect() })
}

/// Where the release comes from.
pub fn source(options: &Options, values: &Values) -> Result<Source, String> {
    let sha256 = options.artifact.clone();
    Ok(match &options.url {
        None => Source::Artifact(sha256),
        Some(url) => {
            let url = template::render(url, values).map_err(|why| format!("`url`: {why}"))?;
            Source::Url { url, sha256 }
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_go_beside_their_source_or_to_an_absolute_path() {
        let to = |to| template("/r/1", "app.tmpl", to).map(|(_, to)| to);
        assert_eq!(to("app.conf").unwrap(), "/r/1/app.conf");
        assert_eq!(to("/etc/app.conf").unwrap(), "/etc/app.conf");
        assert!(to("app.tmpl").is_err());
    }
}
