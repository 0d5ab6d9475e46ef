//! Which addresses a call may talk to. A name is looked up once in a call and stays what it was: so
//! whoever rules over the name cannot have it lead elsewhere once it was looked at. And a granted
//! name opens no door to this machine itself or to the cloud's metadata, unless the address is
//! granted too.

use super::{Scope, words};
use crate::bindings::interfaces::types::Error;
use crate::logbook::LogLevel;
use crate::run::remaining;
use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;
use tokio::time::timeout;

/// Names that one call may look up.
const MOST_NAMES: usize = 256;

impl Scope {
    /// Whether the instance's own address and ports, or the grants, allow this.
    fn may_connect(&self, host: &str, port: u16) -> Result<(), Error> {
        let own = host.parse::<IpAddr>().is_ok_and(|address| self.is_own(address, port));
        if own {
            return Ok(());
        }
        self.allowed(|grants| grants.connect(host, port))
    }

    /// Whether this is where the instance listens.
    pub(super) fn is_own(&self, address: IpAddr, port: u16) -> bool {
        let context = &self.call.context;
        address == context.address && context.ports.values().any(|own| *own == port)
    }

    /// Whether a component may open a socket to an address; if not, the log says what to grant.
    pub(super) fn may_connect_to(&self, address: SocketAddr) -> bool {
        let (host, port) = (address.ip().to_string(), address.port());
        let connect = |grants: &cerebro_model::Grants| grants.connect(&host, port);
        let allowed = match self.is_own(address.ip(), port) {
            true => Ok(()),
            false => self.allowed(|grants| connect(grants).map_err(|d| d.at("wasi:sockets/tcp"))),
        };
        if let Err(error) = &allowed {
            self.log.write(LogLevel::Warn, words(error));
        }
        allowed.is_ok()
    }

    /// Where `host` at `port` is, if it may be connected to: at least one address.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        self.may_connect(host, port)?;
        self.addresses_of_url(host, port).await
    }

    /// The same for a host that was granted with a URL.
    pub(super) async fn addresses_of_url(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Error> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let all = self.look_up(host).await?;
        let is_fine = |address: &&IpAddr| {
            let by_itself =
                || self.allowed(|grants| grants.connect(&address.to_string(), port)).is_ok();
            host == "localhost" || !is_delicate(**address) || by_itself()
        };
        let fine: Vec<_> =
            all.iter().filter(is_fine).map(|address| SocketAddr::new(*address, port)).collect();
        match (fine.is_empty(), all.first()) {
            (true, Some(address)) => {
                let denied = self.allowed(|grants| grants.connect(&address.to_string(), port));
                let line = denied.err().as_ref().map(words).unwrap_or_default().to_owned();
                Err(Error::Denied(format!(
                    "`{host}` leads to `{address}`, which is this machine itself or its cloud's \
                     metadata: {line}"
                )))
            }
            _ => Ok(fine),
        }
    }

    /// The addresses of a name, as they were when the call asked for the first time.
    pub(super) async fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        let known = || self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(host) {
            return Ok(found.clone());
        }
        if known().len() >= MOST_NAMES {
            let why = format!("a call looks up at most {MOST_NAMES} names");
            return Err(Error::TooLarge(why));
        }
        let time = remaining(self.deadline, None);
        let found = match timeout(time, self.call.agent.look_up(host)).await {
            Err(_) => return Err(Error::TimedOut(format!("no answer to who is `{host}`"))),
            Ok(found) => {
                found.map_err(|error| Error::NotFound(format!("look up `{host}`: {error}")))?
            }
        };
        if found.is_empty() {
            return Err(Error::NotFound(format!("`{host}` has no address")));
        }
        Ok(known().entry(host.to_owned()).or_insert(found).clone())
    }
}

/// An address that means something else on each machine.
fn is_delicate(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast()
        }
        // The clouds' metadata over IPv6 is at unique local addresses that they have chosen.
        IpAddr::V6(v6) => {
            let metadata = ["fd00:ec2::254", "fd20:ce::254"];
            let is_metadata = metadata.iter().any(|known| known.parse() == Ok(v6));
            v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || is_metadata
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_delicate;

    #[test]
    fn the_machine_itself_and_the_clouds_metadata_are_delicate() {
        let delicate =
            ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fe80::1"];
        assert!(delicate.iter().all(|address| is_delicate(address.parse().unwrap())));
        let plain = ["10.0.0.1", "192.168.1.1", "2001:db8::1", "fd00::1"];
        assert!(!plain.iter().any(|address| is_delicate(address.parse().unwrap())));
    }
}
