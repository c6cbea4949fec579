//! One read, answered by whichever region can: the best first, another one beside it when it is
//! slower than usual, the next when it cannot; within the deadline, and within what may be asked in
//! addition.

use std::sync::Arc;

use api::node::v1 as node;
use clock::{Env, timeout};
use futures::future::{BoxFuture, Either, select, try_join_all};
use parking_lot::Mutex;
use routing::{Budget, Need, Outcome, Percentile, Pick, Standing};
use tonic::{Code, Status};
use tracing::Instrument;

use crate::answer::{Answered, fits};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::hop;
use crate::metrics::Instruments;
use crate::refusal::Refusal;
use crate::regions::{Region, Regions};
use crate::rules::{self, Rules};
use crate::split::{self, Part, Split, join, split};

/// Left of the deadline for the way back when a node waits for tokens, ms.
const MARGIN_MS: u64 = 20;
/// A read that takes longer than this share of all is slow, percent.
const SLOW_PERCENTILE: f64 = 95.0;
/// What is usual is told from a window of so many ms, and of no fewer reads.
const USUAL_MS: u64 = 10_000;
const USUAL_READS: u64 = 100;

/// Asks regions.
pub(crate) struct Reader {
    env: Arc<dyn Env>,
    regions: Arc<Regions>,
    instruments: Arc<Instruments>,
    own: Arc<str>,
    try_ms: u64,
    extra: Mutex<Extra>,
}

/// What may be asked in addition.
struct Extra {
    retries: Budget,
    hedges: Budget,
    usual: Percentile,
}

/// One read under way.
struct Reading<'a> {
    reader: &'a Reader,
    question: node::ReadRequest,
    rules: &'a Rules<'a>,
    deadline: Deadline,
    /// Who has not been asked yet, the best last.
    left: Vec<Pick>,
    conflict: Option<Refusal>,
    reasons: Vec<String>,
    too_late: bool,
}

/// A region's answer, or why there is none.
type Tried = (Pick, Result<node::ReadResponse, Status>);
type Asked<'a> = BoxFuture<'a, Result<node::ReadResponse, Status>>;

impl Reader {
    pub(crate) fn new(
        config: &Config,
        env: Arc<dyn Env>,
        regions: Arc<Regions>,
        instruments: Arc<Instruments>,
    ) -> Self {
        let now_ms = env.monotonic_ms();
        let extra = Extra {
            retries: Budget::retries(config.retry_percent, config.retry_per_s, now_ms),
            hedges: Budget::hedges(config.hedge_percent, now_ms),
            usual: Percentile::new(SLOW_PERCENTILE, USUAL_MS, USUAL_READS, now_ms),
        };
        let (own, try_ms) = (config.region.clone(), config.try_ms);
        Self { env, regions, instruments, own, try_ms, extra: Mutex::new(extra) }
    }

    /// One region after the other, until one answers as the rules want it, or the time is over, or
    /// too much has been asked twice already.
    ///
    /// # Errors
    /// Nobody answered, or nobody answered well enough.
    pub(crate) async fn read(
        &self,
        question: node::ReadRequest,
        rules: &Rules<'_>,
        deadline: Deadline,
    ) -> Result<(Answered, node::ReadRequest), Refusal> {
        let tokens = rules::wanted(&question.tokens);
        let need = Need {
            max_staleness_ms: rules.max_staleness_ms,
            exclude: rules.exclude,
            tokens: &tokens,
        };
        let picks = self.regions.routes().plan(&need);
        let serves = |pick: &Pick, shard| self.regions.at(pick.target).serves(shard);
        let parts = match split(&question.views, picks, serves) {
            Split::Whole(picks) => {
                return self.reading(question, picks, rules, deadline).run().await;
            }
            Split::Parts(parts) => parts,
        };
        // Nodes differ in the shards that they serve: each part is a read of its own.
        let parts = parts.into_iter().map(async |Part { entities, picks }| {
            let question = split::question(&question, &entities);
            let (answered, _) = self.reading(question, picks, rules, deadline).run().await?;
            Ok::<_, Refusal>((entities, answered))
        });
        let answered = join(&question.views, try_join_all(parts).await?);
        Ok((answered, question))
    }

