//! What `cerebro recipe new` writes: for each language and kind, files with `{{ name }}` in them.

use crate::edits;
use clap::ValueEnum;

/// A language to write a component in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Language {
    Rust,
    Js,
    Python,
    C,
    Go,
}

/// What the component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Brings a version of a job onto a machine.
    Recipe,
    /// Tells whether an instance serves.
    HealthCheck,
}

/// A file of a new component, relative to its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it goes.
    pub path: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A template: of a language, or of all.
macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../templates/", $path))
    };
}

/// A file of `wit/`, under its own name.
macro_rules! wit {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../wit/", $name, ".wit")))),*]
    };
}

/// The interfaces that this `cerebro` was built with.
const WIT: [(&str, &str); 19] = wit! {
    "archive" "artifact" "command" "context" "facts" "files" "health" "kv" "log" "net" "notify"
    "packages" "release" "secret" "services" "task" "types" "users" "world"
};

/// All files of a component called `name`.
pub fn files(name: &str, language: Language, kind: Kind) -> Vec<File> {
    let mut files: Vec<File> = WIT
        .iter()
        .map(|(interface, text)| File {
            path: format!("wit/deps/cerebro-recipe/{interface}.wit"),
            content: text.as_bytes().to_vec(),
        })
        .collect();
    let fill = |text: &str| {
        let text = text.replace("{{ needs }}", needs(language).trim_end());
        let text = text.replace("{{ edits }}\n", edits::guide(language));
        let text = text.replace("{{ source }}", source(language, kind));
        text.replace("{{ world }}", world(kind)).replace("{{ name }}", name)
    };
    let mut add = |path: &str, text: &str| {
        files.push(File { path: path.to_owned(), content: fill(text).into_bytes() });
    };
    for (path, text) in shared(kind).into_iter().chain(own(language)) {
        add(path, text);
    }
    add(source(language, kind), code(language, kind));
    if kind == Kind::Recipe {
        files.extend(edits::files(language).iter().map(|(path, text)| File {
            path: (*path).to_owned(),
            content: text.as_bytes().to_vec(),
        }));
    }
    if language == Language::Go {
        let content =
            wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        let path = "wasi_snapshot_preview1.reactor.wasm".to_owned();
        files.push(File { path, content: content.to_vec() });
    }
    files
}

/// The world's name in `wit/world.wit`.
fn world(kind: Kind) -> &'static str {
    match kind {
        Kind::Recipe => "recipe",
        Kind::HealthCheck => "health-check",
    }
}

/// What does not depend on the language.
fn shared(kind: Kind) -> Vec<(&'static str, &'static str)> {
    let own = match kind {
        Kind::Recipe => [
            ("wit/world.wit", template!("common/recipe.wit")),
            ("grants.json", template!("common/recipe-grants.json")),
            ("test.sh", template!("common/recipe-test.sh")),
            ("README.md", template!("common/recipe-README.md")),
        ],
        Kind::HealthCheck => [
            ("wit/world.wit", template!("common/check.wit")),
            ("grants.json", template!("common/check-grants.json")),
            ("test.sh", template!("common/check-test.sh")),
            ("README.md", template!("common/check-README.md")),
        ],
    };
    [(".gitignore", template!("common/gitignore"))].into_iter().chain(own).collect()
}

/// What builds a component in a language.
fn own(language: Language) -> Vec<(&'static str, &'static str)> {
    match language {
        Language::Rust => vec![
            ("Cargo.toml", template!("rust/Cargo.toml")),
            ("build.sh", template!("rust/build.sh")),
        ],
        Language::Js => vec![
            ("package.json", template!("js/package.json")),
            ("build.sh", template!("js/build.sh")),
        ],
        Language::Python => vec![
            ("requirements.txt", template!("python/requirements.txt")),
            ("build.sh", template!("python/build.sh")),
        ],
        Language::C => vec![
            ("requirements.txt", template!("c/requirements.txt")),
            ("build.sh", template!("c/build.sh")),
        ],
        Language::Go => vec![("build.sh", template!("go/build.sh"))],
    }
}

/// Where the code goes.
fn source(language: Language, kind: Kind) -> &'static str {
    match (language, kind) {
        (Language::Rust, _) => "src/lib.rs",
        (Language::Js, _) => "component.js",
        (Language::Python, _) => "app.py",
        (Language::C, _) => "component.c",
        (Language::Go, Kind::Recipe) => "recipe.go",
        (Language::Go, Kind::HealthCheck) => "check.go",
    }
}

fn code(language: Language, kind: Kind) -> &'static str {
    match (language, kind) {
        (Language::Rust, Kind::Recipe) => template!("rust/recipe.rs"),
        (Language::Rust, Kind::HealthCheck) => template!("rust/check.rs"),
        (Language::Js, Kind::Recipe) => template!("js/recipe.js"),
        (Language::Js, Kind::HealthCheck) => template!("js/check.js"),
        (Language::Python, Kind::Recipe) => template!("python/recipe.py"),
        (Language::Python, Kind::HealthCheck) => template!("python/check.py"),
        (Language::C, Kind::Recipe) => template!("c/recipe.c"),
        (Language::C, Kind::HealthCheck) => template!("c/check.c"),
        (Language::Go, Kind::Recipe) => template!("go/recipe.go"),
        (Language::Go, Kind::HealthCheck) => template!("go/check.go"),
    }
}

/// What must be installed, once.
fn needs(language: Language) -> &'static str {
    match language {
        Language::Rust => "Needs Rust 1.87 or later, and `rustup target add wasm32-wasip2`.",
        Language::Js => "Needs Node.js 20 or later; `build.sh` fetches the rest.",
        Language::Python => "Needs Python 3.10 or later, and `pip install -r requirements.txt`.",
        Language::C => {
            "Needs `pip install -r requirements.txt` (Zig's C compiler, and wasm-tools) and `cargo install \
             wit-bindgen-cli --version 0.63.0 --locked`."
        }
        Language::Go => {
            "Needs Go 1.27 or later, wasm-tools, and `cargo install wit-bindgen-cli --version 0.63.0 --locked`. \
             `wasi_snapshot_preview1.reactor.wasm` makes a component of what Go builds for WASI 0.1."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_there() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, WIT.map(|(name, _)| format!("{name}.wit")));
    }

    #[test]
    fn every_template_is_filled_in() {
        for language in Language::value_variants() {
            for kind in Kind::value_variants() {
                let files = files("my-recipe", *language, *kind);
                for path in ["README.md", "test.sh", "build.sh", "wit/world.wit", "grants.json"] {
                    assert!(files.iter().any(|file| file.path == path), "{language:?}: {path}");
                }
                for file in files.iter().filter(|file| !file.path.ends_with(".wasm")) {
                    let text = String::from_utf8(file.content.clone()).unwrap();
                    assert!(!text.is_empty() && !text.contains("{{ "), "{}: {text}", file.path);
                }
                let named =
                    |file: &&File| String::from_utf8_lossy(&file.content).contains("my-recipe");
                assert!(files.iter().filter(named).count() >= 4, "{language:?}");
            }
        }
    }
}
