//! Real input through real processes: what SQL says is what every region answers.

use checkers::flights::REGIONS;
use cluster::{Mesh, fresh, story};

#[test]
fn every_region_answers_what_sql_says() {
    let mut mesh = Mesh::start();
    story::every_region_answers_what_sql_says(&mut mesh);
    as_a_fresh_fold_says(&mut mesh);
}

#[test]
fn dirty_streams_lose_nothing_and_double_nothing() {
    let mut mesh = Mesh::start();
    story::dirty_streams_lose_nothing_and_double_nothing(&mut mesh, 20_130_131);
    as_a_fresh_fold_says(&mut mesh);
}

/// The regions' digests are those of a fold of the logs from nothing.
fn as_a_fresh_fold_says(mesh: &mut Mesh) {
    let seen = REGIONS.map(|region| mesh.digests(region));
    mesh.stop();
    let fresh = fresh::digests("nyc", &mesh.data());
    assert_eq!(fresh.len(), 12, "four views of three regions: {fresh:?}");
    for (region, seen) in REGIONS.iter().zip(seen) {
        assert_eq!(seen, fresh, "{region}");
    }
}
