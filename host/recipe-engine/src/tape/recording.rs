//! A recording, read.

use super::entry::{Ended, Entry, Inputs, Question};
use crate::journal::{End, read};
use std::path::Path;

/// A call that was recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What the component was called with.
    pub inputs: Inputs,
    pub(crate) entries: Vec<Entry>,
    /// How the file ends.
    pub end: End,
}

/// A recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("read the recording `{path}`: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It is none.
    #[error("this is no recording of a call: {0}")]
    Foreign(String),
}

impl Recording {
    /// Reads the recording of a call from its directory; none if it has none.
    pub fn open(directory: &Path) -> Result<Option<Self>, RecordingError> {
        let path = directory.join(super::recorder::FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RecordingError::Read { path: path.display().to_string(), source }),
        }
    }

    /// Reads a recording's bytes: all that is whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordingError> {
        let frames = read(bytes);
        let (mut entries, mut end) = (Vec::new(), frames.end);
        for (at, frame) in frames.frames {
            match postcard::from_bytes(frame) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    end = End::Torn { at, why: format!("an entry that cannot be read: {error}") };
                    break;
                }
            }
        }
        let Some(Entry::Begin(inputs)) = entries.first() else {
            return Err(RecordingError::Foreign("it does not begin as one".to_owned()));
        };
        let inputs = serde_json::from_str(inputs)
            .map_err(|error| RecordingError::Foreign(format!("its inputs: {error}")))?;
        Ok(Self { inputs, entries, end })
    }

    /// What the component asked for, in its order.
    pub fn questions(&self) -> Vec<&Question> {
        let mut questions = Vec::new();
        for entry in &self.entries {
            if let Entry::Asked { question, .. } = entry {
                questions.push(question);
            }
        }
        questions
    }

    /// How the call failed; none if it succeeded or nobody lived to tell.
    pub fn failure(&self) -> Option<&str> {
        self.ended().and_then(|ended| ended.failure.as_deref())
    }

    /// Whether the call came to an end that was recorded.
    pub fn is_whole(&self) -> bool {
        self.ended().is_some()
    }

    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Ended(ended) => Some(ended),
            _ => None,
        })
    }
}
