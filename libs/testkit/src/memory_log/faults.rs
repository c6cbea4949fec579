//! What can go wrong in a log, each switchable on its own.

/// How a [`MemoryLog`](super::MemoryLog) misbehaves. Probabilities are per operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// Up to this many times an operation lets other tasks go first, at each of its steps.
    pub max_yields: u32,
    /// An operation waits up to this long at each of its steps, ms.
    pub max_delay_ms: u64,
    /// `ensure`, `topic`, `bounds`, `tail`, `next` and `assignments` fail with a transient error.
    pub read_error: f64,
    /// An append fails with a transient error; every other time it was written all the same.
    pub append_error: f64,
    /// A claim fails with a transient error; every other time it fenced all the same.
    pub claim_error: f64,
    /// A commit is aborted. What it wrote leaves a gap.
    pub commit_aborted: f64,
    /// The outcome of a commit is not known; every other time it was committed.
    pub commit_unknown: f64,
    /// A commit becomes visible up to this much later, ms, in each partition on its own.
    pub max_visibility_ms: u64,
    /// A partition is compacted after a record became visible in it.
    pub eager_compaction: f64,
    /// Whether a claim fences earlier writers. Off, to show that a simulation notices.
    pub fencing: bool,
    /// Nothing answers, everything fails with a transient error.
    pub down: bool,
}

impl Faults {
    /// A log that does as it should, at once.
    #[must_use]
    pub fn none() -> Self {
        Self {
            max_yields: 0,
            max_delay_ms: 0,
            read_error: 0.0,
            append_error: 0.0,
            claim_error: 0.0,
            commit_aborted: 0.0,
            commit_unknown: 0.0,
            max_visibility_ms: 0,
            eager_compaction: 0.0,
            fencing: true,
            down: false,
        }
    }

    /// A log that is correct but slow, in no predictable way.
    #[must_use]
    pub fn slow() -> Self {
        Self { max_yields: 3, max_delay_ms: 5, max_visibility_ms: 50, ..Self::none() }
    }

    /// All that a log may do to its users.
    #[must_use]
    pub fn rough() -> Self {
        Self {
            read_error: 0.02,
            append_error: 0.05,
            claim_error: 0.1,
            commit_aborted: 0.1,
            commit_unknown: 0.1,
            eager_compaction: 0.2,
            ..Self::slow()
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}
