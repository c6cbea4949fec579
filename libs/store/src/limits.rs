//! Which panes of a plan are live: a function of the log's prefix, so that no replica keeps what
//! another has let go and nothing comes back to life.

use lattice::progress::NO_WATERMARK;
use lattice::{Frontier, PlanProgress, Span};

/// What the newest progress of an (origin, plan) says of its panes. Before any, all are live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    /// The progress: panes up to version `from` belong to a fold that was given up.
    pub(crate) frontier: Frontier,
    /// W(next - 1), ms.
    pub(crate) watermark_ms: i64,
    /// (width in seconds, retention in ms).
    pub(crate) retention: Vec<(u32, i64)>,
}

impl Default for Limits {
    fn default() -> Self {
        let (frontier, watermark_ms) = (Frontier::default(), NO_WATERMARK);
        Self { frontier, watermark_ms, retention: Vec::new() }
    }
}

impl Limits {
    /// Takes in a progress, if it is not an old one. A fold that began anew has a watermark of its
    /// own, which may be lower: it counts events from its `from` on only.
    #[must_use]
    pub(crate) fn join(&self, progress: &PlanProgress) -> Self {
        if progress.frontier < self.frontier {
            return self.clone();
        }
        Self {
            frontier: progress.frontier,
            watermark_ms: progress.watermark_ms,
            retention: progress.retention.clone(),
        }
    }

    /// Whether panes of this span are gone. A width of unknown retention does not expire.
    pub(crate) fn expired(&self, span: Span) -> bool {
        let known = self.retention.iter().find(|(width_s, _)| *width_s == span.width_s);
        known.is_some_and(|(_, retention_ms)| span.expired(*retention_ms, self.watermark_ms))
    }

    /// Whether a pane that is here has no place in the live set.
    pub(crate) fn lose(&self, span: Span, version: u64) -> bool {
        version <= self.frontier.from || self.expired(span)
    }

    /// Whether a pane that comes is refused. One that is above `next` and seems to have expired is
    /// not: no fold adds to an expired span, so its fold began anew and its progress will say so.
    pub(crate) fn refuse(&self, span: Span, version: u64) -> bool {
        version <= self.frontier.next && self.lose(span, version)
    }
}
