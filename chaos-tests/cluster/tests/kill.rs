//! SIGKILL at seeded moments of the replay, of nodes and of whole regions: the oracle still holds.

use cluster::{Mesh, story};
use rand::RngExt;

#[test]
fn twenty_kills_change_no_value() {
    story::kills_change_no_value(&mut Mesh::start(), 20, 200..1_000, |rng| {
        if rng.random_bool(0.3) { &["node", "gateway"] } else { &["node"] }
    });
}
