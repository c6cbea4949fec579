//! Whom the router asks, in the stories that regions live through.

mod support;

use std::sync::Arc;

use lattice::{Origin, TopicId};
use routing::{Health, Need, Outcome, Pick, Router, Settings, Standing};

use support::{router, well};

fn order(router: &mut Router, need: &Need<'_>, now_ms: u64) -> Vec<usize> {
    router.plan(need, now_ms, 99).iter().map(|pick| pick.target).collect()
}

fn first(router: &mut Router, need: &Need<'_>, now_ms: u64) -> Pick {
    router.plan(need, now_ms, 99).swap_remove(0)
}

/// Three regions that were heard at 0 and are 1, 35 and 80 ms away.
fn three() -> Router {
    let mut router = router(Settings::default(), 3);
    for (target, ms) in [1, 35, 80].into_iter().enumerate() {
        router.measured(target, ms * 1_000, 0);
        router.heard(target, well(&[0, 0, 0]), 0);
    }
    router
}

fn fail(router: &mut Router, target: usize, times: usize, now_ms: u64) {
    for _ in 0..times {
        let pick = Pick { target, standing: Standing::Fit };
        let tried = router.start(&pick, now_ms).expect("a try");
        router.finish(tried, Outcome::Failed, now_ms, 0);
    }
}

#[test]
fn the_nearest_first_and_the_unknown_last() {
    let mut router = three();
    assert_eq!(order(&mut router, &Need::default(), 0), [0, 1, 2]);
    router.lost(1, 10);
    assert_eq!(order(&mut router, &Need::default(), 10), [0, 2, 1]);
    assert_eq!(router.plan(&Need::default(), 10, 0)[2].standing, Standing::Unknown);
    // Silence is as good as loss.
    router.heard(2, well(&[0, 0, 0]), 2_000);
    assert_eq!(order(&mut router, &Need::default(), 2_001), [2, 0, 1]);
}

#[test]
fn a_part_that_is_too_old_for_the_request_counts_for_that_request_alone() {
    let mut router = three();
    let mut old = well(&[0, 0, 0]);
    old.parts.get_mut("c").expect("a part").age_ms = Some(900);
    router.heard(0, old, 0);
    let strict = Need { max_staleness_ms: Some(500), ..Need::default() };
    assert_eq!(first(&mut router, &strict, 0), Pick { target: 1, standing: Standing::Fit });
    assert_eq!(first(&mut router, &Need::default(), 0).target, 0);
    let without = ["c".to_owned()];
    assert_eq!(first(&mut router, &Need { exclude: &without, ..strict }, 0).target, 0);
}

#[test]
fn a_region_that_lags_its_peers_in_an_origin_is_demoted_for_it() {
    let mut router = three();
    for now_ms in [3_000, 6_000] {
        let at = now_ms as i64;
        router.heard(0, well(&[at, at, 0]), now_ms);
        router.heard(1, well(&[at, at, at]), now_ms);
        router.heard(2, well(&[at, at, at]), now_ms);
    }
    let picks = router.plan(&Need::default(), 6_000, 0);
    assert_eq!(picks[0].target, 1);
    assert_eq!(picks[2].standing, Standing::Lags("c".into()));
    let without = ["c".to_owned()];
    let need = Need { exclude: &without, ..Need::default() };
    assert_eq!(first(&mut router, &need, 6_000).target, 0, "the others' parts are as good");
    assert_eq!(router.home(), Some(0), "which is why the home stays");
    // It is back when it is within half of that again.
    router.heard(0, well(&[6_000, 6_000, 4_500]), 6_000);
    assert_eq!(first(&mut router, &Need::default(), 6_000).target, 1);
    router.heard(0, well(&[6_000, 6_000, 5_000]), 6_000);
    assert_eq!(first(&mut router, &Need::default(), 6_000).target, 0);
}

