//! A read whose shards are not all served by one node: taken apart by who serves which, and put
//! together again in the order that was asked for.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};

use api::node::v1 as node;
use api::v1::{FeatureColumn, FeatureInfo, OriginInfo, Value};
use prost::{DecodeError, Message};
use routing::Pick;

use crate::answer::Answered;

/// What can be said of an origin, the best first: of what several nodes say the worst holds.
const STATES: [&str; 6] = ["ok", "stale", "catching_up", "partial", "missing", "excluded"];
/// How an answer can come about, the plainest first.
const ROUTES: [&str; 4] = ["local", "hedged", "failover", "stale"];

/// Who is asked for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Split {
    /// Any of these for everything, the best first.
    Whole(Vec<Pick>),
    /// Each part of those who serve it.
    Parts(Vec<Part>),
}

/// What is served by the same regions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// By the question's views, which of their entities, ascending.
    pub(crate) entities: BTreeMap<usize, Vec<usize>>,
    /// Who serves them all, the best first.
    pub(crate) picks: Vec<Pick>,
}

/// Takes views apart by who serves their shards. A shard that nobody serves is asked of everybody:
/// they will say so.
pub(crate) fn split(
    views: &[node::ViewRead],
    picks: Vec<Pick>,
    serves: impl Fn(&Pick, u32) -> bool,
) -> Split {
    let mut able: BTreeMap<u32, Vec<Pick>> = BTreeMap::new();
    for shard in views.iter().flat_map(|view| &view.shards) {
        able.entry(*shard).or_insert_with(|| {
            let able = picks.iter().filter(|pick| serves(pick, *shard)).cloned();
            let able: Vec<Pick> = able.collect();
            if able.is_empty() { picks.clone() } else { able }
        });
    }
    if able.values().all(|able| able.len() == picks.len()) {
        return Split::Whole(picks);
    }
    let mut parts: Vec<Part> = Vec::new();
    for (view, read) in views.iter().enumerate() {
        for (entity, shard) in read.shards.iter().enumerate() {
            let able = &able[shard];
            let at = parts.iter().position(|part| part.picks == *able).unwrap_or_else(|| {
                parts.push(Part { entities: BTreeMap::new(), picks: able.clone() });
                parts.len() - 1
            });
            parts[at].entities.entry(view).or_default().push(entity);
        }
    }
    Split::Parts(parts)
}

/// The question of a part.
pub(crate) fn question(
    whole: &node::ReadRequest,
    entities: &BTreeMap<usize, Vec<usize>>,
) -> node::ReadRequest {
    let view = |(view, entities): (&usize, &Vec<usize>)| {
        let of = &whole.views[*view];
        node::ViewRead {
            view: of.view.clone(),
            version: of.version,
            entities: entities.iter().map(|at| of.entities[*at].clone()).collect(),
            shards: entities.iter().map(|at| of.shards[*at]).collect(),
            features: of.features.clone(),
        }
    };
    node::ReadRequest {
        views: entities.iter().map(view).collect(),
        as_of_ms: whole.as_of_ms,
        now_ms: whole.now_ms,
        exclude_regions: whole.exclude_regions.clone(),
        tokens: whole.tokens.clone(),
        wait_ms: whole.wait_ms,
    }
}

