//! The decoder of one file, stream or connection: bytes or framed records in, portions of rows out.

use moneta_base::Timestamp;
use moneta_event::RawRecord;

use crate::aide::AideReport;
use crate::archive::{CompressedStream, ZipStream};
use crate::auditd::AuditdLog;
use crate::call_report::CallReports;
use crate::client_log::ClientLog;
use crate::delimited::Delimited;
use crate::encoding::Utf16;
use crate::event_xml::EventXmlStream;
use crate::evtx::EvtxStream;
use crate::ids_text::IdsText;
use crate::journal_export::JournalExport;
use crate::json::{JsonMapper, JsonStream};
use crate::lines::{Line, LineSplitter};
use crate::logfmt::Logfmt;
use crate::metrics_text::MetricsText;
use crate::output::{Decoded, Origin, Output};
use crate::postgres_log::PostgresLog;
use crate::rtcp_xr::ExtendedReports;
use crate::sql_error_log::SqlErrorLog;
use crate::storage_log::StorageLog;
use crate::syslog::SyslogMapper;
use crate::unified2::Unified2Stream;
use crate::vpc_flow::VpcFlowLog;
use crate::w3c::W3cMapper;
use crate::web_log::WebLog;
use crate::zeek::ZeekLog;
use crate::{DecodeOptions, Format, HEAD_BYTES, recognise};

/// Input taken between two looks at what is ready: bounds what piles up when a caller feeds a whole file at once.
const FEED_BYTES_MAX: usize = 64 << 10;

/// Decodes one format. Not tied to any I/O: the caller feeds bytes or whole records and takes portions.
///
/// Portions arrive when they are full; [`flush`](Self::flush) ends one early, [`finish`](Self::finish) the last. A file
/// is fed with [`feed`](Self::feed); a listener that frames messages itself uses [`record`](Self::record).
pub struct Decoder {
    output: Output,
    stream: Stream,
    format: Format,
    has_begun: bool,
}

impl Decoder {
    /// A decoder for `format`.
    #[must_use]
    pub fn new(format: Format, options: DecodeOptions) -> Self {
        let stream = Stream::new(format, options.first_offset, 0);
        let has_begun = options.first_offset > 0;
        Self { output: Output::new(options, format.name()), stream, format, has_begun }
    }

