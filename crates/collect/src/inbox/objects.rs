//! One object: from its stored position to its end.

use std::io::{self, SeekFrom};
use std::path::Path;

use moneta_base::SourceName;
use moneta_event::Delivery;
use moneta_formats::{DecodeOptions, Decoded, Decoder, Format, HEAD_BYTES, recognise_with};
use moneta_merkle::sha256;
use moneta_ports::{IdempotencyKey, KeyLife, Submission};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

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
    /// It cannot be told what it is yet, or the collector had to stop.
    NotYet,
    /// The store will not take it: it stays where it is.
    Refused,
    /// It waits until it can be remembered how far it was read.
    NoRoom,
}

/// Which object, and for whom it is read.
pub(super) struct Place<'a> {
    pub(super) collector: &'static str,
    pub(super) path: &'a Path,
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
    let &Place { collector, path, is_settled } = place;
    let mut file = File::open(path).await?;
    let size = file.metadata().await?.len();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head).await?;
    let name = path.to_string_lossy();
    let Some(format) = recognise_with(&intake.mappings, &name, &head) else {
        if is_settled {
            tracing::warn!(path = %path.display(), "an object is in no known format; it is left where it is");
        }
        return Ok(if is_settled { Outcome::Refused } else { Outcome::NotYet });
    };
    // Positions of text made of UTF-16 are not those of the file.
    let is_utf16 = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    let is_whole = is_utf16 || (!format.grows_by_lines() && format != Format::Json);
    if (is_whole || head.len() < FINGERPRINT_BYTES) && !is_settled {
        return Ok(Outcome::NotYet);
    }
    // Names are longer than a producer's may be, and its room is limited.
    let id = path.as_os_str().as_encoded_bytes();
    let producer = format!("{}{}", producer_prefix(collector), name_of(path));
    let epoch = epoch(id, is_whole.then_some(size), &head);
    let stored = resume.resume_point(&producer).await.filter(|(other, _)| *other == epoch).map_or(0, |(_, at)| at);
    if stored >= if is_whole { DONE } else { size } {
        return Ok(Outcome::Read);
    }
    if format == Format::Json && ends_there(&mut file, stored, size).await? {
        return Ok(Outcome::Read);
    }
    let mut object = Object { intake, collector, producer, epoch, format, name: name.into_owned(), stopped };
    if is_whole { object.read_whole(file, stored).await } else { object.read_rest(file, stored, is_settled).await }
}

struct Object<'a> {
    intake: &'a Intake,
    collector: &'static str,
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
    async fn read_rest(&mut self, mut file: File, stored: u64, is_settled: bool) -> io::Result<Outcome> {
        // What the beginning says of later records must be read again: headers, the envelope of a list.
        let from_start = self.format.needs_beginning() || self.format == Format::Json;
        let mut decoder = self.decoder(if from_start { 0 } else { stored });
        file.seek(SeekFrom::Start(if from_start { 0 } else { stored })).await?;
        if from_start && stored > 0 {
            let mut again = (&mut file).take(stored);
            feed(&mut again, &mut decoder, &mut |_| {}).await?;
            decoder.flush(&mut |_| {});
        }
        let mut buffer = vec![0; READ_BYTES];
        let mut ready = Vec::new();
        loop {
            let len = file.read(&mut buffer).await?;
            if len == 0 {
                break;
            }
            decoder.feed(&buffer[..len], &mut |decoded| ready.push(decoded));
            if let Some(outcome) = self.store_all(&mut ready).await {
                return Ok(outcome);
            }
        }
        if is_settled && self.format != Format::Json {
            decoder.finish(&mut |decoded| ready.push(decoded));
        } else {
            decoder.flush(&mut |decoded| ready.push(decoded));
        }
        Ok(self.store_all(&mut ready).await.unwrap_or(Outcome::Read))
    }

    /// Reads a complete object of which `stored` records are stored.
    async fn read_whole(&mut self, mut file: File, stored: u64) -> io::Result<Outcome> {
        file.seek(SeekFrom::Start(0)).await?;
        let mut decoder = self.decoder(0);
        let mut buffer = vec![0; READ_BYTES];
        let mut ready = Vec::new();
        let mut records = 0;
        loop {
            let len = file.read(&mut buffer).await?;
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
        Ok(done.unwrap_or(Outcome::Read))
    }

    /// Stores portions of an object that grows, each under its position.
    async fn store_all(&mut self, ready: &mut Vec<Decoded>) -> Option<Outcome> {
        for decoded in ready.drain(..) {
            let sequence = decoded.cursor;
            if let Some(outcome) = self.store(decoded, sequence).await {
                return Some(outcome);
            }
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

async fn feed(
    from: &mut (impl AsyncReadExt + Unpin),
    decoder: &mut Decoder,
    sink: &mut impl FnMut(Decoded),
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        decoder.feed(&buffer[..len], sink);
    }
}

/// Whether nothing but the ends of lists and objects comes after a position.
async fn ends_there(file: &mut File, stored: u64, size: u64) -> io::Result<bool> {
    if stored == 0 || size - stored > TAIL_BYTES_MAX {
        return Ok(false);
    }
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(stored)).await?;
    file.take(TAIL_BYTES_MAX).read_to_end(&mut tail).await?;
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

/// The identity of an object: path and beginning and, for one that does not grow, its size.
fn epoch(name: &[u8], size: Option<u64>, head: &[u8]) -> u128 {
    let beginning = &head[..head.len().min(FINGERPRINT_BYTES)];
    let size = size.unwrap_or(0).to_le_bytes();
    let hash = sha256(&[&(name.len() as u64).to_le_bytes()[..], name, &size, beginning].concat());
    u128::from_be_bytes(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}
