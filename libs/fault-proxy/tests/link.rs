//! Real connections over a link, through every fault and back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::{Env, SystemEnv};
use fault_proxy::{Fault, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Far more than anything needs, as machines are noisy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for what is to come to have come.
const A_WHILE: Duration = Duration::from_millis(200);

/// Says again what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    at
}

async fn link(round_trip_ms: u64) -> Link {
    let env: Arc<dyn Env> = SystemEnv::shared();
    Link::open(ANY, echo().await, round_trip_ms, env).await.unwrap()
}

/// Whether what is said comes back in time.
async fn comes_back(stream: &mut TcpStream, said: &[u8], patience: Duration) -> bool {
    stream.write_all(said).await.unwrap();
    let mut heard = vec![0; said.len()];
    let heard = tokio::time::timeout(patience, stream.read_exact(&mut heard)).await;
    heard.is_ok_and(|read| read.is_ok())
}

#[tokio::test]
async fn a_round_trip_takes_its_time_and_a_fault_adds_to_it() {
    let link = link(40).await;
    let mut stream = TcpStream::connect(link.at()).await.unwrap();
    for (fault, least_ms) in [(Fault::None, 38), (Fault::Slower { ms: 100 }, 138)] {
        link.set(fault);
        let started = Instant::now();
        assert!(comes_back(&mut stream, b"hello", PATIENCE).await);
        assert!(started.elapsed() >= Duration::from_millis(least_ms), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_black_hole_holds_everything_and_loses_nothing() {
    let link = link(0).await;
    let mut stream = TcpStream::connect(link.at()).await.unwrap();
    assert!(comes_back(&mut stream, b"before", PATIENCE).await);
    link.set(Fault::Blackhole);
    assert!(!comes_back(&mut stream, b"held", A_WHILE).await);
    let mut new = TcpStream::connect(link.at()).await.unwrap();
    assert!(!comes_back(&mut new, b"held", A_WHILE).await);
    link.set(Fault::None);
    for stream in [&mut stream, &mut new] {
        let mut heard = [0; 4];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(&heard, b"held");
    }
}

#[tokio::test]
async fn a_drip_lets_little_through_and_ends_at_once() {
    let link = link(0).await;
    let mut stream = TcpStream::connect(link.at()).await.unwrap();
    link.set(Fault::Drip { bytes_per_s: 1 });
    // A minute and more.
    let said = [7; 100];
    assert!(!comes_back(&mut stream, &said, A_WHILE).await);
    link.set(Fault::None);
    let mut heard = [0; 50];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, [7; 50]);
}

#[tokio::test]
async fn a_reset_ends_what_is_there_and_what_comes() {
    let link = link(0).await;
    let mut stream = TcpStream::connect(link.at()).await.unwrap();
    assert!(comes_back(&mut stream, b"before", PATIENCE).await);
    link.set(Fault::Reset);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let mut new = TcpStream::connect(link.at()).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, new.read_to_end(&mut rest)).await.unwrap();
    assert!(ended.is_err() || rest.is_empty());
    link.set(Fault::None);
    let mut stream = TcpStream::connect(link.at()).await.unwrap();
    assert!(comes_back(&mut stream, b"after", PATIENCE).await);
}

#[tokio::test]
async fn an_end_is_passed_on_behind_all_that_was_said() {
    let link = link(20).await;
    let mut stream = TcpStream::connect(link.at()).await.unwrap();
    let said = vec![3; 1 << 20];
    let (mut from, mut to) = stream.split();
    let (sent, heard) = tokio::join!(
        async {
            to.write_all(&said).await.unwrap();
            to.shutdown().await
        },
        async {
            let mut heard = Vec::new();
            tokio::time::timeout(PATIENCE, from.read_to_end(&mut heard)).await.unwrap().unwrap();
            heard
        }
    );
    sent.unwrap();
    assert!(heard == said, "{} bytes of {}", heard.len(), said.len());
}

#[tokio::test]
async fn where_nobody_listens_connections_are_reset() {
    let nobody = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
    let link = Link::open(ANY, nobody, 0, SystemEnv::shared()).await.unwrap();
    let mut stream = TcpStream::connect(link.at()).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(ended.is_err() || rest.is_empty());
}
