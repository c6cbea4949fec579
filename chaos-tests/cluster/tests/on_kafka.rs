//! The same over three real brokers and MirrorMaker 2. Needs `make kafka`.

use cluster::{Mesh, story};

#[test]
fn every_region_answers_what_sql_says() {
    story::every_region_answers_what_sql_says(&mut Mesh::start_on_kafka());
}

#[test]
fn dirty_streams_lose_nothing_and_double_nothing() {
    story::dirty_streams_lose_nothing_and_double_nothing(&mut Mesh::start_on_kafka(), 20_130_131);
}
