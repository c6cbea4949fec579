//! Requests that have been let in and wait for something outside, so that they are not counted among
//! those that are worked on: others go on beside them.

/// Requests at a time, at most.
const MOST: u64 = 256;
/// What they hold, at most, bytes.
const MOST_BYTES: usize = 64 << 20;

/// How many there are, and what they hold.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    count: u64,
    bytes: usize,
}

impl Parked {
    /// Takes one in that holds so many bytes; false: there is no place.
    pub(crate) fn enter(&mut self, bytes: usize) -> bool {
        let there_is = self.count < MOST && self.bytes.saturating_add(bytes) <= MOST_BYTES;
        if there_is {
            (self.count, self.bytes) = (self.count + 1, self.bytes + bytes);
        }
        there_is
    }

    pub(crate) fn leave(&mut self, bytes: usize) {
        (self.count, self.bytes) = (self.count - 1, self.bytes - bytes);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_places_come_back() {
        let mut parked = Parked::default();
        assert!((0..MOST).all(|_| parked.enter(1)) && !parked.enter(1));
        parked.leave(1);
        assert!(parked.enter(1));
        let mut parked = Parked::default();
        assert!(parked.enter(MOST_BYTES - 1) && !parked.enter(2) && parked.enter(1));
        parked.leave(1);
        assert!(!parked.enter(2) && !parked.enter(usize::MAX) && parked.count() == 1);
    }
}
