//! The language that a component was written in, as far as its compilers tell.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use wasmparser::{KnownCustom, Parser, Payload};

/// The language that a component was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// Rust.
    Rust,
    /// C or C++.
    C,
    /// Go, by TinyGo or by the original.
    Go,
    /// JavaScript, or what becomes JavaScript.
    JavaScript,
    /// Python.
    Python,
    /// Nothing tells.
    Unknown,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Go => "go",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Unknown => "unknown",
        })
    }
}

impl From<Language> for Value {
    fn from(language: Language) -> Self {
        language.to_string().into()
    }
}

/// Which language `component` was written in: by its sections `producers`, and by the names of the
/// modules that an interpreter is made of. The interpreters are written in Rust and C themselves, so
/// they are asked for first.
pub(crate) fn of(component: &[u8]) -> Language {
    let mut said = BTreeSet::new();
    let mut names = Names::default();
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        let Payload::CustomSection(section) = payload else { continue };
        if matches!(section.name(), "name" | "component-name") {
            names.look(section.data());
        }
        if section.name().eq_ignore_ascii_case("go:buildid") {
            said.insert("language=go".to_owned());
        }
        if let KnownCustom::Producers(fields) = section.as_known() {
            for field in fields.into_iter().map_while(Result::ok) {
                let values = field.values.into_iter().map_while(Result::ok);
                let word = |value: &str| format!("{}={value}", field.name).to_ascii_lowercase();
                said.extend(values.map(|value| word(value.name)));
            }
        }
    }
    let tells =
        |marks: &[&str]| said.iter().any(|word| marks.iter().any(|mark| word.contains(mark)));
    if names.python || tells(&["componentize-py", "language=python"]) {
        Language::Python
    } else if names.javascript || tells(JAVASCRIPT) {
        Language::JavaScript
    } else if tells(&["language=go", "tinygo", "wit-bindgen-go"]) {
        Language::Go
    } else if tells(&["wit-bindgen-rust"]) {
        Language::Rust
    // The C library of Rust's programs, and the adapters of C's, are made by the other.
    } else if tells(&["wit-bindgen-c"]) {
        Language::C
    } else if tells(&["language=rust"]) {
        Language::Rust
    } else if tells(&["language=c", "processed-by=clang"]) {
        Language::C
    } else {
        Language::Unknown
    }
}

const JAVASCRIPT: &[&str] =
    &["componentizejs", "componentize-js", "componentize-qjs", "language=javascript"];

/// Whose modules there are.
#[derive(Default)]
struct Names {
    python: bool,
    javascript: bool,
}

impl Names {
    fn look(&mut self, section: &[u8]) {
        let holds = |mark: &[u8]| section.windows(mark.len()).any(|window| window == mark);
        self.python |= holds(b"componentize_py_runtime") || holds(b"libpython3");
        self.javascript |= holds(b"componentize_qjs_runtime") || holds(b"starlingmonkey");
    }
}
