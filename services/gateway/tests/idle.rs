//! Ten thousand clients that connect and then say nothing, before a gateway with the places that it
//! has by itself. Alone in its process, whose memory it measures.

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use edge::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpSocket;

use support::raw::{Raw, resident};
use support::{Door, FakeNode, closed, number, open_with, wait_until};

const CLIENTS: usize = 10_000;
/// They come in groups, as fast as the port takes them in.
const AT_ONCE: usize = 500;
const PLACES: u64 = 4_096;
/// What a connection may cost of the gateway's memory, bytes: one that has said nothing, and one that has
/// asked once.
const SILENT_BYTES: u64 = 12 << 10;
const KEPT_BYTES: u64 = 32 << 10;
/// How long another client may have to wait beside that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Both ends of each are in this process.
fn allow_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let needed = CLIENTS as u64 + PLACES + 1_000;
    assert!(most >= needed, "{needed} open files are needed; allow them (ulimit -Hn)");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("as many as are allowed");
}

/// So many clients, of several machines, as it were.
async fn connect(count: usize, to: SocketAddr) -> Vec<TcpStream> {
    let one = async |n: usize| {
        let socket = TcpSocket::new_v4().expect("a socket");
        let last = u8::try_from(2 + n % 8).expect("small");
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).expect("an address");
        socket.connect(to).await.expect("a connection").into_std().expect("a socket")
    };
    futures::future::join_all((0..count).map(one)).await
}

fn connections(door: &Door) -> u64 {
    number(door, "meridian_port_connections{port=\"http\"} ")
}

/// Another client, which asks over a new connection each time; how often, and how long it waited at
/// most.
fn reads_until(door: &Door, over: &AtomicBool) -> (u64, Duration) {
    let (mut reads, mut slowest) = (0, Duration::ZERO);
    while !over.load(Relaxed) {
        let start = Instant::now();
        let answer = door.read_one(&[]);
        assert_eq!(answer.status, 200, "{}", answer.text);
        (reads, slowest) = (reads + 1, slowest.max(start.elapsed()));
    }
    (reads, slowest)
}

/// Ends the reads beside the crowd, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Connects all of them. Each has a place or had one, until its end, so that all can be counted.
fn crowd(door: &Door) -> Vec<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.expect("a runtime");
    let mut clients = Vec::new();
    while clients.len() < CLIENTS {
        clients.extend(runtime.block_on(connect(AT_ONCE, door.addresses.http)));
        wait_until("they are taken in", || {
            connections(door) + closed(door, "http", "displaced") >= clients.len() as u64
        });
    }
    clients
}

/// Whether the other side has ended it.
fn is_ended(client: &mut TcpStream) -> bool {
    matches!(client.read(&mut [0]), Ok(0))
}

#[test]
fn ten_thousand_idle_clients_cost_little_and_keep_nobody_out() {
    allow_files();
    let us = FakeNode::start("us");
    // None is ended for its silence, however long this takes.
    let limits = Limits { head_ms: 600_000, idle_ms: 600_000, ..Limits::default() };
    assert_eq!(limits.max_connections as u64, PLACES);
    let door = open_with(&us, &[], |config| config.limits = limits);
    (0..20).for_each(|_| assert_eq!(door.read_one(&[]).status, 200));
    let (before, over) = (resident(), AtomicBool::new(false));
    let (mut clients, (reads, slowest)) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| reads_until(&door, &over));
        let ending = Over(&over);
        let clients = crowd(&door);
        drop(ending);
        (clients, reading.join().expect("it was answered"))
    });
    println!("{reads} reads beside them, {slowest:?} at most");
    assert!(reads > 10 && slowest < PATIENCE, "{reads} reads, {slowest:?} at most");
    let silent = resident().saturating_sub(before) / PLACES;

    // All that came too many were displaced, those first that came first.
    assert!((PLACES - 10..=PLACES).contains(&connections(&door)), "{}", connections(&door));
    wait_until("the others are ended", || {
        let ended = clients.iter_mut().map(is_ended).filter(|ended| *ended).count();
        ended as u64 >= CLIENTS as u64 - PLACES
    });
    let mut inside: Vec<_> = clients
        .into_iter()
        .filter_map(|mut client| {
            (!is_ended(&mut client)).then(|| {
                client.set_nonblocking(false).expect("a socket");
                client.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
                Raw(client)
            })
        })
        .collect();
    assert!(inside.len() as u64 > PLACES - 100, "{} are inside", inside.len());
    for client in &mut inside {
        client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(client.answer().starts_with("HTTP/1.1 200"));
    }
    let kept = resident().saturating_sub(before) / PLACES;
    println!("{silent} bytes for one that is silent, {kept} for one that has asked");
    assert!(silent < SILENT_BYTES && kept < KEPT_BYTES, "{silent}, {kept} bytes each");
}
