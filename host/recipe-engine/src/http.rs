//! The HTTP client of all calls.

use std::net::SocketAddr;
use std::time::Duration;

/// How long it may take to connect, where a call has more time than that.
const CONNECT: Duration = Duration::from_secs(30);

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// It never is: nobody's certificate is looked at.
    Never,
    /// It may be, by the certificates that the machine trusts. To read them takes milliseconds.
    Trusted,
}

impl Tls {
    /// What a URL of this scheme needs.
    pub(crate) fn of(scheme: &str) -> Self {
        if scheme == "http" { Self::Never } else { Self::Trusted }
    }
}

/// A client that follows no redirects and uses no proxy; `pinned` says where a host is.
pub(crate) fn client(
    tls: Tls,
    pinned: Option<(&str, &[SocketAddr])>,
) -> reqwest::Result<reqwest::Client> {
    // Whoever was first has chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .no_proxy()
        .connect_timeout(CONNECT)
        .user_agent(concat!("cerebro/", env!("CARGO_PKG_VERSION")));
    if tls == Tls::Never {
        client = client.tls_certs_only([]);
    }
    match pinned {
        Some((host, addresses)) => client.resolve_to_addrs(host, addresses).build(),
        None => client.build(),
    }
}
