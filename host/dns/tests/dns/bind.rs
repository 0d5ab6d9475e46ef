//! BIND, started in a directory of its own on a port of the loopback interface.

use crate::tools::{dig, output, program, until};
use async_trait::async_trait;
use cerebro_dns::Group;
use cerebro_dns::rfc2136::{Algorithm, Rfc2136, Rfc2136Config, TsigKey};
use cerebro_dns::testing::Outside;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

pub const ZONE: &str = "example.test";
pub const SECRET: &str = "Y2VyZWJyby10ZXN0LXNlY3JldC1vZi0zMi1ieXRlcyE=";
/// A key that the server knows, and that may do nothing.
pub const POWERLESS: &str = "cG93ZXJsZXNzLXRlc3Qtc2VjcmV0LTMyLWJ5dGVzISE=";

/// With records that Cerebro must leave alone.
const RECORDS: &str = "$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 5
@ IN NS ns
ns IN A 127.0.0.1
@ IN MX 10 mail
mail IN A 192.0.2.200
redis IN CNAME test-zone-1.redis
www.test-zone-1.life.contract IN A 192.0.2.201
_cerebro.elsewhere IN TXT \"heritage=cerebro,cluster=two,job=elsewhere.example.test,epoch=3\"
test-zone-1.elsewhere IN A 192.0.2.202
";

/// A server; killed when it is dropped.
pub struct Bind {
    directory: TempDir,
    pub port: u16,
    child: Option<Child>,
}

impl Bind {
    /// With the zone, which the key `cerebro` may change and read.
    pub async fn start() -> Self {
        Self::start_with(r#"allow-update { key "cerebro"; };"#).await
    }

    /// The same, with another permission to change it.
    pub async fn start_with(permission: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("zone.db"), RECORDS).unwrap();
        let port = free_port();
        let path = directory.path().display();
        let configuration = format!(
            r#"options {{
    directory "{path}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file "{path}/named.pid";
    recursion no;
    dnssec-validation no;
    notify no;
}};
controls {{ }};
key "cerebro" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
key "powerless" {{ algorithm hmac-sha256; secret "{POWERLESS}"; }};
zone "{ZONE}" {{
    type primary;
    file "zone.db";
    {permission}
    allow-transfer {{ key "cerebro"; }};
}};
"#
        );
        fs::write(directory.path().join("named.conf"), configuration).unwrap();
        let mut bind = Self { directory, port, child: None };
        bind.run().await;
        bind
    }

    /// Starts the server on what is there.
    pub async fn run(&mut self) {
        let named = program("/usr/sbin/named", "bind9");
        let (configuration, log) =
            (self.directory.path().join("named.conf"), self.directory.path().join("named.log"));
        let child = Command::new(named)
            .args(["-f", "-c"])
            .arg(&configuration)
            .arg("-L")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let port = self.port;
        let what = format!("BIND answers on port {port}; its log is {}", log.display());
        until(&what, || async move {
            dig(port, &["+time=1", ZONE, "SOA", "+short"]).await.contains("hostmaster")
        })
        .await;
    }

    /// Ends it as a failing host would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A provider that uses it, with the key.
    pub fn provider(&self) -> Rfc2136 {
        Rfc2136::new(config(self.address(), "cerebro", SECRET)).unwrap()
    }

    async fn add(&self, record: &str) {
        let nsupdate = program("/usr/bin/nsupdate", "bind9-dnsutils");
        let key = format!("hmac-sha256:cerebro:{SECRET}");
        let input =
            format!("server 127.0.0.1 {}\nzone {ZONE}\nupdate add {record}\nsend\n", self.port);
        let (is_done, text) = output(nsupdate, &["-y", &key], &input).await;
        assert!(is_done, "{text}");
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn config(server: SocketAddr, key: &str, secret: &str) -> Rfc2136Config {
    let key = TsigKey::new(key, Algorithm::HmacSha256, secret).unwrap();
    Rfc2136Config { server, zone: ZONE.to_owned(), key, patience: Duration::from_secs(20) }
}

#[async_trait]
impl Outside for Bind {
    async fn put_address(&self, _: &Group, name: &str, address: IpAddr) -> bool {
        self.add(&format!("{name}. 60 A {address}")).await;
        true
    }

    async fn put_mark(&self, group: &Group, text: &str) -> bool {
        self.add(&format!("{}. 60 TXT \"{text}\"", group.mark_name())).await;
        true
    }

    async fn others(&self) -> BTreeSet<String> {
        let key = format!("hmac-sha256:cerebro:{SECRET}");
        let text = dig(self.port, &["-y", &key, ZONE, "AXFR", "+noall", "+answer"]).await;
        let is_other = |line: &&str| {
            // The serial changes, and what the tests put there stays.
            let is_of_tests = line.contains(".contract.") && !line.starts_with("www.");
            !line.is_empty() && !line.contains("SOA") && !is_of_tests && !line.contains("TSIG")
        };
        let others: BTreeSet<String> = text.lines().filter(is_other).map(str::to_owned).collect();
        assert!(others.len() >= 8, "{text}");
        others
    }
}

/// A port that is free for TCP and UDP, and that no other test has been given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let is_free = UdpSocket::bind(address).is_ok();
        if is_free && GIVEN.lock().unwrap().insert(address.port()) {
            return address.port();
        }
    }
}
