//! The forward protocol of Fluentd and Fluent Bit: events of one tag in MessagePack, become JSON objects.
//!
//! Layout of a message: an array of the tag, then one of
//! `time, record, [options]`; `[[time, record], …], [options]`; `bytes, [options]`, where the bytes are entries
//! `[time, record]` one after the other, compressed when the options say `compressed: gzip`. A time is seconds since
//! 1970 or an extension of type 0 (seconds and nanoseconds, 4 bytes each, big-endian); Fluent Bit puts `[time,
//! metadata]` in its place. The option `chunk` asks for an acknowledgement.
//!
//! Pure: no socket is touched, and what is held is bounded.
//!
//! # Source
//! Fluent, "Forward Protocol Specification v1.5"; the MessagePack specification.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use moneta_base::Timestamp;
use moneta_base::limits::NESTING_DEPTH_MAX;
use moneta_event::schema::standard;
use rmpv::Value;
use serde_json::{Map, Value as Json, json};

/// Bytes of one message at most, and of its entries when they are unpacked.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// The extension type of times.
const EVENT_TIME: i8 = 0;
/// The column of the tag.
const TAG: &str = "Tag";

/// Why bytes are no message of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFluent {
    /// No MessagePack.
    #[error("the bytes are no MessagePack")]
    NotMessagePack,
    /// Too long, or so deep that reading it is refused.
    #[error("a message has more than {MESSAGE_BYTES_MAX} bytes, or more than {NESTING_DEPTH_MAX} levels")]
    TooLarge,
    /// Another value than the protocol has at a place.
    #[error("a message has no {0} where the forward protocol has one")]
    Lacks(&'static str),
    /// The compressed entries cannot be unpacked.
    #[error("the entries cannot be unpacked; only gzip is known")]
    NotUnpacked,
}

/// Finds where a value of MessagePack ends while its bytes arrive; each is looked at once.
#[derive(Debug)]
pub struct ValueEnd {
    at: usize,
    /// Values that are still to come.
    pending: u64,
}

impl Default for ValueEnd {
    fn default() -> Self {
        Self { at: 0, pending: 1 }
    }
}

impl ValueEnd {
    /// The length of the value that `bytes` begin with; `None` while more of them must come. To be called with the same
    /// bytes and more of them.
    ///
    /// # Errors
    /// [`NotFluent::NotMessagePack`]; [`NotFluent::TooLarge`] as soon as it must become that.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotFluent> {
        while self.pending > 0 {
            // Each value to come has at least one byte.
            if self.pending.saturating_add(self.at as u64) > MESSAGE_BYTES_MAX as u64 {
                return Err(NotFluent::TooLarge);
            }
            let Some((length, children)) = head(&bytes[self.at.min(bytes.len())..])? else { return Ok(None) };
            let end = u64::try_from(self.at).unwrap_or(u64::MAX).saturating_add(length);
            if end > MESSAGE_BYTES_MAX as u64 {
                return Err(NotFluent::TooLarge);
            }
            self.at = usize::try_from(end).unwrap_or(usize::MAX);
            self.pending = self.pending - 1 + children;
        }
        Ok((self.at <= bytes.len()).then_some(self.at))
    }
}

/// Bytes of the value at the beginning without its children, and the number of those; `None` while its head is not
/// whole.
fn head(bytes: &[u8]) -> Result<Option<(u64, u64)>, NotFluent> {
    let Some(first) = bytes.first().copied() else { return Ok(None) };
    // Bytes of the number behind the first byte, and what it counts.
    let (digits, counts) = match first {
        0x80..=0x8f => return Ok(Some((1, 2 * u64::from(first & 0x0f)))),
        0x90..=0x9f => return Ok(Some((1, u64::from(first & 0x0f)))),
        0xa0..=0xbf => return Ok(Some((1 + u64::from(first & 0x1f), 0))),
        0xc1 => return Err(NotFluent::NotMessagePack),
        0xcc | 0xd0 => return Ok(Some((2, 0))),
        0xcd | 0xd1 => return Ok(Some((3, 0))),
        0xca | 0xce | 0xd2 => return Ok(Some((5, 0))),
        0xcb | 0xcf | 0xd3 => return Ok(Some((9, 0))),
        0xd4..=0xd8 => return Ok(Some((2 + (1 << (first - 0xd4)), 0))),
        0xc4 | 0xd9 => (1, Counts::Bytes),
        0xc5 | 0xda => (2, Counts::Bytes),
        0xc6 | 0xdb => (4, Counts::Bytes),
        0xc7 => (1, Counts::Extension),
        0xc8 => (2, Counts::Extension),
        0xc9 => (4, Counts::Extension),
        0xdc => (2, Counts::Values(1)),
        0xdd => (4, Counts::Values(1)),
        0xde => (2, Counts::Values(2)),
        0xdf => (4, Counts::Values(2)),
        _ => return Ok(Some((1, 0))),
    };
    let Some(number) = bytes.get(1..=digits) else { return Ok(None) };
    let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let own = 1 + digits as u64;
    Ok(Some(match counts {
        Counts::Bytes => (own + number, 0),
        Counts::Extension => (own + 1 + number, 0),
        Counts::Values(each) => (own, each * number),
    }))
}

