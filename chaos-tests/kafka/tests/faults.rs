//! What goes wrong with a cluster, and how the log says so.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;
use std::time::Duration;

use backbone::{
    CommitError, Log, LogError, Partition, Record, Retention, Tailer, TopicSpec, Writer,
};
use backbone_kafka::{KafkaLog, KafkaOptions};
use clock::{Env, SystemEnv};
use futures::future::{join, join_all};
use kafka::{Cluster, Tools, installation};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Far more than anything here takes, ms.
const DEADLINE_MS: u64 = 60_000;
/// Short, so that it passes while a broker is down.
const TRANSACTION_MS: u64 = 1_000;

fn options() -> KafkaOptions {
    KafkaOptions::new("")
}

async fn topic(log: &KafkaLog, name: &str, partitions: u32) -> Partition {
    let retention = Retention::Delete { ms: i64::MAX, bytes: u64::MAX };
    log.ensure(&TopicSpec { name: name.into(), partitions, retention }).await.unwrap();
    Partition::new(name, 0)
}

async fn in_time<T>(what: &str, future: impl Future<Output = T> + Send) -> T {
    let env = SystemEnv::shared();
    clock::timeout(&env, DEADLINE_MS, future).await.unwrap_or_else(|_| panic!("{what}: too late"))
}

