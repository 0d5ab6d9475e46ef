//! The secrets of one call: put in place of what stands for them, and blotted out of what is said.

use std::sync::{Mutex, PoisonError};

/// What stands in a log where a secret stood.
const BLOT: &str = "<secret>";
/// A secret shorter than this is not looked for in what is said: it would be found everywhere.
const SHORTEST: usize = 4;

/// The secrets that a call was given.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<Vec<Known>>);

struct Known {
    name: String,
    placeholder: String,
    value: Vec<u8>,
    /// What is blotted out: its lines, since a log is written by the line.
    words: Vec<String>,
}

impl Known {
    /// What stands for it in a recording: as long as it is, and of nothing but its name.
    fn veil(&self) -> Vec<u8> {
        let text = format!("<{}>", self.name).into_bytes();
        text.into_iter().chain(std::iter::repeat(b'*')).take(self.value.len()).collect()
    }
}

/// A secret, or a text that holds some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecretId(usize);

impl Secrets {
    /// Remembers a secret; the same name stays the same secret. `random` makes what stands for it
    /// one that nobody writes by chance.
    pub(crate) fn add(&self, name: &str, value: Vec<u8>, random: u128) -> SecretId {
        self.add_as(name, value, format!("<<secret:{random:032x}:{name}>>"))
    }

    /// Remembers a secret for which this stands.
    pub(crate) fn add_as(&self, name: &str, value: Vec<u8>, placeholder: String) -> SecretId {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|known| known.name == name) {
            return SecretId(at);
        }
        let text = String::from_utf8_lossy(&value);
        let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST);
        let mut words: Vec<String> = lines.map(str::to_owned).collect();
        // The longest first: one may be part of another.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        all.push(Known { name: name.to_owned(), placeholder, value, words });
        SecretId(all.len() - 1)
    }

    pub(crate) fn placeholder(&self, id: SecretId) -> String {
        self.read(id, |known| known.placeholder.clone())
    }

    pub(crate) fn value(&self, id: SecretId) -> Vec<u8> {
        self.read(id, |known| known.value.clone())
    }

    fn read<T: Default>(&self, id: SecretId, look: impl FnOnce(&Known) -> T) -> T {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id.0).map(look).unwrap_or_default()
    }

    /// `bytes` with each secret in the place of what stands for it.
    pub(crate) fn fill(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for known in all.iter() {
            bytes = replace(bytes, known.placeholder.as_bytes(), &known.value);
        }
        bytes
    }

    /// The names of the secrets that `bytes` hold, after they were filled in.
    pub(crate) fn named_in(&self, bytes: &[u8]) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |known: &&Known| {
            let value = known.value.as_slice();
            !value.is_empty() && bytes.windows(value.len()).any(|window| window == value)
        };
        all.iter().filter(holds).map(|known| known.name.clone()).collect()
    }

    /// The names of the secrets that `text` tells, but for those too short to be looked for.
    pub(crate) fn told_in(&self, text: &str) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tells = |known: &&Known| known.words.iter().any(|word| text.contains(word.as_str()));
        all.iter().filter(tells).map(|known| known.name.clone()).collect()
    }

    /// `bytes` with a text of the same length in the place of each secret, so that what was equal
    /// still is.
    pub(crate) fn veil(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for known in all.iter().filter(|known| known.value.len() >= SHORTEST) {
            bytes = replace(bytes, &known.value, &known.veil());
        }
        bytes
    }

    /// The same for a text.
    pub(crate) fn veil_text(&self, text: String) -> String {
        String::from_utf8_lossy(&self.veil(text.into_bytes())).into_owned()
    }

    /// `text` without any secret in it.
    pub(crate) fn blot(&self, text: &str) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blotted: Option<String> = None;
        for word in all.iter().flat_map(|known| &known.words) {
            let now = blotted.as_deref().unwrap_or(text);
            if now.contains(word.as_str()) {
                blotted = Some(now.replace(word.as_str(), BLOT));
            }
        }
        blotted
    }
}

fn replace(bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let find = |bytes: &[u8]| bytes.windows(from.len()).position(|window| window == from);
    let Some(mut at) = find(&bytes) else { return bytes };
    let (mut rest, mut filled) = (bytes.as_slice(), Vec::with_capacity(bytes.len()));
    loop {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(to);
        rest = &rest[at + from.len()..];
        match find(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    filled.extend_from_slice(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_secret_is_filled_in_wherever_it_stands() {
        let secrets = Secrets::default();
        let id = secrets.add("db", b"pa\xffss".to_vec(), 7);
        assert_eq!(secrets.add("db", b"other".to_vec(), 8), id);
        let mark = secrets.placeholder(id);
        let filled = secrets.fill(format!("{mark}-{mark}").into_bytes());
        assert_eq!(filled, b"pa\xffss-pa\xffss");
        assert_eq!(secrets.fill(b"nothing".to_vec()), b"nothing");
    }

    #[test]
    fn what_is_said_holds_no_secret() {
        let secrets = Secrets::default();
        secrets.add("key", b"-- begin\nabcdef\nab\n".to_vec(), 1);
        secrets.add("short", b"ab".to_vec(), 2);
        let blotted = secrets.blot("x abcdef -- begin abc").unwrap();
        assert_eq!(blotted, "x <secret> <secret> abc");
        assert_eq!(secrets.blot("ab is too short to look for"), None);
        assert_eq!(secrets.told_in("--key=abcdef"), ["key"]);
        assert!(secrets.told_in("--key=ab").is_empty());
    }
}
