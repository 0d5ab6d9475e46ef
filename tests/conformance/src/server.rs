//! A small HTTP server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a server answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// With this status.
    Status(u16),
    /// Not at all, for as long as it is asked.
    Never,
}

/// Answers every request alike, for as long as it is held.
pub struct Server {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server on a port of its own.
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer));
            }
        });
        Self { port, task }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it, and gives its port back once nobody listens there.
    pub async fn stop(mut self) -> u16 {
        self.task.abort();
        // The listener is gone once its task is.
        let _ = (&mut self.task).await;
        self.port
    }
}

async fn serve(mut stream: TcpStream, answer: Answer) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
            return;
        }
    }
    match answer {
        Answer::Status(status) => {
            let text = format!(
                "HTTP/1.1 {status} Status\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
        // Until the other side has gone away.
        Answer::Never => {
            let _ = stream.read_buf(&mut request).await;
        }
    }
}