/// Claims as often as it takes.
async fn claimed(log: &KafkaLog) -> Box<dyn Writer> {
    loop {
        match log.claim("w").await {
            Ok(writer) => return writer,
            Err(LogError::Transient(_)) => SystemEnv.sleep_ms(50).await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn values(log: &KafkaLog, of: &Partition) -> Vec<String> {
    let end = log.bounds(of).await.unwrap().committed_end;
    let mut tail = log.tail(vec![(of.clone(), 0)]).await.unwrap();
    let (mut seen, mut next) = (Vec::new(), 0);
    while next < end {
        let batch = tail.next(1_000).await.unwrap();
        next = batch.next;
        let text = |value: Option<_>| String::from_utf8_lossy(value.as_deref().unwrap()).into();
        seen.extend(batch.records.into_iter().map(|s| text(s.record.value)));
    }
    seen
}

/// SIGKILLs the broker some time after a commit has begun, and starts it again when the commit's
/// transaction has timed out.
async fn killed_and_started(cluster: &mut Cluster, after_ms: u64) {
    SystemEnv.sleep_ms(after_ms).await;
    cluster.process.kill();
    SystemEnv.sleep_ms(TRANSACTION_MS).await;
    let (broker, kafka) = (cluster.broker.clone(), installation());
    let started = tokio::task::spawn_blocking(move || broker.start(&kafka));
    cluster.process = started.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_under_commits_loses_and_doubles_nothing() {
    let mut cluster = Cluster::start();
    let log = cluster.log(&KafkaOptions { transaction_ms: TRANSACTION_MS, ..options() });
    let partition = topic(&log, "t", 1).await;
    let (mut writer, mut sure, mut unsure) = (claimed(&log).await, Vec::new(), Vec::new());
    let mut bad = 0;
    for n in 0..100 {
        let record = Record::new("k", n.to_string());
        let commit = writer.commit(vec![(partition.clone(), record)]);
        let outcome = if n % 25 == 20 {
            // A commit takes about 5 ms: the kills meet different parts of it.
            join(commit, killed_and_started(&mut cluster, n / 25)).await.0
        } else {
            in_time("a commit", commit).await
        };
        match outcome {
            Ok(()) => sure.push(n.to_string()),
            Err(CommitError::Aborted(why)) => {
                println!("{n}: aborted: {why}");
                bad += 1;
            }
            Err(end) => {
                println!("{n}: {end}");
                if end == CommitError::Unknown {
                    unsure.push(n.to_string());
                }
                writer = in_time("a claim", claimed(&log)).await;
            }
        }
    }
    drop(in_time("a claim", claimed(&log)).await);
    let seen = values(&log, &partition).await;
    println!("{} sure, {} unknown, {bad} aborted, {} seen", sure.len(), unsure.len(), seen.len());
    assert!(sure.len() < 100, "no kill met a commit");
    assert!(sure.len() >= 90, "{}", sure.len());
    let found: Vec<&String> = seen.iter().filter(|v| sure.contains(v)).collect();
    assert_eq!(found, sure.iter().collect::<Vec<_>>(), "each that succeeded once, in order");
    assert!(seen.iter().all(|v| sure.contains(v) || unsure.contains(v)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_too_large_is_refused_and_the_writer_goes_on() {
    let cluster = Cluster::start();
    let log = cluster.log(&options());
    let partition = topic(&log, "t", 1).await;
    let large = || Record::new("k", vec![7; 3 << 20]);
    let refused = log.append(&partition, vec![large()]).await;
    assert!(matches!(refused, Err(LogError::Fatal(_))), "{refused:?}");
    let mut writer = log.claim("w").await.unwrap();
    let small = Record::new("k", "v");
    let records = vec![(partition.clone(), small.clone()), (partition.clone(), large())];
    let refused = writer.commit(records).await;
    assert!(matches!(refused, Err(CommitError::Aborted(LogError::Fatal(_)))), "{refused:?}");
    writer.commit(vec![(partition.clone(), small)]).await.unwrap();
    assert_eq!(values(&log, &partition).await, ["v"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_again_is_another_and_its_tails_end() {
    let cluster = Cluster::start();
    let log = cluster.log(&options());
    let partition = topic(&log, "t", 1).await;
    log.append(&partition, vec![Record::new("k", "v"); 5]).await.unwrap();
    let before = log.topic("t").await.unwrap().unwrap();
    let mut tail = log.tail(vec![(partition.clone(), 0)]).await.unwrap();
    assert_eq!(tail.next(10).await.unwrap().next, 5);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.broker.bootstrap());
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    admin.delete_topics(&["t"], &AdminOptions::new()).await.unwrap();
    let ended = async {
        while tail.next(10).await.is_ok() {}
        while log.topic("t").await.unwrap().is_some() {
            SystemEnv.sleep_ms(20).await;
        }
    };
    in_time("the tail's end", ended).await;
    assert_eq!(log.bounds(&partition).await, Err(LogError::NoSuchPartition(partition.clone())));
    topic(&log, "t", 1).await;
    let after = log.topic("t").await.unwrap().unwrap();
    assert_ne!(after.id, before.id);
    log.append(&partition, vec![Record::new("k", "new")]).await.unwrap();
    assert_eq!(values(&log, &partition).await, ["new"]);
    let beyond = log.tail(vec![(partition, 5)]).await.map(|_| ());
    assert!(matches!(beyond, Err(LogError::Transient(_))), "{beyond:?}");
}

/// Another's producer may hold a partition back: what is read ends before its transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_beyond_what_is_not_decided() {
    let cluster = Cluster::start();
    let log = cluster.log(&options());
    let partition = topic(&log, "t", 1).await;
    log.append(&partition, vec![Record::new("k", "v")]).await.unwrap();
    assert_eq!(log.end(&partition).await, Ok(1));
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.broker.bootstrap()).set("transactional.id", "foreign");
    let foreign: BaseProducer = config.create().unwrap();
    let patience = Duration::from_millis(DEADLINE_MS);
    let foreign = tokio::task::spawn_blocking(move || {
        foreign.init_transactions(patience).unwrap();
        foreign.begin_transaction().unwrap();
        foreign.send(BaseRecord::to("t").key("k").payload("open")).unwrap();
        foreign.flush(patience).unwrap();
        foreign
    });
    let foreign = foreign.await.unwrap();
    log.append(&partition, vec![Record::new("k", "behind")]).await.unwrap();
    assert_eq!(log.bounds(&partition).await.unwrap().committed_end, 1);
    assert_eq!(log.end(&partition).await, Ok(3));
    let aborted = tokio::task::spawn_blocking(move || foreign.abort_transaction(patience));
    aborted.await.unwrap().unwrap();
    let decided = async {
        // With the mark of the transaction's end.
        while log.bounds(&partition).await.unwrap().committed_end < 4 {
            SystemEnv.sleep_ms(20).await;
        }
    };
    in_time("the decision", decided).await;
    assert_eq!(log.end(&partition).await, Ok(4));
    let absent = Partition::new("t", 7);
    assert_eq!(log.end(&absent).await, Err(LogError::NoSuchPartition(absent)));
}

/// KIP-848 is the latter; the cluster takes a group from the one to the other while it works.
const PROTOCOLS: [(&str, [&str; 2]); 3] = [
    ("old", ["classic", "classic"]),
    ("new", ["consumer", "consumer"]),
    ("mixed", ["classic", "consumer"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_of_a_group_share_the_partitions() {
    let cluster = Cluster::start();
    join_all(PROTOCOLS.map(|(group, protocols)| they_share(&cluster, group, protocols))).await;
    let tools = Tools::of(cluster.broker.bootstrap());
    let types = tokio::task::spawn_blocking(move || tools.group_types()).await.unwrap();
    let types = ["old", "new"].map(|group| types.get(group).map(String::as_str));
    assert_eq!(types, [Some("Classic"), Some("Consumer")]);
    // What the cluster says with the newer one is not the client's to say.
    let mut both = options();
    both.properties.insert("group.protocol".to_owned(), "consumer".to_owned());
    both.properties.insert("session.timeout.ms".to_owned(), "6000".to_owned());
    let refused = cluster.log(&both).assignments("both", "new").await.map(|_| ());
    let named = |why: &str| why.contains("session.timeout.ms");
    assert!(matches!(&refused, Err(LogError::Fatal(why)) if named(why)), "{refused:?}");
}

async fn they_share(cluster: &Cluster, group: &str, protocols: [&str; 2]) {
    let [one, two] = protocols.map(|protocol| {
        let mut options = options();
        options.properties.insert("group.protocol".to_owned(), protocol.to_owned());
        cluster.log(&options)
    });
    topic(&one, group, 4).await;
    let mut first = one.assignments(group, group).await.unwrap();
    in_time("all", first.wait_for(|mine| mine.len() == 4)).await.unwrap();
    let mut second = two.assignments(group, group).await.unwrap();
    let shared = async {
        let mine = first.wait_for(|mine| mine.len() == 2).await.unwrap().clone();
        let theirs = second.wait_for(|mine| mine.len() == 2).await.unwrap().clone();
        [mine, theirs].concat()
    };
    let mut all = in_time(group, shared).await;
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "{group}");
    drop(second);
    in_time("all again", first.wait_for(|mine| mine.len() == 4)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_not_there_may_come() {
    let [port] = kafka_server::free_ports().unwrap();
    let options =
        KafkaOptions { request_ms: 500, ..KafkaOptions::new(format!("127.0.0.1:{port}")) };
    let log: Arc<KafkaLog> = KafkaLog::new(options, SystemEnv::shared()).unwrap();
    let partition = Partition::new("t", 0);
    let transient = |error: LogError| assert!(matches!(error, LogError::Transient(_)), "{error:?}");
    let asked = async {
        transient(log.topic("t").await.unwrap_err());
        transient(log.bounds(&partition).await.unwrap_err());
        transient(log.append(&partition, vec![Record::new("k", "v")]).await.unwrap_err());
        transient(log.tail(vec![(partition.clone(), 0)]).await.map(|_| ()).unwrap_err());
        transient(log.claim("w").await.map(|_| ()).unwrap_err());
    };
    in_time("five refusals", asked).await;
}

#[tokio::test]
async fn a_property_that_does_not_exist_is_named_and_its_value_is_not() {
    let mut options = options();
    options.properties.insert("sasl.pasword".to_owned(), "hunter2".to_owned());
    let shown = format!("{options:?}");
    let error = KafkaLog::new(options, SystemEnv::shared()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("sasl.pasword"), "{error}");
    assert!(!error.contains("hunter2") && !shown.contains("hunter2"), "{error} {shown}");
}
