//! Values, keys and tokens as people write and read them.

use std::collections::HashMap;

use api::v1::{FieldStatus, ReadOptions, Value, value::Kind};
use serde_json::Value as Json;

use crate::cli::ReadArgs;
use crate::error::{CliError, Result};

/// `KEY=VALUE…` as columns of one row each. Values are text: the mesh knows their types.
///
/// # Errors
/// Something without `=`, or a key that is there twice.
pub(crate) fn keys(args: &[String]) -> Result<HashMap<String, Value>> {
    let mut keys = HashMap::new();
    for arg in args {
        let (key, value) =
            arg.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
                CliError::Usage(format!("'{arg}' is not KEY=VALUE (write tailnum=N608JB)"))
            })?;
        let value = Value { kind: Some(Kind::StringValue(value.to_owned())) };
        if keys.insert(key.to_owned(), value).is_some() {
            return Err(CliError::Usage(format!("'{key}' is given twice")));
        }
    }
    Ok(keys)
}

/// The options of a read.
///
/// # Errors
/// `--as-of` is not a time.
pub(crate) fn options(args: &ReadArgs) -> Result<ReadOptions> {
    let parse = |text: &String| {
        clock::parse_timestamp_ms(text).map_err(|e| CliError::Usage(format!("--as-of: {e}")))
    };
    Ok(ReadOptions {
        as_of_ms: args.as_of.as_ref().map(parse).transpose()?,
        exclude_regions: args.exclude_region.clone(),
        tokens: args.token.clone(),
        max_staleness_ms: None,
    })
}

/// As in a table; null is a dash.
pub(crate) fn shown(value: Option<&Value>) -> String {
    match value.and_then(|v| v.kind.as_ref()) {
        None => "–".into(),
        Some(Kind::BoolValue(v)) => v.to_string(),
        Some(Kind::IntValue(v)) => v.to_string(),
        Some(Kind::DoubleValue(v)) => short(*v),
        Some(Kind::StringValue(v)) => v.clone(),
        Some(Kind::TimestampMs(v)) => clock::format_timestamp(*v),
    }
}

/// At most four decimals; JSON output has all of them.
fn short(v: f64) -> String {
    let text = format!("{v:.4}");
    let trimmed = text.trim_end_matches('0');
    let dot = if trimmed.ends_with('.') { "0" } else { "" };
    format!("{trimmed}{dot}")
}

/// As JSON.
pub(crate) fn json(value: Option<&Value>) -> Json {
    match value.and_then(|v| v.kind.as_ref()) {
        None => Json::Null,
        Some(Kind::BoolValue(v)) => (*v).into(),
        Some(Kind::IntValue(v)) => (*v).into(),
        Some(Kind::DoubleValue(v)) => (*v).into(),
        Some(Kind::StringValue(v)) => v.clone().into(),
        Some(Kind::TimestampMs(v)) => clock::format_timestamp(*v).into(),
    }
}

/// `PRESENT`, `NOT_FOUND` …
pub(crate) fn status(number: i32) -> &'static str {
    FieldStatus::try_from(number).map_or("UNKNOWN", |status| status.as_str_name())
}

/// An instant, or a dash for none.
pub(crate) fn instant(ms: Option<i64>) -> String {
    ms.map_or_else(|| "–".into(), clock::format_timestamp)
}

/// An age, or `never` when nothing ever arrived.
pub(crate) fn age(ms: Option<i64>) -> String {
    ms.map_or_else(|| "never".into(), crate::out::age)
}

/// A width of panes; zero is all of time.
pub(crate) fn resolution(ms: i64) -> String {
    if ms == 0 { "all".into() } else { clock::format_duration(ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_pairs() {
        let keys = keys(&["tailnum=N608JB".into(), "note=a=b".into(), "empty=".into()]).unwrap();
        assert_eq!(shown(keys.get("tailnum")), "N608JB");
        assert_eq!(shown(keys.get("note")), "a=b");
        assert_eq!(shown(keys.get("empty")), "");
    }

    #[test]
    fn what_is_no_key_is_named() {
        for bad in [vec!["tailnum"], vec!["=x"], vec!["a=1", "a=2"]] {
            let bad: Vec<String> = bad.into_iter().map(str::to_owned).collect();
            assert!(keys(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_short_and_keep_their_point() {
        assert_eq!([12.0, 0.123_456, -7.5, 0.0].map(short), ["12.0", "0.1235", "-7.5", "0.0"]);
    }

    #[test]
    fn as_of_is_a_time() {
        let read = ReadArgs { as_of: Some("yesterday".into()), ..ReadArgs::default() };
        assert!(options(&read).unwrap_err().to_string().contains("2013-02-01T00:00:00Z"));
    }
}