    /// A read of these regions, the best first.
    fn reading<'a>(
        &'a self,
        question: node::ReadRequest,
        mut picks: Vec<Pick>,
        rules: &'a Rules<'a>,
        deadline: Deadline,
    ) -> Reading<'a> {
        {
            let mut extra = self.extra.lock();
            extra.retries.request();
            extra.hedges.request();
        }
        picks.reverse();
        Reading {
            reader: self,
            question,
            rules,
            deadline,
            left: picks,
            conflict: None,
            reasons: Vec::new(),
            too_late: false,
        }
    }

    /// The word for how an answer came about.
    pub(crate) fn route(&self, pick: &Pick, hedged: bool) -> &'static str {
        match self.regions.at(pick.target).name == self.own {
            _ if pick.standing.is_last_resort() => "stale",
            _ if hedged => "hedged",
            true => "local",
            false => "failover",
        }
    }

    /// One try at one region; `None`: somebody else probes it. Nothing but its time cuts it short.
    pub(crate) fn attempt<'a, T: Send + 'a>(
        &'a self,
        pick: &Pick,
        ms: u64,
        call: impl FnOnce(&'a Region) -> BoxFuture<'a, Result<T, Status>>,
    ) -> Option<BoxFuture<'a, Result<T, Status>>> {
        let under_way = self.regions.routes().start(pick)?;
        let region = self.regions.at(pick.target);
        let span = telemetry::client("try", || {
            [("region", region.name.to_string()), ("standing", pick.standing.to_string())]
        });
        let call = call(region);
        let full = ms >= self.try_ms;
        let started_us = self.env.monotonic_us();
        let tried = async move {
            let answer = match timeout(&self.env, ms, call).await {
                Ok(Ok(response)) => Ok(response),
                // The channel has a timer of its own, and calls what it ends cancelled.
                Ok(Err(status)) if self.env.monotonic_us() - started_us < ms * 1_000 => Err(status),
                _ => Err(Status::deadline_exceeded(format!("no answer within {ms} ms"))),
            };
            under_way.end(blame(&answer, full));
            hop::ended(&answer);
            answer
        };
        Some(Box::pin(tried.instrument(span)))
    }

    fn took<T>(&self, answer: &Result<T, Status>, started_us: u64) {
        let now_us = self.env.monotonic_us();
        if answer.is_ok() {
            self.extra.lock().usual.observe(now_us - started_us, now_us / 1_000);
        }
    }

    fn slow_after_ms(&self) -> Option<u64> {
        let mut extra = self.extra.lock();
        let usual_us = extra.usual.value_us(self.env.monotonic_ms())?;
        Some(usual_us.div_ceil(1_000).max(1))
    }

    fn may_hedge(&self) -> bool {
        self.extra.lock().hedges.try_spend(self.env.monotonic_ms())
    }

    fn may_retry(&self) -> bool {
        self.extra.lock().retries.try_spend(self.env.monotonic_ms())
    }
}

impl<'a> Reading<'a> {
    async fn run(mut self) -> Result<(Answered, node::ReadRequest), Refusal> {
        let reader = self.reader;
        let mut first = true;
        while let Some(pick) = self.left.pop() {
            if self.deadline.left_ms(&*reader.env) == 0 {
                self.too_late = true;
                break;
            }
            if !first && !reader.may_retry() {
                self.reasons.push("too many reads are being retried".into());
                break;
            }
            let asked = pick.target;
            let Some(tries) = self.hedged(pick).await else { continue };
            if !first {
                reader.instruments.retry();
            }
            first = false;
            for (pick, tried) in tries {
                let hedged = pick.target != asked;
                if let Some(response) = self.judge(&pick, tried) {
                    let region = reader.regions.at(pick.target).name.to_string();
                    let route = reader.route(&pick, hedged);
                    return Ok((Answered { region, route, response }, self.question));
                }
                if !self.left.is_empty() {
                    reader.instruments.failover(&reader.regions.at(pick.target).name);
                }
            }
        }
        Err(self.refusal())
    }

