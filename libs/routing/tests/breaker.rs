//! The breaker against a model that keeps the whole history and counts it anew at every step.

use proptest::prelude::*;
use routing::{Breaker, BreakerSettings, Outcome, State};

const SETTINGS: BreakerSettings = BreakerSettings {
    consecutive: 4,
    window_ms: 1_000,
    min_samples: 8,
    failure_percent: 50,
    first_open_ms: 200,
    most_open_ms: 1_600,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass {
        ms: u64,
    },
    Start,
    /// The nth of those under way.
    End {
        which: usize,
        outcome: Outcome,
        random: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Failed), 2 => Just(Outcome::Answered), 1 => Just(Outcome::Abandoned),
        1 => Just(Outcome::Hurried)
    ];
    let end = (any::<usize>(), outcome, any::<u64>());
    let step = prop_oneof![
        1 => (1_u64..400).prop_map(|ms| Step::Pass { ms }),
        3 => Just(Step::Start),
        3 => end.prop_map(|(which, outcome, random)| Step::End { which, outcome, random }),
    ];
    prop::collection::vec(step, 0..400)
}

/// Every end that counts, since the breaker was last closed; and every time that it opened.
#[derive(Default)]
struct Model {
    ends: Vec<(u64, bool)>,
    open: Option<(u64, u64)>,
    probing: bool,
    /// Openings since the start of the last run of them.
    run: u32,
    closed_ms: u64,
}

impl Model {
    fn fails(&self, now_ms: u64) -> bool {
        let row = self.ends.iter().rev().take_while(|(_, answered)| !answered).count();
        // The window is of ten slots, the one under way among them.
        let from = (now_ms / 100).saturating_sub(9);
        let recent = self.ends.iter().filter(|(at, _)| at / 100 >= from);
        let (failed, samples) = (recent.clone().filter(|(_, ok)| !ok).count(), recent.count());
        row >= 4 || (samples >= 8 && failed * 2 >= samples)
    }

    fn opens(&mut self, now_ms: u64, from_closed: bool) {
        if from_closed && now_ms - self.closed_ms >= 1_600 {
            self.run = 0;
        }
        self.open = Some((now_ms, (200 << self.run.min(20)).min(1_600)));
        self.run += 1;
        self.probing = false;
        self.ends.clear();
    }
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_keeps_everything(steps in steps(), room in any::<bool>()) {
        let (mut breaker, mut model) = (Breaker::new(SETTINGS, 0), Model::default());
        let (mut now_ms, mut under_way) = (0, Vec::<bool>::new());
        for step in steps {
            match step {
                Step::Pass { ms } => now_ms += ms,
                Step::Start => {
                    let wanted = breaker.wants_probe(now_ms);
                    let probe = breaker.start(now_ms);
                    prop_assert_eq!(probe, wanted);
                    if probe {
                        prop_assert!(model.open.is_some() || model.probing, "not what is closed");
                        if let Some((at, most)) = model.open.take() {
                            prop_assert!(now_ms >= at + most / 2, "open for half of {most} at least");
                        }
                        model.probing = true;
                    } else if let Some((at, most)) = model.open {
                        prop_assert!(now_ms < at + most, "open for no longer than {most}");
                    }
                    under_way.push(probe);
                }
                Step::End { .. } if under_way.is_empty() => {}
                Step::End { which, outcome, random } => {
                    let probe = under_way.swap_remove(which % under_way.len());
                    breaker.record((probe, outcome), room, (now_ms, random));
                    match outcome {
                        Outcome::Answered if probe => {
                            (model.probing, model.closed_ms) = (false, now_ms);
                        }
                        Outcome::Failed if probe => model.opens(now_ms, false),
                        // Of a probe, too: the next request is one.
                        Outcome::Abandoned | Outcome::Hurried => prop_assert!(!probe || breaker.wants_probe(now_ms)),
                        _ if model.open.is_some() || model.probing => {}
                        _ => {
                            model.ends.push((now_ms, outcome == Outcome::Answered));
                            if outcome == Outcome::Failed && model.fails(now_ms) && room {
                                model.opens(now_ms, true);
                            }
                        }
                    }
                }
            }
            let closed = model.open.is_none() && !model.probing;
            prop_assert_eq!(breaker.state() == State::Closed, closed);
            prop_assert_eq!(breaker.state() == State::Probing, model.probing);
            prop_assert!(under_way.iter().filter(|probe| **probe).count() <= 1, "never two probes");
            prop_assert!(room || closed, "without room it stays closed");
        }
    }
}

#[test]
fn open_for_longer_each_time() {
    let (mut breaker, mut now_ms, mut opened) = (Breaker::new(SETTINGS, 0), 0, Vec::new());
    (0..4).for_each(|_| breaker.record((false, Outcome::Failed), true, (0, 0)));
    for _ in 0..5 {
        let State::Open { until_ms } = breaker.state() else { panic!("open") };
        opened.push(until_ms - now_ms);
        now_ms = until_ms;
        assert!(breaker.start(now_ms));
        assert!(!breaker.start(now_ms), "one probe");
        breaker.record((true, Outcome::Failed), false, (now_ms, 0));
    }
    assert_eq!(opened, [200, 400, 800, 1_600, 1_600]);
}

#[test]
fn a_late_answer_from_before_does_not_close_it() {
    let mut breaker = Breaker::new(SETTINGS, 0);
    (0..4).for_each(|_| breaker.record((false, Outcome::Failed), true, (0, 0)));
    breaker.record((false, Outcome::Answered), true, (1, 0));
    assert!(matches!(breaker.state(), State::Open { .. }));
    assert!(breaker.start(200));
    breaker.record((false, Outcome::Answered), true, (201, 0));
    assert_eq!(breaker.state(), State::Probing);
}
