//! The mirror: copies another region's topics into this region's log, exactly once.
//!
//! Written once over the traits. Records and the positions after them go into the target in one
//! fenced commit, so a mirror may be killed, doubled or left in doubt at any moment: the next one
//! claims, reads the positions and goes on there. A *session* is that whole sequence; whatever
//! goes wrong or changes ends it, and the next one starts from what the logs say. One mirror per
//! region it reads from, so that a region that is away disturbs no other.

mod copy;
mod positions;
mod status;
mod survey;

use std::sync::Arc;

use clock::Env;
use futures::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::positions::{POSITIONS_TOPIC, positions_spec};
pub use self::status::{MirrorPosition, MirrorStatus};
use crate::log::{CommitError, Log, LogError, Tailer};

/// The first wait after a failed session, ms; doubled with each failure in a row …
const BACKOFF_MIN_MS: u64 = 50;
/// … up to this.
const BACKOFF_MAX_MS: u64 = 5_000;

/// What a topic of the source is called in the target.
pub type TopicName = Arc<dyn Fn(&str) -> Arc<str> + Send + Sync>;

/// What things are called in the target.
#[derive(Clone)]
pub struct Names {
    /// The claim that fences earlier mirrors of the region.
    pub claim: Arc<str>,
    /// The topic of the positions; may be shared by all mirrors.
    pub positions: Arc<str>,
    /// A topic of the source.
    pub topic: TopicName,
}

impl Names {
    /// `<from>.<topic>`, as MirrorMaker 2 calls it.
    #[must_use]
    pub fn of(from: &str) -> Self {
        let prefix: Arc<str> = from.into();
        Self {
            claim: format!("mirror-{from}").into(),
            positions: POSITIONS_TOPIC.into(),
            topic: Arc::new(move |topic| format!("{prefix}.{topic}").into()),
        }
    }
}

/// Copies topics of one other region into this region's log.
pub struct Mirror {
    env: Arc<dyn Env>,
    from: Arc<str>,
    source: Arc<dyn Tailer>,
    target: Arc<dyn Log>,
    names: Names,
    topics: watch::Receiver<Vec<Arc<str>>>,
    status: Mutex<MirrorStatus>,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Ended {
    /// The source's topics, their copies, or the list of those wanted are not what they were.
    #[error("the topics changed")]
    Changed,
    /// A log failed.
    #[error("{log}: {error}")]
    Log {
        /// Whose: the region, or the target.
        log: Arc<str>,
        error: LogError,
    },
    /// A log did not answer in time.
    #[error("{0}: no answer in time")]
    Silent(Arc<str>),
    /// A commit to the target failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Mirror {
    /// A mirror of `topics` of the region `from`, read through `source`, into `target`, where things
    /// are called as `names` says. The list may change while it runs.
    #[must_use]
    pub fn new(
        env: Arc<dyn Env>,
        from: Arc<str>,
        source: Arc<dyn Tailer>,
        target: Arc<dyn Log>,
        names: Names,
        topics: watch::Receiver<Vec<Arc<str>>>,
    ) -> Self {
        Self { env, from, source, target, names, topics, status: Mutex::default() }
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> MirrorStatus {
        self.status.lock().clone()
    }

    /// Mirrors until it is dropped.
    pub async fn run(&self) {
        let mut backoff_ms = BACKOFF_MIN_MS;
        loop {
            let before = self.status.lock().records;
            let ended = self.session().await;
            if ended == Ended::Changed {
                continue;
            }
            if self.status.lock().records > before {
                backoff_ms = BACKOFF_MIN_MS;
            }
            // Whoever fenced this mirror is welcome to go on; there is no haste to fence it back.
            if ended == Ended::Commit(CommitError::Fenced) {
                backoff_ms = BACKOFF_MAX_MS;
            }
            tracing::warn!(from = %self.from, error = %ended, "the mirror starts again");
            self.status.lock().last_error = Some(ended.to_string());
            self.env.sleep_ms(backoff_ms / 2 + self.env.random_u64() % backoff_ms).await;
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MAX_MS);
        }
    }

    /// Looks at the source, claims, reads the positions, and copies until something ends that.
    async fn session(&self) -> Ended {
        self.try_session().await.err().unwrap_or(Ended::Changed)
    }

    async fn try_session(&self) -> Result<(), Ended> {
        let mut topics = self.topics.clone();
        let wanted = topics.borrow_and_update().clone();
        let found = self.survey(&wanted).await?;
        let targets = self.make_targets(&found).await?;
        let mut writer =
            self.target.claim(&self.names.claim).await.map_err(|error| self.target_error(error))?;
        let from = self.read_positions(&mut *writer, &found, &targets).await?;
        self.status.lock().start(&from);
        let copying = std::pin::pin!(self.copy(writer, from, &found));
        let watching = std::pin::pin!(self.watch(topics, &wanted, &found, &targets));
        // Dropping a commit leaves its outcome unknown: the next session claims, and reads.
        match select(copying, watching).await {
            Either::Left((ended, _)) | Either::Right((ended, _)) => ended,
        }
    }

    fn source_error(&self, error: LogError) -> Ended {
        Ended::Log { log: Arc::clone(&self.from), error }
    }

    fn target_error(&self, error: LogError) -> Ended {
        Ended::Log { log: "the own log".into(), error }
    }
}
