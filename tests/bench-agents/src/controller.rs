//! The controller under measurement.

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{SysconfVar, sysconf};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::sleep;

/// How long it may take to start, in steps.
const STEPS: u32 = 600;
const STEP: Duration = Duration::from_millis(50);

pub struct Controller {
    process: Child,
    pub address: SocketAddr,
}

impl Controller {
    pub async fn start(program: &Path, data: &Path) -> Result<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = data.join("log");
        let mut command = Command::new(program);
        command.arg("--data").arg(data).args(["--listen", &address.to_string(), "--unprivileged"]);
        // Deaths are what is measured, one after the other.
        command.args(["--no-repair-limits"]);
        for zone in 0..super::agent::ZONES {
            command.args(["--zone", &format!("z-{zone}=0")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        // Its log is read if it fails; a line for each machine is none of what is measured.
        command.env("CEREBRO_LOG", "warn");
        let process = command.spawn().with_context(|| program.display().to_string())?;
        let mut controller = Self { process, address };
        for _ in 0..STEPS {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(controller);
            }
            let ended = controller.process.try_wait()?;
            ensure!(ended.is_none(), "it ended: {}", fs::read_to_string(&log).unwrap_or_default());
            sleep(STEP).await;
        }
        bail!("it does not listen: {}", fs::read_to_string(&log).unwrap_or_default())
    }

    /// Seconds of CPU that it has used.
    pub fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // Behind the name, which may hold anything: proc(5).
        let (_, fields) = stat.rsplit_once(')').context("no stat")?;
        let ticks = |at: usize| -> Result<f64> {
            Ok(fields.split_whitespace().nth(at).context("a short stat")?.parse()?)
        };
        let each_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")? as f64;
        Ok((ticks(11)? + ticks(12)?) / each_second)
    }

    /// Its resident memory, in units of 10^6 bytes.
    pub fn megabytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.context("no VmRSS")?.parse::<f64>()? * 1024.0 / 1e6)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
