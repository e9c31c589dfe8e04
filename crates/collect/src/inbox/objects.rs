//! One object: from its stored position to its end.

use std::io;
use std::path::Path;

use moneta_base::SourceName;
use moneta_event::Delivery;
use moneta_formats::{DecodeOptions, Decoded, Decoder, Format, HEAD_BYTES, recognise_with};
use moneta_merkle::sha256;
use moneta_ports::{IdempotencyKey, KeyLife, Submission};

use super::content::{Content, Storage};
use super::tree::Found;
use crate::collector::Stopped;
use crate::intake::{Intake, ResumePoints, Stored, digest};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes of the beginning that tell one object from another of the same path.
const FINGERPRINT_BYTES: usize = 64;
/// Bytes after the last record in which nothing but ends is looked for.
const TAIL_BYTES_MAX: u64 = 4 << 10;
/// The sequence of a whole object that was stored to its end.
pub(super) const DONE: u64 = u64::MAX;

/// What became of a look at an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was read to where it may be read now.
    Read,
    /// As [`Self::Read`], and there is nothing left that time alone would change.
    ReadToEnd,
    /// It cannot be told what it is yet, or the collector had to stop.
    NotYet,
    /// The store will not take it: it stays where it is.
    Refused,
    /// It waits until it can be remembered how far it was read.
    NoRoom,
}

/// Which object, and for whom it is read.
pub(super) struct Place<'a> {
    pub(super) collector: &'a str,
    pub(super) storage: &'a Storage,
    pub(super) path: &'a Path,
    pub(super) found: &'a Found,
    /// It rested long enough to be complete.
    pub(super) is_settled: bool,
}

/// Reads an object from its stored position on.
pub(super) async fn read_object(
    intake: &Intake,
    resume: &dyn ResumePoints,
    place: &Place<'_>,
    stopped: &mut Stopped,
) -> io::Result<Outcome> {
    let &Place { collector, storage, path, found, is_settled } = place;
    // Names are longer than a producer's may be, and its room is limited.
    let id = path.as_os_str().as_encoded_bytes();
    let producer = format!("{}{}", producer_prefix(collector), name_of(path));
    let point = resume.resume_point(&producer).await;
    let tagged = found.tag.as_ref().map(|tag| epoch(id, Some(found.size), tag.as_bytes(), tag.len()));
    if tagged.is_some_and(|tagged| point == Some((tagged, DONE))) {
        return Ok(Outcome::ReadToEnd);
    }
    let mut content = storage.open(path, found, stopped).await?;
    let size = content.size();
    let head = content.read_up_to(HEAD_BYTES).await?;
    let is_complete = is_settled || storage.is_whole_at_once();
    let name = path.to_string_lossy();
    let Some(format) = recognise_with(&intake.mappings, &name, &head) else {
        if is_complete {
            tracing::warn!(path = %path.display(), "an object is in no known format; it is left where it is");
        }
        return Ok(if is_complete { Outcome::Refused } else { Outcome::NotYet });
    };
    // Positions of text made of UTF-16 are not those of the file.
    let is_utf16 = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    let is_whole = is_utf16 || (!format.grows_by_lines() && format != Format::Json);
    if (is_whole && !is_complete) || (head.len() < FINGERPRINT_BYTES && !is_settled) {
        return Ok(Outcome::NotYet);
    }
    let beginning = epoch(id, is_whole.then_some(size), &head, FINGERPRINT_BYTES);
    let epoch = match tagged {
        Some(tagged) if is_whole => tagged,
        Some(tagged) => grown_epoch(beginning, tagged),
        None => beginning,
    };
    let is_same = |other| other == epoch || (!is_whole && tagged.is_some() && begins_alike(other, epoch));
    let (known, mut stored) = point.filter(|(other, _)| is_same(*other)).unwrap_or((epoch, 0));
    let has_more = match format {
        _ if is_whole => stored < DONE,
        Format::Json => stored < size && !ends_there(&mut content, stored, size).await?,
        _ => stored < size,
    };
    if !has_more {
        // Progress of earlier versions does not tell the tag.
        let is_other = tagged.is_some() && known != epoch && (known != beginning || stored > size);
        if !is_other {
            return Ok(Outcome::ReadToEnd);
        }
        // It changed and has not grown: another object under the same key.
        stored = 0;
    }
    let mut object = Object { intake, collector, producer, epoch, format, name: name.into_owned(), stopped };
    if is_whole {
        object.read_whole(content, stored).await
    } else {
        object.read_rest(content, stored, is_settled).await
    }
}

