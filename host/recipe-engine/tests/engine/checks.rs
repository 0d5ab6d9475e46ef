//! Our own health checks, on sockets.

use crate::support::{Machine, component, engine};
use cerebro_recipe_engine::{CheckReport, CheckStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers every connection alike, for as long as it is held.
struct Server {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn server(answer: &'static str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Server { port, task }
}

async fn check(name: &str, port: u16, options: &str) -> Result<CheckReport, String> {
    let mut machine = Machine::new();
    machine.ports = vec![("http", port)];
    let check = engine().check(&component(name).await, machine.call(options)).await;
    check.map_err(|error| error.to_string())
}

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nportal v1.0";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_page_passes_by_status_and_body() {
    let server = server(PAGE).await;
    let report = check("http_check", server.port, "{}").await.unwrap();
    assert_eq!(report.status, CheckStatus::Passing, "{report:?}");
    assert_eq!(report.metrics[0].name, "time");
    let options = r#"{"port": "http", "path": "/v", "expected_body": "v{{ version }}"}"#;
    let report = check("http_check", server.port, options).await.unwrap();
    assert_eq!(report.status, CheckStatus::Passing, "{report:?}");
    let report = check("http_check", server.port, r#"{"expected_body": "v2"}"#).await.unwrap();
    assert_eq!(report.status, CheckStatus::Critical);
    assert!(report.message.contains("`v2` is not in the body"), "{report:?}");
    let report = check("http_check", server.port, r#"{"expected_status": 204}"#).await.unwrap();
    assert_eq!(report.status, CheckStatus::Critical, "{report:?}");
}

#[tokio::test]
async fn a_bad_status_and_a_closed_port_are_critical() {
    let server = server(BUSY).await;
    let report = check("http_check", server.port, "{}").await.unwrap();
    assert!(report.status == CheckStatus::Critical && report.message.contains("503"), "{report:?}");
    let port = server.port;
    drop(server);
    // The server's task is gone once its port can be bound again.
    let closed = loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    drop(closed);
    for name in ["http_check", "tcp_check"] {
        let report = check(name, port, "{}").await.unwrap();
        assert_eq!(report.status, CheckStatus::Critical);
        assert!(report.message.contains("refused"), "{report:?}");
    }
}

#[tokio::test]
async fn a_silent_server_is_critical_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let report = check("http_check", port, r#"{"timeout": 0.2}"#).await.unwrap();
    assert!(report.message.contains("did not answer within 200ms"), "{report:?}");
    let options = r#"{"send": "PING\r\n", "expect": "PONG", "timeout": 0.2}"#;
    let report = check("tcp_check", port, options).await.unwrap();
    assert_eq!(report.status, CheckStatus::Critical);
    assert!(report.message.contains("expected `PONG`"), "{report:?}");
}

#[tokio::test]
async fn a_line_is_exchanged() {
    let server = server("+PONG\r\n").await;
    let options = r#"{"send": "PING\r\n", "expect": "PONG"}"#;
    let report = check("tcp_check", server.port, options).await.unwrap();
    assert_eq!(report.status, CheckStatus::Passing, "{report:?}");
    let report = check("tcp_check", server.port, r#"{"port": "http"}"#).await.unwrap();
    assert_eq!(report.status, CheckStatus::Passing, "{report:?}");
}

#[tokio::test]
async fn other_hosts_and_ports_need_a_grant() {
    let server = server(PAGE).await;
    for options in [r#"{"host": "example.org", "port": 80}"#, r#"{"port": 1}"#] {
        for name in ["http_check", "tcp_check"] {
            let error = check(name, server.port, options).await.unwrap_err();
            assert!(error.contains("`grants.hosts`"), "{error}");
        }
    }
    let mut machine = Machine::granting(r#"{"hosts": ["localhost:*"]}"#);
    machine.ports.clear();
    let options = format!(r#"{{"host": "localhost", "port": {}}}"#, server.port);
    let report = engine().check(&component("http_check").await, machine.call(&options)).await;
    assert_eq!(report.unwrap().status, CheckStatus::Passing);
}
