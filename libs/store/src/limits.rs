//! Which panes of a plan are live: a function of the log's prefix, so that no replica keeps what
//! another has let go and nothing comes back to life.

use lattice::progress::NO_WATERMARK;
use lattice::{PlanProgress, Span};

/// What the newest progress of an (origin, plan) says of its panes. Before any, all are live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// Panes up to this version belong to a fold that was given up.
    pub(crate) from: u64,
    /// Of the fold that began at `from`, ms.
    pub(crate) watermark_ms: i64,
    /// (width in seconds, retention in ms).
    pub(crate) retention: Vec<(u32, i64)>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { from: 0, watermark_ms: NO_WATERMARK, retention: Vec::new() }
    }
}

impl Limits {
    /// The fold began anew at a higher offset. Its watermark begins anew too, since it counts
    /// events from `from` on only: panes may live that the given-up fold had let go.
    pub(crate) fn restart(&mut self, from: u64) {
        if from > self.from {
            self.from = from;
            self.watermark_ms = NO_WATERMARK;
        }
    }

    /// Takes in a progress. One of a fold that was given up says nothing about this one.
    pub(crate) fn join(&mut self, progress: &PlanProgress) {
        self.restart(progress.frontier.from);
        if progress.frontier.from == self.from && progress.watermark_ms >= self.watermark_ms {
            self.watermark_ms = progress.watermark_ms;
            if self.retention != progress.retention {
                self.retention.clone_from(&progress.retention);
            }
        }
    }

    /// Whether panes of this span are gone. A width of unknown retention does not expire.
    pub(crate) fn expired(&self, span: Span) -> bool {
        let known = self.retention.iter().find(|(width_s, _)| *width_s == span.width_s);
        known.is_some_and(|(_, retention_ms)| span.expired(*retention_ms, self.watermark_ms))
    }

    /// Whether such a pane is not, or no longer, part of the plan's live set.
    pub(crate) fn refuse(&self, span: Span, version: u64) -> bool {
        version <= self.from || self.expired(span)
    }
}
