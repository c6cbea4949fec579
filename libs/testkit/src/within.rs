//! Waiting for what real processes and sockets do: a condition that is looked at until it holds or
//! its time is over. The only sleep of the tests that wait.

use std::thread::sleep;
use std::time::Duration;

use clock::Stopwatch;

const LOOK: Duration = Duration::from_millis(20);

/// Whether `done` holds before `patience` is over.
pub fn within(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let watch = Stopwatch::start();
    loop {
        if done() {
            return true;
        }
        if watch.elapsed() > patience {
            return false;
        }
        sleep(LOOK);
    }
}