#[test]
fn an_origin_that_is_dead_demotes_nobody_and_a_wrong_clock_neither() {
    let mut router = three();
    for target in 0..3 {
        let mut health = well(&[60_000, 60_000, 0]);
        if target == 0 {
            // Its clock is half a minute ahead: everything looks old to it.
            health.parts.values_mut().for_each(|part| part.age_ms = Some(30_000));
        }
        router.heard(target, health, 60_000);
    }
    assert_eq!(
        first(&mut router, &Need::default(), 60_000),
        Pick { target: 0, standing: Standing::Fit }
    );
}

#[test]
fn a_token_is_looked_for_where_it_has_arrived() {
    let mut router = three();
    let origin = Origin { region: "b".into(), topic: TopicId([7; 16]), partition: 0 };
    for (target, next) in [(0, 41), (1, 42)] {
        let health = Health { frontiers: [(origin.clone(), next)].into(), ..well(&[0, 0, 0]) };
        router.heard(target, health, 0);
    }
    let tokens = [(origin, 41)];
    let need = Need { tokens: &tokens, ..Need::default() };
    let picks = router.plan(&need, 0, 0);
    assert_eq!((picks[0].target, &picks[2].standing), (1, &Standing::BehindToken));
    assert!(!picks[2].standing.is_last_resort(), "waiting there is no lie");
}

#[test]
fn what_fails_is_left_out_and_probed_by_one() {
    let mut router = three();
    fail(&mut router, 0, 5, 100);
    assert_eq!(router.ejected(), 1);
    assert_eq!(
        first(&mut router, &Need::default(), 100),
        Pick { target: 1, standing: Standing::Fit }
    );
    let probe = first(&mut router, &Need::default(), 1_100);
    assert_eq!(probe, Pick { target: 0, standing: Standing::Probe });
    let tried = router.start(&probe, 1_100).expect("the probe");
    assert!(router.start(&probe, 1_100).is_none(), "one is enough");
    assert_eq!(first(&mut router, &Need::default(), 1_100).target, 1);
    router.finish(tried, Outcome::Answered, 1_150, 0);
    assert_eq!(router.ejected(), 0);
    assert_eq!(first(&mut router, &Need::default(), 1_150).target, 1, "it has to settle first");
}

#[test]
fn a_probe_that_is_abandoned_frees_its_place_and_is_no_news() {
    let mut router = three();
    fail(&mut router, 0, 5, 100);
    let mut changes = Vec::new();
    for outcome in [Outcome::Abandoned, Outcome::Abandoned, Outcome::Failed] {
        let probe = first(&mut router, &Need::default(), 1_100);
        assert_eq!(probe, Pick { target: 0, standing: Standing::Probe });
        let tried = router.start(&probe, 1_100).expect("the probe");
        let started = tried.changed();
        let ended = router.finish(tried, outcome, 1_100, 0);
        changes.extend(started.into_iter().chain(ended).map(|changed| changed.to.name()));
    }
    assert_eq!(changes, ["half-open", "open"]);
}

#[test]
fn too_many_are_not_left_out_and_the_answer_can_say_so() {
    let mut router = three();
    (0..3).for_each(|target| fail(&mut router, target, 50, 100));
    assert_eq!(router.ejected(), 2, "of three");
    let pick = first(&mut router, &Need::default(), 100);
    assert_eq!(pick, Pick { target: 2, standing: Standing::Failing });
    assert!(pick.standing.is_last_resort());
}

/// Nobody would ask it again, else.
#[test]
fn one_that_was_not_left_out_is_asked_again_when_the_others_are_well() {
    let mut router = three();
    (0..3).for_each(|target| fail(&mut router, target, 50, 100));
    for target in 0..2 {
        let probe = first(&mut router, &Need::default(), 1_100 + target);
        assert_eq!(probe.standing, Standing::Probe);
        let tried = router.start(&probe, 1_100).expect("the probe");
        router.finish(tried, Outcome::Answered, 1_100, 0);
    }
    let picks = router.plan(&Need::default(), 1_150, 0);
    assert!(picks.iter().all(|pick| pick.standing == Standing::Fit), "{picks:?}");
}

