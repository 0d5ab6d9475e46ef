//! Which address a machine gets.

use cerebro_model::MachineId;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// Hosts of a /24: without the network, its first host (the bridge) and the broadcast address.
const HOSTS: u64 = 253;

/// A number that differs between clusters, by where their data is; a place to begin to look only.
pub fn hint(data_dir: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    hasher.finish()
}

/// The machine's place in order: the number at the end of its id, such as 3 in `m-3`.
fn ordinal(machine: &MachineId) -> u64 {
    let id = machine.as_str();
    let digits = id.len() - id.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    id[id.len() - digits..].parse().unwrap_or(1).max(1)
}

/// Addresses of `127.77.0.0/16`, the best for this machine first: those of one cluster lie
/// together, in the order of the machines.
pub fn on_loopback(hint: u64, machine: &MachineId) -> impl Iterator<Item = Ipv4Addr> {
    let first = ordinal(machine) - 1;
    (0..256 * HOSTS).map(move |n| {
        let place = first.wrapping_add(n);
        // Each is below 256 by its remainder.
        let (net, host) = (hint.wrapping_add(place / HOSTS) % 256, 2 + place % HOSTS);
        Ipv4Addr::new(127, 77, net as u8, host as u8)
    })
}

/// Addresses of a /24, given its gateway, the best for this machine first.
pub fn behind(gateway: Ipv4Addr, machine: &MachineId) -> impl Iterator<Item = Ipv4Addr> {
    let first = ordinal(machine) - 1;
    let [a, b, c, _] = gateway.octets();
    (0..HOSTS).map(move |n| Ipv4Addr::new(a, b, c, (2 + first.wrapping_add(n) % HOSTS) as u8))
}

/// The first that no other machine has and that is `free`.
pub fn choose(
    mut candidates: impl Iterator<Item = Ipv4Addr>,
    taken: &BTreeSet<Ipv4Addr>,
    free: impl Fn(Ipv4Addr) -> bool,
) -> Option<Ipv4Addr> {
    candidates.find(|address| !taken.contains(address) && free(*address))
}

/// Whether an agent could listen there now.
pub fn is_free(address: Ipv4Addr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_keep_their_order_and_never_share_an_address() {
        let of = |id: &str, taken: &BTreeSet<Ipv4Addr>| {
            choose(on_loopback(7, &id.parse().unwrap()), taken, |_| true).unwrap()
        };
        let mut taken = BTreeSet::new();
        assert_eq!(of("m-1", &taken).to_string(), "127.77.7.2");
        assert_eq!(of("m-254", &taken).to_string(), "127.77.8.2");
        taken.insert(of("m-1", &taken));
        assert_eq!(of("m-1", &taken).to_string(), "127.77.7.3");
        assert_eq!(of("warm", &taken).to_string(), "127.77.7.3");
    }

    #[test]
    fn a_network_that_is_full_has_no_address() {
        let gateway = "10.77.1.1".parse().unwrap();
        let id: MachineId = "m-900".parse().unwrap();
        let all: BTreeSet<Ipv4Addr> = behind(gateway, &id).collect();
        assert_eq!(all.len(), 253);
        assert!(!all.contains(&gateway));
        assert_eq!(choose(behind(gateway, &id), &all, |_| true), None);
        assert_eq!(choose(behind(gateway, &id), &BTreeSet::new(), |_| false), None);
    }

    #[test]
    fn an_address_with_a_listener_is_not_free() {
        let address = Ipv4Addr::LOCALHOST;
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(address, port));
        drop(listener);
        assert!(is_free(address, port));
    }
}
