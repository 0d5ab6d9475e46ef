//! What a program writes, while it runs.

use crate::logbook::{LogLevel, Logbook};
use serde::{Deserialize, Serialize};
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

/// How long to go on reading what a program wrote, once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Bytes of a line before it is logged in parts.
const LONGEST_LINE: u64 = 8 << 10;

/// The beginning of what a program wrote.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) truncated: bool,
}

pub(super) async fn run_to_end(
    child: &mut Child,
    stdin: Option<&[u8]>,
    log: &Logbook,
    limit: usize,
) -> std::io::Result<(ExitStatus, Kept, Kept)> {
    let (pipe, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut pipe), Some(stdin)) = (pipe, stdin) {
            // A program need not read what it is fed.
            let _ = pipe.write_all(stdin).await;
        }
    };
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let status = {
        let listen = async {
            tokio::join!(
                keep(out, &mut stdout, limit, log, LogLevel::Info),
                keep(err, &mut stderr, limit, log, LogLevel::Warn),
                feed
            );
        };
        tokio::pin!(listen);
        let mut heard = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                () = &mut listen, if !heard => heard = true,
            }
        };
        if !heard {
            // A program that it left behind may hold the pipes open for ever.
            let _ = timeout(LAST_WORDS, listen).await;
        }
        status
    };
    Ok((status, stdout, stderr))
}

async fn keep(
    pipe: Option<impl AsyncRead + Unpin>,
    kept: &mut Kept,
    limit: usize,
    log: &Logbook,
    level: LogLevel,
) {
    let Some(pipe) = pipe else { return };
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut pipe).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let room = limit - kept.bytes.len();
        kept.bytes.extend_from_slice(line.get(..room).unwrap_or(&line));
        kept.truncated |= line.len() > room;
        log.write(level, &String::from_utf8_lossy(&line));
    }
}
