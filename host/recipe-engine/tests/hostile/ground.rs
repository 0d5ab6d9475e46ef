//! What a case is, and the machine that it runs on.

use crate::support::Machine;
use serde_json::Value;
use std::any::Any;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Bytes of memory that a component has.
pub const MEMORY: usize = 64 << 20;
/// A piece of an answer that stands for its end.
pub const HANGS_UP: &str = "hangs up";
/// What is said of a call that did not end by itself.
pub const OUT_OF_TIME: &str = "all the time it has";
/// What such a call has.
pub const LITTLE_TIME: Duration = Duration::from_millis(1500);
/// What any other has, however slow the machine is.
const MUCH_TIME: Duration = Duration::from_secs(30);
/// A secret that nobody may tell.
pub const SECRET: &str = "correct/horse battery+staple";

/// A component or an input that means harm.
pub struct Case {
    pub name: &'static str,
    pub run: Run,
    /// A part of what it fails with; none if it is to go well.
    pub expect: Option<&'static str>,
    /// What is wrong then, if anything.
    pub after: fn(&Ground) -> Option<String>,
}

pub enum Run {
    /// The fixture, with the options that this makes.
    Hostile(fn(&mut Ground) -> Value),
    /// The other one.
    Misbehave(&'static str),
    /// A component.
    Component(fn() -> Vec<u8>),
}

impl Case {
    pub fn hostile(
        name: &'static str,
        expect: &'static str,
        with: fn(&mut Ground) -> Value,
    ) -> Self {
        Self { name, run: Run::Hostile(with), expect: Some(expect), after: |_| None }
    }

    pub fn component(name: &'static str, expect: &'static str, make: fn() -> Vec<u8>) -> Self {
        Self { name, run: Run::Component(make), expect: Some(expect), after: |_| None }
    }

    pub fn misbehave(name: &'static str, expect: &'static str, options: &'static str) -> Self {
        Self { name, run: Run::Misbehave(options), expect: Some(expect), after: |_| None }
    }

    /// It goes well, and this is to hold then.
    pub fn then(self, after: fn(&Ground) -> Option<String>) -> Self {
        Self { after, ..self }
    }

    pub fn goes_well(self) -> Self {
        Self { expect: None, ..self }
    }
}

/// A machine with a little to lose, and what goes on around it.
pub struct Ground {
    pub machine: Machine,
    kept: Vec<Box<dyn Any + Send>>,
}

impl Ground {
    pub fn new() -> Self {
        let mut machine = Machine::granting(
            r#"{"write": ["/opt/app"], "commands": ["/bin/true", "/bin/sh", "/usr/bin/yes"],
                "secrets": ["db.password"], "hosts": ["0x7f000001:*", "rebound.example:*"]}"#,
        );
        machine.limits.wall = MUCH_TIME;
        machine.limits.memory = MEMORY;
        machine.limits.unpacked_bytes = 64 << 20;
        machine.limits.unpacked_entries = 5_000;
        std::fs::create_dir_all(machine.path("/opt/app")).unwrap();
        std::fs::create_dir_all(machine.path("/etc")).unwrap();
        std::fs::write(machine.path("/etc/shadow"), SECRET).unwrap();
        std::fs::write(machine.dir.path().join("store/secret-db.password"), SECRET).unwrap();
        Self { machine, kept: Vec::new() }
    }

    /// Keeps something until the case has ended.
    pub fn keep(&mut self, thing: impl Any + Send) {
        self.kept.push(Box::new(thing));
    }

    /// A port of this instance's where each connection is given `pieces`, with a pause before each.
    pub fn serve(&mut self, pieces: &'static [&'static str], pause: Duration) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = TcpListener::from_std(listener).unwrap();
        let serving = tokio::spawn(async move {
            let mut talking = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                talking.spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    for piece in pieces {
                        tokio::time::sleep(pause).await;
                        if *piece == HANGS_UP || stream.write_all(piece.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                    // Until the other side has enough.
                    let _ = stream.read(&mut request).await;
                });
            }
        });
        self.keep(Serving(serving));
        self.machine.ports = vec![("http", port)];
        let granted = format!("http://127.0.0.1:{port}/granted/");
        self.machine.grants.urls.push(granted.try_into().unwrap());
        port
    }

    /// Nothing changed outside of what is granted.
    pub fn untouched(&self) -> Option<String> {
        let names = self.machine.names("/etc");
        let secret = self.machine.text("/etc/shadow");
        (names != ["shadow"] || secret != SECRET).then(|| format!("/etc has {names:?}: {secret}"))
    }
}

struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}
