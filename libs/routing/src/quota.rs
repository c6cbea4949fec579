//! How much each client may ask: one that asks for everything leaves something for the others.
//!
//! Source: a token bucket per client. Clients are bounded: whose bucket is full again is forgotten,
//! as a new one would be full too; when all are in use, newcomers share one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bucket::TokenBucket;

/// What a client may ask.
#[derive(Clone, Copy, Debug)]
pub struct QuotaSettings {
    /// Requests a second.
    pub per_s: u64,
    /// Requests at once, after a pause.
    pub burst: u64,
    /// Clients that are told apart.
    pub clients: usize,
}

/// A bucket for every client.
#[derive(Clone, Debug)]
pub struct Quotas {
    settings: QuotaSettings,
    buckets: HashMap<Arc<str>, TokenBucket>,
    others: TokenBucket,
}

impl Quotas {
    /// Full buckets.
    #[must_use]
    pub fn new(settings: QuotaSettings, now_ms: u64) -> Self {
        let others = TokenBucket::full(settings.burst, settings.per_s, now_ms);
        Self { settings, buckets: HashMap::new(), others }
    }

    /// Takes one request of a client in.
    ///
    /// # Errors
    /// It has had its share; how long until it may ask again, ms.
    pub fn request(&mut self, client: &str, now_ms: u64) -> Result<(), u64> {
        let bucket = self.bucket(client, now_ms);
        if bucket.try_take(now_ms) { Ok(()) } else { Err(bucket.wait_ms(now_ms).unwrap_or(1_000)) }
    }

    /// Clients that are told apart now.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.buckets.len()
    }

    fn bucket(&mut self, client: &str, now_ms: u64) -> &mut TokenBucket {
        let QuotaSettings { per_s, burst, clients } = self.settings;
        if !self.buckets.contains_key(client) && self.buckets.len() >= clients {
            self.buckets.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        if !self.buckets.contains_key(client) && self.buckets.len() >= clients {
            return &mut self.others;
        }
        let new = || TokenBucket::full(burst, per_s, now_ms);
        self.buckets.entry(client.into()).or_insert_with(new)
    }
}
