//! Another region beside the best one, when that is slower than usual.

use std::convert::Infallible;

use api::node::v1 as node;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use routing::{Pick, Standing};
use tonic::Status;
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::{Below, Reading, Try, Unanswered};
use crate::door::Door;
use crate::line::shares;
use crate::refusal::is_too_much;

/// Left of the deadline for the way back when a node waits for tokens, ms.
const MARGIN_MS: u64 = 20;

/// A region's answer, or why there is none.
pub(crate) struct Tried {
    pub(crate) pick: Pick,
    /// Whether it was asked beside another one.
    pub(crate) hedged: bool,
    pub(crate) answer: Result<node::ReadResponse, Status>,
}

type Asked<'a> = BoxFuture<'a, Option<Tried>>;

/// Takes one or two of those who are left, and gives back the others: with a try, or with two, of
/// which the last has answered if any has; with none if somebody else probes whom it took.
pub(crate) fn hedge<S>(
    door: &Door,
) -> impl Layer<S, Service = impl Below<Reading, (Reading, Vec<Tried>), Infallible>>
where
    S: Below<Try<node::ReadRequest>, node::ReadResponse, Unanswered>,
{
    layer_fn(move |below: S| {
        service_fn(move |mut reading: Reading| async move {
            let started_us = door.env.monotonic_us();
            let tries = hedged(door, below, &mut reading).await;
            if tries.last().is_some_and(|tried| tried.answer.is_ok()) {
                door.extra.took(started_us);
            }
            Ok((reading, tries))
        })
    })
}

async fn hedged<S>(door: &Door, below: S, reading: &mut Reading) -> Vec<Tried>
where
    S: Below<Try<node::ReadRequest>, node::ReadResponse, Unanswered>,
{
    let Some(mut one) = next(door, below, reading, false) else { return Vec::new() };
    let slow_after_ms = if can_hedge(reading) { door.extra.slow_after_ms() } else { None };
    if let Some(slow_after_ms) = slow_after_ms {
        match select(one, door.env.sleep_ms(slow_after_ms)).await {
            Either::Left((tried, _)) => return Vec::from_iter(tried),
            Either::Right(((), still)) => one = still,
        }
        let may = door.extra.may_hedge();
        if let Some(two) = may.then(|| next(door, below, reading, true)).flatten() {
            door.instruments.hedge();
            return race(one, two).await;
        }
    }
    Vec::from_iter(one.await)
}

/// Only what is as good as the first is asked beside it; and a node that waits for a token is not
/// slow.
fn can_hedge(reading: &Reading) -> bool {
    let next = reading.left.last();
    !reading.read.rules().waits && next.is_some_and(|pick| pick.standing == Standing::Fit)
}

/// Asks the best of those who are left.
fn next<'a, S>(door: &Door, below: S, reading: &mut Reading, hedged: bool) -> Option<Asked<'a>>
where
    S: Below<Try<node::ReadRequest>, node::ReadResponse, Unanswered> + 'a,
{
    let pick = reading.left.pop()?;
    let question = question(door, reading, pick.clone());
    let asked = async move {
        let answer = match below.oneshot(question).await {
            Err(Unanswered::NotAsked) => return None,
            Err(Unanswered::Status(status)) => Err(status),
            Ok(answer) => Ok(answer),
        };
        Some(Tried { pick, hedged, answer })
    };
    Some(asked.boxed())
}

/// Asks a region, for as long as the deadline and those who come after it allow.
fn question(door: &Door, reading: &Reading, pick: Pick) -> Try<node::ReadRequest> {
    let left_ms = reading.read.ask.deadline.left_ms(&*door.env);
    let last = reading.left.is_empty();
    let mut question = reading.read.question.clone();
    if reading.read.rules().waits {
        // A region that may not see the token in time leaves the next one as much again.
        let wait_ms = if last { left_ms.saturating_sub(MARGIN_MS) } else { left_ms / 2 };
        question.wait_ms = u32::try_from(wait_ms).unwrap_or(u32::MAX);
    }
    let most_ms = if last { left_ms } else { left_ms - left_ms / 4 };
    let ms = door.config.try_ms.saturating_add(question.wait_ms.into()).min(most_ms);
    let (usual, priority) = (shares(&question), reading.read.ask.call.caller.priority);
    Try { pick, question, ms, usual, priority }
}

/// Two tries at once: the first answer counts, and the other one is given up. So it is when the answer
/// would be too large, as the other one's would be, too.
async fn race(one: Asked<'_>, two: Asked<'_>) -> Vec<Tried> {
    let (first, other) = select(one, two).await.factor_first();
    match &first {
        Some(Tried { answer: Ok(_), .. }) => Vec::from_iter(first),
        Some(Tried { answer: Err(status), .. }) if is_too_much(status) => Vec::from_iter(first),
        _ => first.into_iter().chain(other.await).collect(),
    }
}
