//! A read whose shards are not all served by one node: taken apart by who serves which, and put
//! together again in the order that was asked for.

use std::collections::hash_map::{Entry, HashMap};

use api::node::v1 as node;
use api::v1::OriginInfo;
use routing::Pick;

use crate::answer::Answered;

/// What can be said of an origin, the best first: of what several nodes say the worst holds.
const STATES: [&str; 6] = ["ok", "stale", "catching_up", "partial", "missing", "excluded"];
/// How an answer can come about, the plainest first.
const ROUTES: [&str; 4] = ["local", "hedged", "failover", "stale"];

/// Views whose shards are served by the same regions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// Indices into the question's views, ascending.
    pub(crate) views: Vec<usize>,
    /// Who serves them all, the best first.
    pub(crate) picks: Vec<Pick>,
}

/// Takes views apart by who serves their shards. A shard that nobody serves is asked of everybody:
/// they will say so.
pub(crate) fn split(
    views: &[node::ViewRead],
    picks: Vec<Pick>,
    serves: impl Fn(&Pick, u32) -> bool,
) -> Vec<Part> {
    let all = |view: &node::ViewRead| picks.iter().all(|pick| serves(pick, view.shard));
    if views.iter().all(all) {
        return vec![Part { views: (0..views.len()).collect(), picks }];
    }
    let mut parts: Vec<Part> = Vec::new();
    for (at, view) in views.iter().enumerate() {
        let able = picks.iter().filter(|pick| serves(pick, view.shard)).cloned();
        let able = Some(able.collect::<Vec<_>>()).filter(|able| !able.is_empty());
        let able = able.unwrap_or_else(|| picks.clone());
        match parts.iter_mut().find(|part| part.picks == able) {
            Some(part) => part.views.push(at),
            None => parts.push(Part { views: vec![at], picks: able }),
        }
    }
    parts
}

/// The question of a part.
pub(crate) fn question(whole: &node::ReadRequest, views: &[usize]) -> node::ReadRequest {
    node::ReadRequest {
        views: views.iter().map(|at| whole.views[*at].clone()).collect(),
        as_of_ms: whole.as_of_ms,
        now_ms: whole.now_ms,
        exclude_regions: whole.exclude_regions.clone(),
        tokens: whole.tokens.clone(),
        wait_ms: whole.wait_ms,
    }
}

/// One answer of those to the parts: every view in its place, and of what is said of the mesh what
/// holds for all of it.
pub(crate) fn join(parts: Vec<(Vec<usize>, Answered)>) -> Answered {
    let mut views: Vec<(usize, node::ViewValues)> = Vec::new();
    let (mut regions, mut route) = (Vec::new(), ROUTES[0]);
    let mut origins: HashMap<String, OriginInfo> = HashMap::new();
    let (mut seen, mut generation): (Vec<node::Position>, u64) = (Vec::new(), u64::MAX);
    for (places, Answered { region, route: by, response }) in parts {
        views.extend(places.into_iter().zip(response.views));
        if !regions.contains(&region) {
            regions.push(region);
        }
        route = if rank(&ROUTES, by) > rank(&ROUTES, route) { by } else { route };
        generation = generation.min(response.generation);
        for (name, info) in response.origins {
            match origins.entry(name) {
                Entry::Occupied(mut known) => worst(known.get_mut(), info),
                Entry::Vacant(new) => _ = new.insert(info),
            }
        }
        response.seen.into_iter().for_each(|position| least(&mut seen, position));
    }
    views.sort_by_key(|(place, _)| *place);
    let views = views.into_iter().map(|(_, view)| view).collect();
    let response = node::ReadResponse { views, origins, generation, seen };
    Answered { region: regions.join(","), route, response }
}

fn rank(order: &[&str], word: &str) -> usize {
    order.iter().position(|known| *known == word).unwrap_or(order.len())
}

/// What holds for both.
fn worst(one: &mut OriginInfo, other: OriginInfo) {
    if rank(&STATES, &other.state) > rank(&STATES, &one.state) {
        one.state = other.state;
    }
    // Of a part that has nothing of an origin, no number can be given.
    one.age_ms = one.age_ms.zip(other.age_ms).map(|(a, b)| a.max(b));
    one.complete_to_ms = one.complete_to_ms.zip(other.complete_to_ms).map(|(a, b)| a.min(b));
    one.watermark_ms = one.watermark_ms.zip(other.watermark_ms).map(|(a, b)| a.min(b));
}

