//! Entity rows, typed and put into their shards.

use std::hash::BuildHasher;
use std::ops::Range;

use api::node::v1 as node;
use bytes::Bytes;
use catalog::{Resolved, coerce};
use hashbrown::{DefaultHashBuilder, HashTable};
use lattice::{Type, Value, shard};

use crate::refusal::Refusal;
use crate::request::{Columns, MAX_CELLS};

/// What a part of a key usually takes.
const KEY_BYTES: usize = 12;

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
    /// Per resolved view, where its values will be found.
    pub(crate) places: Vec<Places>,
}

/// Where the values of a view will be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Places {
    /// Nothing is read: no entity can have any of the keys.
    Nowhere,
    /// In this one of `reads`, every row by its own number.
    Rows(usize),
    /// In this one of `reads`, a row's by the number of its entity; `None`: no entity can have its
    /// key.
    Entities(usize, Vec<Option<usize>>),
}

impl Places {
    /// An index into `reads`.
    pub(crate) fn read(&self) -> Option<usize> {
        match self {
            Self::Nowhere => None,
            Self::Rows(read) | Self::Entities(read, _) => Some(*read),
        }
    }

    /// Of a row, an index into `reads`, and into its entities.
    pub(crate) fn of(&self, row: usize) -> Option<(usize, usize)> {
        match self {
            Self::Nowhere => None,
            Self::Rows(read) => Some((*read, row)),
            Self::Entities(read, entities) => Some((*read, entities[row]?)),
        }
    }
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

    /// The entities of a view, each with its shard; one that occurs twice is read once.
    fn place(&mut self, view: &catalog::ViewRead, shards: u32) {
        let hasher = DefaultHashBuilder::default();
        // All keys, one after the other, and where each is.
        let mut keys = Vec::with_capacity(self.count * view.keys.len() * KEY_BYTES);
        let mut entities: Vec<Range<usize>> = Vec::with_capacity(self.count);
        // Indices of entities.
        let mut known: HashTable<usize> = HashTable::with_capacity(self.count);
        let mut places = Vec::with_capacity(self.count);
        for row in 0..self.count {
            let start = keys.len();
            let mut columns = view.keys.iter().map(|key| self.keys[*key][row].as_input());
            if !columns.all(|part| shard::put_key_part(&mut keys, part)) {
                keys.truncate(start);
                places.push(None);
                continue;
            }
            let entity = start..keys.len();
            let hash = hasher.hash_one(&keys[entity.clone()]);
            let same = |at: &usize| keys[entities[*at].clone()] == keys[entity.clone()];
            if let Some(place) = known.find(hash, same).copied() {
                keys.truncate(start);
                places.push(Some(place));
                continue;
            }
            known.insert_unique(hash, entities.len(), |at| {
                hasher.hash_one(&keys[entities[*at].clone()])
            });
            places.push(Some(entities.len()));
            entities.push(entity);
        }
        self.places.push(match entities.len() {
            0 => Places::Nowhere,
            n if n == self.count => Places::Rows(self.reads.len()),
            _ => Places::Entities(self.reads.len(), places),
        });
        if entities.is_empty() {
            return;
        }
        let keys = Bytes::from(keys);
        let entities: Vec<Bytes> = entities.into_iter().map(|range| keys.slice(range)).collect();
        self.reads.push(node::ViewRead {
            view: view.plan.view.to_string(),
            version: view.plan.version,
            shards: entities.iter().map(|entity| shard::shard_of(entity, shards)).collect(),
            entities,
            features: view.features.iter().map(|index| *index as u32).collect(),
        });
    }
}

fn typed(columns: &Columns, name: &str, kind: Type, count: usize) -> Result<Vec<Value>, Refusal> {
    let Some(column) = columns.get(name) else { return Ok(vec![Value::Null; count]) };
    let value = |(row, json)| {
        coerce(kind, json).map_err(|cause| Refusal::Misfit { column: name.to_owned(), row, cause })
    };
    column.iter().enumerate().map(value).collect()
}
