//! The mirror under the simulator: whatever is killed, paused, aborted or left in doubt, the target
//! has the source's records, in order, each once.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use std::sync::Arc;

use backbone::mirror::{Mirror, Names, POSITIONS_TOPIC};
use backbone::{Log, Partition, Record, Retention, TopicSpec};
use bytes::Bytes;
use clock::{Env, Task};
use testkit::{Faults, MemoryLog, Process, Sim};
use tokio::sync::watch;

const KEPT: Retention = Retention::Delete { ms: i64::MAX, bytes: u64::MAX };

/// Two regions and what mirrors the first into the second.
struct World {
    sim: Sim,
    source: MemoryLog,
    target: MemoryLog,
    topics: watch::Sender<Vec<Arc<str>>>,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let sim = Sim::new(seed);
        let log = |name, seed| MemoryLog::new(sim.process(name).env(), seed, faults.clone());
        let (source, target) = (log("source", seed), log("target", !seed));
        source.make(&spec("a", 3));
        let topics = watch::Sender::new(vec!["a".into(), "b".into()]);
        Self { sim, source, target, topics }
    }

    /// Starts a mirror that lives as long as the process does.
    fn mirror(&self, process: &Process) -> (Arc<Mirror>, Task) {
        let env = process.env();
        let mirror = Arc::new(Mirror::new(
            env.clone(),
            "eu".into(),
            self.source.client(env.clone()),
            self.target.client(env.clone()),
            Names::of("eu"),
            self.topics.subscribe(),
        ));
        let running = Arc::clone(&mirror);
        (mirror, env.spawn("mirror", Box::pin(async move { running.run().await })))
    }

    fn mirrored(&self, topic: &str, index: u32) -> Vec<Record> {
        content(&self.target, &Partition::new(format!("eu.{topic}"), index))
    }

    fn all_there(&self) -> bool {
        let expected = |topic: &str| self.source.topic(topic).map_or(0, |info| info.partitions);
        ["a", "b"].iter().all(|topic| {
            (0..expected(topic)).all(|index| {
                let source = self.source.history(&Partition::new(*topic, index)).len();
                let name = format!("eu.{topic}");
                self.target.history(&Partition::new(name, index)).len() >= source
            })
        })
    }

    fn check(&self) {
        for topic in ["a", "b"] {
            let info = self.source.topic(topic).unwrap();
            let mirrored = self.target.topic(&format!("eu.{topic}")).unwrap();
            assert_eq!(mirrored.partitions, info.partitions, "seed {}", self.sim.seed());
            for index in 0..info.partitions {
                let source = content(&self.source, &Partition::new(topic, index));
                assert_eq!(self.mirrored(topic, index), source, "seed {}", self.sim.seed());
            }
        }
    }

    fn calm(&self) {
        self.source.set_faults(|faults| *faults = Faults::none());
        self.target.set_faults(|faults| *faults = Faults::none());
    }
}

fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec { name: name.into(), partitions, retention: KEPT }
}

fn content(log: &MemoryLog, partition: &Partition) -> Vec<Record> {
    log.history(partition).into_iter().map(|stored| stored.record).collect()
}

/// Records of every shape, each unlike all others.
fn record(n: u64) -> Record {
    let header = (Arc::from("n"), Bytes::from(n.to_string()));
    Record {
        key: (!n.is_multiple_of(5)).then(|| Bytes::from(format!("k{}", n % 7))),
        value: (!n.is_multiple_of(3)).then(|| Bytes::from(format!("value {n}"))),
        headers: vec![header; 1 + (n % 3) as usize],
    }
}

/// Writes to the source for a while: appends, commits, a topic and a partition that come later.
async fn produce(env: Arc<dyn Env>, log: Arc<dyn Log>) {
    for n in 0..60 {
        if n == 20 {
            while log.ensure(&spec("b", 2)).await.is_err() {}
            while log.ensure(&spec("a", 4)).await.is_err() {}
        }
        let topic = if n >= 20 && n % 3 == 0 { "b" } else { "a" };
        let at = |i: u64| Partition::new(topic, (i % 2) as u32);
        if n % 4 == 0 {
            if let Ok(mut writer) = log.claim("producer").await {
                let records = (0..5).map(|i| (at(i), record(n * 10 + i))).collect();
                let _maybe = writer.commit(records).await;
            }
        } else {
            let records = (0..3).map(|i| record(n * 10 + i)).collect();
            let last = if n >= 20 && topic == "a" { 4 } else { 2 };
            let to = Partition::new(topic, (env.random_u64() % last) as u32);
            let _maybe = log.append(&to, records).await;
        }
        env.sleep_ms(env.random_u64() % 100).await;
    }
}

