//! The home moves when it should, and does not move to and fro.

use proptest::prelude::*;
use routing::{Candidate, Home, HomeSettings, Move};

const STEP_MS: u64 = 250;

fn settings() -> HomeSettings {
    HomeSettings::default()
}

fn at(cost_us: f64) -> Option<Candidate> {
    Some(Candidate { cost_us, returned_ms: None, fit: true })
}

/// Looks every 250 ms at what `costs` says; the moves with their times.
fn watch(steps: u64, mut look: impl FnMut(u64) -> Vec<Option<Candidate>>) -> Vec<(u64, Move)> {
    let mut home = Home::default();
    let times = (0..steps).map(|i| i * STEP_MS);
    times
        .filter_map(|now_ms| Some((now_ms, home.look(&look(now_ms), &settings(), now_ms)?)))
        .collect()
}

proptest! {
    /// Round trips between 0.1 and 200 ms, each measured wrongly by up to a tenth at every look.
    #[test]
    fn bounded_noise_never_moves_it_back(
        costs in prop::collection::vec(100.0_f64..200_000.0, 2..5),
        noise in prop::collection::vec(0.9_f64..1.1, 1..997),
    ) {
        let mut noise = noise.iter().cycle();
        let mut factor = || *noise.next().expect("a cycle");
        let moves = watch(2_000, |_| costs.iter().map(|cost| at(cost * factor())).collect());
        let mut been: Vec<usize> = moves.iter().map(|(_, moved)| moved.to).collect();
        let all = been.len();
        been.sort_unstable();
        been.dedup();
        prop_assert_eq!(been.len(), all, "nowhere twice: {:?}", moves);
    }

    /// Whatever is measured, and whoever comes and goes.
    #[test]
    fn moves_that_nothing_forces_keep_their_distance(
        looks in prop::collection::vec(prop::collection::vec((0.0_f64..400_000.0, 0_u8..10), 3), 1..600),
    ) {
        let mut returned_ms = [None; 3];
        let mut there = [true; 3];
        let moves = watch(looks.len() as u64, |now_ms| {
            let look = &looks[(now_ms / STEP_MS) as usize];
            look.iter().enumerate().map(|(i, (cost_us, luck))| {
                let is = *luck > 0;
                if is && !there[i] {
                    returned_ms[i] = Some(now_ms);
                }
                there[i] = is;
                is.then_some(Candidate { cost_us: *cost_us, returned_ms: returned_ms[i], fit: true })
            }).collect()
        });
        let mut late = 0;
        for pair in moves.windows(2) {
            let ((before_ms, _), (now_ms, moved)) = (pair[0], pair[1]);
            if !moved.forced && now_ms - before_ms < 10_000 {
                late += 1;
            }
        }
        // Each target may come late once.
        prop_assert!(late <= 3, "{moves:?}");
    }

    /// One that dies every two seconds, and is the nearest while it lives.
    #[test]
    fn a_flapping_region_is_left_once(up_ms in 500_u64..4_500, down_ms in 500_u64..4_500) {
        let mut returned_ms = None;
        let mut there = true;
        let moves = watch(400, |now_ms| {
            let is = now_ms % (up_ms + down_ms) < up_ms;
            if is && !there {
                returned_ms = Some(now_ms);
            }
            there = is;
            vec![is.then_some(Candidate { cost_us: 500.0, returned_ms, fit: true }), at(35_000.0)]
        });
        prop_assert_eq!(moves.len(), 2, "to it at the start, then away: {:?}", moves);
    }
}

#[test]
fn equal_regions_go_in_order() {
    let moves = watch(400, |_| vec![at(300.0), at(200.0), at(250.0)]);
    assert_eq!(moves, [(0, Move { from: None, to: 0, forced: true })]);
}

#[test]
fn a_home_that_becomes_slow_is_left_and_taken_again() {
    let slow = |now_ms| (20_000..60_000).contains(&now_ms);
    let moves =
        watch(400, |now_ms| vec![at(if slow(now_ms) { 500_000.0 } else { 1_000.0 }), at(35_000.0)]);
    let moves: Vec<(u64, usize, bool)> =
        moves.iter().map(|(at, m)| (*at, m.to, m.forced)).collect();
    assert_eq!(moves, [(0, 0, true), (21_000, 1, false), (61_000, 0, false)]);
}

#[test]
fn a_lost_home_is_left_at_once_and_returns_when_it_has_settled() {
    let moves = watch(400, |now_ms| {
        let own = Candidate {
            cost_us: 1_000.0,
            returned_ms: Some(30_000).filter(|at| now_ms >= *at),
            fit: true,
        };
        vec![(!(20_000..30_000).contains(&now_ms)).then_some(own), at(35_000.0)]
    });
    let moves: Vec<(u64, usize, bool)> =
        moves.iter().map(|(at, m)| (*at, m.to, m.forced)).collect();
    assert_eq!(moves, [(0, 0, true), (20_000, 1, true), (36_000, 0, false)]);
}

#[test]
fn the_own_region_may_be_heard_last() {
    let own_at = |at_ms| {
        let moves =
            watch(40, |now_ms| vec![(now_ms >= at_ms).then(|| at(900.0)).flatten(), at(300.0)]);
        moves.iter().map(|(at, moved)| (*at, moved.to)).collect::<Vec<_>>()
    };
    assert_eq!(own_at(500), [(500, 0)]);
    assert_eq!(own_at(1_500), [(1_000, 1), (1_500, 0)]);
    assert_eq!(own_at(u64::MAX), [(1_000, 1)]);
}

/// All serve what they have at once; then one after the other is ready, the own region last.
#[test]
fn while_all_start_it_is_chosen_once() {
    let makeshift = || Some(Candidate { cost_us: 300.0, returned_ms: None, fit: false });
    let moves = watch(40, |now_ms| match now_ms {
        0..250 => vec![makeshift(), makeshift(), None],
        250..500 => vec![None, None, at(200.0)],
        500..750 => vec![None, at(100.0), at(200.0)],
        _ => vec![at(300.0), at(100.0), at(200.0)],
    });
    assert_eq!(moves, [(750, Move { from: None, to: 0, forced: true })]);
}