/// A part that has not seen an origin at all does not say so. The token asks for more than that part
/// has seen, then, which is no harm.
fn least(seen: &mut Vec<node::Position>, position: node::Position) {
    let same = |known: &&mut node::Position| {
        (&known.region, &known.topic_id, known.partition)
            == (&position.region, &position.topic_id, position.partition)
    };
    match seen.iter_mut().find(same) {
        Some(known) => known.offset = known.offset.min(position.offset),
        None => seen.push(position),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use routing::Standing;

    use super::*;

    fn pick(target: usize) -> Pick {
        Pick { target, standing: Standing::Fit }
    }

    fn views(shards: &[u32]) -> Vec<node::ViewRead> {
        let view = |shard: &u32| node::ViewRead { shard: *shard, ..Default::default() };
        shards.iter().map(view).collect()
    }

    proptest! {
        /// Every view is in one part; who is asked serves all of it, if anybody does, in the order
        /// of the picks; and the parts, put together, are the whole again.
        #[test]
        fn parts_are_the_whole(
            shards in prop::collection::vec(0_u32..6, 0..20),
            served in prop::collection::vec(prop::collection::hash_set(0_u32..6, 0..6), 1..4),
        ) {
            let serves = |pick: &Pick, shard: u32| served[pick.target].contains(&shard);
            let views = views(&shards);
            let picks: Vec<Pick> = (0..served.len()).map(pick).collect();
            let parts = split(&views, picks.clone(), serves);
            for part in &parts {
                for at in &part.views {
                    let able: Vec<Pick> =
                        picks.iter().filter(|pick| serves(pick, shards[*at])).cloned().collect();
                    prop_assert_eq!(&part.picks, if able.is_empty() { &picks } else { &able });
                }
            }
            let answers = parts.into_iter().map(|part| {
                let values = |at: &usize| node::ViewValues {
                    rows: vec![node::EntityValues { event_time_ms: *at as i64, ..Default::default() }],
                    ..Default::default()
                };
                let views = part.views.iter().map(values).collect();
                let response = node::ReadResponse { views, ..Default::default() };
                (part.views, Answered { region: "us".into(), route: "local", response })
            });
            let whole = join(answers.collect());
            let order = whole.response.views.iter().map(|view| view.rows[0].event_time_ms);
            prop_assert!(order.eq(0..shards.len() as i64));
        }
    }

    #[test]
    fn of_what_is_said_of_the_mesh_the_worst_holds() {
        let part = |region: &str, route, state: &str, ms: Option<i64>, offset| {
            let origin = OriginInfo {
                state: state.into(),
                age_ms: ms,
                watermark_ms: ms,
                complete_to_ms: ms,
            };
            let position = |partition, offset| node::Position {
                region: "ap".into(),
                topic_id: vec![7; 16].into(),
                partition,
                offset,
            };
            let response = node::ReadResponse {
                origins: [("ap".to_owned(), origin)].into(),
                seen: vec![position(0, offset), position(offset as u32, 1)],
                generation: offset,
                ..Default::default()
            };
            (vec![], Answered { region: region.into(), route, response })
        };
        let us = part("us", "local", "ok", Some(10), 5);
        let eu = part("eu", "failover", "stale", Some(30), 9);
        let whole = join(vec![us.clone(), eu.clone(), us.clone()]);
        assert_eq!((whole.region.as_str(), whole.route), ("us,eu", "failover"));
        let ap = &whole.response.origins["ap"];
        assert_eq!((ap.state.as_str(), ap.age_ms, ap.watermark_ms), ("stale", Some(30), Some(10)));
        assert_eq!(ap.complete_to_ms, Some(10));
        let seen: Vec<_> = whole.response.seen.iter().map(|p| (p.partition, p.offset)).collect();
        assert_eq!((seen, whole.response.generation), (vec![(0, 5), (5, 1), (9, 1)], 5));
        let nothing = part("eu", "local", "missing", None, 9);
        let ap = join(vec![us, nothing]).response.origins["ap"].clone();
        assert_eq!((ap.state.as_str(), ap.age_ms), ("missing", None));
    }
}
