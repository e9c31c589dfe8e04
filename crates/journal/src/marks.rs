//! Which commits of which producer are stored: what makes a resend recognisable.
//!
//! A producer counts its commits per epoch. Of each epoch the highest [`WINDOW`] sequences are remembered with hash
//! and receipt, so that commits may arrive out of order while several are in flight. A sequence below a full window is
//! a conflict: it can no longer be told from a forgery. A cursor is a producer with one commit under way at a time: its
//! window is a single sequence. Memory is bounded in bytes: producers are refused beyond it, idempotency keys push out
//! the oldest. A producer that will never send again can be taken away: what it has stored stays.
//!
//! The content follows from the marks recorded and their order alone, so that a snapshot of it equals the state that
//! recovery rebuilds.

use std::collections::{BTreeMap, HashMap, VecDeque};

use moneta_base::TableName;
use moneta_event::frame::{MarkKind, ProducerMark, Receipt, StoredMark};
use moneta_merkle::Hash;

/// Sequences remembered per epoch. A sender has at most 5 commits in flight; this leaves room for three times that.
pub(crate) const WINDOW: usize = 16;

/// Epochs remembered per producer: a spool that was replaced does not come back, but its last resend may.
const EPOCHS_PER_PRODUCER: usize = 4;

/// Bytes of a mark beside its texts and ranges, as stored and about as held.
const MARK_BYTES: usize = 128;

/// Marks of all producers.
#[derive(Debug)]
pub(crate) struct Marks {
    producers: BTreeMap<String, VecDeque<Epoch>>,
    producer_bytes: usize,
    keys: HashMap<KeyId, StoredMark>,
    key_order: VecDeque<KeyId>,
    key_bytes: usize,
    producer_bytes_max: usize,
    key_bytes_max: usize,
}

type KeyId = (String, u128, u64);

#[derive(Debug)]
struct Epoch {
    epoch: u128,
    /// Sequences remembered: those of the kind that was recorded last.
    window: usize,
    recent: BTreeMap<u64, StoredMark>,
}

/// What is known of a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing: store it.
    New,
    /// Stored with the same hash.
    Duplicate(Receipt),
    /// Stored with another hash, or too old to tell.
    Conflict(Option<Hash>),
}

impl Seen {
    pub(crate) fn of(stored: &StoredMark, mark: &ProducerMark) -> Self {
        match stored.mark.hash == mark.hash {
            true => Self::Duplicate(stored.receipt.clone()),
            false => Self::Conflict(Some(stored.mark.hash)),
        }
    }
}

impl Marks {
    pub(crate) fn new(producer_bytes_max: usize, key_bytes_max: usize) -> Self {
        Self {
            producers: BTreeMap::new(),
            producer_bytes: 0,
            keys: HashMap::new(),
            key_order: VecDeque::new(),
            key_bytes: 0,
            producer_bytes_max,
            key_bytes_max,
        }
    }

    pub(crate) fn seen(&self, mark: &ProducerMark) -> Seen {
        let stored = match mark.kind {
            MarkKind::IdempotencyKey => self.keys.get(&key_id(mark)),
            MarkKind::Forgotten => None,
            MarkKind::Producer | MarkKind::Cursor => {
                let Some(epoch) = self.epoch(mark) else { return Seen::New };
                let oldest = epoch.recent.keys().next().copied().unwrap_or_default();
                if epoch.recent.len() >= epoch.window && mark.sequence < oldest {
                    return Seen::Conflict(None);
                }
                epoch.recent.get(&mark.sequence)
            }
        };
        stored.map_or(Seen::New, |stored| Seen::of(stored, mark))
    }

