//! Record batches, version 2: what records travel and are kept in.
//!
//! ```text
//! base offset  i64      length     i32   bytes behind this field
//! leader epoch i32      magic      i8    = 2
//! checksum     u32      CRC-32C of all that follows
//! attributes   i16      bits 0-2 codec, 3 broker's time, 4 of a transaction, 5 control
//! last delta   i32      base time  i64   max time i64
//! producer     i64      epoch      i16   sequence i32
//! count        i32      records, packed by the codec
//! record:      varint length, i8 0, varlong time delta, varint offset delta,
//!              varint key, varint value, varint headers of (varint name, varint value)
//! ```
//!
//! # Source
//! Apache Kafka, "Message Format"; KIP-98 (control batches and aborted transactions).

use crate::compression::unpack;
use crate::messages::Aborted;
use crate::wire::{Reader, Writer};

/// Bytes of base offset and length.
const PREFIX_BYTES: usize = 12;
/// Bytes from the leader epoch to the count.
const HEAD_BYTES: usize = 49;
/// Bytes from the leader epoch to the checksum, that one included.
const UNCHECKED_BYTES: usize = 9;
/// Offsets that a batch is believed to have when its checksum is wrong.
const UNREADABLE_OFFSETS_MAX: i32 = 1 << 20;
const MAGIC: i8 = 2;
const CODEC: i16 = 0b111;
const BROKER_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its number within the partition.
    pub offset: i64,
    /// When it was made, or came to the broker, in milliseconds since 1970; -1 where nobody said.
    pub time_ms: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its content; `None` where it says that its key is gone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// Bytes of a batch that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken<'a> {
    /// The first offset that cannot be read.
    pub offset: i64,
    /// Why.
    pub reason: &'static str,
    /// The batch, as it came.
    pub bytes: &'a [u8],
}