/// Kills, pauses and doubles mirrors for five seconds of virtual time, then lets one finish.
fn torment(seed: u64) -> (u64, usize) {
    let world = World::new(seed, Faults::rough());
    let sim = &world.sim;
    let producer = sim.process("producer");
    let log = world.source.client(producer.env());
    let _producing = producer.env().spawn("produce", Box::pin(produce(producer.env(), log)));
    let processes = [sim.process("mirror"), sim.process("double")];
    let mut running = processes.each_ref().map(|_| None);
    let mut kills = 0;
    while sim.elapsed_ms() < 5_000 && sim.step() {
        if !sim.chance(0.01) {
            continue;
        }
        let which = (sim.random_u64() % 2) as usize;
        let process = &processes[which];
        if process.paused() {
            process.resume();
        } else if running[which].is_none() {
            running[which] = Some(world.mirror(process));
        } else if sim.chance(0.5) {
            process.pause();
        } else {
            process.kill();
            running[which] = None;
            kills += 1;
        }
    }
    world.calm();
    processes.iter().for_each(Process::kill);
    producer.kill();
    sim.run_for(20_000).unwrap();
    let _last = world.mirror(&processes[0]);
    sim.run_until(60_000, || world.all_there()).unwrap();
    sim.run_for(5_000).unwrap();
    world.check();
    (sim.trace(), kills)
}

#[test]
fn the_target_has_every_record_once_whatever_happens_to_the_mirror() {
    let kills: usize = (0..200).map(|seed| torment(seed).1).sum();
    assert!(kills > 200, "only {kills} kills");
}

#[test]
fn a_seed_replays() {
    assert_eq!(torment(17), torment(17));
}

#[test]
fn without_fencing_a_double_is_caught() {
    let caught = (0..60).filter(|&seed| {
        let world = World::new(seed, Faults { fencing: false, ..Faults::slow() });
        world.source.make(&spec("b", 1));
        let processes = [world.sim.process("one"), world.sim.process("two")];
        let _mirrors = processes.each_ref().map(|process| world.mirror(process));
        let log = world.source.client(world.sim.env());
        let records = (0..20).map(record).collect();
        world.sim.block_on(log.append(&Partition::new("a", 0), records)).unwrap().unwrap();
        world.sim.run_for(1_000).unwrap();
        world.mirrored("a", 0).len() != 20
    });
    assert!(caught.count() > 30);
}

#[test]
fn a_mirror_goes_on_where_it_was_and_its_lag_is_visible() {
    let world = World::new(3, Faults::none());
    let (sim, process) = (&world.sim, world.sim.process("mirror"));
    world.source.make(&spec("b", 1));
    let log = world.source.client(sim.env());
    let a0 = Partition::new("a", 0);
    let append = |n: std::ops::Range<u64>| {
        sim.block_on(log.append(&a0, n.map(record).collect())).unwrap().unwrap();
    };
    append(0..100);
    let running = world.mirror(&process);
    sim.run_until(5_000, || running.0.status().records == 100).unwrap();
    process.kill();
    append(100..150);
    let (mirror, _task) = world.mirror(&process);
    sim.run_until(5_000, || world.mirrored("a", 0).len() == 150).unwrap();
    sim.run_until(5_000, || mirror.status().lag == 0).unwrap();
    assert_eq!(mirror.status().records, 50, "and copied nothing twice");
    assert_eq!(mirror.status().last_error, None);

    world.target.set_faults(|faults| faults.down = true);
    append(150..170);
    sim.run_until(20_000, || mirror.status().last_error.is_some()).unwrap();
    assert!(mirror.status().last_error.unwrap().starts_with("the"));
    world.target.set_faults(|faults| faults.down = false);
    sim.run_until(20_000, || mirror.status().lag == 0 && world.all_there()).unwrap();
    world.check();
}

#[test]
fn a_source_that_is_made_again_is_mirrored_from_its_start() {
    let world = World::new(4, Faults::slow());
    let (sim, process) = (&world.sim, world.sim.process("mirror"));
    world.source.make(&spec("b", 1));
    let log = world.source.client(sim.env());
    let a0 = Partition::new("a", 0);
    let append = |n: std::ops::Range<u64>| {
        sim.block_on(log.append(&a0, n.map(record).collect())).unwrap().unwrap();
    };
    let (_mirror, _task) = world.mirror(&process);
    append(0..10);
    sim.run_until(5_000, || world.mirrored("a", 0).len() == 10).unwrap();
    world.source.remake("a");
    append(100..130);
    sim.run_until(20_000, || world.mirrored("a", 0).len() == 40).unwrap();
    let expected: Vec<Record> = (0..10).chain(100..130).map(record).collect();
    assert_eq!(world.mirrored("a", 0), expected);
}

