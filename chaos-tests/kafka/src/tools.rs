//! What an operator types: Kafka's own tools, and kcat.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use bytes::Bytes;
use kafka_server::Installation;

use crate::cluster::installation;

/// MB of objects, for a tool.
const HEAP_MB: u32 = 128;
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
/// After so long without a record the console consumer ends, ms.
const SILENCE_MS: &str = "15000";
/// Lengths before what may hold any byte.
const FORMAT: &str = r"%p %o %T %K %S %h\n%k%s\n";

/// The tools, for one cluster.
pub struct Tools {
    kafka: Installation,
    bootstrap: String,
}

/// A record as kcat shows it.
#[derive(Debug)]
pub struct Seen {
    /// Of the topic.
    pub partition: u32,
    /// In the partition.
    pub offset: u64,
    /// Its stamp, ms.
    pub at_ms: i64,
    /// `name=value,…`
    pub headers: String,
    /// If it has one.
    pub key: Option<Bytes>,
    /// If it has one.
    pub value: Option<Bytes>,
}

/// A partition as `kafka-consumer-groups` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lag {
    /// Of the topic.
    pub partition: u32,
    /// What the group has committed.
    pub offset: u64,
    /// Where the log ends.
    pub end: u64,
    /// What is between.
    pub lag: u64,
}

impl Tools {
    /// For the cluster at `host:port`.
    #[must_use]
    pub fn of(bootstrap: impl Into<String>) -> Self {
        Self { kafka: installation(), bootstrap: bootstrap.into() }
    }

    /// Runs one of Kafka's tools to its end, which must be a good one.
    #[must_use]
    pub fn run(&self, main: &str, args: &[&str]) -> String {
        let mut tool = self.kafka.java(main, HEAP_MB);
        output(tool.args(["--bootstrap-server", &self.bootstrap]).args(args))
    }

    /// The committed records of a topic by `kafka-console-consumer.sh`, a line each, as `formatter`
    /// has it: as many as are there, but not more than `most`.
    #[must_use]
    pub fn console(&self, topic: &str, formatter: &[&str], most: usize) -> Vec<String> {
        let most = most.to_string();
        let mut args = vec!["--topic", topic, "--from-beginning", "--timeout-ms", SILENCE_MS];
        args.extend(["--isolation-level", "read_committed", "--max-messages", &most]);
        args.extend(formatter.iter().flat_map(|property| ["--formatter-property", property]));
        let said = self.run("org.apache.kafka.tools.consumer.ConsoleConsumer", &args);
        said.lines().map(str::to_owned).collect()
    }

    /// `kafka-consumer-groups.sh --describe`; nothing if there is no such group yet.
    #[must_use]
    pub fn lag(&self, group: &str) -> Vec<Lag> {
        let said = self.run(GROUPS, &["--describe", "--group", group]);
        let mut rows: Vec<Lag> = said.lines().filter_map(|line| row(line, group)).collect();
        rows.sort();
        rows
    }

    /// `kafka-consumer-groups.sh --list --type`: each group's protocol.
    #[must_use]
    pub fn group_types(&self) -> BTreeMap<String, String> {
        let said = self.run(GROUPS, &["--list", "--type"]);
        let words = said.lines().map(|line| line.split_whitespace().map(str::to_owned));
        words.filter_map(|mut words| Some((words.next()?, words.next()?))).collect()
    }

    /// The committed records of a topic by kcat, all that are there.
    #[must_use]
    pub fn kcat(&self, topic: &str) -> Vec<Seen> {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.bootstrap, "-X", "isolation.level=read_committed"]);
        // It sees an end when a fetch brings nothing. Heartbeats come more often than the half second
        // that a fetch waits for them.
        kcat.args(["-X", "fetch.wait.max.ms=1"]);
        kcat.args(["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", FORMAT]);
        let said = bytes(&mut kcat);
        let mut rest = &said[..];
        let mut seen = Vec::new();
        while !rest.is_empty() {
            seen.push(take(&mut rest).expect("a record in kcat's words"));
        }
        seen
    }
}

fn row(line: &str, group: &str) -> Option<Lag> {
    let mut words = line.split_whitespace();
    if words.next() != Some(group) {
        return None;
    }
    let mut numbers = words.skip(1).map(str::parse);
    let partition = u32::try_from(numbers.next()?.ok()?).ok()?;
    let mut next = || numbers.next()?.ok();
    Some(Lag { partition, offset: next()?, end: next()?, lag: next()? })
}

fn take(rest: &mut &[u8]) -> Option<Seen> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&rest[..end]).ok()?;
    let [partition, offset, at_ms, key, value, headers] =
        head.splitn(6, ' ').collect::<Vec<_>>().try_into().ok()?;
    *rest = &rest[end + 1..];
    let mut part = |length: &str| {
        // −1 if there is none.
        let Ok(length) = length.parse::<usize>() else { return Some(None) };
        let (part, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(Some(Bytes::copy_from_slice(part)))
    };
    let (key, value) = (part(key)?, part(value)?);
    *rest = rest.strip_prefix(b"\n")?;
    Some(Seen {
        partition: partition.parse().ok()?,
        offset: offset.parse().ok()?,
        at_ms: at_ms.parse().ok()?,
        headers: headers.to_owned(),
        key,
        value,
    })
}

fn output(command: &mut Command) -> String {
    String::from_utf8_lossy(&bytes(command)).into_owned()
}

fn bytes(command: &mut Command) -> Vec<u8> {
    let command = command.stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
    assert!(output.status.success(), "{command:?}: {out}{err}");
    output.stdout
}
