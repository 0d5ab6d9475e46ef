//! The network that a cluster's machines share where each has one of its own: a bridge on the
//! host, recorded before it is made.

use super::record::{self, present};
use crate::provider::ProviderError;
use cerebro_linux::net;
use nix::ifaddrs::getifaddrs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// A cluster's bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNetwork {
    /// Its name.
    pub bridge: String,
    /// Its address: the host, as the machines reach it.
    pub gateway: Ipv4Addr,
}

impl ClusterNetwork {
    /// The one that is recorded below `machines`, or a new one; it is up afterwards.
    pub fn open(machines: &Path, hint: u64) -> Result<Self, ProviderError> {
        let network = match Self::recorded(machines)? {
            Some(network) => network,
            None => {
                let network = Self::choose(hint)?;
                let file = file(machines);
                record::write(&file, &network).map_err(|source| ProviderError::File {
                    doing: "write",
                    path: file,
                    source,
                })?;
                network
            }
        };
        net::make_bridge(&network.bridge, network.gateway).map_err(|source| {
            ProviderError::Host {
                doing: "make the network bridge",
                machine: network.bridge.clone(),
                source: source.into(),
            }
        })?;
        Ok(network)
    }

    /// The one that is recorded below `machines`.
    pub fn recorded(machines: &Path) -> Result<Option<Self>, ProviderError> {
        let file = file(machines);
        present(record::read(&file)).map_err(|source| ProviderError::File {
            doing: "read",
            path: file,
            source,
        })
    }

    /// Removes the bridge and its record.
    pub fn remove(self, machines: &Path) -> Result<(), ProviderError> {
        net::remove(&self.bridge).map_err(|source| ProviderError::Host {
            doing: "remove the network bridge",
            machine: self.bridge,
            source: source.into(),
        })?;
        let file = file(machines);
        present(std::fs::remove_file(&file)).map(drop).map_err(|source| ProviderError::File {
            doing: "remove",
            path: file,
            source,
        })
    }

    fn choose(hint: u64) -> Result<Self, ProviderError> {
        let unavailable = |why: String| ProviderError::Unavailable {
            doing: "give the machines a network of their own".to_owned(),
            why,
        };
        let taken = networks_in_use().map_err(|error| {
            unavailable(format!("the host's addresses are unreadable: {error}"))
        })?;
        (0..=255u8)
            // The remainder is below 256.
            .map(|n| (hint.wrapping_add(u64::from(n)) % 256) as u8)
            .find(|n| !taken.contains(&[10, 77, *n]) && !net::exists(&bridge(hint, *n)))
            .map(|n| Self { bridge: bridge(hint, n), gateway: Ipv4Addr::new(10, 77, n, 1) })
            .ok_or_else(|| unavailable("every network of 10.77.0.0/16 is in use".to_owned()))
    }

    /// The host's end of a machine's cable. The kernel allows 15 characters.
    pub fn interface(address: Ipv4Addr) -> String {
        let [_, _, net, host] = address.octets();
        format!("cb-{net}-{host}")
    }
}

fn file(machines: &Path) -> std::path::PathBuf {
    machines.join("network.json")
}

fn bridge(hint: u64, n: u8) -> String {
    format!("cb{:06x}-{n}", hint & 0xff_ffff)
}

fn networks_in_use() -> io::Result<BTreeSet<[u8; 3]>> {
    let addresses = getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let [a, b, c, _] = address.as_sockaddr_in()?.ip().octets();
        Some([a, b, c])
    });
    Ok(addresses.collect())
}
