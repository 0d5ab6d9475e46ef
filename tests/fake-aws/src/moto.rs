//! `moto_server`: somebody else's idea of what AWS writes on the wire.

use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start: it imports much.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server of its own, without anything in it; until it is dropped.
pub struct Moto {
    url: String,
    child: Child,
}

impl Moto {
    /// Starts it from the environment of Python that has it.
    pub fn start(environment: &Path) -> Result<Self> {
        let program = environment.join("bin/moto_server");
        if !program.exists() {
            bail!("{} is missing: `cargo xtask test aws` installs it", program.display());
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let mut moto = Self { url: format!("http://127.0.0.1:{port}"), child };
        let since = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = moto.child.try_wait()? {
                bail!("{} has ended ({status}) before it listened", program.display());
            }
            if since.elapsed() > PATIENCE {
                bail!("{} does not listen after {PATIENCE:?}", program.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(moto)
    }

    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
