//! The example service: its job, and its releases as artifacts.

use crate::{built, root};
use anyhow::{Context, Result};
use cerebro_api::jobfile;
use cerebro_model::Job;
use std::fs;
use std::io::Write;

/// The job of `examples/portal/job.json`.
pub fn job() -> Result<Job> {
    let file = root().join("examples/portal/job.json");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(jobfile::parse("job.json", &text)?)
}

/// A release, as a tar.gz: the program, and the template of its configuration.
pub fn artifact() -> Result<Vec<u8>> {
    release("portal.conf.tmpl")
}

/// A release of the same program whose configuration names a database that is not there: it ends at
/// once, saying so.
pub fn bad_artifact() -> Result<Vec<u8>> {
    release("portal-bad.conf.tmpl")
}

fn release(template: &str) -> Result<Vec<u8>> {
    let template = fs::read(root().join("examples/portal").join(template))?;
    let program = fs::read(built()?.join("bin/portal"))?;
    pack(&[("bin/run_portal_server", 0o755, &program), ("portal.conf.tmpl", 0o644, &template)])
}

fn pack(files: &[(&str, u32, &[u8])]) -> Result<Vec<u8>> {
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, mode, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        archive.append_data(&mut header, path, *bytes)?;
    }
    let mut compressed = archive.into_inner()?;
    compressed.flush()?;
    Ok(compressed.finish()?)
}
