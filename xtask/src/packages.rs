//! What others' programs are needed for, out of Debian's packages.

use crate::shell;
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Debian asks this file, where it is there, whether a package may start its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing of (package, a file that it brings) where that is possible, and says
/// what is missing where it is not.
pub fn install(packages: &[(&str, &str)], purpose: &str) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let can = nix::unistd::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists();
    if !can {
        eprintln!(
            "missing for {purpose}: {}; install them with your package manager",
            missing.join(" ")
        );
        return Ok(());
    }
    let _policy = NoServices::arrange()?;
    shell::run("apt-get", &["update", "-q"])?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(&missing);
    shell::run("apt-get", &arguments)
}

/// While it lives, no package that is installed starts its service: we are after the programs.
struct NoServices {
    is_ours: bool,
}

impl NoServices {
    fn arrange() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { is_ours: false });
        }
        let policy = Self { is_ours: true };
        // 101: what was asked for is forbidden.
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(POLICY, Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {POLICY}"))?;
        Ok(policy)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
