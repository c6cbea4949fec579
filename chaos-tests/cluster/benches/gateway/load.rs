//! The load: so many connections, so many requests under way on each, one after the other as answers
//! come. Messages are bytes made before; answers are read to their end and not looked into.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use testkit::AsIs;
use tokio::net::TcpStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

/// How hard to ask.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// Requests under way on each.
    pub(crate) lanes: usize,
    pub(crate) time: Duration,
}

/// What came back.
pub(crate) struct Came {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// µs
    pub(crate) times: Histogram<u64>,
}

/// Asks over gRPC.
pub(crate) async fn grpc(address: &str, path: &'static str, bodies: &[Bytes], load: Load) -> Came {
    let mut channels = Vec::new();
    for _ in 0..load.connections {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
        channels.push(endpoint.tcp_nodelay(true).connect().await.expect("a connection"));
    }
    let lanes = channels.into_iter().flat_map(|channel| vec![channel; load.lanes]);
    let path = PathAndQuery::from_static(path);
    ask(lanes, bodies, load, async |channel: &mut Channel, body| {
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.expect("a connection");
        let answer = client.unary(tonic::Request::new(body), path.clone(), AsIs).await;
        answer.expect("an answer").into_inner().len()
    })
    .await
}

/// Asks over HTTP/1.1, one request at a time on a connection.
pub(crate) async fn http(address: &str, bodies: &[Bytes], load: Load) -> Came {
    let host = address.trim_start_matches("http://");
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        let stream = TcpStream::connect(host).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        connections.push(sender);
    }
    ask(connections.into_iter(), bodies, load, async |sender: &mut SendRequest<_>, body| {
        sender.ready().await.expect("a connection");
        let request = Request::post("/get-online-features")
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.into_body().collect().await.expect("a body").to_bytes().len()
    })
    .await
}

async fn ask<C>(
    lanes: impl Iterator<Item = C>,
    bodies: &[Bytes],
    load: Load,
    one: impl AsyncFn(&mut C, Bytes) -> usize,
) -> Came {
    let start = Instant::now();
    let end = start + load.time;
    let lane = async |(at, mut connection): (usize, C)| {
        let mut times = Histogram::<u64>::new(3).expect("a histogram");
        let mut next = at * 7;
        let mut now = Instant::now();
        while now < end {
            assert!(one(&mut connection, bodies[next % bodies.len()].clone()).await > 0);
            next += 1;
            let then = std::mem::replace(&mut now, Instant::now());
            times.record((now - then).as_micros() as u64).expect("it grows");
        }
        times
    };
    let lanes = futures::future::join_all(lanes.enumerate().map(lane)).await;
    let mut times = Histogram::new(3).expect("a histogram");
    lanes.iter().for_each(|lane| times.add(lane).expect("of one kind"));
    Came { requests: times.len(), seconds: start.elapsed().as_secs_f64(), times }
}
