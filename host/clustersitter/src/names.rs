//! Where names are published: by a server of the controller's own, by dynamic updates of another's, or nowhere.

use crate::cluster::Dns;
use anyhow::{Context, Result};
use cerebro_dns::advice::Via;
use cerebro_dns::embedded::{Embedded, EmbeddedConfig};
use cerebro_dns::rfc2136::{Rfc2136, Rfc2136Config, TsigKey};
use cerebro_model::ClusterName;
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long another's server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where names are published.
#[derive(Debug, Args)]
pub struct Settings {
    /// This cluster's name: DNS records and machines that bear another's are not touched. By default it
    /// is made from where the data directory is.
    #[arg(long = "cluster", value_name = "NAME")]
    cluster_name: Option<ClusterName>,
    /// Publish names, and answer for them here, over UDP and TCP, such as `127.0.0.1:30053`.
    #[arg(long = "dns", value_name = "ADDRESS", conflicts_with = "dns_update")]
    dns_listen: Option<SocketAddr>,
    /// The name of this host, by which resolvers find it: that of the NS record which delegates names
    /// to it.
    #[arg(long = "dns-host", value_name = "NAME", default_value = "ns.cerebro.internal")]
    dns_host: String,
    /// Publish names by dynamic updates (RFC 2136) of this server, which is the primary of the zone.
    #[arg(
        long = "dns-update",
        value_name = "ADDRESS",
        requires = "dns_zone",
        requires = "dns_key"
    )]
    dns_update: Option<SocketAddr>,
    /// The zone that is updated, such as `startup.com`: all jobs' names lie within it.
    #[arg(long = "dns-zone", value_name = "ZONE", requires = "dns_update")]
    dns_zone: Option<String>,
    /// The file with the key that may update it, as `tsig-keygen` writes it.
    #[arg(long = "dns-key-file", value_name = "FILE", requires = "dns_update")]
    dns_key: Option<PathBuf>,
}

/// Where names are published, and what there is to say of that.
pub struct Open {
    /// None if they are not.
    pub dns: Option<Dns>,
    /// For a person.
    pub words: String,
}

impl Settings {
    /// Whether names are published.
    pub fn publishes(&self) -> bool {
        self.dns_listen.is_some() || self.dns_update.is_some()
    }

    /// Opens what they say; the cluster has this name if none was given.
    pub async fn open(&self, cluster: &str) -> Result<Open> {
        let cluster = match &self.cluster_name {
            Some(cluster) => cluster.clone(),
            None => cluster.parse().context("the cluster has no name: give it one by --cluster")?,
        };
        if let (Some(server), Some(zone), Some(key)) =
            (self.dns_update, &self.dns_zone, &self.dns_key)
        {
            let config =
                Rfc2136Config { server, zone: zone.clone(), key: key_of(key)?, patience: PATIENCE };
            let words = format!("names are published in {zone}, at {server}");
            return Ok(Open {
                dns: Some(Dns {
                    provider: Arc::new(Rfc2136::new(config)?),
                    cluster,
                    via: Via::Zone,
                }),
                words,
            });
        }
        let Some(listen) = self.dns_listen else {
            return Ok(Open { dns: None, words: "no names are published".to_owned() });
        };
        let serial = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // A serial is a number of 32 bits that wraps (RFC 1982).
        let serial = (serial & u64::from(u32::MAX)) as u32;
        let config = EmbeddedConfig { listen, host: self.dns_host.clone(), serial };
        let server = Embedded::bind(&config)
            .await
            .context("names cannot be answered; choose another address by --dns")?;
        let words = format!("names are answered at {}", server.address());
        let via = Via::Embedded { host: self.dns_host.clone(), address: server.address() };
        Ok(Open { dns: Some(Dns { provider: Arc::new(server), cluster, via }), words })
    }
}

fn key_of(file: &Path) -> Result<TsigKey> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the key for names, {}", file.display()))?;
    let [name, algorithm, secret] = parts(&text).with_context(|| {
        format!(
            "{} is no key: expected `key \"name\" {{ algorithm hmac-sha256; secret \"...\"; }};`, as `tsig-keygen` \
             writes it",
            file.display()
        )
    })?;
    let algorithm = algorithm.parse()?;
    Ok(TsigKey::new(&name, algorithm, &secret)?)
}

/// Name, algorithm and secret of a key, as `tsig-keygen` writes it.
fn parts(text: &str) -> Option<[String; 3]> {
    let is_between = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"');
    let words: Vec<&str> = text.split(is_between).filter(|word| !word.is_empty()).collect();
    let behind = |word: &str| {
        let at = words.iter().position(|it| *it == word)?;
        words.get(at + 1).map(|found| (*found).to_owned())
    };
    Some([behind("key")?, behind("algorithm")?, behind("secret")?])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_made() {
        let text = "key \"cerebro\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n";
        assert_eq!(parts(text).unwrap(), ["cerebro", "hmac-sha256", "c2VjcmV0"]);
        assert_eq!(parts("key { algorithm hmac-sha256; }"), None);
    }
}
