//! A cluster with SASL, TLS and certificates of clients, by properties alone; and who knows the
//! secrets.
//!
//! Each case runs in a process of its own, this binary once more, so that it has an environment of
//! its own and all that it says can be searched.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;
use std::process::Command;

use backbone::{Log, LogError, Partition, Record, Retention, Tailer, TopicSpec};
use backbone_kafka::KafkaLog;
use clock::SystemEnv;
use futures::TryFutureExt as _;
use kafka::SecureCluster;
use node::Kafka;
use tokio::join;

const THIS: &str = "properties_let_a_log_in_and_no_secret_is_said";
/// Set in a case's own process: its file of properties, and what it is to see.
const CASE: &str = "SECURE_KAFKA_CASE";
const EXPECTED: &str = "SECURE_KAFKA_EXPECTED";
const PASSWORD: &str = "SECURE_KAFKA_PASSWORD";
const LET_IN: &str = "let in";

const SECRET: &str = "correct-horse-battery";
const KEY_SECRET: &str = "staple-of-the-key";
const WRONG: &str = "incorrect-donkey";

/// A case: what its properties say of the password and the key, and what comes of it: [`LET_IN`],
/// or a part of the error.
struct Case<'a> {
    name: &'a str,
    properties: &'a [(&'a str, &'a str)],
    expected: &'a str,
}

#[test]
fn properties_let_a_log_in_and_no_secret_is_said() {
    if let Ok(file) = std::env::var(CASE) {
        return in_its_own_process(Path::new(&file), &std::env::var(EXPECTED).unwrap());
    }
    let cluster = SecureCluster::start(SECRET, KEY_SECRET);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        std::fs::write(dir.path().join(name), format!("{content}\n")).unwrap();
        format!("file:{}", dir.path().join(name).display())
    };
    let (password, key) = (file("password", SECRET), file("key", KEY_SECRET));
    let (from_file, key) = (("sasl.password", &*password), ("ssl.key.password", &*key));
    let from_environment = ("sasl.password", "env:SECURE_KAFKA_PASSWORD");
    let no_certificate = [("ssl.certificate.location", ""), ("ssl.key.location", "")];
    let cases = [
        Case { name: "file", properties: &[from_file, key], expected: LET_IN },
        Case { name: "environment", properties: &[from_environment, key], expected: LET_IN },
        Case {
            name: "wrong",
            properties: &[("sasl.password", WRONG), key],
            expected: "SCRAM-SHA-512",
        },
        Case {
            name: "bare",
            properties: &[&[from_file], &no_certificate[..]].concat(),
            expected: "SSL",
        },
    ];
    std::thread::scope(|scope| {
        cases.iter().for_each(|case| _ = scope.spawn(|| run(&cluster, dir.path(), case)));
    });
}

/// Runs a case in another process, and searches what it says for secrets.
fn run(cluster: &SecureCluster, dir: &Path, case: &Case<'_>) {
    let mut kafka = Kafka::new(cluster.bootstrap());
    kafka.properties = cluster.properties();
    kafka.properties.insert("debug".to_owned(), "all".to_owned());
    for (name, value) in case.properties {
        match *value {
            "" => _ = kafka.properties.remove(*name),
            value => _ = kafka.properties.insert((*name).to_owned(), value.to_owned()),
        }
    }
    let file = dir.join(format!("{}.json", case.name));
    std::fs::write(&file, serde_json::to_vec(&kafka).unwrap()).unwrap();
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.args(["--exact", THIS, "--nocapture"]).env(CASE, &file).env(EXPECTED, case.expected);
    let output = own.env(PASSWORD, SECRET).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let end: Vec<&str> = said.lines().rev().take(40).collect();
    let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(output.status.success() && said.contains("1 passed"), "{}: {end}", case.name);
    // Everything that librdkafka ever says is among it.
    for talk in ["sasl.mechanisms", "BROKER", "kafka: "] {
        assert!(said.contains(talk), "{}: nothing is said of {talk}: {end}", case.name);
    }
    for secret in [SECRET, KEY_SECRET, WRONG] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{}", case.name);
    }
}

fn in_its_own_process(file: &Path, expected: &str) {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE).init();
    let kafka: Kafka = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    println!("{kafka:?}");
    let mut options = kafka.options().unwrap();
    if expected != LET_IN {
        options.request_ms = 3_000;
    }
    println!("{options:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = KafkaLog::new(options, SystemEnv::shared()).unwrap();
        if expected == LET_IN {
            all_of_it_works(&log, &file.file_stem().unwrap().to_string_lossy()).await;
        } else {
            refused(&log, expected).await;
        }
    });
}

async fn all_of_it_works(log: &KafkaLog, topic: &str) {
    let retention = Retention::Delete { ms: i64::MAX, bytes: u64::MAX };
    log.ensure(&TopicSpec { name: topic.into(), partitions: 2, retention }).await.unwrap();
    let [first, second] = [0, 1].map(|index| Partition::new(topic, index));
    log.append(&first, vec![Record::new("k", "appended")]).await.unwrap();
    let mut writer = log.claim(topic).await.unwrap();
    writer.commit(vec![(second.clone(), Record::new("k", "committed"))]).await.unwrap();
    let mut tail = log.tail(vec![(first, 0), (second, 0)]).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let records = tail.next(10).await.unwrap().records.into_iter();
        seen.extend(records.map(|stored| stored.record.value.unwrap()));
    }
    seen.sort();
    assert_eq!(seen, ["appended", "committed"]);
    let mut mine = log.assignments(topic, topic).await.unwrap();
    mine.wait_for(|mine| mine.len() == 2).await.unwrap();
}

/// Whatever is asked: one error that says why.
async fn refused(log: &KafkaLog, why: &str) {
    let partition = Partition::new("t", 0);
    let refusals = join!(
        log.topic("t").map_ok(drop),
        log.bounds(&partition).map_ok(drop),
        log.append(&partition, vec![Record::new("k", "v")]).map_ok(drop),
        log.tail(vec![(partition.clone(), 0)]).map_ok(drop),
        log.claim("w").map_ok(drop),
        log.assignments("g", "t").map_ok(drop),
    );
    for refusal in <[_; 6]>::from(refusals) {
        let Err(LogError::Fatal(text)) = refusal else { panic!("{refusal:?}") };
        println!("refused: {text}");
        assert!(text.contains("no way into the cluster") && text.contains(why), "{text}");
    }
}
