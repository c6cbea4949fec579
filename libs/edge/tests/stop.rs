//! A port that stops: what is under way goes on, who comes later is refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use clock::SystemEnv;
use edge::{Limits, Port, Speaks};
use futures::{StreamExt, stream};
use testkit::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A first word, and then nothing for ever.
async fn told() -> Body {
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"first"))]);
    Body::from_stream(first.chain(stream::pending()))
}

/// Not in the backlog, where it would wait until the last of the others has gone.
#[tokio::test]
async fn who_comes_later_is_refused_at_once() {
    let (any, limits) = ("127.0.0.1:0".parse().unwrap(), Limits::default());
    let port = Port::bind(("test", any), Speaks::Http, limits, SystemEnv::shared()).unwrap();
    let at = port.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().route("/told", get(told));
    let serving = tokio::spawn(port.serve(router, async move { _ = stopped.await }));

    let mut under_way = TcpStream::connect(at).await.unwrap();
    under_way.write_all(b"GET /told HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"first\r\n") {
        assert!(under_way.read_buf(&mut heard).await.unwrap() > 0, "it ended");
    }
    stop.send(()).unwrap();
    let refused = move || within(PATIENCE, || std::net::TcpStream::connect(at).is_err());
    assert!(tokio::task::spawn_blocking(refused).await.unwrap(), "it still listens");
    assert!(!serving.is_finished(), "what is under way goes on");
    serving.abort();
}
