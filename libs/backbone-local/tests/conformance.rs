//! The embedded log is a `Log`, and its reading half still is when read over gRPC.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use backbone::conformance::{Harness, run};
use backbone::{
    Bounds, Log, LogError, Partition, Record, Tail, Tailer, TopicInfo, TopicSpec, Writer,
};
use backbone_local::{LocalLog, LogService, RemoteLog};
use clock::{Env, SystemEnv};
use support::*;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;

struct Local(Arc<LocalLog>);

#[async_trait]
impl Harness for Local {
    fn env(&self) -> Arc<dyn Env> {
        SystemEnv::shared()
    }

    async fn log(&self) -> Arc<dyn Log> {
        self.0.clone()
    }

    async fn compact(&self, partition: &Partition) -> bool {
        self.0.compact(partition).await.is_ok()
    }

    async fn truncate(&self, partition: &Partition, start: u64) -> bool {
        self.0.drop_before(partition, start).await.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_log_is_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let harness = Local(open(dir.path(), SystemEnv::shared()));
    assert_eq!(run(Arc::new(harness)).await.unwrap(), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_one_without_any_memory_of_recent_batches() {
    let dir = tempfile::tempdir().unwrap();
    let options = backbone_local::LogOptions { recent_bytes: 0, compaction_keys: 2, ..options() };
    let log = LocalLog::open(dir.path(), SystemEnv::shared(), options).unwrap();
    assert_eq!(run(Arc::new(Local(log))).await.unwrap(), Vec::<&str>::new());
}

/// Written here, read over gRPC.
#[derive(Clone)]
struct Split {
    local: Arc<LocalLog>,
    remote: RemoteLog,
}

#[async_trait]
impl Tailer for Split {
    async fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        self.remote.topic(name).await
    }

    async fn bounds(&self, partition: &Partition) -> Result<Bounds, LogError> {
        self.remote.bounds(partition).await
    }

    async fn tail(&self, from: Vec<(Partition, u64)>) -> Result<Box<dyn Tail>, LogError> {
        self.remote.tail(from).await
    }
}

#[async_trait]
impl Log for Split {
    async fn ensure(&self, topic: &TopicSpec) -> Result<TopicInfo, LogError> {
        self.local.ensure(topic).await
    }

    async fn append(&self, to: &Partition, records: Vec<Record>) -> Result<Vec<u64>, LogError> {
        self.local.append(to, records).await
    }

    fn max_record_bytes(&self) -> usize {
        self.local.max_record_bytes()
    }

    async fn claim(&self, name: &str) -> Result<Box<dyn Writer>, LogError> {
        self.local.claim(name).await
    }

    async fn assignments(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<watch::Receiver<Vec<Partition>>, LogError> {
        self.local.assignments(group, topic).await
    }
}

#[async_trait]
impl Harness for Split {
    fn env(&self) -> Arc<dyn Env> {
        SystemEnv::shared()
    }

    async fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.clone())
    }

    async fn compact(&self, partition: &Partition) -> bool {
        self.local.compact(partition).await.is_ok()
    }

    async fn truncate(&self, partition: &Partition, start: u64) -> bool {
        self.local.drop_before(partition, start).await.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_reading_half_is_one_over_grpc() {
    let dir = tempfile::tempdir().unwrap();
    let local = open(dir.path(), SystemEnv::shared());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = RemoteLog::connect(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(LogService::new(local.clone(), |_| true))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    let harness = Split { local, remote };
    assert_eq!(run(Arc::new(harness)).await.unwrap(), Vec::<&str>::new());
}
