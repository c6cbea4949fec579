//! The `Log` on Apache Kafka: the only user of rdkafka.
//!
//! A claim is a transactional id: `init_transactions` fences whoever had it, and returns when
//! their transactions are decided. A commit is one transaction ([`writer`]); a tail reads committed
//! records of partitions that it chose, by queues that wake it ([`tail`]); an append goes through
//! one idempotent producer ([`append`]); assignments come from a consumer group that reads nothing
//! ([`group`]). librdkafka's calls block, so none of them runs on tokio's threads ([`blocking`]).
//!
//! Two things are weaker than the trait's words. Records of one append or commit stand together
//! only as far as they fit into one batch (1 MB, 10,000 records); nothing of Meridian's rests on
//! it. And a stamp of a topic that Meridian did not make is its producers', if the topic says so
//! (`message.timestamp.type=CreateTime`): then stamps may decrease.

mod append;
mod blocking;
mod cluster;
mod context;
mod ensure;
mod error;
mod group;
mod log;
mod native;
mod options;
mod record;
mod tail;
mod writer;

pub use ensure::topic_settings;
pub use log::KafkaLog;
pub use options::KafkaOptions;
