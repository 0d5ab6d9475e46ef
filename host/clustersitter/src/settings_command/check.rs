//! What settings say, tried out: nothing is changed, and what is opened is closed again.

use crate::amazon::{self, Ec2};
use crate::programs::Programs;
use crate::settings::{Machines, Names, Settings};
use crate::{machines, names};
use cerebro_aws::Finding;
use cerebro_machines::CreateMachine;
use cerebro_machines_ec2::Ec2Settings;
use cerebro_model::{ClusterName, MachineId, ZoneName};
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Looks at everything that the settings name.
pub async fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings =
        vec![data(&settings.data), listens("listen", settings.listen, &["TCP"]), zones(settings)];
    let bin_dir = machines::bin_dir(settings);
    match &bin_dir {
        Ok(dir) => findings.extend(binaries(settings, dir)),
        Err(error) => findings.push(Finding::wrong("the other binaries", format!("{error:#}"))),
    }
    findings.extend(published(&settings.names).await);
    if let (Machines::Ec2(ec2), Some(cluster)) = (&settings.machines, &settings.cluster) {
        findings.push(advertised(settings));
        if let Ok(dir) = bin_dir {
            findings.extend(at_ec2(settings, ec2, cluster, dir).await);
        }
    }
    findings
}

/// Whether it can be written, or made.
fn data(path: &Path) -> Finding {
    let what = format!("data directory `{}`", path.display());
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = absolute.ancestors().find(|it| it.exists()) else {
        return Finding::wrong(what, "nothing on the way to it is there");
    };
    if !there.is_dir() {
        let why = format!("`{}` is no directory: choose another by `data`", there.display());
        return Finding::wrong(what, why);
    }
    match access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) if there == absolute => Finding::fine(what),
        Ok(()) => Finding::fine(format!("{what}, which is made at the first start")),
        Err(error) => {
            let why = format!(
                "`{}` cannot be written ({error}): let whoever the cluster sitter runs as do that",
                there.display()
            );
            Finding::wrong(what, why)
        }
    }
}

/// Whether an address can be listened on.
fn listens(key: &str, address: SocketAddr, by: &[&str]) -> Finding {
    let what = format!("`{key}` {address}, over {}", by.join(" and "));
    let tried = by.iter().try_for_each(|protocol| match *protocol {
        "UDP" => UdpSocket::bind(address).map(drop),
        _ => TcpListener::bind(address).map(drop),
    });
    match tried {
        Ok(()) => Finding::fine(what),
        Err(error) => Finding::wrong(
            what,
            format!(
                "{error}: end what listens there, which may be this cluster's own sitter, or choose another address \
                 of this host"
            ),
        ),
    }
}

fn zones(settings: &Settings) -> Finding {
    let names: Vec<&str> = settings.zones.keys().map(ZoneName::as_str).collect();
    match names.is_empty() {
        true => Finding::wrong(
            "zones",
            "there is none, so that no machine is made and nothing can run: add `[zones.NAME]` with `min`",
        ),
        false => Finding::fine(format!("zones: {}", names.join(", "))),
    }
}

/// What the cluster sitter starts, or gives to machines.
fn binaries(settings: &Settings, dir: &Path) -> Vec<Finding> {
    let also: &[&str] = match settings.machines {
        Machines::Local { .. } => &["localmachine"],
        Machines::Ec2(_) => &[],
    };
    let mut findings: Vec<Finding> = ["machinesitter", "tasksitter"]
        .iter()
        .chain(also)
        .map(|name| program(&dir.join(name)))
        .collect();
    if findings.iter().any(Finding::is_wrong) {
        return findings;
    }
    findings.push(match Programs::in_directory(dir.to_owned()).list() {
        Ok(programs) => {
            let kinds = programs.iter().map(|it| it.architecture.as_deref().unwrap_or("any"));
            let kinds: Vec<&str> = kinds.collect();
            Finding::fine(format!("the agent's programs, for {}", kinds.join(" and ")))
        }
        Err(error) => Finding::wrong("the agent's programs", error.to_string()),
    });
    findings
}

fn program(path: &Path) -> Finding {
    let what = format!("program `{}`", path.display());
    match fs::metadata(path) {
        Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => Finding::fine(what),
        Ok(_) => Finding::wrong(what, "it cannot be run: make it executable"),
        Err(error) => {
            let why = format!("{error}: put it there, or say by `bin_dir` where it is");
            Finding::wrong(what, why)
        }
    }
}

/// Where names are published.
async fn published(names: &Names) -> Vec<Finding> {
    match names {
        Names::Nowhere => Vec::new(),
        Names::Usual(own) | Names::Embedded(own) => {
            vec![listens("dns.listen", own.listen, &["UDP", "TCP"])]
        }
        Names::Rfc2136 { server, zone, key_file } => {
            let key = format!("key for names, `{}`", key_file.display());
            let server = match names::rfc2136(*server, zone, key_file) {
                Ok(server) => server,
                Err(error) => return vec![Finding::wrong(key, format!("{error:#}"))],
            };
            let told = |what: &str, answer: Result<(), cerebro_dns::DnsError>, hint: &str| {
                let what = format!("{what} of zone `{zone}`");
                match answer {
                    Ok(()) => Finding::fine(what),
                    Err(error) => Finding::wrong(what, format!("{error}{hint}")),
                }
            };
            let narrow = " (where a policy names single jobs' names, what was tried is none of those, and this says nothing)";
            vec![
                Finding::fine(key),
                told("transfer", server.may_read().await, ""),
                told("dynamic updates", server.may_change().await, narrow),
            ]
        }
        Names::Route53(settings) => amazon::check_names(settings.clone()).await,
    }
}

