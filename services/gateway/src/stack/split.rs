//! Whom to ask; and where nodes differ in the shards that they serve, each for its part.

use futures::future::try_join_all;
use routing::{Need, Pick};
use tower::layer::layer_fn;
use tower::{Layer, ServiceExt, service_fn};

use super::{Below, Read, Reading, Reply};
use crate::door::Door;
use crate::question::unreadable;
use crate::refusal::Refusal;
use crate::rules::{self, Rules};
use crate::split::{self, Part, Split};

pub(crate) fn split<S>(door: &Door) -> impl Layer<S, Service = impl Below<Read, Reply>>
where
    S: Below<Reading, Reply>,
{
    layer_fn(move |below: S| {
        service_fn(move |read: Read| async move {
            let picks = plan(door, &read);
            let serves = |pick: &Pick, shard| door.regions.at(pick.target).serves(shard);
            match split::split(&read.question.views, picks, serves) {
                Split::Whole(picks) => below.oneshot(Reading::new(read, picks)).await,
                Split::Parts(parts) => in_parts(below, read, parts).await,
            }
        })
    })
}

/// All regions, the best first.
fn plan(door: &Door, read: &Read) -> Vec<Pick> {
    let tokens = rules::wanted(&read.question.tokens);
    let Rules { max_staleness_ms, exclude, .. } = read.rules();
    let need = Need { max_staleness_ms, exclude, tokens: &tokens };
    door.regions.routes().plan(&need)
}

/// Each part is a read of its own.
async fn in_parts(
    below: impl Below<Reading, Reply>,
    read: Read,
    parts: Vec<Part>,
) -> Result<Reply, Refusal> {
    let parts = parts.into_iter().map(|Part { entities, picks }| {
        let question = split::question(&read.question, &entities);
        let part = below.oneshot(Reading::new(Read { ask: read.ask.clone(), question }, picks));
        async move { Ok::<_, Refusal>((entities, part.await?.0)) }
    });
    let answered = split::join(&read.question.views, try_join_all(parts).await?);
    let answered = answered.map_err(unreadable)?;
    Ok((answered, read.question))
}

impl Reading {
    /// Of these, the best first.
    fn new(read: Read, mut picks: Vec<Pick>) -> Self {
        picks.reverse();
        Self { read, left: picks }
    }
}
