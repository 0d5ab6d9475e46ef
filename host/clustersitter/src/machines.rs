//! Where machines come from, by the settings: this host, or Amazon EC2.

use crate::amazon::{self, Ec2};
use crate::cluster::on_disk;
use crate::programs::{Programs, ProgramsError};
use crate::settings::{Machines, Network, Settings};
use anyhow::{Context, Result, bail, ensure};
use cerebro_api::join::AgentProgram;
use cerebro_api::paths;
use cerebro_bootstrap::cloud_init::{self, UserDataError};
use cerebro_bootstrap::{JoinToken, Program, Setup, SetupError, Source};
use cerebro_machines::{
    CreateMachine, Isolation, LocalConfig, LocalProvider, MachineProvider, beyond_host,
    host_capacity,
};
use cerebro_machines_ec2::Ec2Settings;
use cerebro_model::{ClusterName, ZoneName};
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a machine of this host may take to join.
const LOCAL_JOINS_WITHIN: Duration = Duration::from_secs(60);
/// How long one at EC2 may: it boots in half a minute, and asks for its programs for five minutes, should it have no way to
/// the controller at first.
const EC2_JOINS_WITHIN: Duration = Duration::from_secs(600);
/// Where it is written down, below the data directory, what is made at EC2.
const EC2_NOTES: &str = "ec2-notes";
/// Where machines of this host have theirs.
const LOCAL_MACHINES: &str = "machines";

/// Where machines come from, and what there is to say of that.
pub struct Open {
    /// It makes and ends them.
    pub provider: Arc<dyn MachineProvider>,
    /// The same, if they are of this host.
    pub local: Option<Arc<LocalProvider>>,
    /// How long a machine may take to join.
    pub join_within: Duration,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
    /// Where they come from, for a person.
    pub words: &'static str,
}

impl Open {
    /// At which address machines reach the controller that listens there.
    pub fn controller(&self, settings: &Settings, listens: SocketAddr) -> String {
        let host = self.local.as_ref().map(|local| local.controller_host());
        match (host, &settings.advertise) {
            (None, Some(url)) => url.trim_end_matches('/').to_owned(),
            (host, _) => base_url(host.unwrap_or(listens.ip()), listens.port()),
        }
    }
}

/// A controller's base URL.
pub fn base_url(host: IpAddr, port: u16) -> String {
    format!("http://{}", SocketAddr::new(host, port))
}

/// Opens where they come from. `data` is there, and `programs` are what agents are made of.
pub async fn open(
    settings: &Settings,
    cluster: &ClusterName,
    data: &Path,
    bin_dir: &Path,
    programs: &Programs,
) -> Result<Open> {
    match &settings.machines {
        Machines::Local { network, unprivileged } => {
            nothing_left(
                &data.join(EC2_NOTES),
                "machines at EC2: go on with `machines = \"ec2\"`, and have them terminated, before others are made",
            )?;
            local(settings, *network, *unprivileged, data, bin_dir)
        }
        Machines::Ec2(ec2) => {
            nothing_left(
                &data.join(LOCAL_MACHINES),
                "machines of this host: end them by `clustersitter purge --data DIRECTORY`, or take another --data",
            )?;
            let (cluster, settings) = (cluster.clone(), ec2.clone());
            let user_data = user_data_by(programs.clone(), &settings);
            let ec2 = Ec2 { cluster, settings, user_data };
            let provider = amazon::machines(ec2, &data.join(EC2_NOTES)).await?;
            let (join_within, words) = (EC2_JOINS_WITHIN, "machines come from EC2");
            Ok(Open { provider, local: None, join_within, warnings: Vec::new(), words })
        }
    }
}

/// Whoever knew of machines goes on knowing of them: another provider would call them gone.
fn nothing_left(directory: &Path, words: &str) -> Result<()> {
    // What was being written when somebody died is nothing yet.
    let is_half = |path: PathBuf| path.extension().is_some_and(|it| it == "new");
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_empty = found.filter(|it| !is_half(it.path())).count() == 0;
    ensure!(is_empty, "{} has {words}", directory.display());
    Ok(())
}