enum Counts {
    Bytes,
    /// Bytes behind one of the type.
    Extension,
    /// So many values each.
    Values(u64),
}

/// Events of one tag.
#[derive(Debug, Default, PartialEq)]
pub struct Forwarded {
    /// Each as a JSON object with its time and tag.
    pub records: Vec<Vec<u8>>,
    /// What to acknowledge them by.
    pub chunk: Option<String>,
}

/// Reads a whole value of MessagePack.
///
/// # Errors
/// [`NotFluent::NotMessagePack`], [`NotFluent::TooLarge`].
pub fn read_value(bytes: &mut &[u8]) -> Result<Value, NotFluent> {
    rmpv::decode::read_value_with_max_depth(bytes, NESTING_DEPTH_MAX).map_err(|error| match error {
        rmpv::decode::Error::DepthLimitExceeded => NotFluent::TooLarge,
        _ => NotFluent::NotMessagePack,
    })
}

/// The events of a message, of any of its forms.
///
/// # Errors
/// [`NotFluent`]; then nothing of the message is to be taken.
pub fn forwarded(message: Value) -> Result<Forwarded, NotFluent> {
    let Value::Array(parts) = message else { return Err(NotFluent::Lacks("array")) };
    let mut parts = parts.into_iter();
    let tag = parts.next().as_ref().and_then(text).ok_or(NotFluent::Lacks("tag"))?;
    let mut out = Forwarded::default();
    let options = match parts.next() {
        Some(Value::Array(entries)) if !is_time(&entries) => {
            for entry in entries {
                out.records.push(entry_record(entry, &tag)?);
            }
            parts.next()
        }
        Some(Value::Binary(packed)) => take_packed(&packed, parts.next(), &tag, &mut out)?,
        Some(Value::String(packed)) => take_packed(packed.as_bytes(), parts.next(), &tag, &mut out)?,
        Some(time) => {
            let record = parts.next().ok_or(NotFluent::Lacks("record"))?;
            out.records.push(record_of(&time, record, &tag)?);
            parts.next()
        }
        None => return Err(NotFluent::Lacks("event")),
    };
    out.chunk = option(options.as_ref(), "chunk").and_then(text);
    Ok(out)
}

/// Takes entries that stand packed one after the other; gives the options back.
fn take_packed(
    packed: &[u8],
    options: Option<Value>,
    tag: &str,
    out: &mut Forwarded,
) -> Result<Option<Value>, NotFluent> {
    let compressed = option(options.as_ref(), "compressed").and_then(text);
    let unpacked = match compressed.as_deref() {
        None | Some("text") => packed.to_vec(),
        Some("gzip") => {
            let mut unpacked = Vec::new();
            let read = MultiGzDecoder::new(packed).take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut unpacked);
            read.map_err(|_| NotFluent::NotUnpacked)?;
            unpacked
        }
        Some(_) => return Err(NotFluent::NotUnpacked),
    };
    if unpacked.len() > MESSAGE_BYTES_MAX {
        return Err(NotFluent::TooLarge);
    }
    let mut rest = &unpacked[..];
    while !rest.is_empty() {
        let entry = read_value(&mut rest)?;
        out.records.push(entry_record(entry, tag)?);
    }
    Ok(options)
}

fn entry_record(entry: Value, tag: &str) -> Result<Vec<u8>, NotFluent> {
    let Value::Array(parts) = entry else { return Err(NotFluent::Lacks("entry")) };
    let [time, record] = <[Value; 2]>::try_from(parts).map_err(|_| NotFluent::Lacks("entry"))?;
    record_of(&time, record, tag)
}

