//! The in-memory log is a `Log`: on the real runtime, and under the simulator for many schedules.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use backbone::conformance::{Harness, cases, run};
use backbone::{Log, Partition};
use clock::{Env, SystemEnv};
use testkit::{Faults, MemoryLog, Sim};

struct InMemory {
    env: Arc<dyn Env>,
    log: MemoryLog,
}

#[async_trait]
impl Harness for InMemory {
    fn env(&self) -> Arc<dyn Env> {
        Arc::clone(&self.env)
    }

    async fn log(&self) -> Arc<dyn Log> {
        self.log.client(Arc::clone(&self.env))
    }

    async fn compact(&self, partition: &Partition) -> bool {
        self.log.compact(partition);
        true
    }

    async fn truncate(&self, partition: &Partition, start: u64) -> bool {
        self.log.truncate(partition, start);
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_real_runtime() {
    let quick = Faults { max_delay_ms: 1, max_visibility_ms: 3, ..Faults::slow() };
    for faults in [Faults::none(), quick] {
        let env = SystemEnv::shared();
        let log = MemoryLog::new(Arc::clone(&env), 1, faults);
        let not_possible = run(Arc::new(InMemory { env, log })).await.unwrap();
        assert!(not_possible.is_empty(), "{not_possible:?}");
    }
}

/// The laws that the log breaks, under the simulator.
fn broken(seed: u64, faults: Faults) -> Vec<&'static str> {
    let sim = Sim::new(seed);
    let log = MemoryLog::new(sim.process("brokers").env(), seed, faults);
    let harness: Arc<dyn Harness> = Arc::new(InMemory { env: sim.process("client").env(), log });
    let mut broken = Vec::new();
    for case in cases() {
        if sim.block_on(case.run(Arc::clone(&harness))).unwrap().is_err() {
            broken.push(case.name);
        }
    }
    broken
}

#[test]
fn under_the_simulator() {
    for seed in 0..20 {
        assert_eq!(broken(seed, Faults::none()), [""; 0], "seed {seed}");
        assert_eq!(broken(seed, Faults::slow()), [""; 0], "seed {seed}");
    }
}

#[test]
fn a_log_without_fencing_is_found_out() {
    for seed in 0..5 {
        let broken = broken(seed, Faults { fencing: false, ..Faults::slow() });
        assert!(broken.contains(&"claim-fences") && broken.contains(&"claim-contended"));
    }
}
