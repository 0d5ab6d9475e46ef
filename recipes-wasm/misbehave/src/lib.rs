//! A recipe that does what its option `do` says: what a host must survive, and small steps with
//! which tests walk the host's interfaces.

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::command::{self, Guard, Semantics, Spec};
use cerebro_recipe::host::files::{self, Attributes};
use cerebro_recipe::host::log::{self, Level};
use cerebro_recipe::{Host, Recipe, options};

#[derive(serde::Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum What {
    /// Never ends, and asks the host for nothing.
    Loop,
    /// Sleeps in a host call.
    Sleep,
    /// Takes memory until there is none.
    Memory,
    /// Panics.
    Panic,
    /// Returns an error.
    Fail,
    /// Writes to the log without end.
    Flood,
    /// Overflows its stack.
    Recurse,
    /// Reads a file, and logs its text.
    Read { path: String },
    /// Writes a file, and logs what changed.
    Write { path: String, text: String },
    /// Runs a command, and logs what it wrote.
    Run {
        argv: Vec<String>,
        #[serde(default)]
        creates: Vec<String>,
        #[serde(default)]
        unless: Vec<String>,
        #[serde(default)]
        query: bool,
        #[serde(default)]
        contain: Vec<String>,
        user: Option<String>,
        cwd: Option<String>,
        timeout: Option<u32>,
    },
}

struct Misbehave;

cerebro_recipe::recipe!(Misbehave);

impl Recipe for Misbehave {
    /// [`What`], but for undeploying, where nothing need be said.
    type Options = serde_json::Value;

    fn deploy(host: &impl Host, _: serde_json::Value) -> Result<(), String> {
        log::write(Level::Info, "about to misbehave");
        match options::get::<What>(host)? {
            What::Loop => loop {
                std::hint::black_box(());
            },
            What::Sleep => std::thread::sleep(std::time::Duration::from_secs(3600)),
            What::Memory => {
                let mut taken: Vec<Vec<u8>> = Vec::new();
                loop {
                    taken.push(vec![1; 16 << 20]);
                    std::hint::black_box(&taken);
                }
            }
            What::Panic => panic!("the recipe lost its head"),
            What::Fail => return Err("the release is for another planet".to_owned()),
            What::Flood => {
                let mut n = 0_u64;
                loop {
                    log::write(Level::Info, &format!("line {n}: all work and no play"));
                    n += 1;
                }
            }
            What::Recurse => drop(std::hint::black_box(recurse(1))),
            What::Read { path } => {
                let text = files::read(&path, 1 << 20).doing(|| format!("read `{path}`"))?;
                log::write(Level::Info, &String::from_utf8_lossy(&text));
            }
            What::Write { path, text } => {
                let plain = Attributes { mode: None, owner: None };
                let change = files::write(&path, text.as_bytes(), &plain)
                    .doing(|| format!("write `{path}`"))?;
                log::write(Level::Info, &format!("{change:?}"));
            }
            What::Run { argv, creates, unless, query, contain, user, cwd, timeout } => {
                let unless = (!unless.is_empty()).then_some(Guard::Unless(unless));
                let semantics =
                    Semantics { query, undo: None, irreversible: false, assume: None, contain };
                let outcome = command::run(&Spec {
                    argv,
                    env: vec![("GREETING".to_owned(), "hello".to_owned())],
                    cwd,
                    user,
                    stdin: None,
                    timeout,
                    guards: creates.into_iter().map(Guard::Creates).chain(unless).collect(),
                    group: None,
                    umask: None,
                    success: vec![],
                    semantics: Some(semantics),
                })
                .doing(|| "run the command".to_owned())?;
                if let Some(why) = outcome.skipped() {
                    log::write(Level::Info, &format!("skipped: {why}"));
                }
                outcome.ensure_success().doing(|| "the command".to_owned())?;
            }
        }
        Ok(())
    }

    fn undeploy(_: &impl Host, _: serde_json::Value) -> Result<(), String> {
        Ok(())
    }
}

fn recurse(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    if n == 0 { 0 } else { recurse(n + 1) + frame[0] }
}
