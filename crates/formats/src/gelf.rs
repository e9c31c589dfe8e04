//! GELF on its way in: messages in chunks, compressed or not, behind each other in a stream. What a message is, the
//! mapping `gelf` says: it is a JSON object.
//!
//! Layout of a chunk: `1e 0f`, the message's identifier (8 bytes), the chunk's number from 0 (1 byte), how many chunks
//! there are (1 byte, at most 128), its part of the message. A whole message is gzip, zlib or JSON, told apart by its
//! first bytes: what transports say of the encoding is not to be relied on. In a stream each message ends with a zero
//! byte.
//!
//! Pure: no socket is touched, and what is held is bounded.
//!
//! # Source
//! Graylog documentation, "GELF": chunking, compression, GELF via TCP; version 1.1.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;

use flate2::read::{GzDecoder, ZlibDecoder};
use moneta_base::Timestamp;

use crate::framing::Frame;

const CHUNK_MAGIC: [u8; 2] = [0x1e, 0x0f];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes of a chunk before its part.
const CHUNK_HEAD_BYTES: usize = 12;
const CHUNKS_MAX: u8 = 128;
/// Nanoseconds within which all chunks of a message must come.
const CHUNKS_WITHIN_NANOS: i64 = 5_000_000_000;
/// Nanoseconds between two looks for messages that are too old: none may cost a look at all of them for each chunk.
const LOOK_EVERY_NANOS: i64 = 1_000_000_000;
/// Bytes of chunks held at most, of all senders together: the oldest messages give way.
const CHUNKS_BYTES_MAX: usize = 16 << 20;
/// Unfinished messages held at most.
const UNFINISHED_MAX: usize = 1_024;

/// Why bytes are no message, with a code for counting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMessage {
    /// Decompression failed.
    #[error("the message begins as {0} does, and cannot be unpacked")]
    Broken(&'static str),
    /// It is too long.
    #[error("the message has more than {0} bytes when unpacked")]
    TooLong(usize),
    /// A chunk whose numbers cannot be.
    #[error("a chunk is number {number} of {count}; there are at most 128, counted from 0")]
    Chunk {
        /// Its number.
        number: u8,
        /// How many it says there are.
        count: u8,
    },
    /// A chunk shorter than its head.
    #[error("a chunk of {0} bytes is shorter than its head")]
    ShortChunk(usize),
}

impl NoMessage {
    /// A word for what is wrong.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Broken(_) => "not_unpacked",
            Self::TooLong(_) => "too_long",
            Self::Chunk { .. } | Self::ShortChunk(_) => "bad_chunk",
        }
    }
}

