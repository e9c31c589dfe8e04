//! A clock that stands still until told to move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use moneta_base::{Clock, Timestamp};

/// A clock that shows the time it was set to.
#[derive(Debug)]
pub struct FixedClock {
    nanos: AtomicI64,
}

impl FixedClock {
    /// A clock that stands at `time`.
    #[must_use]
    pub const fn new(time: Timestamp) -> Self {
        Self { nanos: AtomicI64::new(time.as_nanos()) }
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, time: Timestamp) {
        self.nanos.store(time.as_nanos(), Ordering::SeqCst);
    }

    /// Moves the time forwards.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
    }
}

impl Default for FixedClock {
    /// Stands at 2026-01-02T03:04:05Z.
    fn default() -> Self {
        Self::new(Timestamp::from_seconds(1_767_323_045))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_until_told_to_move() {
        let clock = FixedClock::default();
        assert_eq!(clock.now(), clock.now());
        assert_eq!(clock.now().to_string(), "2026-01-02T03:04:05.0000000Z");
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now().to_string(), "2026-01-02T03:04:06.0000000Z");
    }
}