/// A record with its time and tag, unless it has members of these names itself.
fn record_of(time: &Value, record: Value, tag: &str) -> Result<Vec<u8>, NotFluent> {
    let time = time_of(time).ok_or(NotFluent::Lacks("time"))?;
    let Value::Map(members) = record else { return Err(NotFluent::Lacks("record")) };
    let mut object = Map::new();
    object.insert(standard::TIME_GENERATED.to_owned(), time.to_string().into());
    object.insert(TAG.to_owned(), tag.into());
    object.extend(members.into_iter().map(|(name, value)| (name_of(name), json_of(value))));
    Ok(Json::from(object).to_string().into_bytes())
}

/// Whether an array stands in the place of a time: `[time, metadata]`, as Fluent Bit writes it.
fn is_time(parts: &[Value]) -> bool {
    matches!(parts, [time, Value::Map(_)] if !matches!(time, Value::Array(_)) && time_of(time).is_some())
}

fn time_of(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Integer(seconds) => seconds.as_i64()?.checked_mul(1_000_000_000).map(Timestamp::from_nanos),
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and nobody sends such times")]
        Value::F64(seconds) => Some(Timestamp::from_nanos((seconds * 1e9) as i64)),
        Value::Ext(EVENT_TIME, bytes) => {
            let (seconds, nanos) = bytes.split_first_chunk::<4>()?;
            let nanos = u32::from_be_bytes(nanos.try_into().ok()?);
            let whole = i64::from(u32::from_be_bytes(*seconds)) * 1_000_000_000;
            whole.checked_add(i64::from(nanos)).map(Timestamp::from_nanos)
        }
        Value::Array(parts) => parts.first().filter(|time| !matches!(time, Value::Array(_))).and_then(time_of),
        _ => None,
    }
}

/// A member of a map by its name.
#[must_use]
pub fn option<'a>(map: Option<&'a Value>, name: &str) -> Option<&'a Value> {
    let Some(Value::Map(members)) = map else { return None };
    members.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

/// A text, written as one or as bytes.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    let bytes = match value {
        Value::String(text) => text.as_bytes(),
        Value::Binary(bytes) => bytes,
        _ => return None,
    };
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn name_of(name: Value) -> String {
    text(&name).unwrap_or_else(|| json_of(name).to_string())
}

/// The same value in JSON. Bytes that are text become that, others Base64; a number that is none becomes its name.
fn json_of(value: Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(value) => value.into(),
        Value::Integer(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, number) => number.into(),
        },
        Value::F32(number) => real(f64::from(number)),
        Value::F64(number) => real(number),
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned().into(),
        Value::Binary(bytes) => String::from_utf8(bytes).unwrap_or_else(|e| STANDARD.encode(e.as_bytes())).into(),
        Value::Array(values) => values.into_iter().map(json_of).collect(),
        Value::Map(members) => members.into_iter().map(|(name, value)| (name_of(name), json_of(value))).collect(),
        Value::Ext(kind, bytes) => match time_of(&Value::Ext(kind, bytes.clone())) {
            Some(time) => time.to_string().into(),
            None => json!({ "type": kind, "data": STANDARD.encode(bytes) }),
        },
    }
}

