//! How many requests are under way, which gateways are told; and when nobody asks any more, which a
//! node that ends waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use clock::Env;
use routing::{Busy, Departure, Drain, DrainSettings};

/// How often a node that ends looks whether it is still asked, ms.
const LOOK_MS: u64 = 20;

/// A count that goes down by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    under_way: AtomicU32,
    arrived: AtomicU64,
}

/// Counts for as long as it lives.
#[must_use]
pub(crate) struct UnderWay(Arc<Counts>);

impl Load {
    pub(crate) fn enter(&self) -> UnderWay {
        self.0.arrived.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.0.clone())
    }

    pub(crate) fn now(&self) -> u32 {
        self.0.under_way.load(Ordering::Relaxed)
    }

    /// Waits until nobody asks any more, or the time is up.
    pub(crate) async fn drained(&self, env: &dyn Env, settings: DrainSettings) -> Departure {
        let busy = || Busy {
            in_flight: self.now().into(),
            arrived: self.0.arrived.load(Ordering::Relaxed),
        };
        let mut drain = Drain::new(settings, busy(), env.monotonic_ms());
        loop {
            match drain.look(busy(), env.monotonic_ms()) {
                Departure::Stays => env.sleep_ms(LOOK_MS).await,
                departure => return departure,
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
