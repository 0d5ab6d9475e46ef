//! Connections. `axum::serve` holds 18 KB for each beside its buffers, most of it for protocols and
//! upgrades that nobody uses here; a fleet has two for each machine. So HTTP/1 is served by itself.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How long to wait after a connection could not be taken: descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves whoever connects, for ever.
pub async fn serve(listener: TcpListener, router: Router) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, router.clone()))),
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers over one connection until it ends, in whatever way: who broke it off knows.
async fn converse(stream: TcpStream, router: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("answers may wait for company: {error}");
    }
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::trace!("a connection ended: {error}");
    }
}