/// What is found in a partition's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record.
    Record(RecordRef<'a>),
    /// A batch, or the rest of one, that cannot be read.
    Broken(Broken<'a>),
}

/// Hands on every record from an offset on, in order, and returns the offset behind the last batch that was whole: where
/// to read next. Records of aborted transactions and the marks of transactions are passed over; a batch that came in part
/// is left for the next read.
pub fn read_batches(bytes: &[u8], from: i64, aborted: &[Aborted], on_found: &mut dyn FnMut(Found<'_>)) -> i64 {
    let mut transactions = Transactions::new(aborted);
    let mut next = from;
    let mut rest = bytes;
    while let Some((batch, behind)) = split(rest) {
        rest = behind;
        next = match Head::read(batch) {
            Ok(head) if head.end() <= from => next,
            Ok(head) => {
                let first = next.max(head.base);
                if !transactions.leaves_out(&head)
                    && let Err((offset, reason)) = head.records(first, on_found)
                {
                    on_found(Found::Broken(Broken { offset, reason, bytes: batch }));
                }
                next.max(head.end())
            }
            Err(reason) => {
                let (first, end) = unreadable_range(batch, next);
                if first < end {
                    on_found(Found::Broken(Broken { offset: first, reason, bytes: batch }));
                }
                end
            }
        };
    }
    next
}

/// The first batch or message, and what is behind it; `None` where it is not whole.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = Reader(bytes.get(8..)?).i32().ok()?;
    // A length that cannot be is no batch: the broker is asked again, and the caller sees that nothing came.
    bytes.split_at_checked(PREFIX_BYTES.checked_add(usize::try_from(length).ok()?)?)
}

/// Where a batch that cannot be read begins and ends for one who reads from `next` on. Its own word is taken for its
/// length while that can be; else the next offset is asked for.
fn unreadable_range(batch: &[u8], next: i64) -> (i64, i64) {
    let base = Reader(batch).i64().unwrap_or(next).max(0);
    let is_batch = batch.get(16).copied() == Some(MAGIC.cast_unsigned());
    let delta = batch.get(23..).filter(|_| is_batch).and_then(|rest| Reader(rest).i32().ok());
    let delta = delta.filter(|delta| (0..=UNREADABLE_OFFSETS_MAX).contains(delta)).unwrap_or(0);
    (base.max(next), base.saturating_add(i64::from(delta)).saturating_add(1).max(next))
}

/// A batch whose checksum is right.
struct Head<'a> {
    base: i64,
    attributes: i16,
    last_delta: i32,
    base_time: i64,
    max_time: i64,
    producer: i64,
    count: i32,
    packed: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(batch: &'a [u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "the batch is too short";
        let mut reader = Reader(batch);
        let base = reader.i64().map_err(|_| SHORT)?;
        let body = batch.get(PREFIX_BYTES..).ok_or(SHORT)?;
        match body.get(4) {
            Some(&magic) if magic.cast_signed() == MAGIC => {}
            Some(_) => return Err("the record is in the format of Kafka before 0.11"),
            None => return Err(SHORT),
        }
        if body.len() < HEAD_BYTES {
            return Err(SHORT);
        }
        let sum = Reader(&body[5..]).u32().map_err(|_| SHORT)?;
        if sum != crc32c::crc32c(&body[UNCHECKED_BYTES..]) {
            return Err("the checksum of the batch is wrong");
        }
        let mut reader = Reader(&body[UNCHECKED_BYTES..]);
        let head = (|| {
            Ok::<_, crate::Error>(Self {
                base,
                attributes: reader.i16()?,
                last_delta: reader.i32()?,
                base_time: reader.i64()?,
                max_time: reader.i64()?,
                producer: reader.i64()?,
                // Epoch and sequence are the producer's and the broker's.
                count: reader.take(6).and_then(|_| reader.i32())?,
                packed: reader.0,
            })
        })();
        let head = head.map_err(|_| SHORT)?;
        if head.base < 0 || head.last_delta < 0 {
            return Err("the batch has a negative offset");
        }
        Ok(head)
    }

    /// The offset behind the last record.
    fn end(&self) -> i64 {
        self.base.saturating_add(i64::from(self.last_delta)).saturating_add(1)
    }

    /// Hands on the records from `first` on; where and why that ended early.
    fn records(&self, first: i64, on_found: &mut dyn FnMut(Found<'_>)) -> Result<(), (i64, &'static str)> {
        let codec = self.attributes & CODEC;
        let unpacked;
        let mut reader = Reader(if codec == 0 {
            self.packed
        } else {
            unpacked = unpack(codec, self.packed).map_err(|reason| (first, reason))?;
            &unpacked
        });
        let mut expected = first;
        for _ in 0..self.count.max(0) {
            let record = self.record(&mut reader).map_err(|_| (expected, "a record in the batch cannot be read"))?;
            if record.offset >= first {
                expected = record.offset.saturating_add(1);
                on_found(Found::Record(record));
            }
        }
        Ok(())
    }

    fn record<'b>(&self, reader: &mut Reader<'b>) -> Result<RecordRef<'b>, crate::Error> {
        let length = reader.varint_length()?.unwrap_or(0);
        let mut record = Reader(reader.take(length)?);
        record.i8()?;
        let time = self.base_time.saturating_add(record.varlong()?);
        let delta = record.varlong()?;
        if !(0..=i64::from(self.last_delta)).contains(&delta) {
            return Err(crate::Error::NotKafka("a record lies outside its batch"));
        }
        let (key, value) = (record.varint_bytes()?, record.varint_bytes()?);
        let count = record.varint_length()?.unwrap_or(0);
        if count > record.0.len() {
            return Err(crate::Error::NotKafka("a record has more headers than bytes"));
        }
        let header = |_| Ok((record.varint_bytes()?.unwrap_or_default(), record.varint_bytes()?));
        let headers = (0..count).map(header).collect::<Result<_, crate::Error>>()?;
        let time_ms = if self.attributes & BROKER_TIME == 0 { time } else { self.max_time };
        Ok(RecordRef { offset: self.base.saturating_add(delta), time_ms, key, value, headers })
    }

    /// Whether this is the mark of a transaction that was aborted.
    fn is_abort(&self) -> bool {
        let key = self.record(&mut Reader(self.packed)).ok().and_then(|record| record.key);
        key.and_then(|key| key.get(2..4)) == Some(&[0, 0][..])
    }
}

/// Which transactions were aborted, as far as they were met.
struct Transactions {
    /// The producers of those to come and their first offsets, the last one first.
    ahead: Vec<Aborted>,
    /// The producers of those that are open here.
    open: Vec<i64>,
}

