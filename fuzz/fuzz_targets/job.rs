//! Any text is a job or an error that names a place in it; a job, written down and read again, is
//! the same job.
#![no_main]
#![allow(missing_docs, unreachable_pub, reason = "a part of the crate for the wire")]

#[path = "../../host/api/src/jobfile/mod.rs"]
mod jobfile;

use cerebro_model::Job;

libfuzzer_sys::fuzz_target!(|input: &str| {
    // The first line is the file's name, and its ending the format.
    let Some((name, text)) = input.split_once('\n') else { return };
    let job = match jobfile::parse(name, text) {
        Ok(job) => job,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if let Some((line, _)) = error.place() {
                // In YAML a carriage return alone ends a line too.
                assert!(line <= text.matches(['\n', '\r']).count() + 2, "line {line}");
            }
            return;
        }
    };
    let written = serde_json::to_string(&job).expect("a job can be written down");
    let again: Job = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(job, again, "{written}");
    for zone in job.deployment_layout.keys() {
        std::hint::black_box(job.reserves(zone));
    }
});
