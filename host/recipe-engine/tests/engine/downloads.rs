//! What is fetched from a URL: gone on with after a break, checked, and kept.

use crate::support::{Machine, component, engine};
use cerebro_model::Digest;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Bytes after which the first answer breaks off.
const BREAK: usize = 700_000;

/// Where each request began, in bytes.
type Asked = Arc<Mutex<Vec<usize>>>;

struct Server {
    url: String,
    asked: Asked,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// One that knows of ranges, and breaks its first answer off.
    async fn start(content: Arc<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/app.tar", listener.local_addr().unwrap());
        let asked = Asked::default();
        let task = {
            let asked = asked.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let is_first = asked.lock().unwrap().is_empty();
                    let most = if is_first { BREAK } else { usize::MAX };
                    let from = answer(stream, &content, most).await;
                    asked.lock().unwrap().push(from);
                }
            })
        };
        Self { url, asked, task }
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, content: &[u8], most: usize) -> usize {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            break;
        }
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    let range = request.lines().find_map(|line| line.strip_prefix("range: bytes="));
    let from: usize = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let (status, all) = (if from > 0 { "206 Partial" } else { "200 OK" }, content.len());
    let rest = &content[from..];
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{all}\r\n\
         Connection: close\r\n\r\n",
        rest.len(),
        all - 1
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&rest[..most.min(rest.len())]).await;
    from
}

async fn download(machine: &Machine, url: &str, digest: Digest) -> Result<(), String> {
    let options = serde_json::json!({"do": "download", "url": url, "sha256": digest.to_string()});
    let call = machine.call(&options.to_string());
    let ended = engine().deploy(&component("hostile").await, call).await;
    ended.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_download_is_gone_on_with_checked_and_kept() {
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
    let (digest, content) = (Digest::of(&content), Arc::new(content));
    let server = Server::start(content.clone()).await;
    let grants = serde_json::json!({"urls": [server.url], "write": ["/opt/app"],
        "commands": ["/bin/true"], "secrets": ["none"]});
    let machine = Machine::granting(&grants.to_string());
    let kept = machine.dir.path().join("store").join(digest.to_string());

    let error = download(&machine, &server.url, digest).await.unwrap_err();
    assert!(error.contains("fetch `http://127.0.0.1"), "{error}");
    assert!(!kept.exists());
    download(&machine, &server.url, digest).await.unwrap();
    let from = server.asked()[1];
    assert!(from > 0 && from <= BREAK && machine.logged(&format!("going on after {from} bytes")));
    assert!(std::fs::read(&kept).unwrap() == *content);

    // It is here: nobody is asked.
    download(&machine, &server.url, digest).await.unwrap();
    assert_eq!(server.asked().len(), 2);

    // What came before is something else: it is of no use, and all is fetched.
    std::fs::rename(&kept, kept.with_extension("gone")).unwrap();
    std::fs::write(kept.with_extension("part"), vec![7; 1000]).unwrap();
    download(&machine, &server.url, digest).await.unwrap();
    assert_eq!(server.asked()[2..], [1000, 0]);
    assert!(std::fs::read(&kept).unwrap() == *content);

    let other = download(&machine, &server.url, Digest::of(b"other")).await.unwrap_err();
    assert!(other.contains(&format!("gives `{digest}`")), "{other}");
}
