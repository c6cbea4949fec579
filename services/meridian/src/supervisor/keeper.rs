//! When one process is started, restarted and stopped. Pure: events and the time in, one action
//! out; the loop that has the processes does what it says.

/// The first wait before a restart, ms; doubled for each that follows.
const BACKOFF_MIN_MS: u64 = 100;
/// The longest wait before a restart, ms.
const BACKOFF_MAX_MS: u64 = 5_000;
/// A process that ran for this long was well: the next restart is quick again.
const WELL_AFTER_MS: u64 = 10_000;
/// How long a process has for an orderly end, ms; then it is killed. A node that is still asked stays
/// for five seconds, and hands over what it holds.
const STOP_MS: u64 = 15_000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is wanted.
    Start,
    /// It is no longer wanted.
    Stop {
        /// At once, as a crash would end it.
        kill: bool,
    },
    /// The process that was last started is gone, or could not be started.
    Exited,
    /// Time passed; see [`Keeper::wake_ms`].
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start the process.
    Spawn,
    /// Ask the process to end.
    Terminate,
    /// End the process.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Stopped,
    Running { since_ms: u64 },
    Waiting { until_ms: u64 },
    Stopping { kill_ms: Option<u64>, restart: bool },
}

/// The state of one process as far as starting and stopping it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeper {
    state: State,
    backoff_ms: u64,
}

impl Keeper {
    /// Nothing runs and nothing is wanted.
    pub(crate) fn new() -> Self {
        Self { state: State::Stopped, backoff_ms: BACKOFF_MIN_MS }
    }

    /// Takes one event in; says what to do about it.
    pub(crate) fn step(&mut self, event: Event, now_ms: u64) -> Option<Action> {
        match (self.state, event) {
            (State::Stopped | State::Waiting { .. }, Event::Start) => {
                self.backoff_ms = BACKOFF_MIN_MS;
                self.spawn(now_ms)
            }
            (State::Stopping { kill_ms, .. }, Event::Start) => {
                self.state = State::Stopping { kill_ms, restart: true };
                None
            }
            (State::Running { .. }, Event::Stop { kill }) => self.stop(kill, now_ms),
            (State::Stopping { kill_ms: Some(_), .. }, Event::Stop { kill: true }) => {
                self.stop(true, now_ms)
            }
            (State::Stopping { kill_ms, .. }, Event::Stop { .. }) => {
                self.state = State::Stopping { kill_ms, restart: false };
                None
            }
            (State::Waiting { .. }, Event::Stop { .. }) => {
                self.state = State::Stopped;
                None
            }
            (State::Running { since_ms }, Event::Exited) => {
                self.wait(since_ms, now_ms);
                None
            }
            (State::Stopping { restart: true, .. }, Event::Exited) => self.spawn(now_ms),
            (State::Stopping { restart: false, .. }, Event::Exited) => {
                self.state = State::Stopped;
                None
            }
            (State::Waiting { until_ms }, Event::Tick) if now_ms >= until_ms => self.spawn(now_ms),
            (State::Stopping { kill_ms: Some(at), restart }, Event::Tick) if now_ms >= at => {
                self.state = State::Stopping { kill_ms: None, restart };
                Some(Action::Kill)
            }
            _ => None,
        }
    }

    /// When it wants an [`Event::Tick`], if it does.
    pub(crate) fn wake_ms(&self) -> Option<u64> {
        match self.state {
            State::Waiting { until_ms } => Some(until_ms),
            State::Stopping { kill_ms, .. } => kill_ms,
            State::Stopped | State::Running { .. } => None,
        }
    }

