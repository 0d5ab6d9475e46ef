//! What a case may have left behind.

use crate::ground::SECRET;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the process holds.
pub struct Traces {
    descriptors: Vec<PathBuf>,
    resident: u64,
}

impl Traces {
    pub fn take() -> Self {
        // From now on the peak is counted anew.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { descriptors: descriptors(), resident: status("VmRSS:") }
    }

    /// What there is now that was not, or was for a while and should not have been.
    pub async fn compare(self, budget: u64) -> Option<String> {
        let grown = status("VmHWM:").saturating_sub(self.resident);
        if grown > budget {
            return Some(format!("memory grew by {} MiB", grown >> 20));
        }
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let (open, children) = (descriptors(), children());
            if open.len() <= self.descriptors.len() && children.is_empty() {
                return None;
            }
            if Instant::now() > limit {
                let before = &self.descriptors;
                return Some(format!("left are {open:?} (before: {before:?}) and {children:?}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Open descriptors, without those that each thread keeps to look at its memory's pages, and those
/// that each compiled component does for what its memory is at first.
fn descriptors() -> Vec<PathBuf> {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_ours = |path: &PathBuf| {
        !path.ends_with("pagemap") && !path.starts_with("/memfd:wasm-memory-image (deleted)")
    };
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).filter(is_ours).collect()
}

fn status(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn children() -> BTreeSet<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children"));
    threads
        .filter_map(|thread| of(thread).ok())
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// An error with its causes.
pub fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Whether a text tells the secret, as it is or in a usual disguise.
pub fn holds_secret(text: &str) -> bool {
    let url = "correct%2Fhorse%20battery%2Bstaple";
    let form = "correct%2Fhorse+battery%2Bstaple";
    // By `base64`; without the end, which depends on what follows.
    let base64 = "Y29ycmVjdC9ob3JzZSBiYXR0ZXJ5K3N0YXBs";
    [SECRET, url, form, base64].iter().any(|form| text.contains(form))
}
