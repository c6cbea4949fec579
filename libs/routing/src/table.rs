//! The routes as people read them: one row a target, with the reason for where it stands.

use std::sync::Arc;

use crate::ramp::share_percent;
use crate::router::Settings;
use crate::standing::Standing;
use crate::target::Target;

/// A target.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: Arc<str>,
    /// Whether requests go there.
    pub home: bool,
    /// How fit it is for a request that needs nothing in particular.
    pub standing: Standing,
    /// Its breaker's state.
    pub breaker: &'static str,
    /// Failures in a row.
    pub failures: u32,
    /// Its round trip, µs; `None`: not measured yet.
    pub round_trip_us: Option<f64>,
    /// Requests under way.
    pub outstanding: u64,
    /// The share of requests that it gets as the home, percent.
    pub share_percent: u64,
    /// How long ago it was heard, ms; `None`: it is lost.
    pub heard_ms: Option<u64>,
    /// By origin, how far it lags the best of its peers, ms.
    pub lags_ms: Vec<(Arc<str>, i64)>,
}

impl Row {
    pub(crate) fn new(
        target: &Target,
        standing: Standing,
        home: bool,
        settings: &Settings,
        now_ms: u64,
    ) -> Self {
        let passed = |since_ms| share_percent(now_ms.saturating_sub(since_ms), settings.step_ms);
        Self {
            name: target.name.clone(),
            home,
            standing,
            breaker: target.breaker.state().name(),
            failures: target.breaker.failures(),
            round_trip_us: target.round_trip.value_us(),
            outstanding: target.outstanding,
            share_percent: target.ramp_ms.map_or(100, passed),
            heard_ms: target.heard.as_ref().map(|(at_ms, _)| now_ms.saturating_sub(*at_ms)),
            lags_ms: target.lags_ms.iter().map(|(name, lag)| (name.clone(), *lag)).collect(),
        }
    }
}
