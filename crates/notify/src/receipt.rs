//! Who handed an alert over learns when nothing more will be tried for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Belongs to one alert, in as many parts as there are channels that have it. Once all of them delivered it or gave it
/// up, it tells. A part that is dropped before says nothing, ever: the process ends, and the alert is to be handed over
/// again.
pub struct Receipt(Arc<Parts>);

struct Parts {
    open: AtomicUsize,
    settled: Box<dyn Fn() + Send + Sync>,
}

impl Receipt {
    /// One that calls `settled`, once.
    #[must_use]
    pub fn new(settled: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Parts { open: AtomicUsize::new(1), settled: Box::new(settled) }))
    }

    /// A part for one more channel.
    pub(crate) fn part(&self) -> Self {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }

    /// Nothing more will be tried with this part.
    pub(crate) fn settle(self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            (self.0.settled)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_once_all_parts_are_settled_and_never_when_one_is_dropped() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let receipt = Receipt::new(move || _ = count.fetch_add(1, Ordering::Relaxed));
        let (one, two) = (receipt.part(), receipt.part());
        one.settle();
        receipt.settle();
        assert_eq!(told.load(Ordering::Relaxed), 0);
        two.settle();
        assert_eq!(told.load(Ordering::Relaxed), 1);
        let count = told.clone();
        let receipt = Receipt::new(move || _ = count.fetch_add(1, Ordering::Relaxed));
        drop(receipt.part());
        receipt.settle();
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