#[test]
fn a_region_that_returns_gets_its_traffic_in_steps() {
    let mut router = three();
    let say = |router: &mut Router, now_ms: u64| {
        let at = now_ms as i64;
        for target in 0..3 {
            router.heard(target, well(&[at, at, at]), now_ms);
        }
    };
    router.lost(0, 1_000);
    let mut shares = Vec::new();
    for now_ms in (2_000..18_000).step_by(500) {
        say(&mut router, now_ms);
        let own = (0..100).filter(|r| router.plan(&Need::default(), now_ms, *r)[0].target == 0);
        shares.push(own.count());
    }
    shares.dedup();
    assert_eq!(shares, [0, 1, 10, 50, 100]);
}

#[test]
fn a_home_with_a_queue_spills_over_but_stays_the_home() {
    let mut router = three();
    let pick = Pick { target: 0, standing: Standing::Fit };
    let tries: Vec<_> = (0..100).map(|_| router.start(&pick, 0).expect("a try")).collect();
    assert_eq!(first(&mut router, &Need::default(), 0).target, 1, "1 ms times 101 is more than 35");
    for tried in tries {
        router.finish(tried, Outcome::Answered, 0, 0);
    }
    assert_eq!(first(&mut router, &Need::default(), 0).target, 0);
    assert_eq!(router.home(), Some(0));
}

#[test]
fn a_region_that_drains_is_left_and_one_that_is_not_ready_is_asked_after_it() {
    let mut router = three();
    router.heard(0, Health { draining: true, ..well(&[0; 3]) }, 0);
    router.heard(1, Health { ready: false, ..well(&[0; 3]) }, 0);
    assert_eq!(order(&mut router, &Need::default(), 0), [2, 0, 1]);
}

#[test]
fn the_table_gives_reasons() {
    let mut router = three();
    fail(&mut router, 1, 5, 100);
    let table = router.table(100);
    assert_eq!((&table[0].name, table[0].home), (&Arc::from("a"), true));
    assert_eq!(table[1].standing.to_string(), "left out for its failures");
    assert_eq!((table[1].breaker, table[1].outstanding), ("open", 0));
}

/// Also by a read that failed, and by the time that passes until somebody asks.
#[test]
fn whatever_moves_the_home_the_move_is_told_once() {
    let mut router = three();
    let to = |router: &mut Router| -> Vec<usize> {
        router.take_moves().iter().map(|moved| moved.to).collect()
    };
    assert_eq!(to(&mut router), [0]);
    fail(&mut router, 0, 5, 10);
    assert_eq!(to(&mut router), [1]);
    router.heard(2, well(&[0, 0, 0]), 1_500);
    assert_eq!(to(&mut router), []);
    // The nearer two have been silent for too long.
    let _picks = router.plan(&Need::default(), 2_500, 0);
    assert_eq!((to(&mut router), router.home()), (vec![2], Some(2)));
}

#[test]
fn the_nodes_of_a_region_are_as_good_as_each_other() {
    let mut router = three().with_alike(2);
    router.measured(1, 900, 10);
    assert_eq!(order(&mut router, &Need::default(), 5_000), [0, 1, 2], "35 ms fade slowly");
    (1..=40).for_each(|i| {
        router.measured(1, 900, i * 250);
        (0..3).for_each(|target| router.heard(target, well(&[0, 0, 0]), i * 250));
    });
    let now_ms = 10_000;
    assert_eq!(router.home(), Some(0));
    assert_eq!(order(&mut router, &Need::default(), now_ms), [1, 0, 2], "the cheaper one");
    let busy = Pick { target: 1, standing: Standing::Fit };
    let _tried = router.start(&busy, now_ms).expect("a try");
    assert_eq!(order(&mut router, &Need::default(), now_ms), [0, 1, 2], "and less busy");
    router.lost(0, now_ms);
    assert_eq!(order(&mut router, &Need::default(), now_ms), [1, 2, 0]);
}