    /// Whether nothing runs and nothing will be started.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == State::Stopped
    }

    /// Whether it was told to end and is not gone.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.state, State::Stopping { .. })
    }

    /// Whether it runs and is meant to.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    fn spawn(&mut self, now_ms: u64) -> Option<Action> {
        self.state = State::Running { since_ms: now_ms };
        Some(Action::Spawn)
    }

    fn stop(&mut self, kill: bool, now_ms: u64) -> Option<Action> {
        let kill_ms = (!kill).then_some(now_ms + STOP_MS);
        self.state = State::Stopping { kill_ms, restart: false };
        Some(if kill { Action::Kill } else { Action::Terminate })
    }

    fn wait(&mut self, since_ms: u64, now_ms: u64) {
        if now_ms - since_ms >= WELL_AFTER_MS {
            self.backoff_ms = BACKOFF_MIN_MS;
        }
        self.state = State::Waiting { until_ms: now_ms + self.backoff_ms };
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MAX_MS);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn started() -> Keeper {
        let mut keeper = Keeper::new();
        assert_eq!(keeper.step(Event::Start, 0), Some(Action::Spawn));
        keeper
    }

    #[test]
    fn what_dies_is_restarted_with_longer_and_longer_waits() {
        let mut keeper = started();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(keeper.step(Event::Exited, now), None);
            let wake = keeper.wake_ms().unwrap();
            assert_eq!(keeper.step(Event::Tick, wake - 1), None);
            assert_eq!(keeper.step(Event::Tick, wake), Some(Action::Spawn));
            waits.push(wake - now);
            now = wake;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        keeper.step(Event::Exited, now + WELL_AFTER_MS);
        assert_eq!(keeper.wake_ms(), Some(now + WELL_AFTER_MS + BACKOFF_MIN_MS));
    }

    #[test]
    fn what_is_stopped_stays_stopped() {
        let mut keeper = started();
        assert_eq!(keeper.step(Event::Stop { kill: false }, 5), Some(Action::Terminate));
        assert_eq!(keeper.step(Event::Tick, 5 + STOP_MS), Some(Action::Kill));
        assert_eq!(keeper.step(Event::Exited, 5 + STOP_MS), None);
        assert!(keeper.is_stopped() && keeper.wake_ms().is_none());
        assert_eq!(keeper.step(Event::Start, 99_999), Some(Action::Spawn));
    }

    #[test]
    fn a_kill_holds_the_restart() {
        let mut keeper = started();
        assert_eq!(keeper.step(Event::Stop { kill: true }, 5), Some(Action::Kill));
        assert_eq!(keeper.step(Event::Exited, 6), None);
        assert!(keeper.is_stopped());
    }

    #[test]
    fn a_kill_overtakes_an_orderly_stop() {
        let mut keeper = started();
        keeper.step(Event::Stop { kill: false }, 0);
        assert_eq!(keeper.step(Event::Stop { kill: true }, 1), Some(Action::Kill));
    }

    #[test]
    fn a_start_while_stopping_waits_for_the_end() {
        let mut keeper = started();
        keeper.step(Event::Stop { kill: false }, 0);
        assert_eq!(keeper.step(Event::Start, 1), None);
        assert_eq!(keeper.step(Event::Exited, 2), Some(Action::Spawn));
    }

    proptest! {
        /// Never two processes at once, no signal to none, and a stop always ends it.
        #[test]
        fn one_process_at_most(events in prop::collection::vec((0u8..5, 0u64..4_000), 0..200)) {
            let mut keeper = Keeper::new();
            let (mut alive, mut now) = (false, 0);
            for (kind, pause) in events {
                now += pause;
                let event = match kind {
                    0 => Event::Start,
                    1 => Event::Stop { kill: false },
                    2 => Event::Stop { kill: true },
                    3 if alive => { alive = false; Event::Exited }
                    _ => Event::Tick,
                };
                match keeper.step(event, now) {
                    Some(Action::Spawn) => { prop_assert!(!alive); alive = true; }
                    Some(_) => prop_assert!(alive),
                    None => {}
                }
            }
            keeper.step(Event::Stop { kill: true }, now);
            if alive { prop_assert_eq!(keeper.step(Event::Exited, now), None); }
            prop_assert!(keeper.is_stopped());
        }
    }
}
