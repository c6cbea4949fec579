//! Clients that mean ill, or do as if: slow heads, slow bodies, answers that are not taken, floods of
//! heads, resets and continuations, connections without end. Each is ended with a reason, what the
//! gateway holds stays bounded, and another client is answered all the while.

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use api::v1::mesh_client::MeshClient;
use api::v1::{GetFeaturesRequest, PushRequest};
use edge::Limits;
use testkit::Skipping;
use tonic::{Code, Request};

use support::raw::{
    CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, RST_STREAM, Raw, frame,
    head, resident,
};
use support::{Door, FakeNode, Mood, closed, number, open_in, open_with, wait_until};

const MEBIBYTE: u64 = 1 << 20;

fn door(us: &FakeNode, limits: Limits) -> Door {
    open_with(us, &[], |config| config.limits = limits)
}

fn short() -> Limits {
    Limits { head_ms: 300, body_ms: 300, write_ms: 300, idle_ms: 60_000, ..Limits::default() }
}

/// Another client, which asks over a connection of its own each time.
fn is_answered(door: &Door) {
    let start = Instant::now();
    let answer = door.read_one(&[]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn slow_heads_are_told_and_ended() {
    let us = FakeNode::start("us");
    let door = door(&us, short());
    let mut slow: Vec<Raw> = (0..50).map(|_| Raw::connect(door.addresses.http)).collect();
    for raw in &mut slow {
        raw.send(b"POST /get-online-features HTTP/1.1\r\nhost: x\r\n");
    }
    // They drip, and are ended nevertheless.
    wait_until("all are ended", || {
        is_answered(&door);
        slow.iter_mut().for_each(|raw| _ = raw.0.write(b"x-a: b\r\n"));
        closed(&door, "http", "slow_head") == 50
    });
    let told =
        slow.iter_mut().map(Raw::rest).filter(|rest| rest.starts_with(b"HTTP/1.1 408")).count();
    assert!(told > 0, "those who look are told");
    let mut silent =
        [door.addresses.http, door.addresses.grpc, door.addresses.metrics].map(Raw::connect);
    silent[1].send(b"PRI * HTTP/2.0\r\n");
    silent.iter_mut().for_each(|raw| assert_eq!(raw.goaway(), None));
    assert_eq!(closed(&door, "metrics", "slow_head"), 1);
}

/// Also one that came with the request before it, or while that was worked on.
#[test]
fn the_head_of_a_second_request_has_the_time_of_the_first() {
    let us = FakeNode::start("us");
    let door = door(&us, short());
    let get = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".as_slice();
    let post = b"POST /push HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody".as_slice();
    let (half, nothing) = (b"GET /health HTTP/1.1\r\nho".as_slice(), b"".as_slice());
    let chunked = b"POST /push HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
        4\r\nbody\r\n0\r\n\r\n";
    let connect = |bytes: &[&[u8]]| {
        let mut raw = Raw::connect(door.addresses.http);
        raw.send(&bytes.concat());
        let answer = raw.answer();
        (raw, answer)
    };
    let kept = [&[get, nothing], &[post, nothing], &[&chunked[..], nothing], &[get, get]];
    let mut kept = kept.map(|bytes| connect(bytes).0);
    let mut slow = [connect(&[get, half]).0, connect(&[post, half]).0, connect(&[get]).0];
    slow[2].send(half);
    for raw in &mut slow {
        let told = String::from_utf8_lossy(&raw.rest()).into_owned();
        assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    }
    assert_eq!(closed(&door, "http", "slow_head"), 3);
    for raw in &mut kept {
        raw.send(get);
        assert!(raw.answer().starts_with("HTTP/1.1 200"), "it was not waiting for a head");
    }
}

#[test]
fn slow_bodies_are_refused() {
    let us = FakeNode::start("us");
    let door = door(&us, short());
    let mut raw = Raw::connect(door.addresses.http);
    raw.send(b"POST /push HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n");
    let start = Instant::now();
    while raw.send(b" ") && start.elapsed() < Duration::from_millis(800) {
        is_answered(&door);
    }
    let mut answer = [0; 12];
    raw.0.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");

    let mut raw = Raw::http2(door.addresses.grpc, &[]);
    let mut call = head("/meridian.v1.Mesh/GetFeatures");
    call.extend_from_slice(b"\x00\x0ccontent-type\x10application/grpc");
    raw.send(&frame(HEADERS, END_HEADERS, 1, &call));
    raw.send(&frame(0, 0, 1, &[0, 0, 0, 1, 0, 7, 7]));
    let mut answer = Vec::new();
    wait_until("it is refused", || {
        let mut part = [0; 1_024];
        let n = raw.0.read(&mut part).expect("frames");
        answer.extend_from_slice(&part[..n]);
        String::from_utf8_lossy(&answer).contains("grpc-status")
            || answer.windows(9).any(|w| w[3] == HEADERS && w[8] == 1)
    });
    is_answered(&door);
}

#[test]
fn who_does_not_take_answers_is_ended() {
    let us = FakeNode::start("us");
    let door = door(&us, short());
    // HTTP/2 with a window of nothing: the answer stays here.
    let mut raw = Raw::http2(door.addresses.http, &[(4, 0)]);
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("/nowhere")));
    wait_until("it is ended", || {
        is_answered(&door);
        closed(&door, "http", "slow_reader") == 1
    });
    raw.rest();
    // HTTP/1 over a socket that nobody reads from.
    let body = format!(
        "{{\"entities\": {{\"driver_id\": [{}0]}}, \"features\": [\"driver_stats\"]}}",
        "1,".repeat(9_000)
    );
    let request = format!(
        "POST /get-online-features HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut raw = Raw::connect(door.addresses.http);
    let sender = raw.0.try_clone().expect("a socket");
    let flood = std::thread::spawn(move || {
        let mut sender = sender;
        while sender.write_all(request.as_bytes()).is_ok() {}
    });
    wait_until("it is ended", || {
        is_answered(&door);
        closed(&door, "http", "slow_reader") == 2
    });
    raw.rest();
    flood.join().expect("its socket is closed");
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let us = FakeNode::start("us");
    let door = door(&us, Limits::default());
    let large = "x".repeat(40 << 10);
    for headers in [format!("x-a: {large}\r\n"), "x-a: b\r\n".repeat(5_000)] {
        let mut raw = Raw::connect(door.addresses.http);
        raw.send(format!("GET /health HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes());
        let answer = raw.rest();
        assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
        let mut request = Request::new(GetFeaturesRequest::default());
        request.metadata_mut().insert("x-a", large.parse().expect("text"));
        client.get_features(request).await.expect_err("refused");
        let again = client.get_features(GetFeaturesRequest::default()).await;
        assert_eq!(
            again.expect_err("empty").code(),
            Code::InvalidArgument,
            "the next one is heard"
        );
    });
    is_answered(&door);
}

#[test]
fn a_flood_of_resets_ends_its_connection() {
    let us = FakeNode::start("us");
    let door = door(&us, Limits::default());
    let before = resident();
    for to in [door.addresses.grpc, door.addresses.http] {
        let mut raw = Raw::http2(to, &[]);
        let mut streams = (1..).step_by(2);
        let flood = (0..20_000).try_for_each(|_| {
            let stream = streams.next().expect("a number");
            let opened = frame(HEADERS, END_HEADERS, stream, &head("/meridian.v1.Mesh/Routes"));
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            raw.send(&[opened, reset].concat()).then_some(())
        });
        is_answered(&door);
        let reason = raw.goaway();
        assert!(flood.is_none() || reason.is_some(), "it was ended");
        assert!([None, Some(ENHANCE_YOUR_CALM)].contains(&reason), "{reason:?}");
    }
    assert!(resident() < before + 128 * MEBIBYTE, "{before} to {}", resident());
}

#[test]
fn a_flood_of_continuations_ends_its_connection() {
    let us = FakeNode::start("us");
    let door = door(&us, Limits::default());
    let before = resident();
    for to in [door.addresses.grpc, door.addresses.http, door.addresses.metrics] {
        let mut raw = Raw::http2(to, &[]);
        raw.send(&frame(HEADERS, 0, 1, &head("/nowhere")));
        let field = [b"\x00\x01a\x7f\x00".as_slice(), &[b'x'; 127]].concat().repeat(100);
        let ended = (0..20_000).any(|_| !raw.send(&frame(CONTINUATION, 0, 1, &field)));
        assert!(ended, "260 MB of one head");
        is_answered(&door);
    }
    assert!(resident() < before + 128 * MEBIBYTE, "{before} to {}", resident());
}

#[test]
fn where_nobody_is_quiet_the_new_one_is_refused() {
    let us = FakeNode::start("us");
    let door = door(&us, Limits { max_connections: 1, ..short() });
    us.set(Mood::Hangs);
    std::thread::scope(|scope| {
        let reads = us.reads().len();
        let reading = scope.spawn(|| door.read_one(&[]));
        wait_until("it is under way", || us.reads().len() > reads);
        let refused = Raw::connect(door.addresses.http).rest();
        assert!(refused.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&refused));
        assert_eq!(closed(&door, "http", "refused"), 1);
        assert_eq!(reading.join().expect("an answer").status, 504);
    });
    us.set(Mood::Well);
    is_answered(&door);
}

/// A line between two processes is a stream on which nothing is under way for most of the time.
#[test]
fn a_stream_that_is_in_use_keeps_its_place() {
    let us = FakeNode::start("us");
    let time = Skipping::new();
    let door = open_in(time.clone(), &us, |config| config.limits.max_connections = 1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (pushes, asked) = tokio::sync::mpsc::channel(1);
    let push = || {
        let push = PushRequest { source: "trips".into(), ..PushRequest::default() };
        runtime.block_on(pushes.send(push)).expect("an open stream");
    };
    push();
    let mut answers = runtime.block_on(async {
        let mut client = MeshClient::connect(door.grpc()).await.expect("a connection");
        let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
        client.push(asked).await.expect("a stream").into_inner()
    });
    let mut answered = || runtime.block_on(answers.message()).expect("an answer").is_some();
    assert!(answered());
    for _ in 0..3 {
        time.skip_ms(6_000);
        Raw::connect(door.addresses.grpc).rest();
        push();
        assert!(answered(), "it goes on");
    }
    assert_eq!((closed(&door, "grpc", "refused"), closed(&door, "grpc", "displaced")), (3, 0));
    time.skip_ms(12_000);
    let mut other = Raw::http2(door.addresses.grpc, &[]);
    wait_until("it has to go", || closed(&door, "grpc", "displaced") == 1);
    assert!(runtime.block_on(answers.message()).is_err());
    assert!(other.0.read(&mut [0; 9]).is_ok_and(|bytes| bytes > 0), "the other one is heard");
}

#[test]
fn a_connection_without_requests_is_ended() {
    let us = FakeNode::start("us");
    let door = door(&us, Limits { idle_ms: 300, ..Limits::default() });
    let mut raw = Raw::connect(door.addresses.http);
    raw.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(raw.rest().starts_with(b"HTTP/1.1 200"));
    assert_eq!(closed(&door, "http", "idle"), 1);
}

/// Bodies of all clients together: who comes when there is no room is told to come again.
#[test]
fn what_is_held_is_bounded() {
    let us = FakeNode::start("us");
    let door = door(&us, Limits { max_held_bytes: 1 << 20, ..Limits::default() });
    let part = vec![b' '; 600 << 10];
    let mut first = Raw::connect(door.addresses.http);
    first.send(b"POST /push HTTP/1.1\r\nhost: x\r\ncontent-length: 700000\r\n\r\n");
    first.send(&part);
    wait_until("it is held", || {
        number(&door, "meridian_port_held_bytes{port=\"http\"} ") == 600 << 10
    });
    let refused = door.post("/push", &part);
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("1")));
    is_answered(&door);
    first.send(&vec![b' '; 700_000 - part.len()]);
    let mut answer = [0; 12];
    first.0.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 400", "spaces are no JSON");
}
