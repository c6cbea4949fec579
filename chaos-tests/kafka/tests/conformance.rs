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
    let harness: Arc<dyn Harness> = Arc::new(OnKafka::start_compacting());
    for name in ["compaction", "any-content", "tail-max", "commit-all"] {
        let case = cases().into_iter().find(|case| case.name == name).expect("a case");
        let outcome = case.run(harness.clone()).await;
        assert_eq!(outcome, Ok(Outcome::Passed), "{name}: {}", case.law);
    }
}
