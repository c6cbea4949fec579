//! Whether a connection may stay: what its pulse says against the limits. Pure.

use crate::limits::Limits;
use crate::pulse::Beat;

/// The preface of HTTP/2, bytes.
const PREFACE_BYTES: u64 = 24;
/// How long a stream that waits for its client's next message is still in use, ms: a line between two
/// processes carries many, and one that says nothing for longer does not keep others out.
const STREAM_MS: u64 = 10_000;
/// How long answers may be left where too much is held, ms.
const PRESSED_MS: u64 = 1_000;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// A head, or the start of a connection, took too long.
    SlowHead,
    /// The client does not take its answers.
    SlowReader,
    /// It asks for nothing.
    Idle,
    /// Others need its place.
    Displaced,
    /// There was no place.
    Refused,
}

impl Reason {
    /// For metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SlowHead => "slow_head",
            Self::SlowReader => "slow_reader",
            Self::Idle => "idle",
            Self::Displaced => "displaced",
            Self::Refused => "refused",
        }
    }
}

/// What speaks against it, if anything. `pressed`: more is held than may be.
pub(crate) fn verdict(beat: &Beat, limits: &Limits, pressed: bool, now_ms: u64) -> Option<Reason> {
    let longer = |since_ms: u64, ms: u64| now_ms.saturating_sub(since_ms) > ms;
    let write_ms = if pressed { PRESSED_MS.min(limits.write_ms) } else { limits.write_ms };
    let blocked = beat.blocked_ms != 0 && longer(beat.blocked_ms, write_ms);
    if blocked || (beat.owed > 0 && longer(beat.taken_ms, write_ms)) {
        return Some(Reason::SlowReader);
    }
    if beat.requests > 0 {
        return None;
    }
    let head_since_ms = match beat.is_http2 {
        // Until it has said what it speaks; afterwards bytes need not be a head.
        true => (beat.read < PREFACE_BYTES).then_some(beat.opened_ms),
        false => (beat.heard_ms != 0).then_some(beat.heard_ms),
    };
    if head_since_ms.is_some_and(|since_ms| longer(since_ms, limits.head_ms)) {
        return Some(Reason::SlowHead);
    }
    longer(beat.quiet_ms, limits.idle_ms).then_some(Reason::Idle)
}

/// Whether it could make room for another one: nothing is under way, and no stream is in use. The
/// least of several goes first: those without a stream, of them whoever has been quiet the longest.
pub(crate) fn quiet(beat: &Beat, now_ms: u64) -> Option<(bool, u64)> {
    let since_ms = beat.quiet_ms.max(beat.taken_ms);
    let is_open = beat.requests > 0;
    let in_use = is_open && now_ms.saturating_sub(since_ms) <= STREAM_MS;
    (beat.requests == beat.waiting && !in_use).then_some((is_open, since_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        max_connections: 1,
        max_streams: 1,
        max_resets: 1,
        max_head_bytes: 1,
        head_ms: 10_000,
        body_ms: 1,
        min_body_bytes_per_s: 1,
        write_ms: 15_000,
        idle_ms: 120_000,
        max_held_bytes: 1,
    };
    const OPENED_MS: u64 = 1_000;

    fn opened() -> Beat {
        Beat { opened_ms: OPENED_MS, quiet_ms: OPENED_MS, taken_ms: OPENED_MS, ..Beat::default() }
    }

    /// When it is ended, and for what: from the moment it was opened, if nothing else happens.
    fn ends(beat: Beat, pressed: bool) -> Option<(u64, Reason)> {
        (0..200_000).step_by(500).find_map(|ms| {
            verdict(&beat, &LIMITS, pressed, OPENED_MS + ms).map(|reason| (ms, reason))
        })
    }

    #[test]
    fn each_kind_of_slowness_has_its_time() {
        let http2 = Beat { is_http2: true, ..opened() };
        let silent = http2;
        let slow_preface = Beat { read: 23, heard_ms: OPENED_MS, ..http2 };
        let slow_head = Beat { read: 40, heard_ms: OPENED_MS, ..opened() };
        for beat in [silent, slow_preface, slow_head] {
            assert_eq!(ends(beat, false), Some((10_500, Reason::SlowHead)), "{beat:?}");
        }
        let pooled = Beat { read: 40, ..opened() };
        let pooled_http2 = Beat { read: 90, heard_ms: OPENED_MS, ..http2 };
        for beat in [pooled, pooled_http2] {
            assert_eq!(ends(beat, false), Some((120_500, Reason::Idle)), "{beat:?}");
        }
        let blocked = Beat { requests: 1, blocked_ms: OPENED_MS, ..opened() };
        let owed = Beat { requests: 1, owed: 1, ..opened() };
        let last_bytes = Beat { blocked_ms: OPENED_MS, ..opened() };
        for beat in [blocked, owed, last_bytes] {
            assert_eq!(ends(beat, false), Some((15_500, Reason::SlowReader)), "{beat:?}");
            assert_eq!(ends(beat, true), Some((1_500, Reason::SlowReader)), "{beat:?}");
        }
        let working = Beat { read: 90, requests: 1, ..opened() };
        assert_eq!(ends(working, true), None, "how long an answer takes is not the client's doing");
    }

    #[test]
    fn a_stream_that_is_in_use_makes_no_room_and_others_go_before_one_that_is_not() {
        let idle = Beat { quiet_ms: 90_000, ..opened() };
        let working = Beat { requests: 1, ..opened() };
        let stream = Beat { requests: 2, waiting: 2, quiet_ms: 70_000, ..opened() };
        let answered = Beat { taken_ms: 75_000, ..stream };
        assert_eq!(quiet(&working, 1_000_000), None);
        assert_eq!((quiet(&stream, 80_000), quiet(&answered, 85_000)), (None, None));
        let order = [quiet(&idle, 90_000), quiet(&stream, 90_000), quiet(&answered, 90_000)];
        assert!(order.is_sorted() && order.iter().all(Option::is_some), "{order:?}");
    }

    proptest! {
        #[test]
        fn nobody_stays_for_ever_without_a_request(
            read in 0..100_u64, is_http2: bool, quiet_ms in 0..5_000_u64, heard_ms in 0..5_000_u64,
        ) {
            let beat = Beat { read, is_http2, quiet_ms, heard_ms, ..Beat::default() };
            prop_assert!(verdict(&beat, &LIMITS, false, 5_000 + LIMITS.idle_ms + 1).is_some());
            prop_assert!(quiet(&beat, 5_000).is_some());
        }
    }
}