/// Asked by callers who wait for so long, one after the other, it is left out after so many ms, if ever.
fn hurried(router: &mut Router, ms: u64, usual: bool, mut now_ms: u64) -> Option<u64> {
    let pick = Pick { target: 0, standing: Standing::Fit };
    let from_ms = now_ms;
    while now_ms - from_ms < 5_000 && router.ejected() == 0 {
        let tried = router.start(&pick, now_ms).expect("a try").usual(usual);
        now_ms += ms;
        router.finish(tried, Outcome::Hurried, now_ms, 0);
    }
    (router.ejected() == 1).then_some(now_ms - from_ms)
}

/// Three regions, of which the first has answered a read like most within 9 ms, for two seconds.
fn used() -> Router {
    let mut router = three();
    let pick = Pick { target: 0, standing: Standing::Fit };
    for now_ms in (0..2_000).step_by(10) {
        let tried = router.start(&pick, now_ms).expect("a try").usual(true);
        router.finish(tried, Outcome::Answered, now_ms + 9, 0);
    }
    router
}

#[test]
fn one_that_hangs_is_left_out_although_nobody_waits_for_long() {
    assert_eq!(
        hurried(&mut used(), 50, true, 2_000),
        Some(400),
        "five, once it is silent for long"
    );
    assert_eq!(hurried(&mut used(), 40, true, 2_000), Some(360), "four times what is usual");
    assert_eq!(hurried(&mut used(), 39, true, 2_000), None, "others took nearly as long");
    assert_eq!(hurried(&mut used(), 300, false, 2_000), None, "a large one may take longer");
    assert_eq!(hurried(&mut three(), 300, true, 2_000), None, "what is usual is not known");
    let mut further = used();
    further.measured(0, 30_000, 2_000);
    assert_eq!(hurried(&mut further, 100, true, 2_000), None, "the way has become longer");
    assert!(hurried(&mut used(), 50, true, 60_000).is_some(), "what was usual is not forgotten");
}

#[test]
fn a_moment_in_which_nothing_moves_leaves_nobody_out() {
    let mut router = used();
    let pick = Pick { target: 0, standing: Standing::Fit };
    let start = |router: &mut Router, at_ms| router.start(&pick, at_ms).expect("a try").usual(true);
    let tries: Vec<_> = (0..50).map(|_| start(&mut router, 2_000)).collect();
    for tried in tries {
        router.finish(tried, Outcome::Hurried, 2_199, 0);
    }
    assert_eq!(router.ejected(), 0);
    // Nor does one that answers others.
    for now_ms in (2_200..6_000).step_by(100) {
        let (hurried, other) = (start(&mut router, now_ms), start(&mut router, now_ms));
        router.finish(other, Outcome::Answered, now_ms + 5, 0);
        router.finish(hurried, Outcome::Hurried, now_ms + 50, 0);
    }
    assert_eq!(router.ejected(), 0);
}

#[test]
fn when_all_fail_the_least_stale_is_asked_first() {
    let mut router = three();
    let (now_ms, at) = (10_000, 10_000);
    let say = |router: &mut Router, lag_ms: [i64; 3]| {
        for (target, lag_ms) in lag_ms.into_iter().enumerate() {
            router.heard(target, well(&[at, at, at - lag_ms]), now_ms);
        }
    };
    say(&mut router, [0, 4_000, 5_000]);
    (0..3).for_each(|target| fail(&mut router, target, 50, now_ms));
    let picks = router.plan(&Need::default(), now_ms, 99);
    let expected =
        [Standing::Ejected, Standing::Ejected, Standing::Failing].into_iter().enumerate();
    let expected: Vec<Pick> =
        expected.map(|(target, standing)| Pick { target, standing }).collect();
    assert_eq!(picks, expected, "the last one could not be left out, and lags the most");
    assert!(picks.iter().all(|pick| pick.standing.is_last_resort()), "the answer says so");
    let without = ["c".to_owned()];
    let need = Need { exclude: &without, ..Need::default() };
    assert_eq!(order(&mut router, &need, now_ms), [2, 0, 1], "to whom that is nothing");
    say(&mut router, [900, 500, 0]);
    assert_eq!(order(&mut router, &Need::default(), now_ms), [2, 0, 1], "as little is");
}