struct Object<'a> {
    intake: &'a Intake,
    collector: &'a str,
    producer: String,
    epoch: u128,
    format: Format,
    name: String,
    stopped: &'a mut Stopped,
}

impl Object<'_> {
    fn decoder(&self, first_offset: u64) -> Decoder {
        let source = SourceName::lossy(&format!("{}/{}", self.collector, self.name));
        let options = self.intake.decode_options(source, Delivery::ExactlyOnce);
        Decoder::new(self.format, DecodeOptions { first_offset, ..options })
    }

    /// Reads what lies behind `stored` of an object that grows.
    async fn read_rest(&mut self, mut content: Content, stored: u64, is_settled: bool) -> io::Result<Outcome> {
        // What the beginning says of later records must be read again: headers, the envelope of a list.
        let from_start = self.format.needs_beginning() || self.format == Format::Json;
        let mut decoder = self.decoder(if from_start { 0 } else { stored });
        content.seek(if from_start { 0 } else { stored }).await?;
        if from_start && stored > 0 {
            feed_again(&mut content, stored, &mut decoder).await?;
        }
        let mut buffer = vec![0; READ_BYTES];
        let (mut ready, mut reached) = (Vec::new(), stored);
        loop {
            let len = content.read(&mut buffer).await?;
            if len == 0 {
                break;
            }
            decoder.feed(&buffer[..len], &mut |decoded| ready.push(decoded));
            if let Some(outcome) = self.store_all(&mut ready, &mut reached).await {
                return Ok(outcome);
            }
        }
        if is_settled && self.format != Format::Json {
            decoder.finish(&mut |decoded| ready.push(decoded));
        } else {
            decoder.flush(&mut |decoded| ready.push(decoded));
        }
        if let Some(outcome) = self.store_all(&mut ready, &mut reached).await {
            return Ok(outcome);
        }
        let is_at_end = self.format == Format::Json || reached >= content.size();
        Ok(if is_at_end { Outcome::ReadToEnd } else { Outcome::Read })
    }

    /// Reads a complete object of which `stored` records are stored.
    async fn read_whole(&mut self, mut content: Content, stored: u64) -> io::Result<Outcome> {
        content.seek(0).await?;
        let mut decoder = self.decoder(0);
        let mut buffer = vec![0; READ_BYTES];
        let mut ready = Vec::new();
        let mut records = 0;
        loop {
            let len = content.read(&mut buffer).await?;
            decoder.feed(&buffer[..len], &mut |decoded| ready.push(decoded));
            if len == 0 {
                break;
            }
            if let Some(outcome) = self.store_counted(&mut ready, &mut records, stored).await {
                return Ok(outcome);
            }
        }
        decoder.finish(&mut |decoded| ready.push(decoded));
        if let Some(outcome) = self.store_counted(&mut ready, &mut records, stored).await {
            return Ok(outcome);
        }
        let done = self.submit(Submission { key: Some(self.key(DONE)), ..Submission::default() }).await;
        Ok(done.unwrap_or(Outcome::ReadToEnd))
    }

    /// Stores portions of an object that grows, each under its position.
    async fn store_all(&mut self, ready: &mut Vec<Decoded>, reached: &mut u64) -> Option<Outcome> {
        for decoded in ready.drain(..) {
            let sequence = decoded.cursor;
            if let Some(outcome) = self.store(decoded, sequence).await {
                return Some(outcome);
            }
            *reached = sequence;
        }
        None
    }

    /// Stores portions of a whole object, but those that are. The same bytes give the same portions.
    async fn store_counted(&mut self, ready: &mut Vec<Decoded>, records: &mut u64, stored: u64) -> Option<Outcome> {
        for decoded in ready.drain(..) {
            *records += decoded.records;
            if *records <= stored {
                continue;
            }
            if let Some(outcome) = self.store(decoded, *records).await {
                return Some(outcome);
            }
        }
        None
    }

    /// Stores a portion; says what to do when it was not.
    async fn store(&mut self, decoded: Decoded, sequence: u64) -> Option<Outcome> {
        if decoded.records == 0 {
            return None;
        }
        let key = Some(self.key(sequence));
        self.submit(Submission { batches: decoded.batches, quarantined: decoded.quarantined, key }).await
    }

    async fn submit(&mut self, submission: Submission) -> Option<Outcome> {
        match self.intake.submit_if_remembered(self.collector, &submission, self.stopped).await {
            Some(Stored::Yes) => None,
            Some(Stored::Refused) => Some(Outcome::Refused),
            Some(Stored::Stopped) => Some(Outcome::NotYet),
            None => Some(Outcome::NoRoom),
        }
    }

    fn key(&self, sequence: u64) -> IdempotencyKey {
        IdempotencyKey { producer: self.producer.clone(), epoch: self.epoch, sequence, life: KeyLife::Cursor }
    }
}

