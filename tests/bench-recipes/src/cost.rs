//! What one check costs, as a component and as the programs that people use for it.

use crate::Checked;
use crate::call::{Checks, Prepared};
use crate::server::Server;
use anyhow::{Context, Result, ensure};
use cerebro_bench::statistics::{maximum, median, percentile, ratio};
use cerebro_bench::table::{Table, figure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Calls of each component for every run of each program.
const TURN: usize = 100;
/// Where Debian has Nagios' plugins.
const PLUGINS: &str = "/usr/lib/nagios/plugins";

/// One that is measured.
struct Contender {
    name: String,
    way: Way,
    micros: Vec<f64>,
}

enum Way {
    Component(Box<Prepared>),
    Program(Vec<String>),
}

/// Measures all of them in turns, so that whatever slows this machine down for a while slows each.
pub fn measure(options: &Checked) -> Result<Table> {
    let mut table = Table::new(
        "A check",
        format!(
            "{} calls of each component on one thread, each in a fresh instance, in turns of {TURN}; \
             after each turn one run of each program, from its start to its end. In µs. The floor is \
             the Rust component that always passes.",
            options.calls
        ),
        &["contender", "calls", "p50", "× floor", "p99", "max", "× check_tcp"],
    );
    let (checks, server) = (Checks::open()?, Server::start()?);
    let mut contenders = Vec::new();
    let mut add = |name: String, way| contenders.push(Contender { name, way, micros: Vec::new() });
    let component = |file: &Path| {
        Ok::<_, anyhow::Error>(Way::Component(Box::new(checks.prepare(file, server.port())?)))
    };
    add("Rust, always passes".to_owned(), component(&options.components.join("pass.wasm"))?);
    for check in &options.check {
        let (name, file) = check.split_once('=').context("--check is NAME=FILE")?;
        add(format!("{name}, always passes"), component(file.as_ref())?);
    }
    add("Rust, TCP".to_owned(), component(&options.components.join("tcp_check.wasm"))?);
    let port = server.port().to_string();
    let dummy = format!("{PLUGINS}/check_dummy");
    let tcp = format!("{PLUGINS}/check_tcp");
    for (name, argv) in [
        ("/bin/true", vec!["/bin/true"]),
        ("Nagios check_dummy", vec![&dummy, "0"]),
        (CHECK_TCP, vec![&tcp, "-H", "127.0.0.1", "-p", &port]),
    ] {
        let argv: Vec<_> = argv.into_iter().map(str::to_owned).collect();
        match Path::new(&argv[0]).exists() {
            true => add(name.to_owned(), Way::Program(argv)),
            false => table.note(format!("{name}: {} is not installed", argv[0])),
        }
    }
    for turn in 0..options.calls.div_ceil(TURN) {
        if turn % 50 == 0 {
            eprintln!("  {} of {} calls", turn * TURN, options.calls);
        }
        for Contender { way, micros, .. } in &mut contenders {
            match way {
                Way::Component(prepared) => micros.extend(checks.measure(prepared, TURN)?),
                Way::Program(argv) => micros.push(run(argv)?),
            }
        }
    }
    rows(&mut table, &contenders);
    Ok(table)
}

/// What the others are compared with.
const CHECK_TCP: &str = "Nagios check_tcp";

fn rows(table: &mut Table, contenders: &[Contender]) {
    let floor = contenders.first().and_then(|first| median(&first.micros));
    let tcp = contenders.iter().find(|it| it.name == CHECK_TCP).and_then(|it| median(&it.micros));
    for Contender { name, micros, .. } in contenders {
        let p50 = median(micros);
        let cells = vec![
            micros.len().to_string(),
            figure(p50, 1),
            figure(ratio(p50, floor), 1),
            figure(percentile(micros, 0.99), 1),
            figure(maximum(micros), 1),
            figure(ratio(p50, tcp), 3),
        ];
        table.row(name, cells);
    }
}

/// Runs a program to its end; how long that took, in µs.
fn run(argv: &[String]) -> Result<f64> {
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| argv[0].clone())?;
    let took = begun.elapsed().as_secs_f64() * 1e6;
    ensure!(status.success(), "{argv:?} ended with {status}");
    Ok(took)
}