impl Transactions {
    fn new(aborted: &[Aborted]) -> Self {
        let mut ahead = aborted.to_vec();
        ahead.sort_by_key(|aborted| std::cmp::Reverse(aborted.first));
        Self { ahead, open: Vec::new() }
    }

    /// Whether the records of a batch are no records for a reader.
    fn leaves_out(&mut self, head: &Head<'_>) -> bool {
        while let Some(aborted) = self.ahead.pop_if(|aborted| aborted.first < head.end()) {
            self.open.push(aborted.producer);
        }
        if head.attributes & CONTROL != 0 {
            if head.is_abort() {
                self.open.retain(|producer| *producer != head.producer);
            }
            return true;
        }
        head.attributes & TRANSACTIONAL != 0 && self.open.contains(&head.producer)
    }
}

/// A record to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Its key: records of one key go to one partition.
    pub key: Option<&'a [u8]>,
    /// Its content.
    pub value: &'a [u8],
    /// Its headers.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A batch of records that were made at `time_ms`, milliseconds since 1970, unpacked.
#[must_use]
pub fn write_batch(records: &[NewRecord<'_>], time_ms: i64) -> Vec<u8> {
    let mut checked = Writer::default();
    let last = i32::try_from(records.len().saturating_sub(1)).unwrap_or(i32::MAX);
    checked.i16(0).i32(last).i64(time_ms).i64(time_ms).i64(-1).i16(-1).i32(-1).length(records.len());
    for (delta, record) in (0..).zip(records) {
        let mut written = Writer::default();
        written.i8(0).varlong(0).varlong(delta).varint_bytes(record.key).varint_bytes(Some(record.value));
        written.varlong(i64::try_from(record.headers.len()).unwrap_or(i64::MAX));
        for (name, value) in record.headers {
            written.varint_bytes(Some(name.as_bytes())).varint_bytes(Some(value.as_bytes()));
        }
        checked.varint_bytes(Some(&written.0));
    }
    let mut batch = Writer::default();
    batch.i64(0).length(UNCHECKED_BYTES + checked.0.len()).i32(-1).i8(MAGIC);
    batch.raw(&crc32c::crc32c(&checked.0).to_be_bytes()).raw(&checked.0);
    batch.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A batch at an offset, with attributes and a producer, whose records are packed by a codec.
    fn batch(base: i64, attributes: i16, producer: i64, values: &[&str]) -> Vec<u8> {
        let records: Vec<NewRecord<'_>> = values
            .iter()
            .map(|value| NewRecord { key: Some(b"k"), value: value.as_bytes(), headers: &[("h", "v")] })
            .collect();
        with(&write_batch(&records, 1_000), base, attributes, producer)
    }

    fn with(batch: &[u8], base: i64, attributes: i16, producer: i64) -> Vec<u8> {
        let mut bytes = batch[..61].to_vec();
        let records = &batch[61..];
        bytes.extend(if attributes & CODEC == 4 { zstd::encode_all(records, 1).unwrap() } else { records.to_vec() });
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[43..51].copy_from_slice(&producer.to_be_bytes());
        let length = i32::try_from(bytes.len() - PREFIX_BYTES).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let sum = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The mark that ends a transaction.
    fn mark(base: i64, producer: i64, kind: u8) -> Vec<u8> {
        let record = NewRecord { key: Some(&[0, 0, 0, kind]), value: b"", headers: &[] };
        with(&write_batch(&[record], 1_000), base, CONTROL | TRANSACTIONAL, producer)
    }

    /// Offsets and values; a broken batch as its offset and reason.
    fn read(bytes: &[u8], from: i64, aborted: &[Aborted]) -> (Vec<(i64, String)>, i64) {
        let mut found = Vec::new();
        let next = read_batches(bytes, from, aborted, &mut |one| {
            found.push(match one {
                Found::Record(record) => {
                    (record.offset, String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned())
                }
                Found::Broken(broken) => (broken.offset, format!("! {}", broken.reason)),
            });
        });
        (found, next)
    }

    fn pairs(found: &[(i64, &str)]) -> Vec<(i64, String)> {
        found.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
    }

    #[test]
    fn records_come_back_from_the_offset_asked_for() {
        let bytes = [batch(5, 0, -1, &["a", "b", "c"]), batch(10, 4, -1, &["d", "e"])].concat();
        assert_eq!(read(&bytes, 6, &[]), (pairs(&[(6, "b"), (7, "c"), (10, "d"), (11, "e")]), 12));
        // A reader that is ahead of a batch sees none of it.
        assert_eq!(read(&bytes, 8, &[]), (pairs(&[(10, "d"), (11, "e")]), 12));
        // A batch that came in part waits.
        assert_eq!(read(&bytes[..bytes.len() - 1], 5, &[]).1, 8);
        assert_eq!(read(&[], 3, &[]), (Vec::new(), 3));
    }

    #[test]
    fn times_keys_and_headers_are_those_that_were_given() {
        let written = batch(7, 0, -1, &["a"]);
        let expected = RecordRef {
            offset: 7,
            time_ms: 1_000,
            key: Some(b"k"),
            value: Some(b"a"),
            headers: vec![(b"h", Some(b"v"))],
        };
        read_batches(&written, 0, &[], &mut |found| assert_eq!(found, Found::Record(expected.clone())));
        let mut broker_time = batch(7, BROKER_TIME, -1, &["a"]);
        broker_time[35..43].copy_from_slice(&2_000_i64.to_be_bytes());
        let sum = crc32c::crc32c(&broker_time[21..]);
        broker_time[17..21].copy_from_slice(&sum.to_be_bytes());
        let mut times = Vec::new();
        read_batches(&broker_time, 0, &[], &mut |found| match found {
            Found::Record(record) => times.push(record.time_ms),
            Found::Broken(broken) => panic!("{broken:?}"),
        });
        assert_eq!(times, [2_000]);
    }

    #[test]
    fn records_of_aborted_transactions_and_marks_are_passed_over() {
        let bytes = [
            batch(0, TRANSACTIONAL, 1, &["gone"]),
            batch(1, TRANSACTIONAL, 2, &["kept"]),
            batch(2, 0, -1, &["plain"]),
            mark(3, 1, 0),
            mark(4, 2, 1),
            batch(5, TRANSACTIONAL, 1, &["again"]),
            mark(6, 1, 1),
        ]
        .concat();
        let aborted = [Aborted { producer: 1, first: 0 }];
        assert_eq!(read(&bytes, 0, &aborted), (pairs(&[(1, "kept"), (2, "plain"), (5, "again")]), 7));
    }

    #[test]
    fn a_damaged_batch_is_named_and_what_follows_is_read() {
        let mut damaged = batch(0, 0, -1, &["a", "b"]);
        *damaged.last_mut().unwrap() ^= 1;
        let bytes = [damaged, batch(2, 0, -1, &["c"])].concat();
        let (found, next) = read(&bytes, 0, &[]);
        assert_eq!(found, pairs(&[(0, "! the checksum of the batch is wrong"), (2, "c")]));
        assert_eq!(next, 3);
        // It is not met again where it is the last one.
        assert_eq!(read(&bytes[..bytes.len() - 1], 0, &[]).1, 2);
        // A codec that lies, and a message of the old format.
        let (found, next) = read(&batch(4, 3, -1, &["x"]), 4, &[]);
        assert!(found[0].1.starts_with("! the records are no LZ4"), "{found:?}");
        assert_eq!(next, 5);
        let mut old = batch(9, 0, -1, &["x"]);
        old[16] = 1;
        assert_eq!(read(&old, 0, &[]).0, pairs(&[(9, "! the record is in the format of Kafka before 0.11")]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_back(bytes in proptest::collection::vec(any::<u8>(), 0..400), from in 0..1000_i64) {
            prop_assert!(read(&bytes, from, &[]).1 >= from);
        }

        #[test]
        fn no_damage_makes_it_panic_or_go_back(at in 0..200_usize, to in any::<u8>(), codec in 0..5_i16, sums in any::<bool>()) {
            let mut bytes = batch(3, 0, -1, &["abc", "def", "ghi"]);
            let at = at % bytes.len();
            bytes[at] = to;
            bytes[22] = bytes[22] & !7 | u8::try_from(codec).unwrap();
            if sums {
                let sum = crc32c::crc32c(&bytes[21..]);
                bytes[17..21].copy_from_slice(&sum.to_be_bytes());
            }
            let aborted = [Aborted { producer: -1, first: 0 }];
            prop_assert!(read(&bytes, 3, &aborted).1 >= 3);
        }
    }
}
