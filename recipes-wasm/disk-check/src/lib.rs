//! Looks at the space left on the file systems of some paths.

use cerebro_recipe::host::facts::Mount;
use cerebro_recipe::host::health::{Report, Status};
use cerebro_recipe::report::Findings;
use cerebro_recipe::{HealthCheck, Host};
use std::collections::BTreeMap;

/// What a job may say.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The paths, in which `{{ name }}` stands for a value, and the bounds of each.
    paths: BTreeMap<String, Bounds>,
}

/// Below what a file system is worth a warning, or critical.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Bounds {
    /// Free bytes.
    warning_bytes: Option<u64>,
    /// Free bytes.
    critical_bytes: Option<u64>,
    /// Free space in percent.
    warning_percent: Option<f64>,
    /// Free space in percent.
    critical_percent: Option<f64>,
}

struct DiskCheck;

cerebro_recipe::health_check!(DiskCheck);

impl HealthCheck for DiskCheck {
    type Options = Options;

    fn check(host: &impl Host, options: Options) -> Result<Report, String> {
        let mut paths = Vec::new();
        for (path, bounds) in options.paths {
            paths.push((host.render(&path)?, bounds));
        }
        if paths.is_empty() {
            return Err("`paths`: expected at least one".to_owned());
        }
        judge(&paths, &host.mounts())
    }
}

fn judge(paths: &[(String, Bounds)], mounts: &[Mount]) -> Result<Report, String> {
    let mut findings = Findings::default();
    for (path, bounds) in paths {
        let mount =
            holding(path, mounts).ok_or_else(|| format!("`{path}` is on no disk that is known"))?;
        let percent = match mount.total {
            0 => 100.0,
            total => 100.0 * mount.available as f64 / total as f64,
        };
        findings.metric(&format!("free{{{path}}}"), mount.available as f64, "B");
        findings.metric(&format!("free_percent{{{path}}}"), percent, "%");
        let below = |bytes: Option<u64>, share: Option<f64>| {
            bytes.is_some_and(|bytes| mount.available < bytes)
                || share.is_some_and(|share| percent < share)
        };
        let status = if below(bounds.critical_bytes, bounds.critical_percent) {
            Status::Critical
        } else if below(bounds.warning_bytes, bounds.warning_percent) {
            Status::Warning
        } else {
            Status::Passing
        };
        let free = mount.available >> 20;
        findings.found(status, format!("`{path}` has {free} MiB free, {percent:.1} %"));
    }
    Ok(findings.report("enough space is free"))
}

/// The mount that a path lies on: the one with the longest path above it.
fn holding<'a>(path: &str, mounts: &'a [Mount]) -> Option<&'a Mount> {
    let above = |mount: &&Mount| {
        let rest = path.strip_prefix(mount.path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts.iter().filter(above).max_by_key(|mount| mount.path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: &str, available: u64) -> Mount {
        Mount {
            path: path.to_owned(),
            source: "/dev/sda1".to_owned(),
            file_system: "ext4".to_owned(),
            total: 1000 << 20,
            available: available << 20,
            read_only: false,
        }
    }

    #[test]
    fn a_path_lies_on_the_nearest_mount_above_it() {
        let mounts = [mount("/", 1), mount("/var", 2), mount("/var/lib", 3)];
        let path = |path| holding(path, &mounts).map(|mount| mount.path.as_str());
        assert_eq!(path("/var/lib/x"), Some("/var/lib"));
        assert_eq!(path("/var/library"), Some("/var"));
        assert_eq!(path("/variable"), Some("/"));
        assert!(holding("/x", &mounts[1..]).is_none());
    }

    #[test]
    fn less_than_a_bound_is_told() {
        let bounds = Bounds {
            warning_percent: Some(20.0),
            critical_bytes: Some(50 << 20),
            ..Bounds::default()
        };
        let status = |free| {
            let report = judge(&[("/".to_owned(), bounds)], &[mount("/", free)]).unwrap();
            assert_eq!(report.metrics.len(), 2);
            report.status
        };
        assert_eq!(status(200), Status::Passing);
        assert_eq!(status(199), Status::Warning);
        assert_eq!(status(49), Status::Critical);
        assert!(judge(&[("/x".to_owned(), bounds)], &[]).is_err());
    }
}
