//! The edits of configuration files that come with a new recipe, from `guests/`. In Rust they are
//! in the SDK.

use crate::templates::Language;

/// The files of a language's edits, below `edit/`.
macro_rules! edits {
    ($language:literal: $($name:literal)*) => {
        &[$((
            concat!("edit/", $name),
            include_str!(concat!("../../../guests/", $language, "/edit/", $name)),
        )),*]
    };
}

/// Where each file goes, and what it holds.
pub fn files(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Rust => &[],
        Language::Js => edits! { "js":
            "edit.js" "ini.js" "json-text.js" "json.js" "lines.js" "toml-parse.js" "toml-read.js"
            "toml-scalar.js" "toml-string.js" "toml-tree.js" "toml-write.js" "toml.js"
        },
        Language::Python => edits! { "python":
            "__init__.py" "_error.py" "_ini.py" "_json.py" "_lines.py" "_toml.py" "_toml_parse.py"
            "_toml_read.py" "_toml_tree.py" "_toml_write.py"
        },
        Language::C => edits! { "c":
            "edit.h" "float.c" "json.c" "json.h" "json_text.c" "lines.c" "text.c" "text.h" "toml.c"
            "toml.h" "toml_parse.c" "toml_read.c" "toml_scalar.c" "toml_text.c" "toml_write.c"
        },
        Language::Go => edits! { "go":
            "ini.go" "json.go" "json_text.go" "json_write.go" "lines.go" "scan.go" "toml.go"
            "toml_parse.go" "toml_read.go" "toml_scalar.go" "toml_tree.go" "toml_write.go"
        },
    }
}

/// How they are called, for the README.
pub fn guide(language: Language) -> &'static str {
    match language {
        Language::Rust => "",
        Language::Js => include_str!("../templates/js/edits.md"),
        Language::Python => include_str!("../templates/python/edits.md"),
        Language::C => include_str!("../templates/c/edits.md"),
        Language::Go => include_str!("../templates/go/edits.md"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_file_is_there() {
        let languages = Language::value_variants().iter().filter(|one| **one != Language::Rust);
        for (language, dir) in languages.zip(["js", "python", "c", "go"]) {
            let dir = format!("{}/../../guests/{dir}/edit", env!("CARGO_MANIFEST_DIR"));
            let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            // What Python leaves, and Go's own test.
            names.retain(|name| name != "__pycache__" && !name.ends_with("_test.go"));
            names.sort();
            let mut written: Vec<_> = files(*language)
                .iter()
                .map(|(path, _)| path.strip_prefix("edit/").unwrap().to_owned())
                .collect();
            written.sort();
            assert_eq!(written, names, "{language:?}");
        }
    }
}