    /// Takes the next bytes of the input and hands on each portion that is full.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Decoded)) {
        if !self.has_begun && !bytes.is_empty() {
            self.has_begun = true;
            self.output.suspect(other_format(self.format, bytes));
        }
        for piece in bytes.chunks(FEED_BYTES_MAX) {
            self.output.add_input_bytes(piece.len());
            self.stream.feed(piece, &mut self.output);
            self.output.take_ready().into_iter().for_each(&mut *sink);
        }
    }

    /// Takes one framed record with the source, time and path it came with, and hands on each portion that is full.
    ///
    /// For binary formats and archives a record is a piece of the input like any other.
    pub fn record(&mut self, record: &RawRecord, sink: &mut dyn FnMut(Decoded)) {
        self.take_record(record, None, Vec::new(), sink);
    }

    /// As [`record`](Self::record) for a record that its sender numbered. The number is its position, so that the cursor
    /// of a portion is the number of the record after it. `facts` came beside it: names and their JSON, for `_Extra` of
    /// its rows. For formats that grow by lines.
    pub fn numbered_record(
        &mut self,
        record: &RawRecord,
        number: u64,
        facts: Vec<(&'static str, String)>,
        sink: &mut dyn FnMut(Decoded),
    ) {
        self.take_record(record, Some(number), facts, sink);
    }

    fn take_record(
        &mut self,
        record: &RawRecord,
        number: Option<u64>,
        facts: Vec<(&'static str, String)>,
        sink: &mut dyn FnMut(Decoded),
    ) {
        let RawRecord { source, received, delivery, .. } = record;
        self.output.origin = Origin { source: source.clone(), received: *received, delivery: *delivery, facts };
        self.output.add_input_bytes(record.bytes.len());
        self.stream.record(&record.bytes, number, &mut self.output);
        self.output.take_ready().into_iter().for_each(sink);
    }

    /// Tells the time of receipt of what is fed next, for a stream that lasts.
    pub fn set_received(&mut self, received: Timestamp) {
        self.output.origin.received = received;
    }

    /// Sets the zone of times that name none, in seconds east of UTC, for what is fed next.
    pub fn set_zone(&mut self, offset_seconds: i32) {
        self.output.options.zone_offset_seconds = offset_seconds;
    }

    /// Decodes a quarantined record once more: `bytes` are one record that `format` cut out of its input, and `head` is
    /// what it kept of the beginning of that input. Rows and faults are those of the record alone.
    #[must_use]
    pub fn decode_again(format: Format, options: DecodeOptions, head: Option<&str>, bytes: &[u8]) -> Vec<Decoded> {
        // Within its input: no mark of an encoding is looked for, and no file header.
        let options = DecodeOptions { first_offset: options.first_offset.max(1), ..options };
        let mut portions = Vec::new();
        let mut decoder = Self::new(format, options);
        for piece in head.into_iter().flat_map(|head| [head.as_bytes(), b"\n"]).chain([bytes]) {
            decoder.feed(piece, &mut |portion| portions.push(portion));
        }
        decoder.finish(&mut |portion| portions.push(portion));
        portions
    }

    /// Ends the portion begun, so that a lone record does not wait for company.
    pub fn flush(&mut self, sink: &mut dyn FnMut(Decoded)) {
        self.output.end_portion();
        self.output.take_ready().into_iter().for_each(sink);
    }

    /// Nothing came for a while: records that only the next one would end become rows; the next line begins another.
    pub fn rest(&mut self) {
        self.stream.rest(&mut self.output);
    }

    /// Ends the input: what is unfinished becomes a row or a quarantined record, and the last portion is handed on.
    pub fn finish(mut self, sink: &mut dyn FnMut(Decoded)) {
        self.stream.finish(&mut self.output);
        self.flush(sink);
    }
}

/// The format that an input looks like, if it is not the one that was asked for: for the reasons of refusals.
fn other_format(asked: Format, bytes: &[u8]) -> Option<&'static str> {
    let seen = recognise("", &bytes[..bytes.len().min(HEAD_BYTES)])?;
    let is_json = |format| matches!(format, Format::Json | Format::Ndjson);
    (seen != asked && !(is_json(seen) && is_json(asked))).then(|| seen.name())
}

/// The state of one format, within archives too.
pub(crate) enum Stream {
    Lines(LineSplitter, LineMapper),
    Json(Box<JsonStream>),
    Evtx(Box<EvtxStream>),
    EventXml(Box<EventXmlStream>),
    JournalExport(Box<JournalExport>),
    Unified2(Box<Unified2Stream>),
    Compressed(Box<CompressedStream>),
    Zip(Box<ZipStream>),
    /// Text whose first bytes have not arrived: they may be the mark of another encoding.
    Marked(Box<Stream>, Vec<u8>),
    /// Text in UTF-16.
    Utf16(Box<Stream>, Utf16),
}

/// Maps one line, by format.
pub(crate) enum LineMapper {
    Syslog(Box<SyslogMapper>),
    W3c(Box<W3cMapper>),
    Json(Box<JsonMapper>),
    Text(Box<dyn LineFormat>),
}

/// A format of text lines that keeps state between lines.
pub(crate) trait LineFormat: Send + Sync {
    /// Takes a line that is not blank.
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output);

    /// The input has ended: what is held back becomes rows.
    fn finish(&mut self, _output: &mut Output) {}

    /// No line came for a while: a record that the next one would end becomes a row.
    fn rest(&mut self, _output: &mut Output) {}

    /// Where the earliest record that is held back began.
    fn pending_offset(&self) -> Option<u64> {
        None
    }

    /// The next line comes from another sender: what this one says means nothing for it.
    fn forget_order(&mut self, _output: &mut Output) {}

    /// A blank line, for formats in which it belongs to a record.
    fn blank(&mut self, _output: &mut Output) {}
}

impl Stream {
    /// The state at the beginning of a file that lies `archive_depth` archives deep.
    pub fn new(format: Format, first_offset: u64, archive_depth: usize) -> Self {
        let plain = Self::of_utf8(format, first_offset, archive_depth);
        let may_be_marked = first_offset == 0 && matches!(plain, Self::Lines(..) | Self::Json(_) | Self::EventXml(_));
        if may_be_marked { Self::Marked(Box::new(plain), Vec::new()) } else { plain }
    }