/// Whether others can reach what is advertised, as far as the address alone tells.
fn advertised(settings: &Settings) -> Finding {
    let url = settings.advertise.as_deref().unwrap_or_default();
    let what = format!("`advertise` {url}");
    let host = url.split("//").nth(1).unwrap_or_default();
    let is_own = ["127.", "localhost", "[::1]", "0.0.0.0", "[::]"];
    if is_own.iter().any(|own| host.starts_with(own)) {
        let why = "no machine at EC2 reaches this host there: give the address that it has in their network";
        return Finding::wrong(what, why);
    }
    if settings.listen.ip().is_loopback() {
        let why = format!(
            "the cluster sitter listens on {} only, where no other machine reaches it: let `listen` be this host's \
             address",
            settings.listen
        );
        return Finding::wrong(what, why);
    }
    Finding::untried(what, "only a machine there can tell whether it reaches it")
}

async fn at_ec2(
    settings: &Settings,
    ec2: &Ec2Settings,
    cluster: &ClusterName,
    bin_dir: PathBuf,
) -> Vec<Finding> {
    let user_data = machines::user_data_by(Programs::in_directory(bin_dir), ec2);
    let Some(zone) = ec2.zones.keys().next() else {
        let why = "`[ec2]` names no zone: add `[ec2.zones.<zone>]`";
        return vec![Finding::wrong("machines at EC2", why)];
    };
    // As one would be made; nobody makes it.
    let like = CreateMachine {
        id: MachineId::nth(0),
        zone: zone.clone(),
        capacity: settings.machine,
        controller: settings.advertise.clone().unwrap_or_default(),
        join_token: "0".repeat(32),
        term: 0,
        environment: BTreeMap::new(),
    };
    let ec2 = Ec2 { cluster: cluster.clone(), settings: ec2.clone(), user_data };
    amazon::check_machines(ec2, &like).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Serve, SettingsFile};
    use cerebro_aws::Verdict;

    /// What is wrong by these settings.
    async fn wrong(dir: &Path, more: &str) -> Vec<Finding> {
        let text = format!(
            "data = \"{0}/new/data\"\nbin_dir = \"{0}\"\nlisten = \"127.0.0.1:0\"\n{more}",
            dir.display()
        );
        let file = SettingsFile::parse(Path::new("s.toml"), &text).unwrap();
        let settings = Settings::resolve(Serve::default(), file).unwrap();
        look(&settings).await.into_iter().filter(Finding::is_wrong).collect()
    }

    fn why(finding: &Finding) -> &str {
        match &finding.verdict {
            Verdict::Wrong(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_lacks_is_told_with_what_to_do_and_nothing_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let zone = "[zones.z-1]\nmin = 1\n";
        let found = wrong(dir.path(), "").await;
        let whats: Vec<&str> = found.iter().map(|it| it.what.as_str()).collect();
        assert_eq!(whats.len(), 4, "{whats:?}");
        assert!(why(&found[0]).contains("`[zones.NAME]`"), "{:?}", found[0]);
        assert!(whats[1].contains("machinesitter") && why(&found[1]).contains("`bin_dir`"));
        for name in ["machinesitter", "tasksitter", "localmachine"] {
            fs::write(dir.path().join(name), "#!/bin/sh\n").unwrap();
        }
        let found = wrong(dir.path(), zone).await;
        assert!(found.len() == 3 && why(&found[0]).contains("executable"), "{found:?}");
        for name in ["machinesitter", "tasksitter", "localmachine"] {
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(dir.path().join(name), executable).unwrap();
        }
        assert_eq!(wrong(dir.path(), zone).await, []);
        assert!(!dir.path().join("new").exists());

        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let dns = format!("{zone}[dns]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
        let found = wrong(dir.path(), &dns).await;
        assert!(found.len() == 1 && found[0].what.contains("`dns.listen`"), "{found:?}");
        let key = format!(
            "{zone}[rfc2136]\nserver = \"127.0.0.1:1\"\nzone = \"startup.com\"\nkey_file = \"{}/none\"\n",
            dir.path().display()
        );
        let found = wrong(dir.path(), &key).await;
        assert!(found.len() == 1 && why(&found[0]).contains("cannot read the key"), "{found:?}");
    }

    #[cfg(not(feature = "aws"))]
    #[tokio::test]
    async fn what_was_not_built_is_said_with_how_to_build_it() {
        let dir = tempfile::tempdir().unwrap();
        let amazon = "cluster = \"prod\"\nmachines = \"ec2\"\nadvertise = \"http://127.0.0.1:30000\"\n\
                      [zones.aws-us-west-2a]\nmin = 1\n[ec2.zones.aws-us-west-2a]\nimage = \"ami-1\"\n\
                      [[route53.zones]]\nname = \"startup.com\"\n";
        let found = wrong(dir.path(), amazon).await;
        let built: Vec<_> = found
            .iter()
            .filter(|it| why(it).contains("--features aws"))
            .map(|it| &it.what)
            .collect();
        assert_eq!(built, ["names at Route 53", "machines at EC2"], "{found:?}");
        assert!(found.iter().any(|it| why(it).contains("no machine at EC2 reaches this host")));
    }
}
