//! One region after the other, until one answers as the rules want it, or the time is over, or too
//! much has been asked twice already.

use std::convert::Infallible;

use api::node::v1 as node;
use tonic::{Code, Status};
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::hedge::Tried;
use super::{Below, Read, Reading, Reply};
use crate::answer::{Answered, fits};
use crate::door::Door;
use crate::refusal::{Refusal, is_too_much, too_much};

pub(crate) fn retry<S>(door: &Door) -> impl Layer<S, Service = impl Below<Reading, Reply>>
where
    S: Below<Reading, (Reading, Vec<Tried>), Infallible>,
{
    layer_fn(move |below: S| {
        service_fn(move |reading: Reading| async move {
            door.extra.read();
            one_after_the_other(door, below, reading).await
        })
    })
}

async fn one_after_the_other(
    door: &Door,
    below: impl Below<Reading, (Reading, Vec<Tried>), Infallible>,
    mut reading: Reading,
) -> Result<Reply, Refusal> {
    let (mut first, mut failures) = (true, Failures::default());
    while !reading.left.is_empty() {
        if reading.read.ask.deadline.left_ms(&*door.env) == 0 {
            failures.too_late = true;
            break;
        }
        if !first && !door.extra.may_retry() {
            failures.reasons.push("too many reads are being retried".into());
            break;
        }
        let Ok((next, tries)) = below.oneshot(reading).await;
        reading = next;
        if !first && !tries.is_empty() {
            door.instruments.retry();
        }
        first &= tries.is_empty();
        for Tried { pick, hedged, answer } in tries {
            let region = &door.regions.at(pick.target).name;
            if let Some(response) = failures.judge(region, &reading.read, answer)? {
                let route = door.regions.route(&pick, hedged);
                let answered = Answered { region: region.to_string(), route, response };
                return Ok((answered, reading.read.question));
            }
            if !reading.left.is_empty() {
                door.instruments.failover(region);
            }
        }
    }
    Err(failures.refusal())
}

/// What came of those who were asked.
#[derive(Default)]
struct Failures {
    conflict: Option<Refusal>,
    reasons: Vec<String>,
    too_late: bool,
}

impl Failures {
    /// The answer, if it is one; else what it says is kept.
    ///
    /// # Errors
    /// Nobody else would answer it either.
    fn judge(
        &mut self,
        region: &str,
        read: &Read,
        answer: Result<node::ReadResponse, Status>,
    ) -> Result<Option<node::ReadResponse>, Refusal> {
        match answer {
            Ok(response) if !fits(&read.question.views, &response) => {
                self.reasons.push(format!("{region}: the answer does not fit the question"));
            }
            Ok(response) => match read.rules().too_old(&response.origins, 0) {
                None => return Ok(Some(response)),
                Some(refusal) => self.conflict = Some(refusal),
            },
            Err(status) if is_too_much(&status) => return Err(too_much(region, &status)),
            Err(status) if status.code() == Code::FailedPrecondition => {
                self.conflict.get_or_insert(Refusal::TokensNotReached);
            }
            Err(status) => {
                tracing::debug!(region, %status, "no answer");
                self.too_late |= status.code() == Code::DeadlineExceeded;
                self.reasons.push(format!("{region}: {}", status.message()));
            }
        }
        Ok(None)
    }

    fn refusal(self) -> Refusal {
        let reasons = self.reasons.join("; ");
        self.conflict.unwrap_or(match self.too_late {
            true => Refusal::TimedOut(reasons),
            false => Refusal::Unavailable(reasons),
        })
    }
}
