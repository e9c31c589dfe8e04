//! Requests and answers, each in one version.
//!
//! # Source
//! Apache Kafka, "Protocol Guide": ApiVersions 0, SaslHandshake 1, SaslAuthenticate 0, Metadata 4, ListOffsets 1,
//! Fetch 4 and 10, Produce 3.

use crate::wire::{Reader, Writer};
use crate::{Error, code};

/// A kind of request, in the version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Api {
    pub(crate) name: &'static str,
    pub(crate) key: i16,
    pub(crate) version: i16,
}

pub(crate) const API_VERSIONS: Api = Api { name: "ApiVersions", key: 18, version: 0 };
pub(crate) const SASL_HANDSHAKE: Api = Api { name: "SaslHandshake", key: 17, version: 1 };
pub(crate) const SASL_AUTHENTICATE: Api = Api { name: "SaslAuthenticate", key: 36, version: 0 };
pub(crate) const METADATA: Api = Api { name: "Metadata", key: 3, version: 4 };
pub(crate) const LIST_OFFSETS: Api = Api { name: "ListOffsets", key: 2, version: 1 };
/// From this version on brokers give records packed with Zstandard.
pub(crate) const FETCH: Api = Api { name: "Fetch", key: 1, version: 10 };
/// What brokers know that do not know that one.
pub(crate) const FETCH_OLD: Api = Api { version: 4, ..FETCH };
pub(crate) const PRODUCE: Api = Api { name: "Produce", key: 0, version: 3 };

/// Partitions of a topic at most.
const PARTITIONS_MAX: usize = 10_000;

/// Where a broker takes connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerAddress {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl BrokerAddress {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']'))?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@[]".contains(c));
        is_host.then(|| Self { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Who leads the partitions of topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The topics asked for, in no order.
    pub topics: Vec<TopicPartitions>,
}

/// Who leads the partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPartitions {
    /// Its name.
    pub topic: String,
    /// Why the topic cannot be used; 0 when it can.
    pub code: i16,
    /// The partitions and their leaders, in order; `None` where there is none now.
    pub leaders: Vec<(i32, Option<BrokerAddress>)>,
}

/// An offset of a partition that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first record that is there.
    First,
    /// Behind the last one.
    End,
}

/// A partition to read, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFrom {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset wanted.
    pub offset: i64,
}

/// How much is asked for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Milliseconds the broker waits for records when there are none.
    pub wait_ms: i32,
    /// Bytes of all partitions together; the first batch comes whole however long it is.
    pub bytes: i32,
    /// Bytes of one partition.
    pub partition_bytes: i32,
}

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Its producer.
    pub producer: i64,
    /// The offset of its first record.
    pub first: i64,
}

/// What came of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Why there is nothing; 0 when all is well.
    pub code: i16,
    /// The offset behind the last record that every replica has.
    pub end: i64,
    /// Transactions of which records may be among these and are none.
    pub aborted: Vec<Aborted>,
    /// Batches, for [`read_batches`](crate::read_batches).
    pub batches: Vec<u8>,
}

/// The refusal of a request, unless its code is none.
pub(crate) fn check(request: Api, code: i16) -> Result<(), Error> {
    if code == code::NONE { Ok(()) } else { Err(Error::Refused { request: request.name, code }) }
}

/// The versions a broker knows: key, oldest, newest.
pub(crate) fn read_versions(answer: &[u8]) -> Result<Vec<(i16, i16, i16)>, Error> {
    let mut reader = Reader(answer);
    check(API_VERSIONS, reader.i16()?)?;
    reader.list(6, |reader| Ok((reader.i16()?, reader.i16()?, reader.i16()?)))
}

pub(crate) fn write_mechanism(mechanism: &str) -> Vec<u8> {
    let mut body = Writer::default();
    body.text(mechanism);
    body.0
}

/// Whether the broker takes the mechanism.
pub(crate) fn read_mechanism(answer: &[u8], wanted: &'static str) -> Result<(), Error> {
    const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
    let mut reader = Reader(answer);
    let code = reader.i16()?;
    let known = reader.list(2, Reader::name)?;
    if code == UNSUPPORTED_SASL_MECHANISM {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Error::Mechanism { wanted, known });
    }
    check(SASL_HANDSHAKE, code)
}

