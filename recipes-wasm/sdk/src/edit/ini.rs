//! Values of INI files: sections in brackets, `key = value`, comments after `;` or `#`.

use super::Lines;

/// Has `key` of a section have this value; the keys before the first section are of the section
/// named by the empty text. A line that is there keeps its place and its spelling of `=`; others
/// of the same key in that section go. What is missing is added at the section's end.
pub fn ini_set(text: &str, section: &str, key: &str, value: &str) -> String {
    let mut lines = Lines::of(text);
    let found = places(&lines, section, key);
    if let Some((first, others)) = found.split_first() {
        let line = &lines.lines[*first].0;
        let (before, after) = line.split_once('=').unwrap_or((line, ""));
        let blank = if after.starts_with(' ') { " " } else { "" };
        lines.lines[*first].0 = format!("{before}={blank}{value}");
        for at in others.iter().rev() {
            lines.lines.remove(*at);
        }
        return lines.text();
    }
    let line = format!("{key} = {value}");
    match end_of(&lines, section) {
        Some(at) => lines.insert(at, &line),
        None => {
            lines.insert(lines.lines.len(), &format!("[{section}]"));
            lines.insert(lines.lines.len(), &line);
        }
    }
    lines.text()
}

/// Has `key` of a section not be there. The section stays.
pub fn ini_remove(text: &str, section: &str, key: &str) -> String {
    let mut lines = Lines::of(text);
    for at in places(&lines, section, key).into_iter().rev() {
        lines.lines.remove(at);
    }
    lines.text()
}

/// The section that a line begins.
fn header(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.split_once(']').map(|(name, _)| name.trim())
}

/// The lines of a key, in every stretch of its section.
fn places(lines: &Lines, section: &str, key: &str) -> Vec<usize> {
    let mut within = "";
    let mut found = Vec::new();
    for (n, (line, _)) in lines.lines.iter().enumerate() {
        if let Some(name) = header(line) {
            within = name;
        } else if within == section
            && !line.trim_start().starts_with(['#', ';'])
            && line.split_once('=').is_some_and(|(name, _)| name.trim() == key)
        {
            found.push(n);
        }
    }
    found
}

/// Where a line is added to a section: after the last of its first stretch that is not blank.
fn end_of(lines: &Lines, section: &str) -> Option<usize> {
    let of = |n: usize| header(&lines.lines[n].0);
    let count = lines.lines.len();
    let first = match section {
        "" => 0,
        _ => 1 + (0..count).find(|n| of(*n) == Some(section))?,
    };
    let end = (first..count).find(|n| of(*n).is_some()).unwrap_or(count);
    let filled = (first..end).rev().find(|n| !lines.lines[*n].0.trim().is_empty());
    Some(filled.map_or(first, |n| n + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_in_their_section_and_comments_stay() {
        let old = "; top\nz=0\n\n[a]\n# a=9\nx = 1\n\n[b]\nx=2\n";
        let new = ini_set(old, "a", "x", "5");
        assert_eq!(new, old.replace("x = 1", "x = 5"));
        assert_eq!(ini_set(old, "b", "x", "5"), old.replace("x=2", "x=5"));
        assert_eq!(ini_set(old, "a", "a", "7"), old.replace("x = 1\n", "x = 1\na = 7\n"));
        assert_eq!(ini_set(old, "", "y", "1"), old.replace("z=0\n", "z=0\ny = 1\n"));
        assert_eq!(ini_set(old, "c", "y", "1"), format!("{old}[c]\ny = 1\n"));
    }

    #[test]
    fn a_key_is_removed_from_its_section_only() {
        assert_eq!(ini_remove("[a]\nx=1\n[b]\nx=2\n", "a", "x"), "[a]\n[b]\nx=2\n");
    }
}
