//! Which entities have a pane at which start: to find what expires, and all panes of a series, in
//! time proportional to what is found.

use std::collections::BTreeMap;

use crate::intern::push_tight;

/// Where a pane is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Number of the series.
    pub(crate) series: u32,
    /// Where the span starts, ms.
    pub(crate) start_ms: i64,
    /// Number of the entity.
    pub(crate) entity: u32,
}

/// The panes of one series, oldest first. Four bytes a pane.
#[derive(Debug, Default)]
pub(crate) struct Expiry(BTreeMap<i64, Vec<u32>>);

impl Expiry {
    pub(crate) fn add(&mut self, start_ms: i64, entity: u32) {
        push_tight(self.0.entry(start_ms).or_default(), entity);
    }

    /// Starts in ascending order, each with the entities that have a pane there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &[u32])> {
        self.0.iter().map(|(start_ms, entities)| (*start_ms, &entities[..]))
    }

    /// Strikes out panes of one start, which must come in the order of [`Expiry::iter`].
    pub(crate) fn strike(&mut self, start_ms: i64, gone: &[Place]) {
        let Some(entities) = self.0.get_mut(&start_ms) else { return };
        let mut gone = gone.iter().map(|place| place.entity).peekable();
        entities.retain(|entity| gone.next_if_eq(entity).is_none());
        if entities.is_empty() {
            self.0.remove(&start_ms);
        }
    }
}
