//! Why settings are not taken.

use cerebro_api::jobfile::JobFileError;
use cerebro_model::ZoneName;
use std::io;
use std::path::PathBuf;

/// Why settings are not taken: what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its name does not tell what it is.
    #[error(
        "`{}` does not tell what it is written in: expected a name that ends in `.toml`, `.yaml`, `.yml` or `.json`", .0.display()
    )]
    Format(PathBuf),
    /// It is not as it should be, and where.
    #[error(transparent)]
    Content(#[from] JobFileError),
    /// A zone that may have fewer machines than it keeps.
    #[error("zone `{zone}` allows fewer machines ({max}) than it keeps ({min}): raise its `max`")]
    Zone {
        /// The zone.
        zone: ZoneName,
        /// What it keeps.
        min: u32,
        /// What it may have.
        max: u32,
    },
    /// A URL that is none.
    #[error(
        "`advertise` is `{0}`, and that is no base URL: expected such as `http://10.0.0.5:30000`, without a user or password"
    )]
    Advertise(String),
    /// Machines elsewhere cannot know where the controller is.
    #[error(
        "machines at EC2 need `advertise`, the base URL at which they reach this controller, such as \
         `http://10.0.0.5:30000`: add it to the settings, or give --advertise"
    )]
    NoAdvertise,
    /// What is ours at Amazon is told by the cluster's name.
    #[error(
        "{0} needs `cluster`, the name by which this cluster's things at Amazon are told from others': add it to the \
         settings, or give --cluster, and never change it while there are any"
    )]
    NoCluster(&'static str),
    /// There is a section for EC2, and nobody has said that it is meant.
    #[error(
        "there is a section `[ec2]`, and nothing says where machines come from: add `machines = \"ec2\"`, or \"local\""
    )]
    NoSource,
    /// Machines are to come from EC2, and nothing is said of that.
    #[error(
        "machines are to come from EC2, and there is no section `[ec2]`: it is only said in a settings file"
    )]
    NoEc2,
    /// The section for EC2.
    #[error(transparent)]
    Ec2(#[from] cerebro_machines_ec2::SettingsError),
    /// A zone of which EC2's section knows nothing.
    #[error(
        "machines of zone `{0}` are to come from EC2, which needs to know the image at least: add `[ec2.zones.{0}]`"
    )]
    NoEc2Zone(ZoneName),
    /// The section for Route 53.
    #[error(transparent)]
    Route53(#[from] cerebro_dns_route53::SettingsError),
    /// Names can be published in one place.
    #[error("names are published in one place, and there are several: {}; leave one", .0.join(", "))]
    SeveralNames(Vec<&'static str>),
    /// Dynamic updates lack something.
    #[error(
        "names are published by dynamic updates, and `{key}` is missing: add it to `[rfc2136]`, or give {flag}"
    )]
    NoUpdate {
        /// The key in the file.
        key: &'static str,
        /// The flag.
        flag: &'static str,
    },
    /// Something is said of names, and not where they are published.
    #[error("{0} says how names are published, and nothing says where: give {1} too")]
    NoNames(&'static str, &'static str),
}
