//! Compressing what was set aside, in a process of its own that gives way to all others.

use super::file::older;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The end of a compressed file's name.
pub const SUFFIX: &str = ".gz";
/// The end of the name of one that is not complete.
const PART: &str = ".gz.part";

/// Starts a process that compresses what was set aside for `log`, unless the one in `running` still
/// does: what it misses is done next time.
pub fn in_background(running: &mut Option<Child>, log: &Path) {
    if let Some(child) = running
        && matches!(child.try_wait(), Ok(None))
    {
        return;
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg("--compress").arg(log).stdin(Stdio::null()).stdout(Stdio::null());
    // Without it the logs are larger, and nothing else is wrong.
    *running = command.spawn().ok();
}

/// Compresses whatever was set aside for `log` and is not compressed.
pub fn compress_all(log: &Path) -> io::Result<()> {
    // SAFETY: takes no pointers. That it cannot give way is no reason not to work.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    for (_, path) in older(log) {
        if !path.as_os_str().as_encoded_bytes().ends_with(SUFFIX.as_bytes()) {
            match compress(&path) {
                // It was the oldest, and was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
    }
    Ok(())
}

fn compress(path: &Path) -> io::Result<()> {
    let with = |suffix: &str| -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    };
    // The directory may be one where the task may put links.
    let mut from = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    // The sitter before may have left one at work: two would write the same file.
    let is_mine = from.try_lock().is_ok() && from.metadata()?.nlink() > 0;
    if !is_mine {
        return Ok(());
    }
    let part = with(PART);
    let mut options = File::options();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW);
    let mut to = GzEncoder::new(options.open(&part)?, Compression::fast());
    io::copy(&mut from, &mut to)?;
    to.finish()?;
    // Whoever lists the files between these two sees the log twice rather than not at all.
    fs::rename(&part, with(SUFFIX))?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn what_another_compresses_is_left_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.7");
        fs::write(&path, "text").unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        compress_all(&dir.path().join("out")).unwrap();
        assert!(path.exists() && fs::read_dir(dir.path()).unwrap().count() == 1);
        drop(other);
        compress_all(&dir.path().join("out")).unwrap();
        assert!(!path.exists() && dir.path().join("out.7.gz").exists());
    }

    #[test]
    fn what_was_set_aside_is_compressed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("out");
        for name in ["out", "out.7", "out.8", "other.9"] {
            fs::write(dir.path().join(name), format!("{name}\n").repeat(1000)).unwrap();
        }
        compress_all(&log).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["other.9", "out", "out.7.gz", "out.8.gz"]);
        let mut text = String::new();
        let file = File::open(dir.path().join("out.8.gz")).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "out.8\n".repeat(1000));
    }
}