/// Unpacks a whole message of at most `bytes_max` bytes; what is not compressed comes back as it is.
///
/// # Errors
/// [`NoMessage::Broken`], [`NoMessage::TooLong`].
pub fn unpack(bytes: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, NoMessage> {
    let packing = if bytes.starts_with(&GZIP_MAGIC) {
        "gzip"
    } else if is_zlib(bytes) {
        "zlib"
    } else {
        return if bytes.len() > bytes_max { Err(NoMessage::TooLong(bytes_max)) } else { Ok(bytes.into()) };
    };
    let mut unpacked = Vec::new();
    let limit = bytes_max as u64 + 1;
    let read = match packing {
        "gzip" => GzDecoder::new(bytes).take(limit).read_to_end(&mut unpacked),
        _ => ZlibDecoder::new(bytes).take(limit).read_to_end(&mut unpacked),
    };
    match read {
        Err(_) => Err(NoMessage::Broken(packing)),
        Ok(_) if unpacked.len() > bytes_max => Err(NoMessage::TooLong(bytes_max)),
        Ok(_) => Ok(unpacked.into()),
    }
}

/// Whether bytes begin as zlib does: deflate, and a head divisible by 31 (RFC 1950). JSON never does.
fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

/// Whose message it is: identifiers are chosen by senders, each for itself.
type MessageKey = (IpAddr, [u8; 8]);

#[derive(Debug)]
struct Unfinished {
    since: Timestamp,
    parts: Vec<Option<Vec<u8>>>,
    num_bytes: usize,
}

impl Unfinished {
    fn num_parts(&self) -> u64 {
        self.parts.iter().flatten().count() as u64
    }
}

/// Joins chunks to messages.
#[derive(Debug, Default)]
pub struct Chunks {
    unfinished: BTreeMap<MessageKey, Unfinished>,
    num_bytes: usize,
    looked: Timestamp,
    /// Chunks given up, by sender.
    lost: BTreeMap<IpAddr, u64>,
}

impl Chunks {
    /// The message that a datagram is or completes, still packed; `None` while others of its chunks are to come.
    ///
    /// # Errors
    /// When it begins as a chunk and is none.
    pub fn join(&mut self, peer: IpAddr, datagram: Vec<u8>, now: Timestamp) -> Result<Option<Vec<u8>>, NoMessage> {
        if !datagram.starts_with(&CHUNK_MAGIC) {
            return Ok(Some(datagram));
        }
        let Some((head, part)) = datagram.split_first_chunk::<CHUNK_HEAD_BYTES>() else {
            return Err(NoMessage::ShortChunk(datagram.len()));
        };
        let [_, _, id @ .., number, count] = *head;
        if count == 0 || count > CHUNKS_MAX || number >= count {
            return Err(NoMessage::Chunk { number, count });
        }
        self.make_room(part.len(), now);
        let key = (peer, id);
        let new = || Unfinished { since: now, parts: vec![None; usize::from(count)], num_bytes: 0 };
        let message = self.unfinished.entry(key).or_insert_with(new);
        // A sender that uses an identifier again for another message is as good as a chunk that cannot be.
        let Some(place) = message.parts.get_mut(usize::from(number)) else {
            return Err(NoMessage::Chunk { number, count });
        };
        if place.is_none() {
            *place = Some(part.to_vec());
            message.num_bytes += part.len();
            self.num_bytes += part.len();
        }
        if message.parts.iter().any(Option::is_none) {
            return Ok(None);
        }
        let whole = self.unfinished.remove(&key);
        self.num_bytes -= whole.as_ref().map_or(0, |message| message.num_bytes);
        Ok(whole.map(|message| message.parts.into_iter().flatten().flatten().collect()))
    }

    /// Gives up messages that are too old, and the oldest while there is no room for `more` bytes.
    fn make_room(&mut self, more: usize, now: Timestamp) {
        let age = |since: Timestamp| now.as_nanos().saturating_sub(since.as_nanos());
        if age(self.looked) >= LOOK_EVERY_NANOS {
            self.looked = now;
            let old = self.unfinished.iter().filter(|(_, message)| age(message.since) > CHUNKS_WITHIN_NANOS);
            let old: Vec<MessageKey> = old.map(|(key, _)| *key).collect();
            old.into_iter().for_each(|key| self.give_up(key));
        }
        while self.num_bytes + more > CHUNKS_BYTES_MAX || self.unfinished.len() >= UNFINISHED_MAX {
            let oldest = self.unfinished.iter().min_by_key(|(_, message)| message.since).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            self.give_up(oldest);
        }
    }

    fn give_up(&mut self, key: MessageKey) {
        if let Some(message) = self.unfinished.remove(&key) {
            self.num_bytes -= message.num_bytes;
            *self.lost.entry(key.0).or_default() += message.num_parts();
        }
    }

    /// Chunks that were given up since this was asked last, by sender.
    pub fn take_lost(&mut self) -> BTreeMap<IpAddr, u64> {
        std::mem::take(&mut self.lost)
    }

    /// Gives up everything that is not whole.
    pub fn finish(&mut self) {
        let all: Vec<MessageKey> = self.unfinished.keys().copied().collect();
        all.into_iter().for_each(|key| self.give_up(key));
    }
}

/// Cuts a stream into messages that each end with a zero byte.
#[derive(Debug)]
pub struct ZeroFrames {
    message_bytes_max: usize,
    /// The beginning of the unfinished message.
    partial: Vec<u8>,
    /// Bytes of the unfinished message.
    length: u64,
}

impl ZeroFrames {
    /// Framing that passes messages up to `message_bytes_max` bytes.
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, partial: Vec::new(), length: 0 }
    }

    /// Takes the next bytes and hands on each message they complete.
    pub fn feed(&mut self, bytes: &[u8], mut on_frame: impl FnMut(Frame<'_>)) {
        for piece in bytes.split_inclusive(|byte| *byte == 0) {
            let (part, ends) = piece.strip_suffix(&[0]).map_or((piece, false), |part| (part, true));
            let room = self.message_bytes_max - self.partial.len();
            self.partial.extend_from_slice(&part[..part.len().min(room)]);
            self.length += part.len() as u64;
            if ends {
                self.finish(&mut on_frame);
            }
        }
    }

    /// Hands on what the peer left unfinished when it closed.
    pub fn finish(&mut self, mut on_frame: impl FnMut(Frame<'_>)) {
        let (bytes, length) = (std::mem::take(&mut self.partial), std::mem::take(&mut self.length));
        match length {
            0 => {}
            _ if length > bytes.len() as u64 => on_frame(Frame::TooLong { head: &bytes, length }),
            _ => on_frame(Frame::Message(&bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn chunk(id: u8, number: u8, count: u8, part: &[u8]) -> Vec<u8> {
        [&CHUNK_MAGIC[..], &[id; 8], &[number, count], part].concat()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn chunks_in_any_order_and_doubled_become_the_message() {
        let mut chunks = Chunks::default();
        let other: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(chunks.join(PEER, b"{}".to_vec(), at(0)), Ok(Some(b"{}".to_vec())));
        assert_eq!(chunks.join(PEER, chunk(1, 2, 3, b"c"), at(0)), Ok(None));
        assert_eq!(chunks.join(other, chunk(1, 0, 2, b"x"), at(0)), Ok(None));
        assert_eq!(chunks.join(PEER, chunk(1, 0, 3, b"a"), at(1)), Ok(None));
        assert_eq!(chunks.join(PEER, chunk(1, 0, 3, b"again"), at(1)), Ok(None));
        assert_eq!(chunks.join(PEER, chunk(1, 1, 3, b"b"), at(2)), Ok(Some(b"abc".to_vec())));
        assert_eq!(chunks.join(other, chunk(1, 1, 2, b"y"), at(2)), Ok(Some(b"xy".to_vec())));
        assert!(chunks.take_lost().is_empty() && chunks.num_bytes == 0);
    }

    #[test]
    fn what_stays_unfinished_is_counted_and_goes() {
        let mut chunks = Chunks::default();
        for id in 0..3 {
            assert_eq!(chunks.join(PEER, chunk(id, 0, 2, b"a"), at(i64::from(id))), Ok(None));
        }
        // The first is older than five seconds.
        assert_eq!(chunks.join(PEER, chunk(9, 0, 2, b"a"), at(6)), Ok(None));
        assert_eq!(chunks.take_lost(), [(PEER, 1)].into());
        assert_eq!(chunks.join(PEER, chunk(0, 1, 2, b"b"), at(6)), Ok(None), "its other half is gone");
        chunks.finish();
        assert_eq!((chunks.take_lost(), chunks.num_bytes), ([(PEER, 4)].into(), 0));
    }

    #[test]
    fn a_flood_of_beginnings_is_bounded() {
        let mut chunks = Chunks::default();
        for number in 0_u32..3_000 {
            let head = [&CHUNK_MAGIC[..], &number.to_be_bytes(), &[0; 4], &[0, 2]].concat();
            assert_eq!(chunks.join(PEER, [head, vec![b'x'; 20_000]].concat(), at(0)), Ok(None));
            assert!(chunks.num_bytes <= CHUNKS_BYTES_MAX && chunks.unfinished.len() <= UNFINISHED_MAX);
        }
        let held = chunks.unfinished.len() as u64;
        assert_eq!(chunks.take_lost()[&PEER] + held, 3_000);
    }

    #[test]
    fn impossible_chunks_are_refused() {
        let mut chunks = Chunks::default();
        for bad in [chunk(1, 2, 2, b""), chunk(1, 0, 0, b""), chunk(1, 0, 129, b"")] {
            assert!(matches!(chunks.join(PEER, bad, at(0)), Err(NoMessage::Chunk { .. })));
        }
        assert_eq!(chunks.join(PEER, CHUNK_MAGIC.to_vec(), at(0)), Err(NoMessage::ShortChunk(2)));
        assert_eq!(chunks.join(PEER, chunk(7, 0, 2, b""), at(0)), Ok(None));
        assert!(matches!(chunks.join(PEER, chunk(7, 5, 6, b""), at(0)), Err(NoMessage::Chunk { .. })));
    }

    #[test]
    fn packed_messages_are_told_by_their_first_bytes() {
        let text = br#"{"short_message":"x"}"#;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        for packed in [gzip.finish().unwrap(), zlib.finish().unwrap(), text.to_vec()] {
            assert_eq!(unpack(&packed, 100).unwrap(), &text[..]);
            assert_eq!(unpack(&packed, 20), Err(NoMessage::TooLong(20)));
        }
        assert_eq!(unpack(&[0x1f, 0x8b, 0], 100), Err(NoMessage::Broken("gzip")));
        assert_eq!(unpack(&[0x78, 0x9c, 0], 100), Err(NoMessage::Broken("zlib")));
    }

    #[test]
    fn messages_of_a_stream_end_with_a_zero_byte() {
        let text = b"one\0\0two\0long long\0rest";
        for size in 1..text.len() {
            let (mut frames, mut seen) = (ZeroFrames::new(4), Vec::new());
            let mut note = |frame: Frame<'_>| {
                seen.push(match frame {
                    Frame::Message(message) => String::from_utf8_lossy(message).into_owned(),
                    Frame::TooLong { head, length } => format!("{}+{length}", String::from_utf8_lossy(head)),
                });
            };
            text.chunks(size).for_each(|bytes| frames.feed(bytes, &mut note));
            frames.finish(&mut note);
            assert_eq!(seen, ["one", "two", "long+9", "rest"], "{size}");
        }
    }
}
