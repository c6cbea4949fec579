//! The log on Kafka is a `Log`.

use std::sync::Arc;

use backbone::conformance::{Harness, Outcome, cases, run};
use kafka::OnKafka;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_a_log() {
    let not_possible = run(Arc::new(OnKafka::start())).await.unwrap_or_else(|e| panic!("{e}"));
    // Meridian's topics are compacted when Kafka likes; see the next test.
    assert_eq!(not_possible, ["compaction"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_one_while_it_is_compacted() {
    let harness = Arc::new(OnKafka::start_compacting());
    for name in ["compaction", "any-content", "tail-max", "commit-all"] {
        passes(name, harness.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_one_by_either_protocol_of_groups() {
    let classic = OnKafka::start();
    // KIP-848: the cluster assigns, and knows of new partitions itself.
    for protocol in ["classic", "consumer"] {
        passes("assignments", Arc::new(classic.with_property("group.protocol", protocol))).await;
    }
}

async fn passes(name: &str, harness: Arc<dyn Harness>) {
    let case = cases().into_iter().find(|case| case.name == name).expect("a case");
    let outcome = case.run(harness).await;
    assert_eq!(outcome, Ok(Outcome::Passed), "{name}: {}", case.law);
}
