//! The interfaces for components: their reference, and what may become of them.
//!
//! `docs/interfaces.md` is made from `wit/` by `cargo xtask docs`. `docs/released/` keeps every
//! version of the package as it was released, to the last bit; a later one of the same line may only
//! add functions, interfaces and worlds to it, so that a component which was built for any of them
//! links for ever.

use anyhow::{Context, Result, bail, ensure};
use cerebro_model::Digest;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const REFERENCE: &str = "docs/interfaces.md";
const RELEASED: &str = "docs/released";
/// Every release, and the digest of its files' digests, as `sha256sum *` has them.
const RELEASES: [(&str, &str); 1] =
    [("0.1.0", "2bfb12fb025f97d2dc3a79aeb0beb91d6b2165baae7917c2b3ba302d37b4c9ba")];

/// An interface or a world.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    /// `interface` or `world`.
    kind: String,
    name: String,
    docs: String,
    items: Vec<Item>,
}

/// Something that a block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    /// What it is without comments, on one line: by this two of them are compared.
    text: String,
    docs: String,
    /// What it holds itself, such as the fields of a record.
    items: Vec<Item>,
}

impl Item {
    fn is_function(&self) -> bool {
        self.text.contains(": func(") || self.text.contains(": static func(")
    }
}

/// The files of a package, in the order of their names.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "wit"));
    files.sort();
    Ok(files)
}

fn read(directory: &Path) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for file in files(directory)? {
        let text = fs::read_to_string(&file)?;
        blocks.extend(parse(&text).with_context(|| file.display().to_string())?);
    }
    Ok(blocks)
}

/// A line of a file, told apart from its comment.
fn parse(text: &str) -> Result<Vec<Block>> {
    let (mut blocks, mut docs) = (Vec::new(), String::new());
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("///") {
            add_line(&mut docs, comment);
        } else if line.starts_with("package ") {
            // The package's own comment stands above it, and is the page's.
            blocks.push(Block {
                kind: "package".to_owned(),
                name: line.trim_end_matches(';').trim_start_matches("package ").to_owned(),
                docs: std::mem::take(&mut docs),
                items: Vec::new(),
            });
        } else if let Some(head) = line.strip_suffix('{') {
            let (kind, name) = head.trim().split_once(' ').context("a block without a name")?;
            blocks.push(Block {
                kind: kind.to_owned(),
                name: name.to_owned(),
                docs: std::mem::take(&mut docs),
                items: items(&mut lines)?,
            });
        } else {
            bail!("expected a package, an interface or a world, not `{line}`");
        }
    }
    Ok(blocks)
}

/// What stands up to the end of a block.
fn items<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<Item>> {
    let (mut items, mut docs) = (Vec::new(), String::new());
    while let Some(line) = lines.next() {
        if line == "}" {
            return Ok(items);
        }
        if let Some(comment) = line.strip_prefix("///") {
            add_line(&mut docs, comment);
            continue;
        }
        let docs = std::mem::take(&mut docs);
        match line.strip_suffix('{') {
            // `use types.{a, b};` stands on one line.
            Some(head) => {
                let inner = self::items(lines)?;
                items.push(Item { text: head.trim().to_owned(), docs, items: inner });
            }
            None => {
                let text = line.trim_end_matches([';', ',']).to_owned();
                items.push(Item { text, docs, items: Vec::new() });
            }
        }
    }
    bail!("a block has no end")
}

fn add_line(docs: &mut String, comment: &str) {
    docs.push_str(comment.strip_prefix(' ').unwrap_or(comment));
    docs.push('\n');
}

/// What of `old` is not in `new` as it was. Functions may be added anywhere, to all else nothing.
fn missing(old: &[Block], new: &[Block]) -> Vec<String> {
    let key = |block: &Block| (block.kind.clone(), block.name.clone());
    let now: BTreeMap<_, _> = new.iter().map(|block| (key(block), block)).collect();
    let mut missing = Vec::new();
    for block in old.iter().filter(|block| block.kind != "package") {
        let name = format!("{} {}", block.kind, block.name);
        match now.get(&key(block)) {
            None => missing.push(name),
            Some(now) => compare(&name, &block.items, &now.items, &mut missing),
        }
    }
    missing
}

fn compare(name: &str, old: &[Item], new: &[Item], missing: &mut Vec<String>) {
    for item in old {
        let path = format!("{name}: {}", item.text);
        let Some(now) = new.iter().find(|now| now.text == item.text) else {
            missing.push(path);
            continue;
        };
        if item.text.starts_with("resource ") {
            compare(&path, &item.items, &now.items, missing);
        } else if texts(&item.items) != texts(&now.items) {
            // A case or a field more is another type to whoever was built before.
            missing.push(path);
        }
    }
}

fn texts(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.text.as_str()).collect()
}