    /// Whether a mark with rows of these tables can be remembered. A new epoch needs room for its full window; a known
    /// one is served until twice the limit is reached, which only receipts over many tables can do.
    pub(crate) fn has_room_for<'a>(&self, mark: &ProducerMark, tables: impl Iterator<Item = &'a TableName>) -> bool {
        let wanted = tables.map(range_bytes).sum::<usize>();
        match mark.kind {
            MarkKind::IdempotencyKey | MarkKind::Forgotten => true,
            _ if self.epoch(mark).is_some() => self.producer_bytes + wanted <= 2 * self.producer_bytes_max,
            kind => {
                let window = window_bytes(window_of(kind), &mark.producer);
                self.producer_bytes + window + wanted <= self.producer_bytes_max
            }
        }
    }

    /// How much of the memory for producers is in use, in percent.
    pub(crate) fn producers_percent(&self) -> u8 {
        let percent = (self.producer_bytes as u128 * 100).checked_div(self.producer_bytes_max as u128).unwrap_or(100);
        u8::try_from(percent).unwrap_or(u8::MAX)
    }

    /// The highest mark of a producer's newest epoch.
    pub(crate) fn high_water(&self, producer: &str) -> Option<&StoredMark> {
        self.producers.get(producer)?.back()?.recent.values().next_back()
    }

    pub(crate) fn record(&mut self, stored: StoredMark) {
        match stored.mark.kind {
            MarkKind::Producer | MarkKind::Cursor => self.record_producer(stored),
            MarkKind::IdempotencyKey => self.record_key(stored),
            MarkKind::Forgotten => self.forget(&stored.mark),
        }
    }

    /// The highest marks of producers whose names begin so, in the order of names.
    pub(crate) fn beginning_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a StoredMark> {
        let from = self.producers.range(prefix.to_owned()..).take_while(move |(name, _)| name.starts_with(prefix));
        from.filter_map(|(name, _)| self.high_water(name))
    }

    /// All marks, in an order that gives the same content when recorded again.
    pub(crate) fn all(&self) -> Vec<StoredMark> {
        let producers = self.producers.values().flatten().flat_map(|epoch| epoch.recent.values());
        let keys = self.key_order.iter().filter_map(|id| self.keys.get(id));
        producers.chain(keys).cloned().collect()
    }

    fn epoch(&self, mark: &ProducerMark) -> Option<&Epoch> {
        self.producers.get(&mark.producer)?.iter().find(|epoch| epoch.epoch == mark.epoch)
    }

    fn record_producer(&mut self, stored: StoredMark) {
        let (producer, window) = (stored.mark.producer.clone(), window_of(stored.mark.kind));
        let epochs = self.producers.entry(producer.clone()).or_default();
        let position = epochs.iter().position(|epoch| epoch.epoch == stored.mark.epoch);
        let position = position.unwrap_or_else(|| {
            epochs.push_back(Epoch { epoch: stored.mark.epoch, window: 0, recent: BTreeMap::new() });
            epochs.len() - 1
        });
        let epoch = &mut epochs[position];
        self.producer_bytes += window_bytes(window, &producer) + ranges_bytes(&stored);
        self.producer_bytes -= window_bytes(epoch.window, &producer);
        epoch.window = window;
        epoch.recent.insert(stored.mark.sequence, stored);
        while epoch.recent.len() > window
            && let Some((_, oldest)) = epoch.recent.pop_first()
        {
            self.producer_bytes -= ranges_bytes(&oldest);
        }
        if epochs.len() > EPOCHS_PER_PRODUCER
            && let Some(oldest) = epochs.pop_front()
        {
            let ranges = oldest.recent.values().map(ranges_bytes).sum::<usize>();
            self.producer_bytes -= window_bytes(oldest.window, &producer) + ranges;
        }
    }

    /// Whoever stored something since is not the one that was meant.
    fn forget(&mut self, mark: &ProducerMark) {
        let is_meant = |high: &StoredMark| (high.mark.epoch, high.mark.sequence) == (mark.epoch, mark.sequence);
        if !self.high_water(&mark.producer).is_some_and(is_meant) {
            return;
        }
        for epoch in self.producers.remove(&mark.producer).into_iter().flatten() {
            let ranges = epoch.recent.values().map(ranges_bytes).sum::<usize>();
            self.producer_bytes -= window_bytes(epoch.window, &mark.producer) + ranges;
        }
    }

    fn record_key(&mut self, stored: StoredMark) {
        let id = key_id(&stored.mark);
        self.key_bytes += size_bytes(&stored);
        self.keys.insert(id.clone(), stored);
        self.key_order.push_back(id);
        while self.key_bytes > self.key_bytes_max {
            let Some(oldest) = self.key_order.pop_front().and_then(|id| self.keys.remove(&id)) else { break };
            self.key_bytes -= size_bytes(&oldest);
        }
    }
}

