//! A definition that is rolled out region by region.

use cluster::{Mesh, rollout, story};

#[test]
fn old_and_new_are_served_while_a_view_goes_from_region_to_region() {
    let mut mesh = Mesh::start();
    story::replay(&mesh);
    mesh.wait_until_equal();
    rollout::old_and_new_are_served_while_a_view_goes_from_region_to_region(&mut mesh);
}
