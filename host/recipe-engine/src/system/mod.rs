//! What the machine's own tools are told, and what they say: pure, so that each can be tested where
//! it does not run. The modules of the same interfaces in `host` run them.

pub(crate) mod apk;
pub(crate) mod apt;
pub(crate) mod dnf;
pub(crate) mod package;
pub(crate) mod service;
pub(crate) mod user;

/// A program and its arguments.
pub(crate) type Argv = Vec<String>;

/// Words as a program and its arguments, and names after them.
pub(crate) fn argv<'a>(words: &[&str], names: impl IntoIterator<Item = &'a str>) -> Argv {
    let words = words.iter().map(|word| (*word).to_owned());
    words.chain(names.into_iter().map(str::to_owned)).collect()
}