fn local(
    settings: &Settings,
    network: Network,
    unprivileged: bool,
    data: &Path,
    bin_dir: &Path,
) -> Result<Open> {
    let isolation = match unprivileged {
        true => Isolation::none("`--unprivileged` was given"),
        false => Isolation::detect(bin_dir, data)
            .context("cannot find out what can be isolated on this host")?,
    };
    let machines: usize = settings.zones.values().map(|zone| zone.min as usize).sum();
    let promised = vec![settings.machine; machines];
    let beyond = host_capacity().ok().and_then(|host| beyond_host(&promised, host));
    let warnings = isolation.sentence().into_iter().chain(beyond).collect();
    let config = LocalConfig {
        data_dir: data.to_owned(),
        bin_dir: bin_dir.to_owned(),
        cluster: crate::names::made_name(data),
        isolation,
        network: match network {
            Network::Host => cerebro_machines::Network::Host,
            Network::Own => cerebro_machines::Network::Own,
        },
    };
    let local = Arc::new(LocalProvider::open(config)?);
    let (provider, join_within) = (local.clone(), LOCAL_JOINS_WITHIN);
    let words = "machines are of this host";
    Ok(Open { provider, local: Some(local), join_within, warnings, words })
}

/// Where the other binaries are.
pub fn bin_dir(settings: &Settings) -> Result<PathBuf> {
    if let Some(dir) = &settings.bin_dir {
        return Ok(dir.clone());
    }
    let own = std::env::current_exe().context("cannot find this program's own path")?;
    match own.parent() {
        Some(dir) => Ok(dir.to_owned()),
        None => bail!("this program has no directory"),
    }
}

/// Why an instance has no user data.
#[derive(Debug, thiserror::Error)]
pub enum NoUserData {
    /// What agents are made of cannot be read.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// It does not come to an agent.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A program is for processors that agents are not built for.
    #[error(transparent)]
    Architecture(#[from] cerebro_bootstrap::UnknownArchitecture),
    /// It cannot be written.
    #[error(transparent)]
    Written(#[from] UserDataError),
    /// What agents are made of does not run on such machines.
    #[error(
        "the image is for {image}, and `{program}` in the directory of programs is for {found}: take an image for {found}, or programs for {image} (`bin_dir`)"
    )]
    Image {
        /// What the image is for.
        image: String,
        /// A program that is for something else.
        program: String,
        /// What that is for.
        found: String,
    },
}

/// What EC2 calls the processors that `uname -m` calls so.
fn as_ec2_says(architecture: &str) -> &str {
    match architecture {
        "aarch64" => "arm64",
        other => other,
    }
}

/// What an instance starts with, by an image of that architecture: it fetches these programs from the controller, by their
/// digests, and joins with the token that the machine is made with.
pub fn user_data(
    programs: &Programs,
    request: &CreateMachine,
    image: &str,
    ipv6: bool,
) -> Result<String, NoUserData> {
    let programs = programs.list()?;
    let foreign = programs.iter().find_map(|program| {
        let found = as_ec2_says(program.architecture.as_deref()?);
        (found != image).then(|| (program.name.clone(), found.to_owned()))
    });
    if let Some((program, found)) = foreign {
        return Err(NoUserData::Image { image: image.to_owned(), program, found });
    }
    let controller = request.controller.trim_end_matches('/');
    let program = |AgentProgram { name, digest, size, architecture }| {
        Ok::<_, NoUserData>(Program {
            name: name.parse()?,
            digest,
            size,
            architecture: architecture.map(|it| it.parse()).transpose()?,
            source: Source::Url(format!("{controller}{}/{digest}", paths::AGENT)),
        })
    };
    let programs = programs.into_iter().map(program).collect::<Result<_, _>>()?;
    let token = JoinToken::new(request.join_token.as_str());
    let (machine, zone) = (request.id.clone(), request.zone.clone());
    let setup = Setup::new(machine, zone, controller, token, programs)?;
    Ok(cloud_init::user_data(&setup.with_ipv6(ipv6))?)
}

