//! The languages, and their components.

use cerebro_model::Digest;
use cerebro_recipe_engine::{Compiler, Component, Engine};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The variable that names some of the languages, with commas between; all of them without it.
const SELECTION: &str = "CEREBRO_LANGUAGES";

/// A language that has examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// cargo for wasm32-wasip2.
    Rust,
    /// QuickJS.
    Js,
    /// CPython.
    Python,
    /// Zig's C compiler.
    C,
    /// The Go project's own compiler.
    Go,
}

impl Language {
    const ALL: [Self; 5] = [Self::Rust, Self::Js, Self::Python, Self::C, Self::Go];
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
            Self::C => "c",
            Self::Go => "go",
        })
    }
}

/// The languages to test.
///
/// # Panics
/// If the selection names one that there is not: what is left out must be meant.
pub fn languages() -> Vec<Language> {
    let Ok(selection) = std::env::var(SELECTION) else { return Language::ALL.to_vec() };
    let named = |name: &str| {
        let found = Language::ALL.into_iter().find(|language| language.to_string() == name);
        found.unwrap_or_else(|| panic!("{SELECTION}: there is no language `{name}`"))
    };
    selection.split(',').map(named).collect()
}

/// The engine of this process.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE
        .get_or_init(|| Engine::new(root().join("target/tmp/conformance"), Compiler::Here).unwrap())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An example's component, its size in bytes and how long it took to compile it, or to load it if
/// it was compiled before.
///
/// # Panics
/// If it was not built, or is no component that the engine can run.
pub async fn component(language: Language, name: &str) -> (Component, usize, Duration) {
    compiled(language, name, &format!("examples/{language}/{name}.wasm")).await
}

/// A component that `cerebro recipe new` has written, likewise.
///
/// # Panics
/// As above.
pub async fn new_component(language: Language, name: &str) -> Component {
    compiled(language, name, &format!("new/{language}/{name}/{name}.wasm")).await.0
}

/// An example's component in which one text stands for another of the same length: what an edit of
/// its source would have made of it.
///
/// # Panics
/// If it does not hold that text; and as above.
pub async fn edited(language: Language, name: &str, from: &str, to: &str) -> Component {
    assert_eq!(from.len(), to.len(), "else it would be another module");
    let mut bytes = read(&format!("examples/{language}/{name}.wasm"));
    let size = from.len();
    let is_it = |at: &usize| bytes[*at..*at + size] == *from.as_bytes();
    let places: Vec<usize> = (0..=bytes.len() - size).filter(is_it).collect();
    assert!(!places.is_empty(), "{language}/{name} does not hold `{from}`");
    for at in places {
        bytes[at..at + size].copy_from_slice(to.as_bytes());
    }
    let component = engine().compile(Digest::of(&bytes), bytes).await;
    component.unwrap_or_else(|error| panic!("{language}/{name}: {error}"))
}

fn read(path: &str) -> Vec<u8> {
    let path = root().join("target/cerebro").join(path);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; run `cargo xtask test conformance`", path.display())
    })
}

async fn compiled(language: Language, name: &str, path: &str) -> (Component, usize, Duration) {
    let bytes = read(path);
    let (size, start) = (bytes.len(), Instant::now());
    let component = engine().compile(Digest::of(&bytes), bytes).await;
    let component = component.unwrap_or_else(|error| panic!("{language}/{name}: {error}"));
    (component, size, start.elapsed())
}