#[test]
fn a_copy_that_is_made_again_is_filled_from_the_sources_start() {
    let world = World::new(7, Faults::slow());
    let (sim, process) = (&world.sim, world.sim.process("mirror"));
    world.source.make(&spec("b", 1));
    let log = world.source.client(sim.env());
    let records = (0..10).map(record).collect();
    sim.block_on(log.append(&Partition::new("a", 0), records)).unwrap().unwrap();
    let whole = || world.mirrored("a", 0) == (0..10).map(record).collect::<Vec<_>>();
    let _running = world.mirror(&process);
    sim.run_until(5_000, whole).unwrap();
    // While it runs, and nothing comes that it would write there.
    world.target.remake("eu.a");
    sim.run_until(20_000, whole).unwrap();
    // While it is away.
    process.kill();
    world.target.remake("eu.a");
    let _running = world.mirror(&process);
    sim.run_until(20_000, whole).unwrap();
}

#[test]
fn a_position_that_does_not_name_the_copy_is_read_and_written_again() {
    let world = World::new(8, Faults::slow());
    let (sim, process) = (&world.sim, world.sim.process("mirror"));
    world.source.make(&spec("b", 1));
    let log = world.source.client(sim.env());
    let records = (0..10).map(record).collect();
    sim.block_on(log.append(&Partition::new("a", 0), records)).unwrap().unwrap();
    let positions = Partition::new(POSITIONS_TOPIC, 0);
    world.target.make(&backbone::mirror::positions_spec(&positions.topic));
    let id = world.source.topic("a").unwrap().id;
    let older = Record::new("eu.a/0", [&[1][..], &id, &10u64.to_be_bytes()].concat());
    let target = world.target.client(sim.env());
    sim.block_on(target.append(&positions, vec![older])).unwrap().unwrap();
    let written = || {
        let seen = content(&world.target, &positions);
        seen.iter().any(|r| r.value.as_ref().is_some_and(|v| v.len() == 41 && v[0] == 2))
    };
    let _running = world.mirror(&process);
    sim.run_until(20_000, written).unwrap();
    sim.run_for(1_000).unwrap();
    assert_eq!(world.mirrored("a", 0), [], "what the position says is there is not copied");
    process.kill();
    world.target.remake("eu.a");
    let _running = world.mirror(&process);
    sim.run_until(20_000, || world.mirrored("a", 0).len() == 10).unwrap();
}

#[test]
fn a_source_that_lost_what_was_not_yet_mirrored_is_mirrored_from_its_start() {
    let world = World::new(5, Faults::slow());
    let (sim, process) = (&world.sim, world.sim.process("mirror"));
    world.source.make(&spec("b", 1));
    let log = world.source.client(sim.env());
    let a0 = Partition::new("a", 0);
    let append = |n: std::ops::Range<u64>| {
        sim.block_on(log.append(&a0, n.map(record).collect())).unwrap().unwrap();
    };
    let _running = world.mirror(&process);
    append(0..10);
    sim.run_until(5_000, || world.mirrored("a", 0).len() == 10).unwrap();
    process.kill();
    append(10..40);
    world.source.truncate(&a0, 30);
    let _running = world.mirror(&process);
    sim.run_until(20_000, || world.mirrored("a", 0).len() == 20).unwrap();
    let expected: Vec<Record> = (0..10).chain(30..40).map(record).collect();
    assert_eq!(world.mirrored("a", 0), expected);
}

#[test]
fn positions_are_one_record_a_partition_after_compaction() {
    let world = World::new(6, Faults { eager_compaction: 1.0, ..Faults::slow() });
    let (sim, process) = (&world.sim, world.sim.process("mirror"));
    let log = world.source.client(sim.env());
    let _running = world.mirror(&process);
    for n in 0..30 {
        let to = Partition::new("a", (n % 3) as u32);
        sim.block_on(log.append(&to, vec![record(n)])).unwrap().unwrap();
        sim.run_for(100).unwrap();
    }
    sim.run_for(1_000).unwrap();
    let positions = world.target.visible(&Partition::new(POSITIONS_TOPIC, 0));
    assert_eq!(positions.len(), 3 + 1, "and the mark of the claim");
}