/// What a mechanism says.
pub(crate) fn write_words(words: &str) -> Vec<u8> {
    let mut body = Writer::default();
    body.bytes(words.as_bytes());
    body.0
}

/// What the broker says to it.
pub(crate) fn read_words(answer: &[u8]) -> Result<Vec<u8>, Error> {
    let mut reader = Reader(answer);
    check(SASL_AUTHENTICATE, reader.i16()?)?;
    let _reason = reader.text()?;
    reader.bytes().map(<[u8]>::to_vec)
}

pub(crate) fn write_metadata(topics: &[String]) -> Vec<u8> {
    let mut body = Writer::default();
    body.length(topics.len());
    for topic in topics {
        body.text(topic);
    }
    // Topics are not made by asking for them.
    body.i8(0);
    body.0
}

pub(crate) fn read_metadata(answer: &[u8]) -> Result<Metadata, Error> {
    let mut reader = Reader(answer);
    reader.i32()?;
    let brokers = reader.list(12, |reader| {
        let (id, host, port) = (reader.i32()?, reader.name()?, reader.i32()?);
        reader.text()?;
        Ok((id, u16::try_from(port).ok().map(|port| BrokerAddress { host, port })))
    })?;
    reader.text()?;
    reader.i32()?;
    let leader_of = |id| brokers.iter().find(|(known, _)| *known == id).and_then(|(_, address)| address.clone());
    let topics = reader.list(9, |reader| {
        let (code, topic) = (reader.i16()?, reader.name()?);
        reader.i8()?;
        let mut leaders = reader.list(18, |reader| {
            reader.i16()?;
            let (partition, leader) = (reader.i32()?, reader.i32()?);
            reader.list(4, Reader::i32)?;
            reader.list(4, Reader::i32)?;
            Ok((partition, leader_of(leader)))
        })?;
        if leaders.len() > PARTITIONS_MAX {
            return Err(Error::NotKafka("a topic has more than 10000 partitions"));
        }
        leaders.sort_by_key(|(partition, _)| *partition);
        Ok(TopicPartitions { topic, code, leaders })
    })?;
    Ok(Metadata { topics })
}

pub(crate) fn write_list_offsets(topic: &str, partition: i32, place: Place) -> Vec<u8> {
    let time = match place {
        Place::First => -2,
        Place::End => -1,
    };
    let mut body = Writer::default();
    body.i32(-1).length(1).text(topic).length(1).i32(partition).i64(time);
    body.0
}

pub(crate) fn read_list_offsets(answer: &[u8]) -> Result<i64, Error> {
    let mut reader = Reader(answer);
    let topics = reader.list(6, |reader| {
        reader.name()?;
        reader.list(22, |reader| {
            reader.i32()?;
            let code = reader.i16()?;
            reader.i64()?;
            Ok((code, reader.i64()?))
        })
    })?;
    let (code, offset) = topics.into_iter().flatten().next().ok_or(Error::NotKafka("no offset was said"))?;
    check(LIST_OFFSETS, code)?;
    if offset < 0 { Err(Error::NotKafka("an offset is negative")) } else { Ok(offset) }
}

/// Asks for records of committed transactions and of none.
pub(crate) fn write_fetch(api: Api, from: &[FetchFrom], limits: FetchLimits) -> Vec<u8> {
    const READ_COMMITTED: i8 = 1;
    let is_old = api == FETCH_OLD;
    let mut body = Writer::default();
    body.i32(-1).i32(limits.wait_ms).i32(1).i32(limits.bytes).i8(READ_COMMITTED);
    if !is_old {
        // Neither in a session nor beginning one.
        body.i32(0).i32(-1);
    }
    let topics: Vec<&[FetchFrom]> = from.chunk_by(|one, next| one.topic == next.topic).collect();
    body.length(topics.len());
    for partitions in topics {
        body.text(&partitions[0].topic).length(partitions.len());
        for partition in partitions {
            body.i32(partition.partition);
            if !is_old {
                body.i32(-1);
            }
            body.i64(partition.offset);
            if !is_old {
                body.i64(-1);
            }
            body.i32(limits.partition_bytes);
        }
    }
    if !is_old {
        body.length(0);
    }
    body.0
}

