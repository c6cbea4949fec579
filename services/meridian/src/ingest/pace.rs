//! Replaying by event time: when an event is due, given when the first one happened.

use serde_json::value::RawValue;

/// Replays `factor` times as fast as things happened.
#[derive(Debug)]
pub(crate) struct Pace {
    field: String,
    factor: f64,
    /// Event time and wall time of the first event, ms.
    start: Option<(i64, i64)>,
}

impl Pace {
    /// `field` holds the event time.
    pub(crate) fn new(field: &str, factor: f64) -> Self {
        Self { field: field.to_owned(), factor, start: None }
    }

    /// When the event is due, ms; none if it has no event time: at once.
    pub(crate) fn due_ms(&mut self, event: &[u8], now_ms: i64) -> Option<i64> {
        let at_ms = event_time_ms(event, &self.field)?;
        let (first_ms, started_ms) = *self.start.get_or_insert((at_ms, now_ms));
        Some(
            started_ms
                .saturating_add(((at_ms.saturating_sub(first_ms)) as f64 / self.factor) as i64),
        )
    }
}

fn event_time_ms(event: &[u8], field: &str) -> Option<i64> {
    let object: std::collections::HashMap<&str, &RawValue> = serde_json::from_slice(event).ok()?;
    let text: &str = serde_json::from_str(object.get(field)?.get()).ok()?;
    clock::parse_timestamp_ms(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_events_takes_a_second_at_3600() {
        let mut pace = Pace::new("at", 3_600.0);
        assert_eq!(pace.due_ms(br#"{"at":"2013-01-01T10:00:00Z"}"#, 5_000), Some(5_000));
        assert_eq!(pace.due_ms(br#"{"x":1,"at":"2013-01-01T11:00:00Z"}"#, 5_100), Some(6_000));
        assert_eq!(pace.due_ms(br#"{"at":"2013-01-01T09:00:00Z"}"#, 5_100), Some(4_000));
    }

    #[test]
    fn what_has_no_event_time_is_due_at_once() {
        let mut pace = Pace::new("at", 1.0);
        for event in [&b"not json"[..], b"{}", br#"{"at":null}"#, br#"{"at":7}"#, b"\xff"] {
            assert_eq!(pace.due_ms(event, 0), None);
        }
    }
}
