//! Any bytes are an archive or an error; whatever they are, nothing outside changes, nothing that
//! lends privileges is made, and what fails leaves nothing.
//!
//! The engine's own code for files, without the engine: it needs of it only the types in `bindings`.
#![no_main]
#![allow(dead_code, unused_imports, missing_docs, reason = "a part of the engine")]

mod bindings;
#[path = "../../host/recipe-engine/src/diff.rs"]
mod diff;
#[path = "../../host/recipe-engine/src/journal/mod.rs"]
mod journal;
#[path = "../../host/recipe-engine/src/tree/mod.rs"]
mod tree;

mod host {
    use crate::bindings::interfaces::types::Error;

    /// What an error says: the engine has it beside its interfaces.
    pub(crate) fn words(error: &Error) -> &str {
        match error {
            Error::Denied(why)
            | Error::NotFound(why)
            | Error::Invalid(why)
            | Error::TimedOut(why)
            | Error::TooLarge(why)
            | Error::Unsupported(why)
            | Error::Failed(why)
            | Error::Other(why) => why,
        }
    }
}

use cerebro_model::{Allowed, Digest, Grants};
use journal::Ledger;
use std::cell::OnceCell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tree::{Tree, Unpack};

const KEY: &str = "nobody may change this";

/// A root with a directory that may be written, and one that may not.
struct Machine {
    dir: tempfile::TempDir,
    tree: Tree,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory for files");
        for path in ["opt/app", "outside"] {
            fs::create_dir_all(dir.path().join(path)).expect("a directory");
        }
        fs::write(dir.path().join("outside/key"), KEY).expect("a file");
        symlink("key", dir.path().join("outside/link")).expect("a link");
        let write = vec!["/opt/app".to_owned().try_into().expect("a path")];
        let allowed = Allowed::new(Arc::new(Grants { write, ..Grants::default() }), None);
        let tree = Tree::new(dir.path(), allowed, Arc::default(), Arc::new(Ledger::off()));
        Self { dir, tree }
    }
}

fn has_no_privileges(directory: &Path) {
    for entry in fs::read_dir(directory).expect("a directory that can be read").flatten() {
        let found = fs::symlink_metadata(entry.path()).expect("what is listed is there");
        assert!(found.is_file() || found.is_dir() || found.is_symlink(), "{entry:?}");
        if !found.is_symlink() {
            assert_eq!(found.mode() & 0o7000, 0, "{entry:?}");
        }
        if found.is_dir() {
            has_no_privileges(&entry.path());
        }
    }
}

thread_local! {
    static MACHINE: OnceCell<Machine> = const { OnceCell::new() };
}

/// The same with the checksums of its headers set right: no mutation would.
fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + 512) {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let blocks = header.entry_size().unwrap_or(0).div_ceil(512);
        at = at
            .saturating_add(512)
            .saturating_add(usize::try_from(blocks).unwrap_or(0).saturating_mul(512));
        if at > bytes.len() {
            break;
        }
    }
    bytes
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((how, bytes)) = input.split_first() else { return };
    let (zipped, strip) = (how & 1 != 0, how >> 1 & 3);
    let bytes = &match how & 8 != 0 {
        true => bytes.to_vec(),
        false => with_checksums(bytes.to_vec()),
    };
    MACHINE.with(|machine| {
        let machine = machine.get_or_init(Machine::new);
        let archive = machine.dir.path().join("archive");
        let mut file = fs::File::create(&archive).expect("a file");
        let written = match zipped {
            true => {
                flate2::write::GzEncoder::new(file, flate2::Compression::fast()).write_all(bytes)
            }
            false => file.write_all(bytes),
        };
        written.expect("room for an archive");
        let unpack = Unpack {
            archive: &archive,
            digest: Digest::of(bytes),
            strip: usize::from(strip),
            owner: None,
            most_bytes: 1 << 20,
            most_entries: 100,
            deadline: Instant::now() + Duration::from_secs(5),
        };
        let unpacked = machine.tree.unpack("/opt/app/new", &unpack);
        let (new, app) =
            (machine.dir.path().join("opt/app/new"), machine.dir.path().join("opt/app"));
        let left = fs::read_dir(&app).expect("the directory").count();
        assert_eq!(left, usize::from(unpacked.is_ok()), "{unpacked:?}");
        if unpacked.is_ok() {
            has_no_privileges(&new);
            fs::remove_dir_all(&new).expect("what was unpacked can be removed");
        }
        let outside = machine.dir.path().join("outside");
        assert_eq!(fs::read_to_string(outside.join("key")).expect("the key"), KEY);
        assert_eq!(fs::metadata(outside.join("key")).expect("the key").nlink(), 1);
        assert_eq!(fs::read_dir(&outside).expect("outside").count(), 2);
    });
});
