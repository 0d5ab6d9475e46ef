//! `cerebro recipe replay`: a recorded call, run again here without its machine.
//!
//! A mode of this program, like `cerebro recipe run`.

use crate::compile_component::compiler;
use cerebro_api::bundle;
use cerebro_model::Digest;
use cerebro_recipe_engine::{Departure, Engine, LogLine, Recording, Replay};
use clap::Parser;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// The first argument that asks for this mode.
const MODE: &str = "replay-component";

/// Run a recorded call again: with the same component, to the same end, or with an edited one, to
/// where it departs.
///
/// Nothing of this machine is looked at or changed: all that the component asks is answered as it was
/// answered then. The exit code is 0 if it ends as it did, 10 if it does not, and 1 if it could not be
/// run. With --until it is 0 if it came that far.
#[derive(Debug, Parser)]
#[command(bin_name = "cerebro recipe replay", disable_version_flag = true)]
struct Arguments {
    /// The recording, as `cerebro deployment record` saves it.
    recording: PathBuf,
    /// The component that was recorded, a .wasm file.
    #[arg(required_unless_present = "edited")]
    component: Option<PathBuf>,
    /// The file with the recording's key, if it is not beside it as `RECORDING.key`.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Stop after this call of the component, and show where in it that is.
    #[arg(long, value_name = "N")]
    until: Option<u32>,
    /// Run this component instead, such as one in which a fault was mended: what it asks is looked for
    /// wherever it was answered.
    #[arg(long = "with", value_name = "FILE", conflicts_with = "component")]
    edited: Option<PathBuf>,
    /// Only say how it ends: not each call, nor what it logs.
    #[arg(long, short)]
    quiet: bool,
}

/// Does what the arguments ask for, if they ask for this mode: then the exit code, else none.
pub fn main(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.skip(1).peekable();
    arguments.next_if(|first| first == OsStr::new(MODE))?;
    let named = std::iter::once(OsString::from("cerebro recipe replay")).chain(arguments);
    let arguments = Arguments::parse_from(named);
    Some(match run(&arguments) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    let mut recording = read(&arguments.recording)?;
    // One of an agent's own directory is not sealed.
    if bundle::is_bundle(&recording) {
        let key = arguments.key_file.clone().unwrap_or_else(|| {
            let mut name = arguments.recording.clone().into_os_string();
            name.push(".key");
            name.into()
        });
        let opened = String::from_utf8_lossy(&read(&key)?)
            .parse()
            .map_err(|why| format!("`{}`: {why}", key.display()))
            .and_then(|key| {
                let opened = bundle::open(&recording, &key, SystemTime::now().into());
                opened.map_err(|why| format!("`{}`: {why}", arguments.recording.display()))
            });
        (_, recording) = opened?;
    }
    let recording = Recording::parse(&recording);
    let recording = recording.map_err(|error| error.to_string())?;
    let Some(file) = arguments.edited.as_ref().or(arguments.component.as_ref()) else {
        return Err("name the component that was recorded, or another one by --with".to_owned());
    };
    let bytes = read(file)?;
    let digest = Digest::of(&bytes);
    if digest.to_string() != recording.inputs.component && arguments.edited.is_none() {
        return Err(format!(
            "`{0}` is not the component that was recorded, whose digest is {1}: fetch that one, or run \
             this one on its answers by `--with {0}`",
            file.display(),
            recording.inputs.component
        ));
    }
    let cache = tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let quiet = arguments.quiet;
    let replay = runtime.block_on(async {
        let engine = Engine::new(cache.0.clone(), compiler());
        let engine = engine.map_err(|error| crate::disk::chain(&error))?;
        let component = engine.compile(digest, bytes).await;
        let component = component.map_err(|error| crate::disk::chain(&error))?;
        let log = Arc::new(move |line: LogLine| {
            if !quiet {
                println!("{:5} {}", line.level, line.message);
            }
        });
        let (strict, until) = (arguments.edited.is_none(), arguments.until);
        let replayed = engine.replay(&component, recording.clone(), strict, until, log).await;
        replayed.map_err(|error| crate::disk::chain(&error.failure))
    })?;
    tell(&recording, &replay, quiet);
    let is_well = match &replay.departure {
        Some(Departure::Until(_)) => true,
        _ => replay.same_end,
    };
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(10) })
}

fn tell(recording: &Recording, replay: &Replay, quiet: bool) {
    if !quiet {
        for question in &replay.answered {
            println!("#{} {question}", question.n);
        }
    }
    let ended = |failure: Option<&str>| match failure {
        Some(why) => format!("it failed: {why}"),
        None => "it succeeded".to_owned(),
    };
    let inputs = &recording.inputs;
    println!("{} {} of {} on {}", inputs.function, inputs.version, inputs.instance, inputs.machine);
    match recording.is_whole() {
        true => println!("then: {}", ended(recording.failure())),
        false => println!("then: it was cut off"),
    }
    match (&replay.departure, replay.same_end) {
        (Some(departure), _) => println!("now:  {departure}"),
        (None, true) => println!("now:  the same, after {} calls", replay.answered.len()),
        (None, false) => println!("now:  {}", ended(replay.failure.as_deref())),
    }
    for (n, place) in replay.site.iter().enumerate() {
        println!("{} {place}", if n == 0 { "in:  " } else { "from:" });
    }
}

/// A directory that goes with this.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tempdir() -> Result<Temporary, String> {
    let name = format!("cerebro-replay-{}", std::process::id());
    Ok(Temporary(std::env::temp_dir().join(name)))
}
