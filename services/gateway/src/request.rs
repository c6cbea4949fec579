//! A request for features, however it arrived.

use api::v1;
use api::v1::value::Kind;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::refusal::Refusal;

/// Entity rows in one request.
pub(crate) const MAX_ROWS: usize = 10_000;
/// Values in one answer: it is held in memory whole.
pub(crate) const MAX_CELLS: usize = 500_000;

/// Columns of values as clients send them: loosely typed.
pub(crate) type Columns = IndexMap<String, Vec<Json>, RandomState>;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct FeatureRequest {
    pub(crate) service: Option<String>,
    pub(crate) features: Vec<String>,
    pub(crate) columns: Columns,
    pub(crate) full_names: bool,
    pub(crate) options: v1::ReadOptions,
}

/// The length that all columns have.
pub(crate) fn rows(columns: &Columns) -> Result<usize, Refusal> {
    let mut lengths = columns.iter().map(|(name, values)| (name, values.len()));
    let Some((first, rows)) = lengths.next() else { return Ok(0) };
    if let Some((other, other_rows)) = lengths.find(|(_, other)| *other != rows) {
        let (first, other) = (first.clone(), other.clone());
        return Err(Refusal::Ragged { first, first_rows: rows, other, other_rows });
    }
    few(rows)?;
    Ok(rows)
}

/// Rows, or events, that one request may have.
pub(crate) fn few(rows: usize) -> Result<(), Refusal> {
    if rows > MAX_ROWS {
        return Err(Refusal::TooManyRows { rows, limit: MAX_ROWS });
    }
    Ok(())
}

impl TryFrom<v1::GetFeaturesRequest> for FeatureRequest {
    type Error = Refusal;

    /// An empty value is two bytes of a message, and a hundred of a column: rows are counted first.
    fn try_from(request: v1::GetFeaturesRequest) -> Result<Self, Refusal> {
        request.entities.values().try_for_each(|column| few(column.values.len()))?;
        let column = |(name, list): (String, v1::ValueList)| {
            (name, list.values.into_iter().map(loose).collect())
        };
        Ok(Self {
            service: Some(request.feature_service).filter(|name| !name.is_empty()),
            features: request.features,
            columns: request.entities.into_iter().map(column).collect(),
            full_names: request.full_feature_names,
            options: request.options.unwrap_or_default(),
        })
    }
}

/// A typed value as a loose one, so that both protocols are coerced alike.
pub(crate) fn loose(value: v1::Value) -> Json {
    match value.kind {
        None => Json::Null,
        Some(Kind::BoolValue(b)) => b.into(),
        Some(Kind::IntValue(n)) => n.into(),
        Some(Kind::DoubleValue(x)) if !x.is_finite() => x.to_string().into(),
        Some(Kind::DoubleValue(x)) => x.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::TimestampMs(ms)) => clock::format_timestamp(ms).into(),
    }
}
