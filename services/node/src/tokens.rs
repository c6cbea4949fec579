//! Read your writes: a token is satisfied in a shard when the frontier has passed its offset.

use std::collections::BTreeSet;

use catalog::{Catalog, Plan};
use lattice::{Origin, TopicId};
use store::{State, Store};

use api::node::v1::{Position, ReadRequest};

use crate::shared::Shared;

/// Waits until everything that the tokens cover is in the shards and views asked for; false when
/// the time that the request allows for it has passed.
pub(crate) async fn wait(shared: &Shared, request: &ReadRequest) -> bool {
    let satisfied = || {
        let catalog = shared.catalog_now();
        let Some(store) = shared.store() else { return false };
        request.tokens.iter().all(|token| covers(store, &catalog, request, token))
    };
    if request.tokens.is_empty() || satisfied() {
        return true;
    }
    let wait = shared.wait_for(satisfied);
    clock::timeout(&shared.env, u64::from(request.wait_ms), wait).await.is_ok()
}

/// A token of another source does not concern a view. One of an unknown origin may concern any.
fn covers(store: &Store, catalog: &Catalog, request: &ReadRequest, token: &Position) -> bool {
    let Ok(topic) = <[u8; 16]>::try_from(&token.topic_id[..]) else { return false };
    let region = token.region.as_str().into();
    let origin = Origin { region, topic: TopicId(topic), partition: token.partition };
    request.views.iter().all(|view| {
        let active = catalog.active(&view.view, view.version);
        let Some(plan) = active.get(&origin.region) else { return true };
        let shards: BTreeSet<u32> = view.shards.iter().copied().collect();
        let states = |shard: &u32| store.states(*shard);
        shards.iter().map(states).all(|states| reached(states, &origin, plan, catalog, token))
    })
}

/// Whether a plan's states in a shard have.
fn reached(
    states: Vec<State>,
    origin: &Origin,
    plan: &Plan,
    catalog: &Catalog,
    token: &Position,
) -> bool {
    let mut of_origin = states.iter().filter(|state| state.origin == *origin).peekable();
    if of_origin.peek().is_none() {
        return false;
    }
    match of_origin.clone().find(|state| state.plan == plan.hash) {
        Some(state) => {
            state.proven.as_ref().is_some_and(|p| p.progress.frontier.next > token.offset)
        }
        None => of_origin
            .filter_map(|state| catalog.plan(state.plan))
            .any(|other| other.source.name != plan.source.name),
    }
}
