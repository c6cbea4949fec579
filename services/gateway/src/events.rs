//! A data frame, as Feast pushes it, turned into events of a source.

use std::sync::Arc;

use bytes::Bytes;
use catalog::{Catalog, Source};
use lattice::Type;
use serde_json::{Map, Value as Json};

use crate::refusal::Refusal;
use crate::request::{Columns, rows};

/// The event time's column in what Feast's own client writes, whatever the source calls it.
const FEAST_EVENT_TIME: &str = "event_timestamp";

/// The source of this name; or, as Feast's client names a view when it pushes, that view's source.
pub(crate) fn source_of(catalog: &Catalog, name: &str) -> Result<Arc<Source>, Refusal> {
    let of_view = || {
        let newest = catalog.views().get(name)?.last()?;
        Some(newest.regions.values().next()?.source.clone())
    };
    let found = catalog.source(name).or_else(of_view);
    found.ok_or_else(|| Refusal::NoSuchSource(name.chars().take(200).collect()))
}

/// One JSON object per row, of the source's fields alone. Values are not checked: what breaks the
/// contract goes where all such events go, whoever sent them.
pub(crate) fn events(source: &Source, mut frame: Columns) -> Result<Vec<Bytes>, Refusal> {
    let count = rows(&frame)?;
    let event_time = &source.fields[source.event_time].name;
    if !frame.contains_key(&**event_time)
        && let Some(column) = frame.swap_remove(FEAST_EVENT_TIME)
    {
        frame.insert(event_time.to_string(), column);
    }
    let missing = source.fields.iter().filter(|f| !f.nullable && !frame.contains_key(&*f.name));
    let columns: Vec<String> = missing.map(|field| field.name.to_string()).collect();
    if !columns.is_empty() {
        return Err(Refusal::MissingColumns { source_name: source.name.to_string(), columns });
    }
    let mut rows: Vec<Map<String, Json>> = vec![Map::new(); count];
    for field in &source.fields {
        let Some(column) = frame.swap_remove(&*field.name) else { continue };
        for (row, value) in rows.iter_mut().zip(column) {
            row.insert(field.name.to_string(), canonical(field.kind, value));
        }
    }
    Ok(rows.into_iter().map(|row| Json::Object(row).to_string().into()).collect())
}

/// Timestamps are written in one way, so that a retry of a row is the same bytes.
fn canonical(kind: Type, value: Json) -> Json {
    match (kind, catalog::coerce(kind, &value)) {
        (Type::Timestamp, Ok(lattice::Value::Time(ms))) => clock::format_timestamp(ms).into(),
        _ => value,
    }
}
