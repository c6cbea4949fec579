//! Clients that mean ill, or do as if: slow heads, slow bodies, answers that are not taken, floods of
//! heads, resets and continuations, connections without end. Each is ended with a reason, what the
//! gateway holds stays bounded, and another client is answered all the while.

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use api::v1::GetFeaturesRequest;
use api::v1::mesh_client::MeshClient;
use edge::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tonic::{Code, Request};

use support::raw::{
    CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, RST_STREAM, Raw, frame,
    head, resident,
};
use support::{Door, FakeNode, Mood, open_with, wait_until};

const MEBIBYTE: u64 = 1 << 20;

fn door(us: &FakeNode, limits: Limits) -> Door {
    open_with(us, &[], |config| config.limits = limits)
}

fn short() -> Limits {
    Limits { head_ms: 300, body_ms: 300, write_ms: 300, idle_ms: 60_000, ..Limits::default() }
}

/// How many connections of a port were ended for a reason.
fn closed(door: &Door, port: &str, reason: &str) -> u64 {
    number(
        &door.metrics(),
        &format!("meridian_port_closed_total{{port=\"{port}\",reason=\"{reason}\"}} "),
    )
}

fn connections(door: &Door, port: &str) -> u64 {
    number(&door.metrics(), &format!("meridian_port_connections{{port=\"{port}\"}} "))
}

fn number(metrics: &str, line: &str) -> u64 {
    let number = metrics.lines().find_map(|text| text.strip_prefix(line));
    number.map_or(0, |number| number.parse().expect("a number"))
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

/// Ten thousand, or as many as this process may open: each has two ends here.
#[test]
fn idle_connections_keep_nobody_out() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("as many as are allowed");
    let count = usize::try_from(most.saturating_sub(3_000)).unwrap_or(usize::MAX).min(10_000);
    let us = FakeNode::start("us");
    let door = door(&us, Limits { max_connections: 1_000, ..Limits::default() });
    let before = resident();
    let mut idle = Vec::new();
    for n in 0..count {
        let to = if n % 2 == 0 { door.addresses.http } else { door.addresses.grpc };
        idle.push(Raw::connect(to));
        if n % 500 == 0 {
            is_answered(&door);
        }
    }
    println!("{count} connections of {most} files");
    wait_until("all are seen", || closed(&door, "http", "displaced") as usize >= count / 2 - 1_000);
    assert!(connections(&door, "http") <= 1_000 && connections(&door, "grpc") <= 1_000);
    is_answered(&door);
    let grown = resident().saturating_sub(before);
    println!("{} KiB", grown / 1_024);
    assert!(grown < 128 * MEBIBYTE, "{grown} bytes");
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
        number(&door.metrics(), "meridian_port_held_bytes{port=\"http\"} ") == 600 << 10
    });
    let refused = door.post("/push", &part);
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("1")));
    is_answered(&door);
    first.send(&vec![b' '; 700_000 - part.len()]);
    let mut answer = [0; 12];
    first.0.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 400", "spaces are no JSON");
}