/// The reference, as a page.
fn render(blocks: &[Block]) -> String {
    let mut page = String::from(
        "# What components can ask for\n\nMade from `wit/` by `cargo xtask docs`; the interfaces \
         themselves are the source.\n\n",
    );
    let world = blocks.iter().find(|block| block.kind == "package" && !block.docs.is_empty());
    for docs in world.iter().map(|block| &block.docs) {
        let _ = writeln!(page, "{docs}");
    }
    page.push_str("| interface | for |\n|---|---|\n");
    let interfaces = || blocks.iter().filter(|block| block.kind == "interface");
    for block in interfaces() {
        let docs = block.docs.replace('\n', " ");
        let first = docs.split([':', '.']).next().unwrap_or_default().trim();
        let _ = writeln!(page, "| [{0}](#{0}) | {first} |", block.name);
    }
    page.push('\n');
    for block in blocks.iter().filter(|block| block.kind == "world") {
        let _ = writeln!(page, "## World `{}`\n\n{}", block.name, block.docs);
        let _ = writeln!(page, "```wit");
        for item in &block.items {
            for line in item.docs.lines() {
                let _ = writeln!(page, "/// {line}");
            }
            let _ = writeln!(page, "{};", item.text);
        }
        let _ = writeln!(page, "```\n");
    }
    for block in interfaces() {
        let _ = writeln!(page, "## {}\n\n{}", block.name, block.docs);
        let is_use = |item: &&Item| item.text.starts_with("use ");
        for item in block.items.iter().filter(|item| !is_use(item) && item.is_function()) {
            render_function(&mut page, item);
        }
        for item in block.items.iter().filter(|item| !is_use(item) && !item.is_function()) {
            let _ = writeln!(page, "### `{}`\n\n{}", item.text, item.docs);
            for inner in &item.items {
                let docs = inner.docs.trim_end().replace('\n', " ");
                let _ = writeln!(page, "- `{}`: {docs}", inner.text);
            }
            page.push('\n');
        }
    }
    while page.ends_with("\n\n") {
        page.pop();
    }
    page
}

fn render_function(page: &mut String, item: &Item) {
    let name = item.text.split(':').next().unwrap_or_default().trim_start_matches('%');
    let _ = writeln!(page, "### `{name}`\n\n```wit\n{};\n```\n\n{}", item.text, item.docs);
}

/// Writes the reference.
pub fn write_reference() -> Result<()> {
    fs::write(REFERENCE, render(&read(Path::new("wit"))?))
        .with_context(|| format!("write {REFERENCE}"))
}

/// The digest of each file of a release, a line for each.
fn digests(directory: &Path) -> Result<String> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut names: Vec<_> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    names.sort();
    names.iter().try_fold(String::new(), |mut lines, name| {
        let content = fs::read(directory.join(name))?;
        let _ = writeln!(lines, "{}  {}", Digest::of(&content), name.to_string_lossy());
        Ok(lines)
    })
}

/// Whether the reference is what the interfaces say, and they still hold what was ever released.
pub fn check() -> Result<()> {
    let now = read(Path::new("wit"))?;
    let page = fs::read_to_string(REFERENCE).with_context(|| format!("read {REFERENCE}"))?;
    ensure!(page == render(&now), "{REFERENCE} is not what wit/ says: run `cargo xtask docs`");
    for (version, digest) in RELEASES {
        let directory = Path::new(RELEASED).join(version);
        let found = digests(&directory)?;
        ensure!(
            Digest::of(found.as_bytes()).to_string() == digest,
            "{} is not as it was released: what is released stays as it is, and what is new goes to \
             `wit/`",
            directory.display()
        );
        let gone = missing(&read(&directory)?, &now);
        ensure!(
            gone.is_empty(),
            "wit/ no longer holds what was released as {}, and components that were built for it \
             would not link: {}",
            directory.display(),
            gone.join("; ")
        );
    }
    let released = RELEASES.len();
    eprintln!("{REFERENCE} is current, and {released} released versions still link");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "
        package a:b@0.1.0;
        /// One.
        interface one {
            use types.{error};
            /// A thing.
            record thing {
                /// Its name.
                name: string,
            }
            resource held {
                size: func() -> u64;
            }
            /// Does it.
            act: func(thing: thing) -> result<_, error>;
        }";

    fn changed(from: &str, to: &str) -> Vec<String> {
        missing(&parse(OLD).unwrap(), &parse(&OLD.replace(from, to)).unwrap())
    }

    #[test]
    fn functions_may_be_added_and_nothing_else_may_change() {
        let act = "act: func(thing: thing) -> result<_, error>;";
        assert!(changed(act, &format!("{act}\nmore: func();")).is_empty());
        assert!(changed("size: func() -> u64;", "size: func() -> u64;\nname: func();").is_empty());
        assert!(changed("/// Does it.", "/// Does it well.").is_empty());
        assert_eq!(changed(act, "act: func() -> result<_, error>;").len(), 1);
        assert_eq!(
            changed("name: string,", "name: string,\nage: u8,"),
            ["interface one: record thing"]
        );
        assert_eq!(changed("interface one", "interface two"), ["interface one"]);
        assert!(parse("interface x {").is_err());
    }

    #[test]
    fn a_page_tells_each_function_with_its_words() {
        let page = render(&parse(OLD).unwrap());
        for part in
            ["| [one](#one) | One |", "### `act`", "Does it.", "- `name: string`: Its name."]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
