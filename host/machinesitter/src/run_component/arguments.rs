//! The command line of `cerebro recipe run`.

use cerebro_model::{Grants, JobName, Options, PortName, Secret, SecretName, Version};
use serde::de::DeserializeOwned;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Run a recipe or a health check on this machine, without a cluster.
///
/// The component's log goes to standard output as it comes; last comes `deployed`, `undeployed`, or
/// what the check found. The exit code is 0, or 1 if the call failed or a check found what it looked
/// at critical, or 2 for a wrong command line.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cerebro recipe run", disable_version_flag = true)]
pub struct Arguments {
    /// The component, a .wasm file.
    pub file: PathBuf,
    /// The directory that stands for `/` in the component's eyes; it must be there.
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// What to call; by default `deploy` of a recipe and `check` of a health check.
    #[arg(long, value_enum)]
    pub call: Option<Function>,
    /// The component's options: a job's `recipe_options`, or those of one of its checks.
    #[arg(long, value_name = "JSON|@FILE", value_parser = json::<Options>, default_value = "{}")]
    pub options: Options,
    /// What the component may do: a job's `grants`. Without it nothing is granted, and a denial
    /// names the line to add.
    #[arg(long, value_name = "JSON|@FILE", value_parser = json::<Grants>)]
    pub grants: Option<Grants>,
    /// The version that is deployed.
    #[arg(long = "version", value_name = "VERSION", default_value = "dev")]
    pub release: Version,
    /// The version that was deployed before.
    #[arg(long, value_name = "VERSION")]
    pub previous: Option<Version>,
    /// The job that it is for.
    #[arg(long, default_value = "local")]
    pub job: JobName,
    /// The address where the instance listens.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub address: IpAddr,
    /// A port where the instance listens. Repeatable.
    #[arg(long = "port", value_name = "NAME=NUMBER", value_parser = port)]
    pub ports: Vec<(PortName, u16)>,
    /// An artifact that the component may fetch. Repeatable. The digest of the first one is the
    /// option `artifact`, unless --options has one.
    #[arg(long = "artifact", value_name = "FILE")]
    pub artifacts: Vec<PathBuf>,
    /// A secret that the component may ask for. Repeatable.
    #[arg(long = "secret", value_name = "NAME=@FILE", value_parser = secret)]
    pub secrets: Vec<(SecretName, Secret)>,
    /// Seconds that the call may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Say what it would do, and change nothing.
    #[arg(long, conflicts_with = "roll_back")]
    pub plan: bool,
    /// Take back what the last call with this root did, instead of making one.
    #[arg(long)]
    pub roll_back: bool,
    /// Where to keep what outlives the call: what the component remembers, artifacts, compiled
    /// components. By default the root's name with `.cerebro` behind it, beside the root. Remove it
    /// to begin anew.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// A function that components export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Function {
    /// A recipe's: bring the version.
    Deploy,
    /// A recipe's: take it away.
    Undeploy,
    /// A health check's.
    Check,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Undeploy => "undeploy",
            Self::Check => "check",
        })
    }
}

/// A value as JSON, or the file that holds it.
fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    match text.strip_prefix('@') {
        None => serde_json::from_str(text).map_err(|error| error.to_string()),
        Some(file) => {
            let text = fs::read(file).map_err(|error| error.to_string())?;
            serde_json::from_slice(&text).map_err(|error| format!("{file}: {error}"))
        }
    }
}

fn port(text: &str) -> Result<(PortName, u16), String> {
    let (name, number) = text.split_once('=').ok_or("expected NAME=NUMBER, such as http=8080")?;
    let number = number.parse().map_err(|_| format!("`{number}` is no port"))?;
    Ok((name.parse().map_err(|error| format!("{error}"))?, number))
}

/// A name and what the file after it holds: a secret itself would be seen by everyone.
fn secret(text: &str) -> Result<(SecretName, Secret), String> {
    let named = text.split_once("=@").ok_or("expected NAME=@FILE, with the secret in the file")?;
    let name = named.0.parse().map_err(|error| format!("{error}"))?;
    let bytes = fs::read(named.1).map_err(|error| format!("{}: {error}", named.1))?;
    Ok((name, Secret::try_from(bytes).map_err(|error| format!("{}: {error}", named.1))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    fn parse(arguments: &[&str]) -> Result<Arguments, String> {
        let all = ["run", "a.wasm", "--root", "/r"].iter().chain(arguments);
        Arguments::try_parse_from(all).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn values_are_given_or_lie_in_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("value");
        fs::write(&file, r#"{"write": ["/opt"]}"#).unwrap();
        let at = format!("@{}", file.display());
        let (inline, secret) = (r#"{"write":["/opt"]}"#, format!("db.password={at}"));
        let arguments = ["--port", "http=80", "--secret", &secret, "--grants"];
        let from_file = parse(&[&arguments[..], &[at.as_str()]].concat()).unwrap();
        assert_eq!(from_file.grants, parse(&["--grants", inline]).unwrap().grants);
        assert_eq!(from_file.ports, [("http".parse().unwrap(), 80)]);
        assert_eq!(from_file.secrets[0].1.reveal(), br#"{"write": ["/opt"]}"#);
        assert!(!format!("{from_file:?}").contains(r#""write""#));
        assert_eq!(from_file.grants.unwrap().write("/opt/a"), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_refused_in_words_and_no_secret_is_repeated() {
        for (arguments, words) in [
            (["--options", "[]"], "map"),
            (["--options", "@/not/there"], "No such file"),
            (["--grants", r#"{"writ":[]}"#], "unknown field `writ`"),
            (["--grants", r#"{"write":["opt"]}"#], "absolute path"),
            (["--port", "http"], "NAME=NUMBER"),
            (["--port", "http=70000"], "no port"),
            (["--secret", "a=hunter2"], "NAME=@FILE"),
            (["--secret", "a=@/not/there"], "No such file"),
            (["--timeout", "0"], "0 is not in"),
            (["--version", ".."], "not a valid version"),
            (["--call", "destroy"], "deploy, undeploy, check"),
        ] {
            let error = parse(&arguments).unwrap_err();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
}
