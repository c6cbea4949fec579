//! January 2013's departures, raw, as they lie in `examples/`.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// The regions, one airport each.
pub const REGIONS: [&str; 3] = ["ewr", "jfk", "lga"];

/// The lines of one region's file.
#[must_use]
pub fn lines(region: &str) -> Vec<String> {
    let name = format!("../../examples/departures/data/{region}.jsonl.gz");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("a whole gzip file");
    text.lines().map(str::to_owned).collect()
}
