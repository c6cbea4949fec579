//! How much of an origin's log a replica has, proven.

use crdts::CvRDT;

/// Of one (origin, shard, plan): every live pane holds the fold of at least `[from, next)`. Ordered
/// by `(from, next)`: a plan that had to start again at a higher `from` supersedes its past.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Frontier {
    /// The offset where the plan's fold began.
    pub from: u64,
    /// The next offset to fold; all below are in.
    pub next: u64,
}

impl CvRDT for Frontier {
    type Validation = std::convert::Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        *self = (*self).max(other);
    }
}
