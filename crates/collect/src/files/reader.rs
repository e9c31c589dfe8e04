//! The decoder of one file: a format of `moneta-formats`, or plain lines.

use std::time::Duration;

use moneta_base::SourceName;
use moneta_event::Delivery;
use moneta_formats::{DecodeOptions, Decoded, Decoder, Format, recognise_with};
use regex::Regex;
use tokio::time::Instant;

use super::text_lines::TextLines;
use crate::intake::Intake;

/// How long a record whose end only the next one shows may not grow until it counts as whole.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// What a file turned out to be.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Lines of a known format.
    Lines(Format),
    /// Lines of text.
    Text,
    /// Text whose records span lines, and how they begin.
    Records(Regex),
    /// Nothing that grows by lines: binary files, archives.
    Other,
}

impl Kind {
    /// Judges a file by its beginning.
    pub(super) fn of(intake: &Intake, name: &str, head: &[u8]) -> Self {
        match recognise_with(&intake.mappings, name, head) {
            Some(format) if format.grows_by_lines() => Self::Lines(format),
            Some(Format::Json) | None if !head.contains(&0) => Self::Text,
            Some(_) | None => Self::Other,
        }
    }
}

/// Decodes the bytes of one file from a position on.
pub(super) enum Reader {
    Decoder { source: SourceName, decoder: Option<Box<Decoder>>, ready: Vec<Decoded>, grew: Instant },
    Text(Box<TextLines>),
}

impl Reader {
    /// A reader that continues at `offset`; `None` for files that are not followed.
    pub(super) fn new(intake: &Intake, kind: Kind, path: &str, source: SourceName, offset: u64) -> Option<Self> {
        match kind {
            Kind::Lines(format) => {
                let options = intake.decode_options(source.clone(), Delivery::ExactlyOnce);
                let decoder = Box::new(Decoder::new(format, DecodeOptions { first_offset: offset, ..options }));
                Some(Self::Decoder { source, decoder: Some(decoder), ready: Vec::new(), grew: Instant::now() })
            }
            Kind::Text => Some(Self::Text(Box::new(TextLines::new(intake, path, source, offset, None)))),
            Kind::Records(start) => {
                Some(Self::Text(Box::new(TextLines::new(intake, path, source, offset, Some(start)))))
            }
            Kind::Other => None,
        }
    }

    pub(super) fn feed(&mut self, intake: &Intake, bytes: &[u8]) {
        match self {
            Self::Decoder { source, decoder, ready, grew } => {
                if let Some(decoder) = decoder {
                    *grew = Instant::now();
                    let received = intake.clock.now();
                    decoder.set_received(received);
                    decoder.set_zone(intake.senders.zone_offset_seconds(source.as_str(), received));
                    decoder.feed(bytes, &mut |decoded| ready.push(decoded));
                }
            }
            Self::Text(lines) => lines.feed(bytes),
        }
    }

    /// The portions that are full; with `all`, what is begun, too.
    pub(super) fn take(&mut self, all: bool) -> Vec<Decoded> {
        match self {
            Self::Decoder { decoder, ready, grew, .. } => {
                if let (true, Some(decoder)) = (all, decoder) {
                    if grew.elapsed() >= QUIET {
                        decoder.rest();
                    }
                    decoder.flush(&mut |decoded| ready.push(decoded));
                }
                std::mem::take(ready)
            }
            Self::Text(lines) => lines.take(all),
        }
    }

    /// Takes an unfinished last line as finished: the file will not grow any more.
    pub(super) fn end_of_file(&mut self) {
        match self {
            Self::Decoder { decoder, ready, .. } => {
                if let Some(decoder) = decoder.take() {
                    decoder.finish(&mut |decoded| ready.push(decoded));
                }
            }
            Self::Text(lines) => lines.end_of_file(),
        }
    }
}
