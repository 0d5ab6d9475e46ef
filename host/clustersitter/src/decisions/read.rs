//! Finds looks in the log.

use super::frame::{Frame, Frames, Kind};
use super::write::segments;
use super::{Head, LogError, Wanted, file};
use cerebro_api::explain::DecisionSummary;
use cerebro_model::DecisionId;
use cerebro_planner::cluster::{Look, Since};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// A look as it was kept.
#[derive(Debug)]
pub struct Kept {
    /// What came of it.
    pub head: Head,
    /// What it went by; or why that cannot be read, as where another version wrote it.
    pub look: Result<Look, String>,
}

/// The looks of one segment, in order.
pub struct Looks {
    frames: Frames<BufReader<File>>,
    /// What the look before went by.
    look: Result<Look, String>,
}

impl Looks {
    /// Of a segment.
    pub fn of(path: &Path) -> Result<Self, LogError> {
        Ok(Self { frames: frames(path)?, look: Err("no look is before it".to_owned()) })
    }

    /// What came of the next one.
    pub fn next_head(&mut self) -> Option<Head> {
        loop {
            let frame = self.frames.next(|_| true)?;
            match frame.kind {
                Kind::Whole => self.look = frame.value().map_err(|error| error.to_string()),
                Kind::Since => self.follow(&frame),
                // One of another version, of which not even that can be read, is passed over.
                Kind::Head => match frame.value() {
                    Ok(head) => return Some(head),
                    Err(error) => tracing::warn!("a look in the log cannot be read: {error}"),
                },
            }
        }
    }

    fn follow(&mut self, frame: &Frame) {
        let since = frame.value::<Since>().map_err(|error| error.to_string());
        match (&mut self.look, since) {
            (Ok(look), Ok(since)) => look.follow(since),
            // What follows it lacks what it said.
            (Ok(_), Err(why)) => self.look = Err(why),
            (Err(_), _) => {}
        }
    }

    /// What the look went by whose head was answered last.
    pub fn look(&self) -> Result<&Look, &str> {
        self.look.as_ref().map_err(String::as_str)
    }

    /// Why it ends where it does not end with a whole look.
    pub fn torn(&self) -> Option<&str> {
        self.frames.torn.as_deref()
    }
}

fn frames(path: &Path) -> Result<Frames<BufReader<File>>, LogError> {
    let opened = File::open(path).map_err(file("open", path))?;
    Frames::of(BufReader::new(opened)).map_err(file("read", path))
}

/// One look.
pub fn find(directory: &Path, id: &DecisionId) -> Result<Kept, LogError> {
    let unknown = || LogError::Unknown(id.clone());
    // It is in the last segment that does not begin after it.
    let first_of = |path: &Path| -> Option<(u64, u64)> {
        let (term, number) = path.file_stem()?.to_str()?.split_once('-')?;
        Some((term.parse().ok()?, number.parse().ok()?))
    };
    let found = segments(directory)?;
    let found = found.iter().rfind(|path| first_of(path).is_some_and(|it| it <= id.parts()));
    let mut looks = Looks::of(found.ok_or_else(unknown)?)?;
    while let Some(head) = looks.next_head() {
        if head.id == *id {
            return Ok(Kept { head, look: looks.look });
        }
    }
    Err(unknown())
}

/// The last looks that decided something that is wanted, the newest first.
pub fn list(
    directory: &Path,
    wanted: &Wanted,
    limit: usize,
) -> Result<Vec<DecisionSummary>, LogError> {
    let mut found = Vec::new();
    for path in segments(directory)?.iter().rev() {
        let mut frames = match frames(path) {
            // It was forgotten meanwhile.
            Err(LogError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                continue;
            }
            other => other?,
        };
        let mut here = Vec::new();
        while let Some(frame) = frames.next(|kind| kind == Kind::Head) {
            here.extend(frame.value::<Head>().ok().and_then(|head| head.about(wanted)));
        }
        here.reverse();
        found.append(&mut here);
        if found.len() >= limit {
            found.truncate(limit);
            break;
        }
    }
    Ok(found)
}
