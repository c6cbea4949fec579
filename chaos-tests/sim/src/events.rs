//! The events and the catalog of simulated meshes: short windows, so that panes expire within a
//! run; few entities, so that origins share them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The first catalog.
pub const CATALOG: &str = include_str!("catalog.yaml");

/// The catalog that comes while the mesh runs: another view, and a second version of the first.
pub const NEXT_CATALOG: &str = include_str!("next_catalog.yaml");

/// An event as a producer writes it: mostly good, sometimes broken, late, or of no user.
pub fn event(rng: &mut ChaCha8Rng, serial: u64, now_ms: i64) -> String {
    let lag_ms =
        if rng.random_bool(0.1) { rng.random_range(0..40_000) } else { rng.random_range(0..3_000) };
    let at = clock::format_timestamp(now_ms - lag_ms);
    let user = rng.random_range(0..6u32);
    let place = ["north", "south", "west"][rng.random_range(0..3usize)];
    let amount = rng.random_range(0..100i64);
    match rng.random_range(0..40u32) {
        0 => format!("not json {serial}"),
        1 => format!(
            r#"{{"id":"e{serial}","at":"{at}","user":"u{user}","place":"{place}","amount":900}}"#
        ),
        2 => format!(r#"{{"id":"e{serial}","at":"{at}","user":"u{user}","amount":{amount}}}"#),
        3 => format!(
            r#"{{"id":"e{serial}","at":"{at}","user":null,"place":"{place}","amount":{amount}}}"#
        ),
        _ => format!(
            r#"{{"id":"e{serial}","at":"{at}","user":"u{user}","place":"{place}","amount":{amount}}}"#
        ),
    }
}
