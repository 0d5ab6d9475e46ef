//! A recipe that does what its options say, step by step: with it tests make up recipes of their own.

use cerebro_recipe::host::archive::UnpackOptions;
use cerebro_recipe::host::files::{Attributes, Content, Node, Owner};
use cerebro_recipe::host::notify::Action;
use cerebro_recipe::host::release::{Layout, Shared};
use cerebro_recipe::{Command, Host, Recipe, Source};
use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(serde::Deserialize)]
struct Script {
    steps: Vec<Step>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// A path, its content, and its mode.
    Write(String, String, Option<u32>),
    Directory(String, Option<u32>),
    Link(String, String),
    Attributes(String, u32),
    /// A path, and the user that it is to belong to.
    Own(String, String),
    Rename(String, String),
    Copy(String, String),
    Remove(String),
    /// A path, the text files below it, and whether all else goes.
    Tree(String, Vec<(String, String)>, bool),
    /// An artifact and where it goes.
    Unpack(String, String),
    /// A base, a version, an artifact.
    Stage(String, String, Option<String>),
    Activate(String, String),
    Prune(String, u32),
    /// Says what a file holds.
    Read(String),
    /// Says what is in a directory.
    List(String),
    Remember(String, String),
    Forget(String),
    AtEnd(Vec<String>),
    /// Runs a command, and goes on if it succeeds.
    Run(Vec<String>),
    /// Runs a command that a second one undoes.
    RunUndo(Vec<String>, Vec<String>),
    /// Runs a command before which nothing is taken back.
    RunForGood(Vec<String>),
    /// Runs a command unless a second one succeeds.
    RunUnless(Vec<String>, Vec<String>),
    /// Runs a command and says what it wrote.
    Ask(Vec<String>),
    /// The same, with what to assume in a plan.
    AskAssuming(Vec<String>, String),
    /// Writes a secret to a file.
    Secret(String, String),
    /// Says a random number.
    Random,
    /// Says what time it is.
    Clock,
    Fail(String),
    Panic(String),
    /// Computes for ever.
    Spin,
    /// Wants ever more memory.
    Hog,
}

struct Scripted;

cerebro_recipe::recipe!(Scripted);

impl Recipe for Scripted {
    type Options = Script;

    fn deploy(host: &impl Host, script: Script) -> Result<(), String> {
        script.steps.into_iter().try_for_each(|step| perform(host, step))
    }

    fn undeploy(_: &impl Host, _: Script) -> Result<(), String> {
        Ok(())
    }
}

fn how(mode: Option<u32>) -> Attributes {
    Attributes { mode, owner: None }
}

fn perform(host: &impl Host, step: Step) -> Result<(), String> {
    let said = match step {
        Step::Write(path, content, mode) => {
            let change = host.write(&path, content.as_bytes(), &how(mode))?;
            format!("write {path}: {change}")
        }
        Step::Directory(path, mode) => {
            format!("directory {path}: {}", host.directory(&path, &how(mode))?)
        }
        Step::Link(path, target) => format!("link {path}: {}", host.symlink(&path, &target)?),
        Step::Attributes(path, mode) => {
            format!("attributes {path}: {}", host.set_attributes(&path, &how(Some(mode)))?)
        }
        Step::Own(path, user) => {
            let attributes = Attributes { mode: None, owner: Some(Owner { user, group: None }) };
            format!("own {path}: {}", host.set_attributes(&path, &attributes)?)
        }
        Step::Rename(path, to) => format!("rename {path}: {}", host.rename(&path, &to)?),
        Step::Copy(path, to) => format!("copy {path}: {}", host.copy(&path, &to, &how(None))?),
        Step::Remove(path) => format!("remove {path}: {}", host.remove(&path)?),
        Step::Tree(path, files, purge) => tree(host, &path, files, purge)?,
        Step::Unpack(artifact, path) => {
            let how = UnpackOptions { strip: 0, owner: None };
            let change = host.unpack(&Source::Artifact(artifact), &path, &how)?;
            format!("unpack {path}: {change}")
        }
        Step::Stage(base, version, artifact) => {
            let shared = vec![Shared { path: "log".to_owned(), directory: true }];
            let layout = Layout { base, owner: None, shared };
            let content = artifact.map(Source::Artifact);
            format!("stage {version}: {}", host.stage(&layout, &version, content.as_ref(), 0)?)
        }
        Step::Activate(base, version) => {
            format!("activate {version}: {}", host.activate(&base, &version)?)
        }
        Step::Prune(base, keep) => format!("pruned {}", host.prune(&base, keep)?.join(" ")),
        Step::Read(path) => {
            let content = host.read(&path, 1 << 20)?;
            format!("{path} holds {}", String::from_utf8_lossy(&content))
        }
        Step::List(path) => {
            let names = host.list(&path)?.into_iter().map(|entry| entry.name);
            format!("in {path}: {}", names.collect::<Vec<_>>().join(" "))
        }
        Step::Remember(key, value) => {
            format!("remember {key}: {}", host.remember(&key, value.as_bytes())?)
        }
        Step::Forget(key) => format!("forget {key}: {}", host.forget(&key)?),
        Step::AtEnd(argv) => {
            host.at_end(&Action::Run(argv))?;
            "later".to_owned()
        }
        Step::Run(argv) => format!("ran: {}", Command::of(argv).ensure(host)?),
        Step::RunUndo(argv, undo) => {
            format!("ran: {}", Command::of(argv).undo(undo).ensure(host)?)
        }
        Step::RunForGood(argv) => {
            format!("ran: {}", Command::of(argv).irreversible().ensure(host)?)
        }
        Step::RunUnless(argv, unless) => {
            format!("ran: {}", Command::of(argv).unless(unless).ensure(host)?)
        }
        Step::Ask(argv) => {
            let outcome = Command::of(argv).run(host)?;
            format!("answered {}", String::from_utf8_lossy(&outcome.stdout))
        }
        Step::AskAssuming(argv, stdout) => {
            let outcome = Command::of(argv).assume(0, stdout.into_bytes()).run(host)?;
            format!("answered {}", String::from_utf8_lossy(&outcome.stdout))
        }
        Step::Secret(name, path) => {
            let line = format!("password = {}\n", host.secret(&name)?);
            format!("secret {path}: {}", host.write(&path, line.as_bytes(), &how(Some(0o600)))?)
        }
        Step::Random => format!("random {}", RandomState::new().hash_one(1)),
        Step::Clock => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            format!("clock {}", now.as_nanos())
        }
        Step::Fail(why) => return Err(why),
        Step::Panic(why) => panic!("{why}"),
        Step::Hog => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1u8; 1 << 20]);
                std::hint::black_box(&hoard);
            }
        }
        Step::Spin => loop {
            std::hint::spin_loop();
        },
    };
    host.say(&said);
    Ok(())
}

fn tree(
    host: &impl Host,
    path: &str,
    files: Vec<(String, String)>,
    purge: bool,
) -> Result<String, String> {
    let node = |(path, text): (String, String)| Node {
        path,
        content: Content::Bytes(text.into_bytes()),
        attributes: how(None),
    };
    let nodes: Vec<Node> = files.into_iter().map(node).collect();
    let changed = host.tree(path, &nodes, purge)?;
    let told = changed.iter().map(|(path, change)| format!("{path} {change}"));
    Ok(format!("tree {path}: {}", told.collect::<Vec<_>>().join(", ")))
}
