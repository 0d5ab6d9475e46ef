//! `cerebro settings`: settings looked at, and tried out without changing anything.

mod check;

use crate::settings::{Machines, Names, Serve, Settings, SettingsError, schema};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Try out what they say, without changing anything: a line for each thing that was looked at. Fails if one is not as it
    /// should be.
    Check {
        /// Which settings.
        #[command(flatten)]
        which: Which,
    },
    /// Print what counts, after the command line, the environment, the file and what is usual; as TOML, which is a settings
    /// file again.
    Show {
        /// Which settings.
        #[command(flatten)]
        which: Which,
    },
    /// Print the policy that whoever the cluster sitter runs as needs at Amazon, as JSON. Nobody is asked for it.
    Policy {
        /// Which settings.
        #[command(flatten)]
        which: Which,
    },
    /// Print the JSON Schema of a settings file.
    Schema,
}

/// Which settings.
#[derive(Debug, Args)]
pub struct Which {
    /// The settings file. Without it, the command line and the environment say it all.
    file: Option<PathBuf>,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum SettingsCommandError {
    /// The settings are not taken.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// They cannot be written.
    #[error("the settings cannot be written as TOML")]
    Written(#[from] toml::ser::Error),
    /// Nothing is at Amazon.
    #[error("by these settings nothing is at Amazon, so that nothing has to be allowed there")]
    NothingAtAmazon,
    /// Not all is well.
    #[error(
        "{wrong} of {all} things are not as they should be; the lines that begin with `wrong` say why"
    )]
    Wrong {
        /// How many are not.
        wrong: usize,
        /// How many were looked at.
        all: usize,
    },
}

/// Carries it out; what it has to say goes to standard output. `said` is what the command line and the environment say
/// beside the file.
pub async fn run(command: SettingsCommand, said: Serve) -> Result<(), SettingsCommandError> {
    match command {
        SettingsCommand::Check { which } => {
            let settings = which.settings(said)?;
            let findings = check::look(&settings).await;
            findings.iter().for_each(|finding| println!("{finding}"));
            let (wrong, all) = (findings.iter().filter(|it| it.is_wrong()).count(), findings.len());
            if wrong == 0 {
                return Ok(());
            }
            if let Some(policy) = policy(&settings) {
                println!(
                    "\nThe policy that is to be attached to whoever the cluster sitter runs as:"
                );
                println!("{policy:#}");
            }
            Err(SettingsCommandError::Wrong { wrong, all })
        }
        SettingsCommand::Show { which } => {
            print!("{}", toml::to_string(&which.settings(said)?.file())?);
            Ok(())
        }
        SettingsCommand::Policy { which } => {
            let policy = policy(&which.settings(said)?);
            println!("{:#}", policy.ok_or(SettingsCommandError::NothingAtAmazon)?);
            Ok(())
        }
        SettingsCommand::Schema => {
            println!("{:#}", schema());
            Ok(())
        }
    }
}

impl Which {
    fn settings(self, said: Serve) -> Result<Settings, SettingsError> {
        let file = self.file.or_else(|| said.settings.clone());
        Settings::read(Serve { settings: file, ..said })
    }
}

/// One policy for all that the settings have at Amazon; nothing, if there is nothing.
fn policy(settings: &Settings) -> Option<Value> {
    let ec2 = match (&settings.machines, &settings.cluster) {
        (Machines::Ec2(ec2), Some(cluster)) => {
            statements(&cerebro_machines_ec2::policy::policy(cluster, ec2))
        }
        _ => Vec::new(),
    };
    let route53 = match &settings.names {
        Names::Route53(route53) => statements(&cerebro_dns_route53::policy::policy(route53)),
        _ => Vec::new(),
    };
    let all = [ec2, route53].concat();
    (!all.is_empty()).then(|| json!({ "Version": "2012-10-17", "Statement": all }))
}

/// The statements of a policy of ours, which is JSON.
fn statements(policy: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    policy["Statement"].as_array().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SettingsFile;
    use std::path::Path;

    #[test]
    fn one_policy_holds_what_is_needed_for_both() {
        let text = "cluster = \"prod\"\nmachines = \"ec2\"\nadvertise = \"http://10.0.0.1:30000\"\n\
                    [ec2.zones.aws-us-west-2a]\nimage = \"ami-1\"\n[[route53.zones]]\nname = \"startup.com\"\n";
        let file = SettingsFile::parse(Path::new("a.toml"), text).unwrap();
        let settings = Settings::resolve(Serve::default(), file).unwrap();
        let policy = policy(&settings).unwrap();
        let names: Vec<_> =
            policy["Statement"].as_array().unwrap().iter().map(|it| &it["Sid"]).collect();
        assert!(names.contains(&&json!("RebootAndEndOnlyWhatIsOurs")), "{names:?}");
        assert!(names.contains(&&json!("PublishAddressesAndMarks")), "{names:?}");
        assert!(policy.to_string().contains("\"prod\""));
        let mut once = names.clone();
        once.sort_by_key(|it| it.to_string());
        once.dedup();
        assert_eq!(once.len(), names.len(), "IAM wants each `Sid` once");
        assert_eq!(
            super::policy(&Settings::resolve(Serve::default(), SettingsFile::default()).unwrap()),
            None
        );
    }
}
