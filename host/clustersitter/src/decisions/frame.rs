//! How looks lie in a file: one frame after the other, each with its length and a check of its bytes.
//!
//! ```text
//! length of what follows the check, 4 bytes, little-endian │ CRC-32 of it, 4 bytes │ kind, 1 byte │ JSON, by zlib
//! ```

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes before the kind.
const HEAD: usize = 8;
/// The longest frame, in bytes: a snapshot of a hundred thousand machines is below that.
const LONGEST: u32 = 1 << 30;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// All that a look went by.
    Whole = b'W',
    /// What has changed since the look before.
    Since = b'S',
    /// What came of the look whose frame is before this one.
    Head = b'H',
}

/// The bytes of a frame.
pub fn frame<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = vec![0; HEAD];
    bytes.push(kind as u8);
    // Level 1: a controller has better things to do, and JSON is full of repetitions.
    let mut encoder = ZlibEncoder::new(bytes, Compression::fast());
    serde_json::to_writer(&mut encoder, value)?;
    let mut bytes = encoder.finish().map_err(serde_json::Error::io)?;
    let (head, body) = bytes.split_at_mut(HEAD);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    Ok(bytes)
}

/// A frame that was read.
#[derive(Debug)]
pub struct Frame {
    /// What it holds.
    pub kind: Kind,
    packed: Vec<u8>,
}

impl Frame {
    /// What it holds, unpacked.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_reader(io::BufReader::new(ZlibDecoder::new(&*self.packed)))
    }
}

/// Frames of a file, up to the first that is not whole.
pub struct Frames<R> {
    from: R,
    at: u64,
    end: u64,
    /// Why it ends where it does not end with a whole frame.
    pub torn: Option<String>,
}

impl<R: Read + Seek> Frames<R> {
    /// Of a file from its beginning.
    pub fn of(mut from: R) -> io::Result<Self> {
        let end = from.seek(SeekFrom::End(0))?;
        from.seek(SeekFrom::Start(0))?;
        Ok(Self { from, at: 0, end, torn: None })
    }

    /// The next frame that is wanted; others are passed over unread.
    pub fn next(&mut self, wanted: impl Fn(Kind) -> bool) -> Option<Frame> {
        while self.torn.is_none() && self.at < self.end {
            match self.read(&wanted) {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(why) => self.torn = Some(format!("{why}, at byte {}", self.at)),
            }
        }
        None
    }

    fn read(&mut self, wanted: &impl Fn(Kind) -> bool) -> Result<Option<Frame>, String> {
        let broken = |_| "it breaks off within a frame".to_owned();
        let mut head = [0; HEAD + 1];
        self.from.read_exact(&mut head).map_err(broken)?;
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = number(0);
        let kind = match head[HEAD] {
            b'W' => Kind::Whole,
            b'S' => Kind::Since,
            b'H' => Kind::Head,
            _ => return Err("a frame is of no kind that there is".to_owned()),
        };
        let after = self.at + HEAD as u64 + u64::from(length);
        if length == 0 || length > LONGEST {
            return Err("the length of a frame makes no sense".to_owned());
        }
        if after > self.end {
            return Err("it breaks off within a frame".to_owned());
        }
        if !wanted(kind) {
            self.from.seek(SeekFrom::Start(after)).map_err(|error| error.to_string())?;
            self.at = after;
            return Ok(None);
        }
        let mut body = vec![0; length as usize];
        body[0] = head[HEAD];
        self.from.read_exact(&mut body[1..]).map_err(broken)?;
        if crc32fast::hash(&body) != number(4) {
            return Err("a frame is damaged".to_owned());
        }
        self.at = after;
        body.remove(0);
        Ok(Some(Frame { kind, packed: body }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

    use super::*;
    use std::io::Cursor;

    fn three() -> Vec<u8> {
        let mut bytes = frame(Kind::Whole, &"x".repeat(1000)).unwrap();
        assert!(bytes.len() < 100, "it is packed");
        bytes.extend(frame(Kind::Since, &"since").unwrap());
        bytes.extend(frame(Kind::Head, &"head").unwrap());
        bytes
    }

    fn all(bytes: &[u8]) -> (Vec<Kind>, bool) {
        let mut frames = Frames::of(Cursor::new(bytes)).unwrap();
        let mut kinds = Vec::new();
        while let Some(frame) = frames.next(|_| true) {
            frame.value::<String>().unwrap();
            kinds.push(frame.kind);
        }
        (kinds, frames.torn.is_some())
    }

    #[test]
    fn frames_are_read_up_to_the_first_that_is_not_whole() {
        let bytes = three();
        assert_eq!(all(&bytes), (vec![Kind::Whole, Kind::Since, Kind::Head], false));
        let ends: Vec<usize> = (0..bytes.len()).filter(|cut| !all(&bytes[..*cut]).1).collect();
        assert_eq!(ends.len(), 3, "cut anywhere else it is torn: {ends:?}");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let (kinds, torn) = all(&damaged);
            assert!(torn && kinds.len() < 3, "{at}");
        }
        let mut heads = Frames::of(Cursor::new(&*bytes)).unwrap();
        let head = heads.next(|kind| kind == Kind::Head).unwrap();
        assert_eq!(head.value::<String>().unwrap(), "head");
        assert!(heads.next(|_| true).is_none() && heads.torn.is_none());
    }
}