/// One answer of those to the parts, each of which fits its part: every entity in its place, and of
/// what is said of the mesh what holds for all of it.
///
/// # Errors
/// A value is none.
pub(crate) fn join(
    whole: &[node::ViewRead],
    parts: Vec<(BTreeMap<usize, Vec<usize>>, Answered)>,
) -> Result<Answered, DecodeError> {
    let mut views: Vec<View> = whole.iter().map(View::blank).collect();
    let (mut regions, mut route) = (Vec::new(), ROUTES[0]);
    let mut origins: HashMap<String, OriginInfo> = HashMap::new();
    let (mut seen, mut generation): (Vec<node::Position>, u64) = (Vec::new(), u64::MAX);
    for (entities, Answered { region, route: by, response }) in parts {
        for ((view, places), values) in entities.iter().zip(response.views) {
            views[*view].put(places, values)?;
        }
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
    let views = views.into_iter().map(View::encoded).collect();
    let response = node::ReadResponse { views, origins, generation, seen };
    Ok(Answered { region: regions.join(","), route, response })
}

/// A view that is put together.
struct View {
    columns: Vec<FeatureColumn>,
    values: node::ViewValues,
}

impl View {
    /// With a place for every value.
    fn blank(read: &node::ViewRead) -> Self {
        let (count, width) = (read.entities.len(), read.features.len());
        let column = FeatureColumn {
            values: vec![Value::default(); count],
            statuses: vec![0; count],
            event_timestamps_ms: vec![0; count],
        };
        let values = node::ViewValues {
            invalid_reasons: vec![String::new(); width],
            features: vec![FeatureInfo::default(); width],
            ..node::ViewValues::default()
        };
        Self { columns: vec![column; width], values }
    }

    /// Puts what was answered of these entities into its places.
    fn put(&mut self, places: &[usize], given: node::ViewValues) -> Result<(), DecodeError> {
        for (into, column) in self.columns.iter_mut().zip(given.columns) {
            let of = FeatureColumn::decode(column)?;
            let cells = of.values.into_iter().zip(of.statuses).zip(of.event_timestamps_ms);
            for (place, ((value, status), at_ms)) in places.iter().zip(cells) {
                into.values[*place] = value;
                into.statuses[*place] = status;
                into.event_timestamps_ms[*place] = at_ms;
            }
        }
        let values = &mut self.values;
        for (into, of) in values.invalid_reasons.iter_mut().zip(given.invalid_reasons) {
            if !of.is_empty() {
                *into = of;
            }
        }
        for (into, of) in values.features.iter_mut().zip(given.features) {
            *into = into.coarser(of);
        }
        values.catching_up |= given.catching_up;
        Ok(())
    }

    fn encoded(self) -> node::ViewValues {
        let columns = self.columns.iter().map(FeatureColumn::encoded).collect();
        node::ViewValues { columns, ..self.values }
    }
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
    use api::v1::value::Kind;
    use proptest::prelude::*;
    use routing::Standing;

    use super::*;

    fn pick(target: usize) -> Pick {
        Pick { target, standing: Standing::Fit }
    }

    fn view(shards: &[u32]) -> node::ViewRead {
        node::ViewRead {
            shards: shards.to_vec(),
            entities: (0..shards.len()).map(|at| vec![at as u8].into()).collect(),
            features: vec![0],
            ..Default::default()
        }
    }

    /// A node that answers each entity with its key.
    fn answer(read: &node::ReadRequest) -> node::ReadResponse {
        let values = |view: &node::ViewRead| {
            let keys = || view.entities.iter().map(|entity| i64::from(entity[0]));
            let value = |key| Value { kind: Some(Kind::IntValue(key)) };
            let column = FeatureColumn {
                values: keys().map(value).collect(),
                statuses: keys().map(|key| key as i32).collect(),
                event_timestamps_ms: keys().collect(),
            };
            node::ViewValues {
                columns: vec![column.encoded()],
                invalid_reasons: vec![String::new()],
                features: vec![FeatureInfo::default()],
                catching_up: false,
            }
        };
        let views = read.views.iter().map(values).collect();
        node::ReadResponse { views, ..Default::default() }
    }

    proptest! {
        /// Every entity is in one part; who is asked serves all of it, if anybody does, in the order
        /// of the picks; and what is answered to the parts, put together, is what one node would
        /// have answered to the whole.
        #[test]
        fn parts_are_the_whole(
            shards in prop::collection::vec(prop::collection::vec(0_u32..6, 1..20), 0..4),
            served in prop::collection::vec(prop::collection::hash_set(0_u32..6, 0..6), 1..4),
        ) {
            let serves = |pick: &Pick, shard: u32| served[pick.target].contains(&shard);
            let views = shards.iter().map(|shards| view(shards)).collect();
            let whole = node::ReadRequest { views, ..Default::default() };
            let picks: Vec<Pick> = (0..served.len()).map(pick).collect();
            let able = |shard: u32| -> Vec<Pick> {
                let able: Vec<_> = picks.iter().filter(|p| serves(p, shard)).cloned().collect();
                if able.is_empty() { picks.clone() } else { able }
            };
            let parts = match split(&whole.views, picks.clone(), serves) {
                Split::Whole(asked) => {
                    prop_assert!(shards.iter().flatten().all(|shard| able(*shard) == asked));
                    return Ok(());
                }
                Split::Parts(parts) => parts,
            };
            let answered = parts.into_iter().map(|part| {
                let question = question(&whole, &part.entities);
                for shard in question.views.iter().flat_map(|view| &view.shards) {
                    assert_eq!(part.picks, able(*shard));
                }
                let response = answer(&question);
                (part.entities, Answered { region: "us".into(), route: "local", response })
            });
            let joined = join(&whole.views, answered.collect()).expect("columns");
            prop_assert_eq!(joined.response.views, answer(&whole).views);
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
            (BTreeMap::new(), Answered { region: region.into(), route, response })
        };
        let us = part("us", "local", "ok", Some(10), 5);
        let eu = part("eu", "failover", "stale", Some(30), 9);
        let whole = join(&[], vec![us.clone(), eu.clone(), us.clone()]).expect("columns");
        assert_eq!((whole.region.as_str(), whole.route), ("us,eu", "failover"));
        let ap = &whole.response.origins["ap"];
        assert_eq!((ap.state.as_str(), ap.age_ms, ap.watermark_ms), ("stale", Some(30), Some(10)));
        assert_eq!(ap.complete_to_ms, Some(10));
        let seen: Vec<_> = whole.response.seen.iter().map(|p| (p.partition, p.offset)).collect();
        assert_eq!((seen, whole.response.generation), (vec![(0, 5), (5, 1), (9, 1)], 5));
        let nothing = part("eu", "local", "missing", None, 9);
        let ap = join(&[], vec![us, nothing]).expect("columns").response.origins["ap"].clone();
        assert_eq!((ap.state.as_str(), ap.age_ms), ("missing", None));
    }
}