/// Shows a decoder what comes before `stored` again.
async fn feed_again(content: &mut Content, stored: u64, decoder: &mut Decoder) -> io::Result<()> {
    let (mut buffer, mut left) = (vec![0; READ_BYTES], stored);
    while left > 0 {
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let len = content.read(&mut buffer[..len]).await?;
        if len == 0 {
            break;
        }
        decoder.feed(&buffer[..len], &mut |_| {});
        left -= len as u64;
    }
    decoder.flush(&mut |_| {});
    Ok(())
}

/// Whether nothing but the ends of lists and objects comes after a position.
async fn ends_there(content: &mut Content, stored: u64, size: u64) -> io::Result<bool> {
    if stored == 0 || size - stored > TAIL_BYTES_MAX {
        return Ok(false);
    }
    content.seek(stored).await?;
    let tail = content.read_up_to(usize::try_from(TAIL_BYTES_MAX).unwrap_or(usize::MAX)).await?;
    Ok(tail.iter().all(|byte| b" \t\r\n]},".contains(byte)))
}

/// Beginning of the names by which the store knows a collector's objects.
pub(super) fn producer_prefix(collector: &str) -> String {
    format!("collect/{collector}/")
}

/// The rest of such a name.
pub(super) fn name_of(path: &Path) -> String {
    digest(path.as_os_str().as_encoded_bytes())
}

/// The identity of an object: path and beginning and, for one that does not grow, its size. In place of its beginning that
/// may be what a bucket calls its content.
fn epoch(name: &[u8], size: Option<u64>, head: &[u8], head_bytes: usize) -> u128 {
    let beginning = &head[..head.len().min(head_bytes)];
    let size = size.unwrap_or(0).to_le_bytes();
    let hash = sha256(&[&(name.len() as u64).to_le_bytes()[..], name, &size, beginning].concat());
    u128::from_be_bytes(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}

/// The identity of an object in a bucket that grows: half of it says how it begins, and half which content it has.
fn grown_epoch(beginning: u128, tagged: u128) -> u128 {
    beginning >> 64 << 64 | tagged & u128::from(u64::MAX)
}

/// Whether two objects of one key begin alike.
fn begins_alike(epoch: u128, other: u128) -> bool {
    epoch >> 64 == other >> 64
}