    fn of_utf8(format: Format, first_offset: u64, archive_depth: usize) -> Self {
        let lines = |mapper| Self::Lines(LineSplitter::new(first_offset), mapper);
        let text = |format: Box<dyn LineFormat>| lines(LineMapper::Text(format));
        match format {
            Format::Auditd => text(Box::<AuditdLog>::default()),
            Format::Zeek => text(Box::<ZeekLog>::default()),
            Format::Csv => text(Box::<Delimited>::default()),
            Format::WebLog => text(Box::<WebLog>::default()),
            Format::SqlErrorLog => text(Box::<SqlErrorLog>::default()),
            Format::PostgresLog => text(Box::<PostgresLog>::default()),
            Format::ClientLog => text(Box::<ClientLog>::default()),
            Format::StorageLog => text(Box::<StorageLog>::default()),
            Format::VpcFlow => text(Box::<VpcFlowLog>::default()),
            Format::IdsText => text(Box::<IdsText>::default()),
            Format::MetricsText => text(Box::<MetricsText>::default()),
            Format::Logfmt => text(Box::<Logfmt>::default()),
            Format::Aide => text(Box::<AideReport>::default()),
            Format::CallReport => text(Box::<CallReports>::default()),
            Format::RtcpXr => text(Box::<ExtendedReports>::default()),
            Format::JournalExport => Self::JournalExport(Box::new(JournalExport::new(first_offset))),
            Format::Unified2 => Self::Unified2(Box::new(Unified2Stream::new(first_offset))),
            Format::EventXml => Self::EventXml(Box::new(EventXmlStream::new(first_offset))),
            Format::Evtx => Self::Evtx(Box::new(EvtxStream::new(first_offset))),
            Format::Syslog => lines(LineMapper::Syslog(Box::default())),
            Format::W3c => lines(LineMapper::W3c(Box::default())),
            Format::Ndjson => lines(LineMapper::Json(Box::default())),
            Format::Json => Self::Json(Box::new(JsonStream::new(first_offset))),
            Format::Zip => Self::Zip(Box::new(ZipStream::new(archive_depth))),
            Format::Gzip => Self::Compressed(Box::new(CompressedStream::gzip(archive_depth))),
            Format::Zstd => Self::Compressed(Box::new(CompressedStream::zstd(archive_depth))),
        }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        match self {
            Self::Lines(splitter, mapper) => splitter.feed(bytes, |line, end| mapper.line(line, end, output)),
            Self::Json(stream) => stream.feed(bytes, output),
            Self::Evtx(stream) => stream.feed(bytes, output),
            Self::EventXml(stream) => stream.feed(bytes, output),
            Self::JournalExport(stream) => stream.feed(bytes, output),
            Self::Unified2(stream) => stream.feed(bytes, output),
            Self::Compressed(stream) => stream.feed(bytes, output),
            Self::Zip(stream) => stream.feed(bytes, output),
            Self::Marked(_, held) => {
                held.extend_from_slice(bytes);
                if held.len() >= 2 {
                    self.take_mark(output);
                }
            }
            Self::Utf16(stream, transcoder) => {
                let mut text = String::with_capacity(bytes.len());
                transcoder.feed(bytes, &mut text);
                // Positions of the text are not those of the input.
                let outer = std::mem::replace(&mut output.in_member, true);
                stream.feed(text.as_bytes(), output);
                output.in_member = outer;
            }
        }
    }

    /// Decides the encoding from the first bytes, and decodes them.
    fn take_mark(&mut self, output: &mut Output) {
        let Self::Marked(stream, held) = self else { return };
        let held = std::mem::take(held);
        let plain = std::mem::replace(&mut **stream, Self::Json(Box::new(JsonStream::new(0))));
        match Utf16::of_mark(&held) {
            Some(transcoder) => {
                *self = Self::Utf16(Box::new(plain), transcoder);
                self.feed(&held[2..], output);
            }
            None => {
                *self = plain;
                self.feed(&held, output);
            }
        }
    }

