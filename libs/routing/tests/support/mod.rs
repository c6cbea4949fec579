//! Targets that say what a test wants.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::sync::Arc;

use routing::{Health, Part, Router, Settings};

/// Regions `a`, `b`, `c`…, in this order, without a bias.
pub fn router(settings: Settings, targets: usize) -> Router {
    let names = ('a'..).take(targets).map(|name| (Arc::from(name.to_string()), 1.0));
    Router::new(settings, &names.collect::<Vec<_>>(), 0)
}

/// Ready, and its parts of `a`, `b`… complete up to these times by their own clocks.
pub fn well(complete_to_ms: &[i64]) -> Health {
    let part = |(name, at): (char, &i64)| {
        (Arc::from(name.to_string()), Part { age_ms: Some(0), complete_to_ms: Some(*at) })
    };
    Health {
        serving: true,
        ready: true,
        parts: ('a'..).zip(complete_to_ms).map(part).collect(),
        ..Health::default()
    }
}
