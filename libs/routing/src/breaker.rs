//! Stops asking a target that fails, and finds out with single requests whether it is well again.
//!
//! Source: Nygard's circuit breaker ("Release It!", 2007). It opens on consecutive failures, as
//! Finagle's failure accrual and linkerd's do, or on a share of failures in a window with a minimum
//! of samples, as Hystrix's does; it stays open for longer each time, as Envoy's outlier ejection
//! does, with the "equal jitter" of AWS's architecture blog.

use crate::window::Window;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Opens on this many failures in a row.
    pub consecutive: u32,
    /// The window of the failure rate, ms.
    pub window_ms: u64,
    /// No rate is taken of fewer samples.
    pub min_samples: u32,
    /// Opens when this share of the window failed, percent.
    pub failure_percent: u32,
    /// How long it is open at first, ms; doubled each time.
    pub first_open_ms: u64,
    /// How long at most, ms. Closed for as long, it starts from the first again.
    pub most_open_ms: u64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            consecutive: 5,
            window_ms: 10_000,
            min_samples: 20,
            failure_percent: 50,
            first_open_ms: 1_000,
            most_open_ms: 30_000,
        }
    }
}

/// Whether requests go through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// They do.
    Closed,
    /// They do not.
    Open {
        /// A probe may go through from then on, ms.
        until_ms: u64,
    },
    /// One at a time does, to find out.
    Probing,
}

impl State {
    /// The word in metrics and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::Probing => "half-open",
        }
    }
}

/// How a request ended, as far as the target is to blame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It did not, or wrongly.
    Failed,
    /// Nobody waited for it long enough to tell.
    Abandoned,
    /// Its caller waited for less long than others do. To a breaker that is [`Outcome::Abandoned`]; a
    /// router may know better.
    Hurried,
}

/// The breaker of one target.
#[derive(Clone, Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    in_a_row: u32,
    window: Window,
    /// Times that it opened since it was last closed for long.
    opened: u32,
    closed_ms: u64,
    /// When it last should have opened, and was not allowed to.
    overdue_ms: Option<u64>,
    /// Whether a probe is on its way.
    probed: bool,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(settings: BreakerSettings, now_ms: u64) -> Self {
        let window = Window::new(settings.window_ms);
        Self {
            settings,
            state: State::Closed,
            in_a_row: 0,
            window,
            opened: 0,
            closed_ms: now_ms,
            overdue_ms: None,
            probed: false,
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether it would be open, had it been allowed to. Not for longer than it would be: nobody
    /// probes one that is closed, and who is not asked cannot show that it is well again.
    #[must_use]
    pub fn is_overdue(&self, now_ms: u64) -> bool {
        let open_ms = self.settings.first_open_ms;
        self.overdue_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < open_ms)
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.in_a_row
    }

    /// Whether a probe may start.
    #[must_use]
    pub fn wants_probe(&self, now_ms: u64) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { until_ms } => now_ms >= until_ms,
            State::Probing => !self.probed,
        }
    }

    /// A request starts; whether it is the probe. Its end must be recorded, or no other follows.
    pub fn start(&mut self, now_ms: u64) -> bool {
        let probe = self.wants_probe(now_ms);
        if probe {
            (self.state, self.probed) = (State::Probing, true);
        }
        probe
    }

    /// A request ended. `may_open`: whether one more target may be left out. What did not probe says
    /// nothing about a target that is not closed: it may have started long ago.
    pub fn record(
        &mut self,
        (probe, outcome): (bool, Outcome),
        may_open: bool,
        (now_ms, random): (u64, u64),
    ) {
        self.probed &= !probe;
        match (self.state, outcome) {
            (State::Probing, Outcome::Answered) if probe => self.close(now_ms),
            (State::Probing, Outcome::Failed) if probe => self.open(now_ms, random),
            (State::Closed, Outcome::Answered) => {
                self.in_a_row = 0;
                self.window.add(true, now_ms);
                self.overdue_ms = self.is_failing(now_ms).then_some(now_ms);
            }
            (State::Closed, Outcome::Failed) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.window.add(false, now_ms);
                self.overdue_ms = self.is_failing(now_ms).then_some(now_ms);
                if self.overdue_ms.is_some() && may_open {
                    self.open(now_ms, random);
                }
            }
            _ => {}
        }
    }

    fn is_failing(&mut self, now_ms: u64) -> bool {
        let (samples, failed) = self.window.counts(now_ms);
        let percent = u64::from(self.settings.failure_percent);
        let rate =
            samples >= u64::from(self.settings.min_samples) && failed * 100 >= samples * percent;
        self.in_a_row >= self.settings.consecutive || rate
    }

    fn open(&mut self, now_ms: u64, random: u64) {
        let well = self.state == State::Closed
            && now_ms.saturating_sub(self.closed_ms) >= self.settings.most_open_ms;
        if well {
            self.opened = 0;
        }
        let doubled = self.settings.first_open_ms.saturating_mul(1 << self.opened.min(30));
        let open_ms = doubled.min(self.settings.most_open_ms).max(1);
        let jittered_ms = open_ms - random % (open_ms / 2 + 1);
        self.opened = self.opened.saturating_add(1);
        self.overdue_ms = None;
        self.state = State::Open { until_ms: now_ms.saturating_add(jittered_ms) };
    }

    fn close(&mut self, now_ms: u64) {
        self.state = State::Closed;
        self.closed_ms = now_ms;
        self.in_a_row = 0;
        self.window.clear();
    }
}