    /// A try, and a second one beside it if it is slow: the one that answers is the last, and alone
    /// if there was no other. `None`: not tried.
    async fn hedged(&mut self, pick: Pick) -> Option<Vec<Tried>> {
        let reader = self.reader;
        let started_us = reader.env.monotonic_us();
        let mut one = self.attempt(&pick)?;
        let slow_after_ms = if self.can_hedge() { reader.slow_after_ms() } else { None };
        if let Some(slow_after_ms) = slow_after_ms {
            match select(one, reader.env.sleep_ms(slow_after_ms)).await {
                Either::Left((answer, _)) => {
                    reader.took(&answer, started_us);
                    return Some(vec![(pick, answer)]);
                }
                Either::Right(((), still)) => one = still,
            }
            let second = if reader.may_hedge() { self.left.pop() } else { None };
            if let Some((second, two)) = second.and_then(|s| Some((s.clone(), self.attempt(&s)?))) {
                reader.instruments.hedge();
                let tries = race((pick, one), (second, two)).await;
                tries.last().into_iter().for_each(|(_, answer)| reader.took(answer, started_us));
                return Some(tries);
            }
        }
        let answer = one.await;
        reader.took(&answer, started_us);
        Some(vec![(pick, answer)])
    }

    /// Only what is as good as the first is asked beside it; and a node that waits for a token is
    /// not slow.
    fn can_hedge(&self) -> bool {
        let next = self.left.last();
        !self.rules.waits && next.is_some_and(|pick| pick.standing == Standing::Fit)
    }

    /// Asks a region, for as long as the deadline and those who come after it allow.
    fn attempt(&self, pick: &Pick) -> Option<Asked<'a>> {
        let reader = self.reader;
        let left_ms = self.deadline.left_ms(&*reader.env);
        let last = self.left.is_empty();
        let mut question = self.question.clone();
        if self.rules.waits {
            // A region that may not see the token in time leaves the next one as much again.
            let wait_ms = if last { left_ms.saturating_sub(MARGIN_MS) } else { left_ms / 2 };
            question.wait_ms = u32::try_from(wait_ms).unwrap_or(u32::MAX);
        }
        let most_ms = if last { left_ms } else { left_ms - left_ms / 4 };
        let ms = reader.try_ms.saturating_add(question.wait_ms.into()).min(most_ms);
        reader.attempt(pick, ms, |region| Box::pin(region.read(question, ms)))
    }

    /// The answer, if it is one; else what it says is kept.
    fn judge(
        &mut self,
        pick: &Pick,
        tried: Result<node::ReadResponse, Status>,
    ) -> Option<node::ReadResponse> {
        match tried {
            Ok(response) if !fits(&self.question.views, &response) => {
                let region = &self.reader.regions.at(pick.target).name;
                self.reasons.push(format!("{region}: the answer does not fit the question"));
            }
            Ok(response) => match self.rules.too_old(&response.origins, 0) {
                None => return Some(response),
                Some(refusal) => self.conflict = Some(refusal),
            },
            Err(status) if status.code() == Code::FailedPrecondition => {
                self.conflict.get_or_insert(Refusal::TokensNotReached);
            }
            Err(status) => {
                let region = &self.reader.regions.at(pick.target).name;
                tracing::debug!(region = &**region, %status, "no answer");
                self.too_late |= status.code() == Code::DeadlineExceeded;
                self.reasons.push(format!("{region}: {}", status.message()));
            }
        }
        None
    }

    fn refusal(self) -> Refusal {
        let reasons = self.reasons.join("; ");
        self.conflict.unwrap_or(match self.too_late {
            true => Refusal::TimedOut(reasons),
            false => Refusal::Unavailable(reasons),
        })
    }
}

/// Two tries at once: the first answer counts, and the other one is given up.
async fn race(one: (Pick, Asked<'_>), two: (Pick, Asked<'_>)) -> Vec<Tried> {
    match select(one.1, two.1).await {
        Either::Left((Ok(answer), _)) => vec![(one.0, Ok(answer))],
        Either::Right((Ok(answer), _)) => vec![(two.0, Ok(answer))],
        Either::Left((failed, other)) => vec![(one.0, failed), (two.0, other.await)],
        Either::Right((failed, other)) => vec![(two.0, failed), (one.0, other.await)],
    }
}

/// What an answer says about the region. A try that had less time than any other says nothing by
/// being too late, or one impatient caller could have a region left out for all.
fn blame<T>(answer: &Result<T, Status>, full: bool) -> Outcome {
    match answer.as_ref().map_err(Status::code) {
        Ok(_) => Outcome::Answered,
        Err(Code::DeadlineExceeded) if !full => Outcome::Abandoned,
        // It is well: it says that it has not got what was asked for.
        Err(
            Code::FailedPrecondition | Code::NotFound | Code::InvalidArgument | Code::OutOfRange,
        ) => Outcome::Answered,
        Err(_) => Outcome::Failed,
    }
}
