//! What the lives of a task have said, against what is in its logs.

use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Lives, lines, and those of them that are lost; or what is wrong. A line is lost if its life has
/// counted it and no log has it, and may be only where a sitter was killed (`killed-*`).
pub fn audit(task: &Path) -> Result<(u64, u64, u64), String> {
    let mut said: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in log(&task.join("logs"))?.lines() {
        let (life, number) = line.split_once(' ').ok_or(format!("a broken line: {line:?}"))?;
        let number = number.parse().map_err(|_| format!("a broken line: {line:?}"))?;
        said.entry(life.to_owned()).or_default().push(number);
    }
    let (mut lives, mut lines, mut lost) = (0, 0, 0);
    for entry in fs::read_dir(task.join("counts")).unwrap().flatten() {
        let life = entry.file_name().into_string().unwrap();
        let count = fs::read_to_string(entry.path()).unwrap();
        let counted: u64 = count.trim().parse().unwrap_or(0);
        let numbers = said.remove(&life).unwrap_or_default();
        if numbers.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!("{life} has lines twice or out of order: {numbers:?}"));
        }
        let highest = numbers.last().copied().unwrap_or(0).max(counted);
        lives += 1;
        lines += highest;
        lost += highest - numbers.len() as u64;
    }
    if let Some(life) = said.keys().next() {
        return Err(format!("nobody has said what is in the log: {life}"));
    }
    let killed = fs::read_dir(task).unwrap().flatten();
    let killed =
        killed.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"killed-")).count();
    match lost {
        0 => Ok((lives, lines, 0)),
        // A kill may cost what was read and not yet written: a line or two of these.
        _ if lost <= 2 * killed as u64 => Ok((lives, lines, lost)),
        _ => Err(format!("{lost} of {lines} lines are lost, with {killed} sitters killed")),
    }
}

/// All files of standard output, the oldest first.
fn log(directory: &Path) -> Result<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let Some(rest) = name.strip_prefix("stdout.log") else { continue };
        let number = match rest.trim_start_matches('.').trim_end_matches(".gz") {
            "" => u64::MAX,
            number => match number.parse() {
                Ok(number) => number,
                // One that is being compressed.
                Err(_) => return Err(format!("{name} is not complete")),
            },
        };
        // While both are there, they are the same.
        let is_packed = rest.ends_with(".gz");
        if !is_packed || !files.contains_key(&number) {
            files.insert(number, entry.path());
        }
    }
    let mut text = String::new();
    for path in files.values() {
        let read = match path.extension().is_some_and(|extension| extension == "gz") {
            true => {
                File::open(path).and_then(|file| GzDecoder::new(file).read_to_string(&mut text))
            }
            false => File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
        };
        read.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(text)
}
