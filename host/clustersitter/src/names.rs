//! Where names are published, by the settings: by a server of the controller's own, by dynamic updates of another's, at
//! Route 53, or nowhere.

use crate::amazon;
use crate::cluster::Dns;
use crate::executor::chain;
use crate::settings::{Names, Own, Settings};
use anyhow::{Context, Result};
use cerebro_dns::advice::Via;
use cerebro_dns::embedded::{BindError, Embedded, EmbeddedConfig};
use cerebro_dns::rfc2136::{Rfc2136, Rfc2136Config, TsigKey};
use cerebro_model::{ClusterName, Digest};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long another's server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where names are published, and what there is to say of that.
pub struct Open {
    /// None if they are not.
    pub dns: Option<Dns>,
    /// For a person.
    pub words: String,
}

/// The cluster's name: the one that was given, or one that is made.
pub fn cluster_name(settings: &Settings, data: &Path) -> Result<ClusterName> {
    match &settings.cluster {
        Some(cluster) => Ok(cluster.clone()),
        None => {
            made_name(data).parse().context("the cluster has no name: give it one by --cluster")
        }
    }
}

/// A cluster is told from others of this host by where its data are.
pub fn made_name(data: &Path) -> String {
    Digest::of(data.as_os_str().as_encoded_bytes()).short()
}

/// Opens where they are published, under this cluster's mark.
pub async fn open(names: &Names, cluster: &ClusterName) -> Result<Open> {
    let published = |provider, via, words| {
        let cluster = cluster.clone();
        Open { dns: Some(Dns { provider, cluster, via }), words }
    };
    Ok(match names {
        Names::Nowhere => Open { dns: None, words: "no names are published".to_owned() },
        Names::Usual(own) => match embedded(own).await {
            Ok((server, via, words)) => published(Arc::new(server), via, words),
            // What nobody asked for is no reason not to keep jobs running.
            Err(error) => {
                let words = format!("no names are published: {}", chain(&error));
                tracing::warn!("{words}");
                Open { dns: None, words }
            }
        },
        Names::Embedded(own) => {
            let opened = embedded(own).await;
            let (server, via, words) =
                opened.context("names cannot be answered; choose another address by --dns")?;
            published(Arc::new(server), via, words)
        }
        Names::Rfc2136 { server, zone, key_file } => {
            let words = format!("names are published in {zone}, at {server}");
            published(Arc::new(rfc2136(*server, zone, key_file)?), Via::Zone, words)
        }
        Names::Route53(settings) => {
            let zones: Vec<&str> = settings.zones.iter().map(|it| it.name.as_str()).collect();
            let words = format!("names are published in {}, at Route 53", zones.join(", "));
            published(amazon::names(settings.clone()).await?, Via::Zone, words)
        }
    })
}

/// The controller's own server, how it is asked, and what there is to say of it.
async fn embedded(own: &Own) -> Result<(Embedded, Via, String), BindError> {
    let serial = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // A serial is a number of 32 bits that wraps (RFC 1982).
    let serial = (serial & u64::from(u32::MAX)) as u32;
    let config = EmbeddedConfig { listen: own.listen, host: own.host.clone(), serial };
    let server = Embedded::bind(&config).await?;
    let words = format!("names are answered at {}", server.address());
    let via = Via::Embedded { host: own.host.clone(), address: server.address() };
    Ok((server, via, words))
}

/// Dynamic updates of a server's, by the key in a file. It is not asked yet.
pub fn rfc2136(server: SocketAddr, zone: &str, key_file: &Path) -> Result<Rfc2136> {
    let (zone, key) = (zone.to_owned(), key_of(key_file)?);
    Ok(Rfc2136::new(Rfc2136Config { server, zone, key, patience: PATIENCE })?)
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
