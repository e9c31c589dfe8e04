//! The system clock, made monotonic within the process.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use moneta_base::{Clock, Timestamp};

/// The time of the machine in whole ticks. It never goes backwards while the process lives: when the machine's clock
/// is set back, the last time stands until the clock has caught up, so that ingest times stay in order.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_nanos: AtomicI64,
}

impl SystemClock {
    /// A clock that begins with the machine's time.
    #[must_use]
    pub const fn new() -> Self {
        Self { latest_nanos: AtomicI64::new(0) }
    }

    fn not_before_latest(&self, time: Timestamp) -> Timestamp {
        let nanos = time.truncated_to_ticks().as_nanos();
        let before = self.latest_nanos.fetch_max(nanos, Ordering::Relaxed);
        Timestamp::from_nanos(before.max(nanos))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.not_before_latest(Timestamp::default().saturating_add(since_epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_backwards_and_shows_whole_ticks() {
        let clock = SystemClock::new();
        let later = Timestamp::from_nanos(1_234_567);
        assert_eq!(clock.not_before_latest(later).as_nanos(), 1_234_500);
        assert_eq!(clock.not_before_latest(Timestamp::from_nanos(5)).as_nanos(), 1_234_500);
        let now = clock.now();
        assert!(now > Timestamp::parse("2024-01-01").unwrap());
        assert!(clock.now() >= now);
    }
}
