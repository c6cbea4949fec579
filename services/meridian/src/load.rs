//! A steady load on gateways: requests are due at a constant rate, whatever becomes of those before
//! them (an open loop, as users are one).

mod asker;
mod http;
pub(crate) mod plot;
mod samples;
pub(crate) mod tally;
mod zipf;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::v1::{GetFeaturesRequest, Value};
use clock::Env;
use tokio::sync::mpsc;

pub(crate) use self::asker::Protocol;
use self::asker::{Asker, request};
pub(crate) use self::samples::Samples;
use self::tally::{Done, Tally};
use self::zipf::Zipf;
use crate::error::{CliError, Result};

/// Requests under way; one more counts as failed at once.
const MOST_UNDER_WAY: u64 = 20_000;
/// What has ended and was not counted yet.
const UNCOUNTED: usize = 4_096;

/// One entity.
pub(crate) type Key = HashMap<String, Value>;

/// What to ask, how often, and of whom.
pub(crate) struct Job {
    /// URLs of gateways, the preferred one first.
    pub(crate) gateways: Vec<String>,
    /// What every request has in common.
    pub(crate) like: GetFeaturesRequest,
    /// Entities, the most popular first.
    pub(crate) keys: Vec<Key>,
    pub(crate) zipf_exponent: f64,
    /// Rows in a request.
    pub(crate) rows: usize,
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) duration_ms: u64,
    /// How long an answer may take, ms.
    pub(crate) timeout_ms: u64,
    pub(crate) protocol: Protocol,
    /// Where the run is parted, µs after its start, in order.
    pub(crate) marks_us: Vec<u64>,
}

/// Runs it to the end of the last answer.
///
/// # Errors
/// An address that is none, or samples that cannot be written.
pub(crate) async fn run(
    job: Job,
    mut samples: Option<Samples>,
    env: &Arc<dyn Env>,
) -> Result<Tally> {
    let unsound = |e| CliError::Usage(format!("cannot keep times: {e}"));
    let mut tally = Tally::new(job.marks_us.clone()).map_err(unsound)?;
    let asker = Asker::new(&job.gateways, job.protocol, job.timeout_ms)?;
    let (ended, mut endings) = mpsc::channel(UNCOUNTED);
    let sending = send(job, asker, env, ended);
    let counting = async {
        while let Some(done) = endings.recv().await {
            samples.iter_mut().try_for_each(|samples| samples.add(&done))?;
            tally.add(done);
        }
        samples.map_or(Ok(()), Samples::end)
    };
    let ((), counted) = futures::join!(sending, counting);
    counted.map(|()| tally)
}

async fn send(job: Job, asker: Asker, env: &Arc<dyn Env>, ended: mpsc::Sender<Done>) {
    let zipf = Zipf::new(job.keys.len(), job.zipf_exponent);
    let start_us = env.monotonic_us();
    let under_way = Arc::new(AtomicU64::new(0));
    let requests = (job.rate * job.duration_ms as f64 / 1e3) as u64;
    for i in 0..requests {
        let due_us = (i as f64 / job.rate * 1e6) as u64;
        let passed_us = env.monotonic_us() - start_us;
        // Timers are no finer than this; those that are due together are sent together.
        if due_us > passed_us + 1_000 {
            env.sleep_ms((due_us - passed_us) / 1_000).await;
        }
        // One that is sent a little early takes as long as it takes from then.
        let due_us = due_us.min(env.monotonic_us() - start_us);
        let keys: Vec<&Key> =
            (0..job.rows).map(|_| &job.keys[zipf.rank(env.random_u64())]).collect();
        let request = request(&job.like, &keys);
        let (asker, env, ended) = (asker.clone(), env.clone(), ended.clone());
        let under_way = under_way.clone();
        if under_way.fetch_add(1, Ordering::Relaxed) >= MOST_UNDER_WAY {
            under_way.fetch_sub(1, Ordering::Relaxed);
            let outcome = Err("too many are under way".to_owned());
            let end_us = env.monotonic_us() - start_us;
            _ = ended.send(Done { due_us, end_us, outcome, rerouted: false }).await;
            continue;
        }
        tokio::spawn(async move {
            let (outcome, rerouted) = asker.ask(request).await;
            let end_us = env.monotonic_us() - start_us;
            under_way.fetch_sub(1, Ordering::Relaxed);
            _ = ended.send(Done { due_us, end_us, outcome, rerouted }).await;
        });
    }
}