    pub fn finish(&mut self, output: &mut Output) {
        match self {
            Self::Lines(splitter, mapper) => {
                splitter.finish(|line, end| mapper.line(line, end, output));
                mapper.finish(splitter.finished_offset(), output);
            }
            Self::Json(stream) => stream.finish(output),
            Self::Evtx(stream) => stream.finish(output),
            Self::EventXml(stream) => stream.finish(output),
            Self::JournalExport(stream) => stream.finish(output),
            Self::Unified2(stream) => stream.finish(output),
            Self::Compressed(stream) => stream.finish(output),
            Self::Zip(stream) => stream.finish(output),
            Self::Marked(..) => {
                self.take_mark(output);
                self.finish(output);
            }
            Self::Utf16(stream, transcoder) => {
                let mut text = String::new();
                transcoder.finish(&mut text);
                let outer = std::mem::replace(&mut output.in_member, true);
                stream.feed(text.as_bytes(), output);
                stream.finish(output);
                output.in_member = outer;
            }
        }
    }

    fn rest(&mut self, output: &mut Output) {
        if let Self::Lines(splitter, LineMapper::Text(format)) = self
            && format.pending_offset().is_some()
        {
            let end = splitter.finished_offset();
            output.contain(end, b"", |output| format.rest(output));
            output.advance(format.pending_offset().unwrap_or(end));
        }
    }

    fn record(&mut self, bytes: &[u8], number: Option<u64>, output: &mut Output) {
        // A framed record says nothing about the encoding of others.
        if matches!(self, Self::Marked(..)) {
            self.take_mark(output);
        }
        match self {
            Self::Lines(splitter, mapper) => {
                let offset = number.unwrap_or_else(|| splitter.finished_offset());
                match number {
                    Some(number) => splitter.stand_behind(number),
                    None => splitter.pass(bytes.len()),
                }
                let end = splitter.finished_offset();
                let line = if bytes.len() > moneta_base::limits::RECORD_BYTES_MAX {
                    Line::TooLong { offset, head: bytes, length: bytes.len() as u64 }
                } else {
                    Line::Whole { offset, bytes }
                };
                mapper.forget_order(output);
                mapper.line(line, end, output);
            }
            other => other.feed(bytes, output),
        }
    }
}

impl LineMapper {
    /// Framed records may come from many senders: what one says means nothing for the next.
    fn forget_order(&mut self, output: &mut Output) {
        match self {
            Self::Syslog(mapper) => mapper.forget_order(),
            Self::Text(format) => format.forget_order(output),
            Self::W3c(_) | Self::Json(_) => {}
        }
    }

    fn finish(&mut self, end: u64, output: &mut Output) {
        if let Self::Text(format) = self {
            output.contain(end, b"", |output| format.finish(output));
            output.advance(end);
        }
    }

    fn line(&mut self, line: Line<'_>, end: u64, output: &mut Output) {
        if let (Self::Text(_), Line::Whole { offset, bytes }) = (&self, line) {
            output.history.add(offset, bytes, end.saturating_sub(offset + bytes.len() as u64));
        }
        match line {
            // Blank lines separate; they are no records.
            Line::Whole { bytes, .. } if bytes.iter().all(u8::is_ascii_whitespace) => {
                if let Self::Text(format) = self {
                    format.blank(output);
                }
            }
            Line::Whole { offset, bytes } => output.contain(offset, bytes, |output| match self {
                Self::Syslog(mapper) => mapper.record(bytes, offset, output),
                Self::W3c(mapper) => mapper.line(bytes, offset, output),
                Self::Json(mapper) => mapper.record(bytes, offset, output),
                Self::Text(format) => format.line(bytes, offset, output),
            }),
            Line::TooLong { offset, head, length } => {
                let table = output.options.table.clone();
                output.quarantine_too_long(table, offset, head, length);
            }
        }
        let held_back = match self {
            Self::Text(format) => format.pending_offset(),
            Self::Syslog(_) | Self::W3c(_) | Self::Json(_) => None,
        };
        match held_back {
            Some(offset) => output.history.forget_before(offset),
            None => output.history.clear(),
        }
        output.advance(held_back.unwrap_or(end));
    }
}
