//! Numbers that a source gives its own records, and those that are missing.
//!
//! A number may come late (datagrams overtake each other), so one that is missing is lost only after [`SETTLE`]. A
//! numbering with holes of its own (a Windows subscription that takes some events, two programs that count apart) is no
//! evidence: a hole means something only where holes are rarer than one in [`NUMBERS_PER_HOLE_MIN`] numbers.

use std::time::Duration;

use moneta_base::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a missing number may still come.
const SETTLE: Duration = Duration::from_secs(30);
/// Numbers seen per hole from which on a hole is news.
const NUMBERS_PER_HOLE_MIN: u64 = 200;
/// Holes awaited at once; beyond that the oldest is given up.
const HOLES_MAX: usize = 256;
/// A jump further ahead than this is another numbering, not a hole.
const JUMP_MAX: u64 = 10_000_000;
/// Numbers in a row far behind after which the numbering began anew.
const RESTART_RUN: u8 = 3;
/// Numbers after which older experience counts half.
const MEMORY: u64 = 1_000_000;

/// One numbering.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    /// The number awaited next.
    next: u64,
    seen: u64,
    holes_seen: u64,
    lost: u64,
    holes: Vec<Hole>,
    /// The last number behind all that is awaited, and how many came in a row there.
    behind: Option<(u64, u8)>,
}

/// Numbers not yet seen: `[first, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Hole {
    first: u64,
    end: u64,
    since_nanos: i64,
}

/// Numbers that will not come any more: `[first, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) first: u64,
    pub(crate) end: u64,
    /// Whether this numbering is dense enough for the hole to mean something.
    pub(crate) is_news: bool,
}

impl Sequence {
    /// Takes the next number in order of arrival.
    pub(crate) fn take(&mut self, number: u64, now: Timestamp) {
        if self.seen == 0 || number >= self.next.saturating_add(JUMP_MAX) {
            self.restart(number);
        } else if number >= self.next {
            if number > self.next {
                if self.holes.len() >= HOLES_MAX {
                    self.holes.remove(0);
                    self.holes_seen += 1;
                }
                self.holes.push(Hole { first: self.next, end: number, since_nanos: now.as_nanos() });
            }
            self.next = number + 1;
            self.behind = None;
        } else if !self.fill(number) {
            self.note_behind(number);
        }
        self.seen += 1;
        if self.seen >= MEMORY {
            (self.seen, self.holes_seen) = (self.seen / 2, self.holes_seen / 2);
        }
    }

    fn restart(&mut self, number: u64) {
        self.next = number.saturating_add(1);
        self.holes.clear();
        self.behind = None;
    }

    /// Takes a late number out of its hole; `false` when it is in none.
    fn fill(&mut self, number: u64) -> bool {
        let Some(at) = self.holes.iter().position(|hole| (hole.first..hole.end).contains(&number)) else {
            return false;
        };
        let hole = self.holes.remove(at);
        let parts = [Hole { end: number, ..hole }, Hole { first: number + 1, ..hole }];
        self.holes.extend(parts.into_iter().filter(|part| part.first < part.end));
        true
    }

    /// A number seen before, or the beginning of a new numbering: the latter goes on upwards.
    fn note_behind(&mut self, number: u64) {
        let run = match self.behind {
            Some((last, run)) if number == last.saturating_add(1) => run + 1,
            _ => 1,
        };
        self.behind = Some((number, run));
        if run >= RESTART_RUN {
            self.restart(number);
        }
    }

    /// The holes that are holes for good.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Vec<Lost> {
        let is_settled = |hole: &Hole| now.since(Timestamp::from_nanos(hole.since_nanos)) >= SETTLE;
        if !self.holes.iter().any(is_settled) {
            return Vec::new();
        }
        let is_news = self.seen >= NUMBERS_PER_HOLE_MIN * (self.holes_seen + self.holes.len() as u64);
        let (settled, open): (Vec<Hole>, Vec<Hole>) = self.holes.iter().partition(|hole| is_settled(hole));
        self.holes = open;
        self.holes_seen += settled.len() as u64;
        if is_news {
            self.lost += settled.iter().map(|hole| hole.end - hole.first).sum::<u64>();
        }
        settled.into_iter().map(|hole| Lost { first: hole.first, end: hole.end, is_news }).collect()
    }

    /// Numbers lost in holes that meant something.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    fn dense(numbers: u64) -> Sequence {
        let mut sequence = Sequence::default();
        (0..numbers).for_each(|number| sequence.take(number, at(0)));
        sequence
    }

    #[test]
    fn a_hole_in_a_dense_numbering_is_news_once_it_settled() {
        let mut sequence = dense(1_000);
        sequence.take(1_003, at(1));
        assert!(sequence.settle(at(20)).is_empty());
        assert_eq!(sequence.settle(at(31)), [Lost { first: 1_000, end: 1_003, is_news: true }]);
        assert_eq!((sequence.lost(), sequence.settle(at(99)).len()), (3, 0));
    }

    #[test]
    fn numbers_that_overtake_each_other_are_no_hole() {
        let mut sequence = dense(1_000);
        for number in [1_004, 1_001, 1_000, 1_003, 1_002, 1_005] {
            sequence.take(number, at(1));
        }
        assert!(sequence.settle(at(100)).is_empty());
    }

    #[test]
    fn a_numbering_with_holes_of_its_own_says_nothing() {
        let mut sequence = Sequence::default();
        for number in (0..5_000).filter(|number| number % 7 != 0) {
            sequence.take(number, at(0));
        }
        assert!(sequence.settle(at(60)).iter().all(|lost| !lost.is_news));
        assert_eq!(sequence.lost(), 0);
    }

    #[test]
    fn a_restart_of_the_sender_is_no_hole_and_holes_are_found_after_it() {
        let mut sequence = dense(5_000);
        (1..500).for_each(|number| sequence.take(number, at(1)));
        assert!(sequence.settle(at(60)).is_empty());
        sequence.take(510, at(61));
        assert_eq!(sequence.settle(at(99)), [Lost { first: 500, end: 510, is_news: true }]);
        sequence.take(u64::MAX, at(100));
        assert!(sequence.settle(at(200)).is_empty());
    }

    #[test]
    fn repeated_numbers_change_nothing() {
        let mut sequence = dense(1_000);
        [999, 998, 999, 500].into_iter().for_each(|number| sequence.take(number, at(1)));
        sequence.take(1_000, at(2));
        assert!(sequence.settle(at(60)).is_empty());
    }
}