pub(crate) fn read_fetched(api: Api, answer: &[u8]) -> Result<Vec<Fetched>, Error> {
    let is_old = api == FETCH_OLD;
    let mut reader = Reader(answer);
    reader.i32()?;
    if !is_old {
        check(FETCH, reader.i16()?)?;
        reader.i32()?;
    }
    let topics = reader.list(6, |reader| {
        let topic = reader.name()?;
        reader.list(30, |reader| {
            let (partition, code, end) = (reader.i32()?, reader.i16()?, reader.i64()?);
            reader.i64()?;
            if !is_old {
                reader.i64()?;
            }
            let aborted = reader.list(16, |reader| Ok(Aborted { producer: reader.i64()?, first: reader.i64()? }))?;
            let batches = reader.bytes()?.to_vec();
            Ok(Fetched { topic: topic.clone(), partition, code, end, aborted, batches })
        })
    })?;
    Ok(topics.into_iter().flatten().collect())
}

/// Asks for the batch to be written by every replica that is in step.
pub(crate) fn write_produce(topic: &str, partition: i32, batch: &[u8], wait_ms: i32) -> Vec<u8> {
    let mut body = Writer::default();
    body.i16(-1).i16(-1).i32(wait_ms).length(1).text(topic).length(1).i32(partition).bytes(batch);
    body.0
}

/// The offset of the first record written.
pub(crate) fn read_produced(answer: &[u8]) -> Result<i64, Error> {
    let mut reader = Reader(answer);
    let topics = reader.list(6, |reader| {
        reader.name()?;
        reader.list(22, |reader| {
            reader.i32()?;
            let (code, offset) = (reader.i16()?, reader.i64()?);
            reader.i64()?;
            Ok((code, offset))
        })
    })?;
    let (code, offset) = topics.into_iter().flatten().next().ok_or(Error::NotKafka("no partition was answered"))?;
    check(PRODUCE, code)?;
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_and_ports() {
        for (text, host) in [("a.example:9092", "a.example"), ("[::1]:1", "::1"), ("10.0.0.1:65535", "10.0.0.1")] {
            let address = BrokerAddress::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.to_string().as_str()), (host, text));
        }
        for text in ["a", "a:", ":1", "a:0", "a:65536", "https://a:1", "u@a:1", "[::1:1"] {
            assert_eq!(BrokerAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn metadata_names_the_leader_of_each_partition() {
        let mut answer = Writer::default();
        answer.i32(0).length(2);
        answer.i32(7).text("a").i32(9092).i16(-1).i32(8).text("b").i32(70_000).i16(-1);
        answer.i16(-1).i32(7).length(2);
        answer.i16(0).text("t").i8(0).length(3);
        for (partition, leader) in [(1, 7), (0, 8), (2, -1)] {
            answer.i16(0).i32(partition).i32(leader).length(1).i32(leader).length(0);
        }
        answer.i16(3).text("gone").i8(0).length(0);
        let a = BrokerAddress { host: "a".to_owned(), port: 9092 };
        let metadata = read_metadata(&answer.0).unwrap();
        assert_eq!(metadata.topics[0].leaders, [(0, None), (1, Some(a)), (2, None)]);
        assert_eq!((metadata.topics[1].topic.as_str(), metadata.topics[1].code), ("gone", 3));
        for length in 0..answer.0.len() {
            assert!(read_metadata(&answer.0[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_was_fetched_is_read_in_both_versions() {
        for api in [FETCH, FETCH_OLD] {
            let mut answer = Writer::default();
            answer.i32(0);
            if api == FETCH {
                answer.i16(0).i32(0);
            }
            answer.length(1).text("t").length(2);
            for (partition, code, batches) in [(0, 0, &b"abc"[..]), (4, 1, &[])] {
                answer.i32(partition).i16(code).i64(9).i64(8);
                if api == FETCH {
                    answer.i64(0);
                }
                answer.length(1).i64(5).i64(6).bytes(batches);
            }
            let fetched = read_fetched(api, &answer.0).unwrap();
            assert_eq!(fetched[0].batches, b"abc");
            assert_eq!((fetched[1].partition, fetched[1].code, fetched[1].end), (4, 1, 9));
            assert_eq!(fetched[1].aborted, [Aborted { producer: 5, first: 6 }]);
            for length in 0..answer.0.len() {
                assert!(read_fetched(api, &answer.0[..length]).is_err(), "{length}");
            }
        }
    }
}