fn key_id(mark: &ProducerMark) -> KeyId {
    (mark.producer.clone(), mark.epoch, mark.sequence)
}

/// Sequences remembered of a kind's epochs.
fn window_of(kind: MarkKind) -> usize {
    if kind == MarkKind::Cursor { 1 } else { WINDOW }
}

/// What an epoch takes when its window is full, ranges aside.
fn window_bytes(window: usize, producer: &str) -> usize {
    window * (MARK_BYTES + producer.len())
}

fn size_bytes(stored: &StoredMark) -> usize {
    MARK_BYTES + stored.mark.producer.len() + ranges_bytes(stored)
}

fn ranges_bytes(stored: &StoredMark) -> usize {
    stored.receipt.ranges.iter().map(|range| range_bytes(&range.table)).sum()
}

fn range_bytes(table: &TableName) -> usize {
    24 + table.as_str().len()
}

#[cfg(test)]
mod tests {
    use moneta_base::Timestamp;

    use super::*;

    fn mark(kind: MarkKind, producer: &str, epoch: u128, sequence: u64, hash: u8) -> ProducerMark {
        ProducerMark { kind, producer: producer.to_owned(), epoch, sequence, hash: Hash([hash; 32]) }
    }

    fn agent(epoch: u128, sequence: u64, hash: u8) -> ProducerMark {
        mark(MarkKind::Producer, "a", epoch, sequence, hash)
    }

    fn stored(mark: ProducerMark) -> StoredMark {
        StoredMark { mark, receipt: Receipt { ingest_time: Timestamp::from_seconds(1), ranges: Vec::new() } }
    }

    fn marks(recorded: impl IntoIterator<Item = ProducerMark>) -> Marks {
        let mut marks = Marks::new(100_000, 1_000);
        recorded.into_iter().for_each(|mark| marks.record(stored(mark)));
        marks
    }

    #[test]
    fn a_resend_is_a_duplicate_and_another_content_a_conflict() {
        let marks = marks([agent(1, 5, 1), agent(1, 7, 2)]);
        assert!(matches!(marks.seen(&agent(1, 5, 1)), Seen::Duplicate(_)));
        assert_eq!(marks.seen(&agent(1, 5, 9)), Seen::Conflict(Some(Hash([1; 32]))));
        assert_eq!(marks.seen(&agent(1, 6, 3)), Seen::New, "one in flight may be overtaken");
        assert_eq!(marks.seen(&agent(2, 5, 9)), Seen::New, "a new spool counts anew");
        assert_eq!(marks.high_water("a").unwrap().mark.sequence, 7);
    }

    #[test]
    fn a_sequence_below_a_full_window_is_a_conflict() {
        let marks = marks((10..40).map(|sequence| agent(1, sequence, 1)));
        assert_eq!(marks.seen(&agent(1, 23, 1)), Seen::Conflict(None));
        assert!(matches!(marks.seen(&agent(1, 24, 1)), Seen::Duplicate(_)));
    }

    #[test]
    fn keys_push_out_the_oldest_and_producers_are_refused_beyond_their_room() {
        let key = |sequence| mark(MarkKind::IdempotencyKey, "k", 0, sequence, 1);
        let full = marks((0..20).map(key));
        assert_eq!(full.seen(&key(0)), Seen::New);
        assert!(matches!(full.seen(&key(19)), Seen::Duplicate(_)));
        assert!(full.key_bytes <= 1_000);
        let producer = |n| mark(MarkKind::Producer, &format!("p{n}"), 0, 0, 1);
        let crowded = marks((0..47).map(producer));
        assert!(crowded.has_room_for(&key(1), [].into_iter()));
        assert!(crowded.has_room_for(&producer(1), [].into_iter()));
        assert!(!crowded.has_room_for(&producer(48), [].into_iter()));
        assert!(marks((0..40).map(producer)).has_room_for(&producer(48), [].into_iter()));
    }

