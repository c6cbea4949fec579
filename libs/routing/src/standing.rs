//! How fit a target is to answer a request, and the words for it.

use std::fmt;
use std::sync::Arc;

/// What speaks against a target; the first is asked first. Declared in that order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// Out of the breaker's favour, and asked whether it is well again.
    Probe,
    /// Nothing speaks against it.
    Fit,
    /// It is about to end.
    Draining,
    /// It has not seen a push that the request names.
    BehindToken,
    /// It answers from an older state.
    NotReady(String),
    /// Its part of this region lags its peers'.
    Lags(Arc<str>),
    /// Its part of this region is older than the request allows.
    TooOld(Arc<str>),
    /// It fails, but too many are left out already.
    Failing,
    /// It is left out for its failures.
    Ejected,
    /// It says that it cannot answer.
    NotServing,
    /// It is not heard of.
    Unknown,
}

impl Standing {
    /// The class alone.
    pub(crate) fn class(&self) -> u8 {
        match self {
            Self::Probe => 0,
            Self::Fit => 1,
            Self::Draining => 2,
            Self::BehindToken => 3,
            Self::NotReady(_) => 4,
            Self::Lags(_) => 5,
            Self::TooOld(_) => 6,
            Self::Failing => 7,
            Self::Ejected => 8,
            Self::NotServing => 9,
            Self::Unknown => 10,
        }
    }

    /// Whether it goes before all that are not fresh enough: how stale it is makes no difference there.
    pub(crate) fn is_fresh(&self) -> bool {
        use Standing::{BehindToken, Draining, Fit, NotReady, Probe};
        matches!(self, Probe | Fit | Draining | BehindToken | NotReady(_))
    }

    /// Its place among the others: all that fail are alike there, whether they could be left out or not, and
    /// how stale they are decides.
    pub(crate) fn place(&self) -> u8 {
        match self {
            Self::Failing => Self::Ejected.class(),
            other => other.class(),
        }
    }

    /// Whether it is asked against better knowledge, because nobody better is there: the answer must
    /// say so. (Of one that is not heard of nothing is known, and an answer that is too old for its
    /// request is none.)
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        matches!(self, Self::Lags(_) | Self::Failing | Self::Ejected)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => f.write_str("probed"),
            Self::Fit => f.write_str("fit"),
            Self::Draining => f.write_str("draining"),
            Self::BehindToken => f.write_str("has not seen the token"),
            Self::NotReady(why) => write!(f, "not ready: {why}"),
            Self::Lags(region) => write!(f, "lags its peers in {region}"),
            Self::TooOld(region) => write!(f, "its part of {region} is too old"),
            Self::Failing => f.write_str("failing, but too many are left out already"),
            Self::Ejected => f.write_str("left out for its failures"),
            Self::NotServing => f.write_str("says that it cannot answer"),
            Self::Unknown => f.write_str("not heard of"),
        }
    }
}
