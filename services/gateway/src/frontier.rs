//! What the own region's node has said of how far it is, and which answers it has left behind.
//!
//! The node says over `Watch`, twice a second and whenever it has other news, the next offset that
//! it lacks of each origin. An answer says up to which offset it has seen each origin of its views.
//! So an answer is *left behind* once the node has said that it is further in an origin than the
//! answer was, or that it has got a first event of an origin which the answer did not know. What
//! the node has folded since it last spoke is not known here: an answer is left behind by the
//! events of the last half second one message later.
//!
//! A node that starts again from a checkpoint may say less than before. Then the answers that have
//! seen more than it has are not left behind: what counts is what it said last.

use std::collections::HashMap;

use api::node::v1::Position;
use lattice::Origin;

use crate::watcher::origin;

/// What the node last said; a number for each time that it was something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frontier {
    moves: u64,
    /// The move at which an origin was last heard of for the first time.
    grew: u64,
    /// The next offset that the node lacks; nothing of an origin that it has nothing of.
    next: HashMap<Origin, u64>,
}

impl Frontier {
    /// How often it has moved.
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// What it is after the node has said this; `None`: the same. An origin that the node leaves
    /// out, as it does until it has loaded its checkpoint, is where it was.
    pub(crate) fn heard(&self, said: &[Position]) -> Option<Self> {
        let known = said.iter().filter(|position| position.offset > 0);
        let known = known.filter_map(|position| Some((origin(position)?, position.offset)));
        let news: HashMap<Origin, u64> =
            known.filter(|(origin, next)| self.next.get(origin) != Some(next)).collect();
        if news.is_empty() {
            return None;
        }
        let moves = self.moves + 1;
        let grew = news.keys().any(|origin| !self.next.contains_key(origin));
        let mut next = self.next.clone();
        next.extend(news);
        Some(Self { moves, grew: if grew { moves } else { self.grew }, next })
    }

    /// Whether the node is past an answer that has seen these offsets, and for which it was asked
    /// when the frontier had moved so often.
    pub(crate) fn is_past(&self, seen: &[Position], asked_at: u64) -> bool {
        let further = |position: &Position| {
            let next = origin(position).and_then(|origin| self.next.get(&origin));
            next.is_some_and(|next| *next > position.offset.saturating_add(1))
        };
        self.grew > asked_at || seen.iter().any(further)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type State = BTreeMap<u8, u64>;

    fn positions(state: &State, seen: bool) -> Vec<Position> {
        let known = state.iter().filter(|(_, next)| **next > 0);
        let position = |(topic, next): (&u8, &u64)| Position {
            region: "us".into(),
            topic_id: vec![*topic; 16].into(),
            partition: 0,
            offset: next - u64::from(seen),
        };
        known.map(position).collect()
    }

    fn grown(before: &State, by: &State) -> State {
        let mut after = before.clone();
        by.iter().for_each(|(topic, n)| *after.entry(*topic).or_default() += n);
        after
    }

    proptest! {
        /// A node that grows, says so now and then, and answers in between: an answer is left behind
        /// exactly when what the node last said is more than what the node was at the answer.
        #[test]
        fn an_answer_is_left_behind_by_what_it_has_not_seen(
            steps in prop::collection::vec(
                (prop::collection::btree_map(0_u8..4, 0_u64..3, 0..3), any::<bool>()), 1..30,
            ),
            at in any::<prop::sample::Index>(),
        ) {
            let (mut node, mut frontier) = (State::new(), Frontier::default());
            let mut said = State::new();
            let mut answer: Option<(State, u64)> = None;
            let at = at.index(steps.len());
            for (step, (events, speaks)) in steps.iter().enumerate() {
                node = grown(&node, events);
                if step == at {
                    answer = Some((node.clone(), frontier.moves()));
                }
                if *speaks {
                    frontier = frontier.heard(&positions(&node, false)).unwrap_or(frontier);
                    said = node.clone();
                }
                let Some((seen, asked_at)) = &answer else { continue };
                let past = frontier.is_past(&positions(seen, true), *asked_at);
                let more = said.iter().any(|(topic, next)| *next > seen.get(topic).copied().unwrap_or(0));
                // Before it has said anything of an origin, its first word may be of what was seen.
                let first = frontier.grew > *asked_at;
                prop_assert_eq!(past, more || first);
                prop_assert!(!more || past);
            }
        }
    }

    #[test]
    fn a_node_that_starts_again_does_not_leave_behind_who_has_seen_more() {
        let of = |next| State::from([(1, next)]);
        let frontier = Frontier::default().heard(&positions(&of(10), false)).expect("news");
        let seen = positions(&of(8), true);
        assert!(frontier.is_past(&seen, frontier.moves()));
        assert_eq!(frontier.heard(&[]), None, "nothing yet");
        let again = frontier.heard(&positions(&of(7), false)).expect("news");
        assert!(!again.is_past(&seen, frontier.moves()));
        assert!(again.heard(&positions(&of(9), false)).expect("news").is_past(&seen, 1));
    }
}