fn real(number: f64) -> Json {
    serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Json::Number)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pack(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn map(members: &[(&str, Value)]) -> Value {
        Value::Map(members.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    }

    fn array(values: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(values.into_iter().collect())
    }

    fn lines(forwarded: &Forwarded) -> Vec<String> {
        forwarded.records.iter().map(|record| String::from_utf8(record.clone()).unwrap()).collect()
    }

    #[test]
    fn every_form_gives_the_same_event() {
        let time = Value::Ext(0, [5_u32.to_be_bytes(), 7_u32.to_be_bytes()].concat());
        let record = map(&[("message", "hello".into())]);
        let entry = array([time.clone(), record.clone()]);
        let chunk = |more: &[(&str, Value)]| map(&[&[("chunk", "c1".into())], more].concat());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&pack(&entry)).unwrap();
        let gzipped = Value::Binary(gzip.finish().unwrap());
        let fluent_bit = array([array([time.clone(), map(&[])]), record.clone()]);
        for message in [
            array(["app.door".into(), time, record, chunk(&[])]),
            array(["app.door".into(), array([entry.clone()]), chunk(&[])]),
            array(["app.door".into(), array([fluent_bit]), chunk(&[])]),
            array(["app.door".into(), Value::Binary(pack(&entry)), chunk(&[("size", 1.into())])]),
            array(["app.door".into(), gzipped, chunk(&[("compressed", "gzip".into())])]),
        ] {
            let read = forwarded(message.clone()).unwrap_or_else(|error| panic!("{message}: {error}"));
            let expected =
                r#"{"TimeGenerated":"1970-01-01T00:00:05.0000000Z","Tag":"app.door","message":"hello"}"#.to_owned();
            assert_eq!((lines(&read), read.chunk.as_deref()), (vec![expected], Some("c1")), "{message}");
        }
    }

    #[test]
    fn values_without_a_like_in_json_are_kept() {
        let record = map(&[
            ("nan", f64::NAN.into()),
            ("big", u64::MAX.into()),
            ("bytes", Value::Binary(vec![0xff, 0])),
            ("text", Value::Binary(b"t".to_vec())),
            ("ext", Value::Ext(9, vec![1])),
            ("Tag", "own".into()),
            ("nested", map(&[("a", array([Value::Nil, true.into()]))])),
        ]);
        let read = forwarded(array(["t".into(), 1.into(), record])).unwrap();
        let expected = json!({
            "TimeGenerated": "1970-01-01T00:00:01.0000000Z", "Tag": "own", "nan": "NaN", "big": u64::MAX,
            "bytes": "/wA=", "text": "t", "ext": { "type": 9, "data": "AQ==" }, "nested": { "a": [null, true] },
        });
        assert_eq!(serde_json::from_slice::<Json>(&read.records[0]).unwrap(), expected);
        assert_eq!(read.chunk, None);
    }

    #[test]
    fn what_is_no_message_says_what_it_lacks() {
        let record = map(&[]);
        for (message, lacks) in [
            (Value::Nil, "array"),
            (array([1.into()]), "tag"),
            (array(["t".into()]), "event"),
            (array(["t".into(), "x".into()]), ""),
            (array(["t".into(), 1.into()]), "record"),
            (array(["t".into(), 1.into(), 2.into()]), "record"),
            (array(["t".into(), Value::Nil, record.clone()]), "time"),
            (array(["t".into(), array([1.into()])]), "entry"),
            (array(["t".into(), array([array([1.into(), record, 3.into()])])]), "entry"),
        ] {
            let error = forwarded(message.clone()).unwrap_err();
            assert!(error.to_string().contains(lacks), "{message}: {error}");
        }
        let packed = |how: &str| {
            forwarded(array(["t".into(), Value::Binary(vec![1]), map(&[("compressed", how.into())])])).unwrap_err()
        };
        assert_eq!((packed("gzip"), packed("zstd")), (NotFluent::NotUnpacked, NotFluent::NotUnpacked));
    }

    #[test]
    fn the_end_is_found_however_bytes_arrive() {
        let value = array([
            Value::Binary(vec![7; 300]),
            Value::Ext(3, vec![1; 5]),
            Value::Ext(3, vec![1; 16]),
            "x".repeat(40).as_str().into(),
            f64::MAX.into(),
            (-40_000).into(),
            u64::MAX.into(),
            array((0..20).map(Value::from)),
            map(&[("a", Value::Nil), ("b", Value::F32(1.0))]),
        ]);
        let mut bytes = pack(&value);
        let length = bytes.len();
        bytes.extend(pack(&Value::Nil));
        let mut end = ValueEnd::default();
        for so_far in 0..length {
            assert_eq!(end.find(&bytes[..so_far]), Ok(None), "{so_far}");
        }
        assert_eq!(end.find(&bytes), Ok(Some(length)));
        assert_eq!(ValueEnd::default().find(&bytes), Ok(Some(length)));
        assert_eq!(read_value(&mut &bytes[..length]), Ok(value));
    }

    #[test]
    fn bombs_are_refused_at_once() {
        assert_eq!(ValueEnd::default().find(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(NotFluent::TooLarge));
        assert_eq!(ValueEnd::default().find(&[0xc6, 0xff, 0xff, 0xff, 0xff]), Err(NotFluent::TooLarge));
        assert_eq!(ValueEnd::default().find(&[0xc1]), Err(NotFluent::NotMessagePack));
        let deep = [vec![0x91; 100_000], vec![0xc0]].concat();
        assert_eq!(ValueEnd::default().find(&deep), Ok(Some(deep.len())));
        assert_eq!(read_value(&mut &deep[..]), Err(NotFluent::TooLarge));
    }
}
