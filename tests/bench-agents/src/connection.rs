//! HTTP as little as it takes, so that thousands of agents are no load of their own.

use anyhow::{Context, Result, ensure};
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// A connection that is kept.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// From an address of this machine's to the controller.
    pub async fn open(from: IpAddr, to: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::with_capacity(512, stream)))
    }

    /// Asks, and reads the answer's body. `head` is the request's line and headers.
    pub async fn ask(&mut self, head: &str, body: &[u8]) -> Result<Vec<u8>> {
        let length = body.len();
        let mut request =
            format!("{head}\r\nhost: c\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
                .into_bytes();
        request.extend_from_slice(body);
        self.0.write_all(&request).await?;
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).context("no answer")?.to_owned();
        let mut length = 0;
        loop {
            line.clear();
            ensure!(self.0.read_line(&mut line).await? > 0, "the answer broke off");
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).await?;
        ensure!(status == "200", "{status}: {}", String::from_utf8_lossy(&answer));
        Ok(answer)
    }
}
