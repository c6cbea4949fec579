//! Another region's log over loopback: the same records, the same errors, and peers that die.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backbone::{Log, LogError, Partition, Record, Retention, Tailer};
use backbone_local::{LocalLog, LogService, RemoteLog};
use clock::SystemEnv;
use support::*;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;

async fn serve(log: Arc<LocalLog>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = LogService::new(log, |topic| topic.starts_with("mesh-"));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn remote(address: SocketAddr) -> RemoteLog {
    RemoteLog::connect(&format!("http://{address}")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_sees_what_the_region_sees() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SystemEnv::shared());
    let info = log.ensure(&spec("mesh-d", 2, forever())).await.unwrap();
    let (a, b) = (Partition::new("mesh-d", 0), Partition::new("mesh-d", 1));
    let full =
        Record { headers: vec![("h".into(), "1".into())], ..Record::new("k", vec![7; 5_000]) };
    let empty = Record { key: Some("".into()), value: Some("".into()), headers: Vec::new() };
    for _ in 0..50 {
        let records = vec![full.clone(), null("k"), empty.clone(), Record::default()];
        log.append(&a, [records, vec![full.clone(); 20]].concat()).await.unwrap();
    }
    let remote = remote(serve(log.clone()).await);
    assert_eq!(remote.topic("mesh-d").await.unwrap(), Some(info));
    assert_eq!(remote.topic("mesh-e").await.unwrap(), None);
    assert_eq!(remote.bounds(&a).await.unwrap(), log.bounds(&a).await.unwrap());
    assert_eq!(read(&remote, &a, 0).await, read(&*log, &a, 0).await);
    assert_eq!(read(&remote, &a, 17).await, read(&*log, &a, 17).await);

    let mut tail = remote.tail(vec![(b.clone(), 0), (a.clone(), 1_190)]).await.unwrap();
    let mut left = 10;
    while left > 0 {
        let batch = tokio::time::timeout(DEADLINE, tail.next(3)).await.unwrap().unwrap();
        assert!(batch.partition == a && batch.records.len() <= 3);
        left -= batch.records.len();
    }
    let waiting = tokio::spawn(async move { tail.next(10).await });
    log.append(&b, vec![full.clone()]).await.unwrap();
    let batch = tokio::time::timeout(DEADLINE, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!((batch.partition, batch.records[0].record.clone()), (b, full));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_larger_than_a_message_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SystemEnv::shared());
    log.ensure(&spec("mesh-d", 1, forever())).await.unwrap();
    let t = Partition::new("mesh-d", 0);
    let large = Record::new("k", vec![7; 8_000_000]);
    log.append(&t, vec![large.clone(), record("k", "small")]).await.unwrap();
    let records = read(&remote(serve(log.clone()).await), &t, 0).await;
    assert_eq!(records[0].record, large);
    assert_eq!(records[1].record, record("k", "small"));
    let too_large = Record::new("k", vec![7; 9_000_000]);
    assert!(matches!(log.append(&t, vec![too_large]).await, Err(LogError::Fatal(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_arrive_as_the_log_gave_them() {
    let dir = tempfile::tempdir().unwrap();
    let env = TestEnv::at(0);
    let log = open(dir.path(), env.clone());
    log.ensure(&spec("mesh-d", 1, Retention::Delete { ms: 0, bytes: u64::MAX })).await.unwrap();
    log.ensure(&spec("raw", 1, forever())).await.unwrap();
    let t = Partition::new("mesh-d", 0);
    log.append(&t, vec![record("k", "v"); 5]).await.unwrap();
    let remote = remote(serve(log.clone()).await);
    let mut tail = remote.tail(vec![(t.clone(), 0)]).await.unwrap();
    assert_eq!(tail.next(10).await.unwrap().records.len(), 5);
    env.advance(10);
    log.maintain().await.unwrap();
    let truncated = LogError::Truncated { partition: t.clone(), start: 5 };
    assert_eq!(remote.tail(vec![(t.clone(), 1)]).await.err(), Some(truncated));
    let missing = Partition::new("mesh-d", 7);
    let none = LogError::NoSuchPartition(missing.clone());
    assert_eq!(remote.bounds(&missing).await, Err(none.clone()));
    assert_eq!(remote.tail(vec![(missing, 0)]).await.err(), Some(none));
    for refused in [
        remote.topic("raw").await.err(),
        remote.bounds(&Partition::new("raw", 0)).await.err(),
        remote.tail(vec![(Partition::new("raw", 0), 0)]).await.err(),
        remote.tail(vec![(t.clone(), 0), (t.clone(), 0)]).await.err(),
    ] {
        assert!(matches!(refused, Some(LogError::Fatal(_))), "{refused:?}");
    }
    assert!(RemoteLog::connect("not an endpoint").is_err());
}

/// A way to the server that can be cut without either end being told.
struct Road {
    address: SocketAddr,
    open: tokio::sync::watch::Sender<bool>,
}

async fn road_to(server: SocketAddr) -> Road {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (open, mut is_open) = tokio::sync::watch::channel(true);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(server).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = is_open.wait_for(|open| !*open) => held.push((near, far)),
            }
        }
    });
    Road { address, open }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_gone_is_noticed_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), SystemEnv::shared());
    log.ensure(&spec("mesh-d", 1, forever())).await.unwrap();
    let t = Partition::new("mesh-d", 0);
    let road = road_to(serve(log.clone()).await).await;
    let remote = remote(road.address);
    let mut tail = remote.tail(vec![(t.clone(), 0)]).await.unwrap();
    log.append(&t, vec![record("k", "v")]).await.unwrap();
    assert_eq!(tail.next(1).await.unwrap().next, 1);
    road.open.send_replace(false);
    let begun = Instant::now();
    let (waiting, asking) = tokio::join!(tail.next(1), remote.bounds(&t));
    assert!(matches!(waiting, Err(LogError::Transient(_))), "{waiting:?}");
    assert!(matches!(asking, Err(LogError::Transient(_))), "{asking:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_transient_and_may_come_later() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = remote(taken.local_addr().unwrap());
    drop(taken);
    let error = remote.topic("mesh-d").await.unwrap_err();
    assert!(matches!(error, LogError::Transient(_)), "{error}");
}
