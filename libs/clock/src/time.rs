//! Instants and durations as text. Instants are `i64` milliseconds since the Unix epoch, UTC.

use std::fmt;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Text that is not a time or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("'{0}' is not a timestamp (write 2013-02-01T00:00:00Z)")]
    Timestamp(String),
    /// Not a whole number with a unit.
    #[error(
        "'{0}' is not a duration (write a whole number and one of ms, s, m, h, d: 30s, 24h, 7d)"
    )]
    Duration(String),
}

/// Parses RFC 3339, or the same without an offset, which is taken as UTC (Feast sends both).
pub fn parse_timestamp_ms(text: &str) -> Result<i64, TimeError> {
    let error = || TimeError::Timestamp(text.to_owned());
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let naive: DateTime = text.parse().map_err(|_| error())?;
    let at = TimeZone::UTC.to_timestamp(naive).map_err(|_| error())?;
    Ok(at.as_millisecond())
}

/// Shown as RFC 3339 in UTC, with milliseconds only where there are any. Out of range: the number
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339(
    /// ms
    pub i64,
);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(at) => at.fmt(f),
            Err(_) => self.0.fmt(f),
        }
    }
}

/// The text of [`Rfc3339`].
pub fn format_timestamp(ms: i64) -> String {
    Rfc3339(ms).to_string()
}

const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses `250ms`, `30s`, `5m`, `24h`, `7d` into milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<i64, TimeError> {
    let error = || TimeError::Duration(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
    let (number, unit) = text.split_at(digits);
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
    let number: i64 = number.parse().map_err(|_| error())?;
    number.checked_mul(*scale).ok_or_else(error)
}

/// The shortest exact form: `3600000` is `1h`.
pub fn format_duration(ms: i64) -> String {
    let (unit, scale) =
        UNITS.into_iter().find(|(_, scale)| ms != 0 && ms % scale == 0).unwrap_or(("ms", 1));
    format!("{}{unit}", ms / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_round_trip() {
        for text in ["2013-02-01T00:00:00Z", "2026-11-23T06:27:30.854Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(format_timestamp(parse_timestamp_ms(text).unwrap()), text);
        }
        assert_eq!(parse_timestamp_ms("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(parse_timestamp_ms("2026-11-23T06:27:30.854472"), Ok(1_795_415_250_854));
        assert!(parse_timestamp_ms("yesterday").is_err());
    }

    #[test]
    fn durations_round_trip() {
        for text in ["250ms", "30s", "5m", "24h", "7d", "90s", "25h"] {
            let ms = parse_duration_ms(text).unwrap();
            assert_eq!(parse_duration_ms(&format_duration(ms)), Ok(ms), "{text}");
        }
        for text in ["", "h", "1", "1.5h", "-1h", "1w", "99999999999999999d"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }
}
