//! Which partition a pushed event goes to: by its id, so that a retry meets its twin, else by its
//! bytes.

use std::sync::Arc;

use catalog::Source;
use lattice::shard_of;

use crate::format::{Format, Raw, reader};

/// Picks partitions for one source.
pub struct Partitioner {
    id: Box<dyn Format>,
    partitions: u32,
}

impl Partitioner {
    /// For a topic of so many partitions.
    #[must_use]
    pub fn new(source: &Source, partitions: u32) -> Self {
        let id = source.id.and_then(|place| source.fields.get(place));
        let name: Option<Arc<str>> = id.map(|field| field.name.clone());
        Self { id: reader(source.format, name.into_iter()), partitions }
    }

    /// The event's partition.
    #[must_use]
    pub fn of(&self, event: &[u8]) -> u32 {
        if self.partitions <= 1 {
            return 0;
        }
        match self.id.read(event).ok().and_then(|fields| fields.into_iter().next()) {
            Some(Raw::Text(id)) => shard_of(id.as_bytes(), self.partitions),
            Some(Raw::Int(id)) => shard_of(id.to_string().as_bytes(), self.partitions),
            _ => shard_of(event, self.partitions),
        }
    }
}
