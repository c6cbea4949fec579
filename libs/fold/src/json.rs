//! The fields of one JSON object, read without a tree: strings are borrowed where they have no
//! escapes, and what the source does not name is skimmed over. Skimming does not recurse, so
//! neither does anything here, however deep an event is nested.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use crate::format::{Format, Raw};

/// Field names, to their places.
pub(crate) struct Json(HashMap<Arc<str>, usize, FixedState>);

impl Json {
    pub(crate) fn new(names: impl Iterator<Item = Arc<str>>) -> Self {
        Self(names.enumerate().map(|(place, name)| (name, place)).collect())
    }
}

impl Format for Json {
    /// Of a key that occurs twice the last holds, as in nearly every JSON parser, so that producer
    /// and fold see the same.
    fn read<'a>(&self, event: &'a [u8]) -> Result<Vec<Raw<'a>>, String> {
        if event.is_empty() {
            return Err("the record has no value".to_owned());
        }
        let text = std::str::from_utf8(event)
            .map_err(|e| format!("not UTF-8 from byte {} on", e.valid_up_to()))?;
        let mut fields = vec![Raw::Null; self.0.len()];
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_map(Fields { names: self, fields: &mut fields });
        match read.and_then(|()| json.end()) {
            Ok(()) => Ok(fields),
            Err(e) if e.classify() == Category::Data => Err("not a JSON object".to_owned()),
            Err(e) => Err(format!("not JSON: {e}")),
        }
    }
}

struct Fields<'f, 'a> {
    names: &'f Json,
    fields: &'f mut [Raw<'a>],
}

impl<'a> Visitor<'a> for Fields<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(place) = map.next_key_seed(Place(self.names))? {
            match place.and_then(|place| self.fields.get_mut(place)) {
                Some(field) => *field = map.next_value_seed(Any)?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// A key, read as the place of the field that it names.
struct Place<'f>(&'f Json);

impl<'a> DeserializeSeed<'a> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.0.get(key).copied())
    }
}

/// A value of any type.
struct Any;

impl<'a> DeserializeSeed<'a> for Any {
    type Value = Raw<'a>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Raw<'a>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Any {
    type Value = Raw<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw<'a>, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Raw<'a>, E> {
        Ok(Raw::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Raw<'a>, E> {
        Ok(Raw::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Raw<'a>, E> {
        Ok(i64::try_from(n).map_or(Raw::Float(n as f64), Raw::Int))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Raw<'a>, E> {
        Ok(Raw::Float(x))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Raw<'a>, E> {
        Ok(Raw::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw<'a>, E> {
        Ok(Raw::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<Raw<'a>, S::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Raw::Nested)
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Raw<'a>, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Raw::Nested)
    }
}
