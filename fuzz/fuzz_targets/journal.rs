//! Any bytes are a journal up to where they make no sense, and then no word more; and what is read is
//! read the same when it stands alone.
//!
//! The engine's own reader, without the engine.
#![no_main]
#![allow(dead_code, unused_imports, missing_docs, reason = "a part of the engine")]

mod bindings;
#[path = "../../host/recipe-engine/src/journal/mod.rs"]
mod journal;

use journal::{End, Journal};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let read = Journal::parse(bytes);
    let effects = read.effects();
    assert!(effects.len() <= read.records.len());
    if let End::Torn { at, .. } = read.end {
        assert!(at < bytes.len());
        let again = Journal::parse(&bytes[..at]);
        assert_eq!((again.records, again.end), (read.records, End::Whole));
    }
});
