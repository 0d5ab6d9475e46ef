//! How records lie in a file: each a frame of its own, with its length, a check of its bytes, and a
//! link to the one before it.
//!
//! ```text
//! length, 4 bytes, little-endian │ CRC-32 of what follows, 4 bytes │ chain, 16 bytes │ payload
//! ```
//!
//! The chain is the beginning of SHA-256(chain of the frame before it, payload), so that no frame can
//! be left out, changed or put elsewhere without being noticed. Zeros are where nothing was written:
//! space that was reserved.

use sha2::{Digest, Sha256};

/// Bytes before a payload.
const HEAD: usize = 24;
/// Bytes of a payload.
const LARGEST: usize = 16 << 20;

/// The chain of a frame.
pub(crate) type Chain = [u8; 16];

/// The bytes of a frame with this payload, and its chain.
pub(crate) fn frame(before: &Chain, payload: &[u8]) -> (Vec<u8>, Chain) {
    let chain = chain(before, payload);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&chain);
    crc.update(payload);
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    // Records are short; one that is not cannot be read again, and ends the journal there.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc.finalize().to_le_bytes());
    bytes.extend_from_slice(&chain);
    bytes.extend_from_slice(payload);
    (bytes, chain)
}

fn chain(before: &Chain, payload: &[u8]) -> Chain {
    let hash = Sha256::new().chain_update(before).chain_update(payload).finalize();
    let mut chain = Chain::default();
    chain.copy_from_slice(&hash[..16]);
    chain
}

/// How a file of frames ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a whole frame.
    Whole,
    /// Something else follows: it was cut off there, or damaged.
    Torn {
        /// The offset of what is no frame.
        at: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// What is whole of a file.
#[derive(Debug)]
pub struct Frames<'a> {
    /// Each payload with its offset.
    pub frames: Vec<(usize, &'a [u8])>,
    /// How it ends.
    pub end: End,
}

impl Frames<'_> {
    /// Where the next frame goes, and what it follows.
    pub(super) fn tail(&self) -> (usize, Chain) {
        let chain =
            self.frames.iter().fold(Chain::default(), |before, (_, frame)| chain(&before, frame));
        let after = self.frames.last().map_or(0, |(at, frame)| at + HEAD + frame.len());
        (after, chain)
    }
}

/// Reads all frames up to the first that is not whole.
pub fn read(bytes: &[u8]) -> Frames<'_> {
    let (mut frames, mut at, mut before) = (Vec::new(), 0, Chain::default());
    let end = loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.iter().all(|byte| *byte == 0) {
            break End::Whole;
        }
        match next(rest, &before) {
            Ok((payload, chain)) => {
                frames.push((at, payload));
                at += HEAD + payload.len();
                before = chain;
            }
            Err(why) => break End::Torn { at, why: why.to_owned() },
        }
    };
    Frames { frames, end }
}

fn next<'a>(bytes: &'a [u8], before: &Chain) -> Result<(&'a [u8], Chain), &'static str> {
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or("it breaks off within a head")?;
    let number = |at: usize| {
        let mut four = [0; 4];
        four.copy_from_slice(&head[at..at + 4]);
        u32::from_le_bytes(four)
    };
    let length = usize::try_from(number(0)).unwrap_or(usize::MAX);
    if length == 0 || length > LARGEST {
        return Err("the length of a record makes no sense");
    }
    let payload = rest.get(..length).ok_or("it breaks off within a record")?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[8..]);
    crc.update(payload);
    if crc.finalize() != number(4) {
        return Err("a record is damaged");
    }
    let chain = chain(before, payload);
    match head[8..] == chain {
        true => Ok((payload, chain)),
        false => Err("a record does not follow from the one before it"),
    }
}
