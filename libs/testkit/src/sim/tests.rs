//! The executor's own laws: the same seed gives the same trace, kills drop, pauses hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clock::timeout;
use parking_lot::Mutex;

use super::{Sim, Stuck};

/// Three processes that sleep, wake each other and draw numbers; one is killed, one is paused.
fn busy(seed: u64) -> (u64, Vec<(i64, usize)>) {
    let sim = Sim::new(seed);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sender, _keep) = tokio::sync::watch::channel(0u64);
    let processes: Vec<_> = (0..3).map(|i| sim.process(&format!("p{i}"))).collect();
    let mut tasks = Vec::new();
    for (i, process) in processes.iter().enumerate() {
        for _ in 0..4 {
            let (env, seen, sender) = (process.env(), Arc::clone(&seen), sender.clone());
            let mut changes = sender.subscribe();
            let task = process.env().spawn(
                "busy",
                Box::pin(async move {
                    loop {
                        let wait = env.random_u64() % 7;
                        let _ = timeout(&env, wait, changes.changed()).await;
                        seen.lock().push((env.now_ms(), i));
                        sender.send_modify(|n| *n += 1);
                        env.sleep_ms(1).await;
                    }
                }),
            );
            tasks.push(task);
        }
    }
    sim.run_for(20).unwrap();
    processes[0].kill();
    processes[1].pause();
    sim.run_for(20).unwrap();
    processes[1].resume();
    sim.run_for(20).unwrap();
    let seen = seen.lock().clone();
    (sim.trace(), seen)
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        assert_eq!(busy(seed), busy(seed), "seed {seed}");
    }
    assert_ne!(busy(1).0, busy(2).0);
}

#[test]
fn the_order_of_tasks_is_explored() {
    let orders: std::collections::BTreeSet<Vec<usize>> = (0..200)
        .map(|seed| {
            let sim = Sim::new(seed);
            let seen = Arc::new(Mutex::new(Vec::new()));
            let process = sim.process("p");
            let spawn = |i| {
                let seen = Arc::clone(&seen);
                process.env().spawn("note", Box::pin(async move { seen.lock().push(i) }))
            };
            let _tasks: Vec<_> = (0..4).map(spawn).collect();
            while sim.step() {}
            Arc::try_unwrap(seen).map(Mutex::into_inner).unwrap_or_default()
        })
        .collect();
    assert_eq!(orders.len(), 24);
}

struct OnDrop(Arc<AtomicU64>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_kill_drops_tasks_and_their_children_and_the_next_life_is_another() {
    let sim = Sim::new(1);
    let (process, dropped) = (sim.process("p"), Arc::new(AtomicU64::new(0)));
    let old = process.env();
    let (env, outer, inner) = (process.env(), OnDrop(dropped.clone()), OnDrop(dropped.clone()));
    let parent = old.spawn(
        "parent",
        Box::pin(async move {
            let _outer = outer;
            let sleeper = Arc::clone(&env);
            let _child = env.spawn(
                "child",
                Box::pin(async move {
                    let _inner = inner;
                    sleeper.sleep_ms(1_000).await;
                }),
            );
            env.sleep_ms(1_000).await;
        }),
    );
    sim.run_for(10).unwrap();
    process.kill();
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    drop(parent);

    let late = OnDrop(dropped.clone());
    let stillborn = old.spawn("late", Box::pin(async move { drop(late) }));
    assert_eq!(dropped.load(Ordering::Relaxed), 3, "a dead process starts nothing");
    drop(stillborn);
    assert!(matches!(sim.block_on_for(50, old.sleep_ms(1)), Err(Stuck::Idle { .. })));
    sim.block_on_for(50, process.env().sleep_ms(1)).unwrap();
}

#[test]
fn a_task_that_kills_its_own_process_is_dropped_after_its_poll() {
    let sim = Sim::new(3);
    let (process, after) = (sim.process("p"), Arc::new(AtomicU64::new(0)));
    let (killer, env, count) = (process.clone(), process.env(), after.clone());
    let _task = process.env().spawn(
        "suicide",
        Box::pin(async move {
            killer.kill();
            env.sleep_ms(1).await;
            count.fetch_add(1, Ordering::Relaxed);
        }),
    );
    while sim.step() {}
    assert_eq!(after.load(Ordering::Relaxed), 0);
}

#[test]
fn a_paused_process_stands_still_while_time_goes_on() {
    let sim = Sim::new(5);
    let (process, count) = (sim.process("p"), Arc::new(AtomicU64::new(0)));
    let (env, counter) = (process.env(), count.clone());
    let _task = process.env().spawn(
        "count",
        Box::pin(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                env.sleep_ms(10).await;
            }
        }),
    );
    sim.run_for(95).unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 10);
    process.pause();
    sim.run_for(1_000).unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 10);
    process.resume();
    sim.run_until(100, || count.load(Ordering::Relaxed) == 11).unwrap();
    assert_eq!(sim.elapsed_ms(), 1_095, "the timer had elapsed meanwhile");
}

#[test]
fn skew_moves_the_wall_clock_only() {
    let sim = Sim::new(7);
    let process = sim.process("p");
    process.set_skew_ms(-500);
    assert_eq!(process.env().now_ms(), sim.now_ms() - 500);
    sim.block_on(process.env().sleep_ms(10)).unwrap();
    assert_eq!(sim.elapsed_ms(), 10);
}

#[test]
fn waiting_for_what_never_comes_says_why() {
    let sim = Sim::new(9);
    assert_eq!(sim.run_until(10, || false), Err(Stuck::Idle { seed: 9, at_ms: 0 }));
    let env = sim.env();
    let _task = sim.env().spawn(
        "tick",
        Box::pin(async move {
            loop {
                env.sleep_ms(3).await;
            }
        }),
    );
    assert_eq!(sim.run_until(10, || false), Err(Stuck::Late { seed: 9, at_ms: 12 }));
}