/// The same for any request, by the settings of its zone. Programs may be read through for it.
pub fn user_data_by(programs: Programs, settings: &Ec2Settings) -> amazon::UserData {
    let zones = settings.zones.iter().filter(|(_, zone)| zone.ipv6);
    let with_ipv6: BTreeSet<ZoneName> = zones.map(|(name, _)| name.clone()).collect();
    Arc::new(move |request, image| {
        let ipv6 = with_ipv6.contains(&request.zone);
        on_disk(|| user_data(&programs, request, image, ipv6)).map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_model::{Capacity, Cores, Megabytes};
    use std::collections::BTreeMap;

    #[test]
    fn an_instance_fetches_its_programs_from_the_controller_and_joins_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["machinesitter", "tasksitter"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let programs = Programs::in_directory(dir.path().to_owned());
        let request = CreateMachine {
            id: "m-7".parse().unwrap(),
            zone: "aws-us-west-2a".parse().unwrap(),
            capacity: Capacity {
                cpu: Cores::from_millis(1000),
                mem: Megabytes::new(1024),
                disk: Megabytes::ZERO,
            },
            controller: "http://10.0.0.5:30000/".to_owned(),
            join_token: "0123456789abcdef0123456789abcdef".to_owned(),
            term: 0,
            environment: BTreeMap::new(),
        };
        let mut settings = Ec2Settings::default();
        let text = user_data_by(programs.clone(), &settings)(&request, "x86_64").unwrap();
        let digest = programs.list().unwrap()[0].digest;
        let fetched = format!("http://10.0.0.5:30000/v1/agent/{digest}");
        assert!(text.contains(&fetched) && text.contains("--machine m-7"), "{text}");
        assert_eq!(text.matches("0123456789abcdef0123456789abcdef").count(), 1);
        assert_eq!(user_data_by(programs.clone(), &settings)(&request, "x86_64").unwrap(), text);
        let zone = serde_json::from_value(serde_json::json!({ "image": "ami-1", "ipv6": true }));
        settings.zones.insert(request.zone.clone(), zone.unwrap());
        let with_ipv6 = user_data_by(programs, &settings)(&request, "x86_64").unwrap();
        assert_eq!(with_ipv6.replace(" --ipv6", ""), text);
        assert_ne!(with_ipv6, text);

        let none = Programs::in_directory(dir.path().join("elsewhere"));
        let error = user_data_by(none, &settings)(&request, "x86_64").unwrap_err();
        assert!(error.contains("machinesitter") && error.contains("--bin-dir"), "{error}");

        let own = std::env::current_exe().unwrap();
        fs::copy(own, dir.path().join("machinesitter")).unwrap();
        let programs = Programs::in_directory(dir.path().to_owned());
        let (own, other) = match as_ec2_says(std::env::consts::ARCH) {
            "arm64" => ("arm64", "x86_64"),
            own => (own, "arm64"),
        };
        user_data_by(programs.clone(), &settings)(&request, own).unwrap();
        let error = user_data_by(programs, &settings)(&request, other).unwrap_err();
        assert!(
            error.contains(&format!("`machinesitter` in the directory of programs is for {own}")),
            "{error}"
        );
    }

    #[test]
    fn machines_of_another_kind_are_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(EC2_NOTES);
        nothing_left(&place, "machines").unwrap();
        fs::create_dir(&place).unwrap();
        nothing_left(&place, "machines").unwrap();
        fs::write(place.join("m-1.new"), "{").unwrap();
        nothing_left(&place, "machines").unwrap();
        fs::write(place.join("m-1.json"), "{}").unwrap();
        assert!(nothing_left(&place, "machines").is_err());
    }
}
