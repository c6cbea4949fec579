//! Successes and failures of the last while, in ten slots: old ones are forgotten a slot at a time.
//!
//! Source: Hystrix's rolling window.

const SLOTS: u64 = 10;

/// Counts over a sliding window.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    slot_ms: u64,
    /// Number of the slot, samples, failures.
    slots: [(u64, u64, u64); SLOTS as usize],
}

impl Window {
    pub(crate) fn new(window_ms: u64) -> Self {
        Self { slot_ms: (window_ms / SLOTS).max(1), slots: Default::default() }
    }

    pub(crate) fn add(&mut self, answered: bool, now_ms: u64) {
        let number = now_ms / self.slot_ms;
        let slot = &mut self.slots[(number % SLOTS) as usize];
        if slot.0 != number {
            *slot = (number, 0, 0);
        }
        slot.1 += 1;
        slot.2 += u64::from(!answered);
    }

    /// Samples and failures.
    pub(crate) fn counts(&self, now_ms: u64) -> (u64, u64) {
        let number = now_ms / self.slot_ms;
        let recent = self.slots.iter().filter(|slot| slot.0 <= number && slot.0 + SLOTS > number);
        recent.fold((0, 0), |(samples, failed), slot| (samples + slot.1, failed + slot.2))
    }

    pub(crate) fn clear(&mut self) {
        self.slots = Default::default();
    }
}
