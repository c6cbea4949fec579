//! What an answer must be like, beyond being one.

use std::collections::HashMap;

use api::node::v1 as node;
use api::v1::{OriginInfo, ReadOptions};
use lattice::Origin;

use crate::refusal::Refusal;
use crate::watcher::origin;

/// How long a token may be waited for, and how old a part may be.
pub(crate) struct Rules<'a> {
    pub(crate) waits: bool,
    pub(crate) max_staleness_ms: Option<i64>,
    pub(crate) exclude: &'a [String],
}

impl<'a> Rules<'a> {
    /// Those of a request.
    pub(crate) fn of(options: &'a ReadOptions) -> Self {
        Self {
            waits: options.tokens.iter().any(|token| !token.is_empty()),
            max_staleness_ms: options.max_staleness_ms,
            exclude: &options.exclude_regions,
        }
    }

    /// The oldest part, if it is older than allowed, of what was said so long ago.
    pub(crate) fn too_old(
        &self,
        origins: &HashMap<String, OriginInfo>,
        since_ms: i64,
    ) -> Option<Refusal> {
        let max_ms = self.max_staleness_ms?;
        let included = origins.iter().filter(|(region, _)| !self.exclude.contains(region));
        let age_ms = |ms: Option<i64>| ms.map_or(i64::MAX, |ms| ms.saturating_add(since_ms));
        let ages = included.map(|(region, origin)| (age_ms(origin.age_ms), region));
        let (age_ms, region) = ages.max().filter(|(age_ms, _)| *age_ms > max_ms)?;
        let unknown = age_ms == i64::MAX;
        let age = if unknown { "infinitely".into() } else { clock::format_duration(age_ms) };
        Some(Refusal::TooOld { region: region.clone(), age })
    }
}

/// The offsets that a request must see, as the router takes them.
pub(crate) fn wanted(tokens: &[node::Position]) -> Vec<(Origin, u64)> {
    tokens.iter().filter_map(|token| Some((origin(token)?, token.offset))).collect()
}
