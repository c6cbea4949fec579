//! Entity rows, typed and put into their shards.

use std::collections::HashMap;

use api::node::v1 as node;
use bytes::Bytes;
use catalog::{Resolved, coerce};
use lattice::{Type, Value, shard};

use crate::refusal::Refusal;
use crate::request::{Columns, MAX_CELLS};

/// The entity rows of a request.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) count: usize,
    /// Per join key of the resolved request, its column.
    pub(crate) keys: Vec<Vec<Value>>,
    /// Per request field, its column.
    pub(crate) request: Vec<Vec<Value>>,
    /// What to read.
    pub(crate) reads: Vec<node::ViewRead>,
    /// Per resolved view and row: index into `reads`, and into its entities. `None`: no entity
    /// can have this key.
    pub(crate) places: Vec<Vec<Option<Place>>>,
}

/// Where a row's values of a view will be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) read: usize,
    pub(crate) entity: usize,
}

impl Rows {
    /// Types the columns that are needed; others are ignored.
    pub(crate) fn new(
        resolved: &Resolved,
        columns: &Columns,
        count: usize,
        shards: u32,
    ) -> Result<Self, Refusal> {
        let cells = count.saturating_mul(resolved.join_keys.len() + resolved.columns.len());
        if cells > MAX_CELLS {
            return Err(Refusal::TooManyCells { cells, limit: MAX_CELLS });
        }
        let absent = |name: &str| !columns.contains_key(name);
        let keys = resolved.join_keys.iter().map(|key| &*key.name);
        let missing: Vec<String> = keys.filter(|name| absent(name)).map(str::to_owned).collect();
        if !missing.is_empty() {
            return Err(Refusal::MissingJoinKeys(missing));
        }
        let fields = resolved.request.iter().filter(|field| !field.nullable);
        let missing: Vec<String> =
            fields.map(|f| f.name.to_string()).filter(|name| absent(name)).collect();
        if !missing.is_empty() {
            return Err(Refusal::MissingRequestFields(missing));
        }
        let keys = resolved.join_keys.iter().map(|key| typed(columns, &key.name, key.kind, count));
        let fields = resolved.request.iter().map(|f| typed(columns, &f.name, f.kind, count));
        let mut rows = Self {
            count,
            keys: keys.collect::<Result<_, _>>()?,
            request: fields.collect::<Result<_, _>>()?,
            ..Self::default()
        };
        for view in &resolved.views {
            rows.place(view, shards);
        }
        Ok(rows)
    }

    /// Groups the rows of a view by shard; an entity that occurs twice is read once.
    fn place(&mut self, view: &catalog::ViewRead, shards: u32) {
        let mut known: HashMap<Bytes, Place> = HashMap::new();
        let mut by_shard: HashMap<u32, usize> = HashMap::new();
        let features: Vec<u32> = view.features.iter().map(|index| *index as u32).collect();
        let mut places = Vec::with_capacity(self.count);
        for row in 0..self.count {
            let key: Vec<Value> =
                view.keys.iter().map(|key| self.keys[*key][row].clone()).collect();
            let Some(entity) = shard::entity_key(&key) else {
                places.push(None);
                continue;
            };
            if let Some(place) = known.get(&entity) {
                places.push(Some(*place));
                continue;
            }
            let shard = shard::shard_of(&entity, shards);
            let read = *by_shard.entry(shard).or_insert_with(|| {
                self.reads.push(node::ViewRead {
                    view: view.plan.view.to_string(),
                    version: view.plan.version,
                    shard,
                    entities: Vec::new(),
                    features: features.clone(),
                });
                self.reads.len() - 1
            });
            let entities = &mut self.reads[read].entities;
            let place = Place { read, entity: entities.len() };
            entities.push(entity.clone());
            known.insert(entity, place);
            places.push(Some(place));
        }
        self.places.push(places);
    }
}

fn typed(columns: &Columns, name: &str, kind: Type, count: usize) -> Result<Vec<Value>, Refusal> {
    let Some(column) = columns.get(name) else { return Ok(vec![Value::Null; count]) };
    let value = |(row, json)| {
        coerce(kind, json).map_err(|cause| Refusal::Misfit { column: name.to_owned(), row, cause })
    };
    column.iter().enumerate().map(value).collect()
}
