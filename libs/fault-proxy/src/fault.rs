//! What a link can be told to do, as text and as a rule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most bytes a second of a link that drips: more is no drip.
const MOST_DRIP: u32 = 1 << 20;
/// Longest delay and longest turn of a flapping link, ms.
const MOST_MS: u64 = 60_000;
/// Of a second that drips, so many pieces.
const PIECES_PER_S: u32 = 20;

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Whatever is sent is held until the fault ends; connections stay.
    Blackhole,
    /// Connections are reset, those that are there and those that come.
    Reset,
    /// A round trip takes longer, half of it each way.
    Slower {
        /// By so much, ms.
        ms: u64,
    },
    /// Each connection carries only so much, each way.
    Drip {
        /// Bytes a second.
        bytes_per_s: u32,
    },
    /// A share of the answers over gRPC cannot be read; the connection goes on, and so do streams
    /// over which nothing is asked any more. See [`crate::Answers`].
    Errors {
        /// Of a hundred.
        percent: u32,
    },
    /// A black hole for a while, then well for as long, and so on.
    Flap {
        /// A turn, ms.
        every_ms: u64,
    },
}

/// Whether a link lets anything through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It does.
    Open,
    /// Not for so many ms.
    HeldFor(u64),
    /// Not as long as the fault lasts.
    Held,
}

/// Text that is not a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no fault: write ok, blackhole, reset, +500ms, drip:20 (bytes a second), errors:30 (percent) or flap:2s"
)]
pub struct FaultError(String);

impl Fault {
    /// Whether anything goes through, when the fault has lasted for so many ms.
    #[must_use]
    pub fn passage(self, for_ms: u64) -> Passage {
        match self {
            Self::Blackhole => Passage::Held,
            Self::Flap { every_ms } => {
                let every_ms = every_ms.max(1);
                let held = (for_ms / every_ms).is_multiple_of(2);
                if held { Passage::HeldFor(every_ms - for_ms % every_ms) } else { Passage::Open }
            }
            _ => Passage::Open,
        }
    }

    /// How much longer one way takes, µs.
    #[must_use]
    pub fn delay_us(self) -> u64 {
        if let Self::Slower { ms } = self { ms * 500 } else { 0 }
    }

    /// At most so many bytes at once, and after them a pause, ms; `None`: no limit.
    #[must_use]
    pub fn pace(self) -> Option<(usize, u64)> {
        let Self::Drip { bytes_per_s } = self else { return None };
        let rate = bytes_per_s.max(1);
        let piece = rate.div_ceil(PIECES_PER_S);
        Some((piece as usize, u64::from(piece) * 1_000 / u64::from(rate)))
    }

    /// Of a hundred answers, so many that cannot be read.
    #[must_use]
    pub fn errors_percent(self) -> u32 {
        if let Self::Errors { percent } = self { percent } else { 0 }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let wrong = || FaultError(text.to_owned());
        let ms = |text: &str| -> Result<u64, FaultError> {
            let ms = clock::parse_duration_ms(text).ok().and_then(|ms| u64::try_from(ms).ok());
            ms.filter(|ms| (1..=MOST_MS).contains(ms)).ok_or_else(wrong)
        };
        let number = |text: &str, most: u32| -> Result<u32, FaultError> {
            let number = text.parse().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(wrong)
        };
        if let Some(more) = text.strip_prefix('+') {
            return Ok(Self::Slower { ms: ms(more)? });
        }
        match text.split_once(':') {
            None if text == "ok" => Ok(Self::None),
            None if text == "blackhole" => Ok(Self::Blackhole),
            None if text == "reset" => Ok(Self::Reset),
            Some(("drip", rate)) => Ok(Self::Drip { bytes_per_s: number(rate, MOST_DRIP)? }),
            Some(("errors", share)) => Ok(Self::Errors { percent: number(share, 100)? }),
            Some(("flap", every)) => Ok(Self::Flap { every_ms: ms(every)? }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: u64| clock::format_duration(i64::try_from(ms).unwrap_or(i64::MAX));
        match *self {
            Self::None => f.write_str("ok"),
            Self::Blackhole => f.write_str("blackhole"),
            Self::Reset => f.write_str("reset"),
            Self::Slower { ms } => write!(f, "+{}", time(ms)),
            Self::Drip { bytes_per_s } => write!(f, "drip:{bytes_per_s}"),
            Self::Errors { percent } => write!(f, "errors:{percent}"),
            Self::Flap { every_ms } => write!(f, "flap:{}", time(every_ms)),
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = FaultError;

    fn try_from(text: String) -> Result<Self, FaultError> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        for text in ["ok", "blackhole", "reset", "+500ms", "drip:20", "errors:30", "flap:2s"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in ["", "slow", "+", "+0ms", "+2h", "drip:0", "drip", "errors:101", "flap:-1s"] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")) && error.contains("blackhole"), "{error}");
        }
    }

    #[test]
    fn a_flapping_link_takes_turns_and_says_when_the_next_is() {
        let flap = Fault::Flap { every_ms: 2_000 };
        let at = [0, 1_999, 2_000, 3_999, 4_500].map(|ms| flap.passage(ms));
        let held = Passage::HeldFor;
        assert_eq!(at, [held(2_000), held(1), Passage::Open, Passage::Open, held(1_500)]);
    }

    #[test]
    fn a_drip_keeps_its_rate() {
        for rate in [1, 3, 20, 21, 1_000, MOST_DRIP] {
            let (bytes, pause_ms) = Fault::Drip { bytes_per_s: rate }.pace().unwrap();
            let in_a_second = bytes as f64 * 1e3 / pause_ms as f64;
            let off = in_a_second / f64::from(rate);
            assert!((0.99..1.06).contains(&off), "{rate}: {bytes} bytes every {pause_ms} ms");
        }
        assert_eq!(Fault::Blackhole.pace(), None);
    }
}