    #[test]
    fn of_a_cursor_only_the_newest_is_remembered_and_many_more_have_room() {
        let cursor = |name: &str, sequence| mark(MarkKind::Cursor, name, 1, sequence, 1);
        let read = marks([cursor("c", 5), cursor("c", 9)]);
        assert_eq!(read.seen(&cursor("c", 5)), Seen::Conflict(None));
        assert!(matches!(read.seen(&cursor("c", 9)), Seen::Duplicate(_)));
        assert_eq!(read.seen(&cursor("c", 10)), Seen::New);
        assert_eq!(read.high_water("c").unwrap().mark.sequence, 9);
        let many = marks((0..700).map(|n| cursor(&format!("c{n}"), 1)));
        assert!(many.has_room_for(&cursor("another", 1), [].into_iter()));
        let full = marks((0..800).map(|n| cursor(&format!("c{n}"), 1)));
        assert!(!full.has_room_for(&cursor("another", 1), [].into_iter()));
        assert!(full.has_room_for(&cursor("c0", 2), [].into_iter()));
        assert!(many.producers_percent() < 100 && full.producers_percent() >= 100);
    }

    #[test]
    fn a_producer_that_became_a_cursor_goes_on_and_gives_its_room_back() {
        let cursor = |sequence| mark(MarkKind::Cursor, "a", 1, sequence, 1);
        let mut marks = marks((0..10).map(|sequence| agent(1, sequence, 1)));
        assert_eq!(marks.seen(&cursor(10)), Seen::New);
        marks.record(stored(cursor(10)));
        assert_eq!(marks.all().len(), 1);
        assert_eq!(marks.producer_bytes, window_bytes(1, "a"));
    }

    #[test]
    fn a_producer_is_forgotten_unless_it_stored_something_since() {
        let cursor = |name: &str, sequence| mark(MarkKind::Cursor, name, 1, sequence, 1);
        let forget = |name: &str, sequence| mark(MarkKind::Forgotten, name, 1, sequence, 0);
        let mut marks = marks([cursor("a/1", 5), cursor("a/2", 7), cursor("b", 1), agent(1, 1, 1)]);
        let named = |marks: &Marks| marks.beginning_with("a/").map(|s| s.mark.producer.clone()).collect::<Vec<_>>();
        assert_eq!(named(&marks), ["a/1", "a/2"]);
        assert_eq!(marks.seen(&forget("a/1", 5)), Seen::New);
        assert!(marks.has_room_for(&forget("a/1", 5), [].into_iter()));
        for nothing in [forget("a/1", 4), forget("a/2", 8), forget("c", 1)] {
            marks.record(stored(nothing));
        }
        assert_eq!(named(&marks), ["a/1", "a/2"]);
        marks.record(stored(forget("a/1", 5)));
        assert_eq!((named(&marks), marks.all().len()), (vec!["a/2".to_owned()], 3));
        assert_eq!(marks.seen(&cursor("a/1", 2)), Seen::New, "whoever comes under the name begins anew");
        marks.record(stored(forget("a/2", 7)));
        marks.record(stored(forget("b", 1)));
        marks.record(stored(forget("a", 1)));
        assert_eq!(marks.producer_bytes, 0);
    }

    #[test]
    fn a_snapshot_recorded_again_is_the_same_state() {
        let key = |sequence| mark(MarkKind::IdempotencyKey, "k", 0, sequence, 1);
        let cursor = |n| mark(MarkKind::Cursor, &format!("c{}", n / 3), u128::from(n % 2), n, 1);
        let before = marks((0..30).flat_map(|n| [agent(u128::from(n / 4), n, 1), key(n), cursor(n)]));
        let mut after = Marks::new(100_000, 1_000);
        before.all().into_iter().for_each(|mark| after.record(mark));
        assert_eq!(after.all(), before.all());
        assert_eq!((after.producer_bytes, after.key_bytes), (before.producer_bytes, before.key_bytes));
    }
}
