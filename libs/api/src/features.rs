//! Columns of features, which stay encoded on their way from a node's memory to a client's: what is
//! in between passes most of them on and does not look into them.

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use crate::v1::{FeatureColumn, MeshInfo};

/// `meridian.v1.GetFeaturesResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct GetFeaturesResponse {
    /// Entity columns first, then features in the order asked for.
    #[prost(string, repeated, tag = "1")]
    pub feature_names: Vec<String>,
    /// Per name its [`FeatureColumn`], encoded.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub results: Vec<Bytes>,
    /// How the answer came about.
    #[prost(message, optional, tag = "3")]
    pub mesh: Option<MeshInfo>,
}

impl GetFeaturesResponse {
    /// Its columns.
    ///
    /// # Errors
    /// One of them is none.
    pub fn columns(&self) -> Result<Vec<FeatureColumn>, DecodeError> {
        self.results.iter().map(|column| FeatureColumn::decode(column.clone())).collect()
    }
}

impl FeatureColumn {
    /// As it is sent.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// How many rows an encoded column has: each with its value, status and time. `None`: it is none,
    /// or not of one length. The values are not looked into.
    #[must_use]
    pub fn rows(mut column: &[u8]) -> Option<usize> {
        let (mut values, mut statuses, mut times) = (0, 0, 0);
        while !column.is_empty() {
            match decode_key(&mut column).ok()? {
                (1, kind @ WireType::LengthDelimited) => {
                    skip_field(kind, 1, &mut column, DecodeContext::default()).ok()?;
                    values += 1;
                }
                (2, WireType::LengthDelimited) => statuses += packed(&mut column)?,
                (3, WireType::LengthDelimited) => times += packed(&mut column)?,
                _ => return None,
            }
        }
        (values == statuses && values == times).then_some(values)
    }
}

/// How many numbers stand here together: each ends with a byte whose first bit is not set.
fn packed(column: &mut &[u8]) -> Option<usize> {
    let length = usize::try_from(decode_varint(column).ok()?).ok()?;
    let numbers = column.get(..length)?.iter().filter(|byte| **byte < 0x80).count();
    column.advance(length);
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::v1::Value;
    use crate::v1::value::Kind;

    fn column(rows: &[(Option<i64>, i64)]) -> FeatureColumn {
        FeatureColumn {
            values: rows.iter().map(|row| Value { kind: row.0.map(Kind::IntValue) }).collect(),
            statuses: vec![3; rows.len()],
            event_timestamps_ms: rows.iter().map(|row| row.1).collect(),
        }
    }

    proptest! {
        #[test]
        fn rows_are_counted_and_columns_that_are_none_are_told(
            rows in prop::collection::vec((any::<Option<i64>>(), any::<i64>()), 0..20),
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let whole = column(&rows);
            prop_assert_eq!(FeatureColumn::rows(&whole.encoded()), Some(rows.len()));
            let mut ragged = whole.clone();
            ragged.statuses.push(1);
            prop_assert_eq!(FeatureColumn::rows(&ragged.encoded()), None);
            let mut ragged = whole.clone();
            ragged.values.push(Value::default());
            prop_assert_eq!(FeatureColumn::rows(&ragged.encoded()), None);
            let cut = whole.encoded();
            prop_assert!(cut.is_empty() || FeatureColumn::rows(&cut[..cut.len() - 1]).is_none());
            _ = FeatureColumn::rows(&bytes);
        }
    }

    /// The message is written here by hand.
    #[test]
    fn the_answer_is_what_the_contract_says() {
        let all = FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap();
        let messages = all.file.iter().flat_map(|file| &file.message_type);
        let answer = messages.clone().find(|m| m.name() == "GetFeaturesResponse").unwrap();
        let fields: HashMap<&str, i32> =
            answer.field.iter().map(|field| (field.name(), field.number())).collect();
        assert_eq!(fields, [("feature_names", 1), ("results", 2), ("mesh", 3)].into());
    }
}
