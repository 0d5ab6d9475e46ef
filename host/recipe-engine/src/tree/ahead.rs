//! Decompressing on a thread of its own, some pieces ahead of who reads: to decompress takes about as
//! long as to write what comes of it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes of a piece.
const PIECE: u64 = 1 << 17;
/// Pieces that may wait to be read.
const WAITING: usize = 4;

/// Reads what another reader gives, which reads ahead.
pub(super) struct Ahead {
    pieces: Option<Receiver<io::Result<Vec<u8>>>>,
    used: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    pub(super) fn of(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (give, pieces) = sync_channel(WAITING);
        let (used, spare) = channel();
        let named = thread::Builder::new().name("decompress".to_owned());
        let thread = Some(named.spawn(move || read(reader, &give, &spare))?);
        Ok(Self { pieces: Some(pieces), used, piece: Vec::new(), at: 0, thread })
    }
}

fn read(mut reader: impl Read, give: &SyncSender<io::Result<Vec<u8>>>, spare: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = spare.try_recv().unwrap_or_default();
        piece.clear();
        let read = reader.by_ref().take(PIECE).read_to_end(&mut piece);
        let is_last = !matches!(read, Ok(read) if read > 0);
        if matches!(read, Ok(0)) || give.send(read.map(|_| piece)).is_err() || is_last {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !into.is_empty() {
            let next = self.pieces.as_ref().and_then(|pieces| pieces.recv().ok());
            let Some(next) = next else { return Ok(0) };
            // It takes no more where it has failed.
            let _ = self.used.send(std::mem::replace(&mut self.piece, next?));
            self.at = 0;
        }
        let rest = &self.piece[self.at..];
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        self.at += read;
        Ok(read)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // It ends at its next piece.
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(u64);

    impl Read for Broken {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = into.len().min(usize::try_from(self.0).unwrap());
            self.0 -= read as u64;
            into[..read].fill(7);
            if read == 0 { Err(io::Error::other("broken")) } else { Ok(read) }
        }
    }

    #[test]
    fn all_of_it_is_read_in_order() {
        let content: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
        let mut read = Vec::new();
        Ahead::of(io::Cursor::new(content.clone())).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == content);
        assert_eq!(Ahead::of(io::empty()).unwrap().read(&mut [0; 10]).unwrap(), 0);
    }

    #[test]
    fn an_error_is_told_behind_the_whole_pieces_before_it() {
        let mut read = Vec::new();
        let mut ahead = Ahead::of(Broken(PIECE * 3 + 5)).unwrap();
        assert_eq!(ahead.read_to_end(&mut read).unwrap_err().to_string(), "broken");
        assert_eq!(read.len() as u64, PIECE * 3);
    }

    #[test]
    fn who_reads_no_further_ends_it() {
        let mut ahead = Ahead::of(io::repeat(1)).unwrap();
        assert_eq!(ahead.read(&mut [0; 10]).unwrap(), 10);
    }
}
