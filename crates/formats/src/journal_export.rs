//! The systemd journal as it is exported, and as `journalctl -o json` prints it, as rows of `Syslog`.
//!
//! Layout of the export: entries end with a blank line; a field is `NAME=value` LF, or, where the value holds a line feed
//! or other control characters, `NAME` LF, its length as u64 in little-endian order, the value, LF. In JSON a value is a
//! text, a list of bytes, or a list of values where a field comes more than once; a value that is null was too long.
//!
//! Fields that no column holds stay under their own names in `_Extra`. The event time is that of the program
//! (`_SOURCE_REALTIME_TIMESTAMP`), else that of the journal (`__REALTIME_TIMESTAMP`), both microseconds since 1970.
//!
//! # Source
//! systemd: JOURNAL_EXPORT_FORMATS; systemd.journal-fields(7).

use moneta_base::Timestamp;
use moneta_base::limits::{RECORD_BYTES_MAX, RECORD_FIELDS_MAX};

use crate::clock_text;
use crate::json::{Item, Kind};
use crate::output::{Output, Refusal};
use crate::syslog::{Message, SyslogMapper};

/// Longest name of a field.
const NAME_BYTES_MAX: usize = 64;

/// Decodes an export as it arrives.
#[derive(Default)]
pub(crate) struct JournalExport {
    held: Vec<u8>,
    /// Stream position of what is held.
    offset: u64,
    /// The rest of an entry that is too long is passed over.
    is_skipping: bool,
    mapper: SyslogMapper,
}

/// An entry: names and values in order.
type Entry = Vec<(String, String)>;

/// Whether a file begins with fields of an entry.
pub(crate) fn is_export(head: &[u8]) -> bool {
    head.starts_with(b"__CURSOR=") || head.starts_with(b"__REALTIME_TIMESTAMP=")
}

/// How far an entry goes in the bytes held.
enum Extent {
    /// So many bytes, the blank line included.
    Whole(usize),
    /// More bytes are needed.
    Open,
    /// What stands at this place is no field.
    Broken(usize),
}

impl JournalExport {
    pub fn new(first_offset: u64) -> Self {
        Self { offset: first_offset, ..Self::default() }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut done = 0;
        loop {
            let rest = &held[done..];
            if self.is_skipping {
                let Some(end) = memchr::memmem::find(rest, b"\n\n") else {
                    done = held.len().saturating_sub(1);
                    break;
                };
                self.is_skipping = false;
                done += end + 2;
                continue;
            }
            match extent(rest) {
                Extent::Whole(length) => {
                    self.entry(&rest[..length], length, self.offset + done as u64, output);
                    done += length;
                    output.advance(self.offset + done as u64);
                }
                Extent::Open if rest.len() > RECORD_BYTES_MAX => {
                    output.quarantine_too_long(None, self.offset + done as u64, rest, rest.len() as u64);
                    self.is_skipping = true;
                }
                Extent::Open => break,
                // Kept up to the next blank line, where another entry can begin.
                Extent::Broken(at) => match memchr::memmem::find(&rest[at.saturating_sub(1)..], b"\n\n") {
                    Some(found) => {
                        let length = at.saturating_sub(1) + found + 2;
                        refuse(at, &rest[..length], self.offset + done as u64, output);
                        done += length;
                        output.advance(self.offset + done as u64);
                    }
                    None if rest.len() > RECORD_BYTES_MAX => {
                        output.quarantine_too_long(None, self.offset + done as u64, rest, rest.len() as u64);
                        self.is_skipping = true;
                    }
                    None => break,
                },
            }
        }
        self.offset += done as u64;
        self.held = held[done..].to_vec();
    }

    pub fn finish(&mut self, output: &mut Output) {
        let mut held = std::mem::take(&mut self.held);
        let end = self.offset + held.len() as u64;
        if !self.is_skipping && !held.iter().all(|b| *b == b'\n') {
            // The last entry may lack its blank line.
            let length = held.len();
            held.extend_from_slice(if held.ends_with(b"\n") { b"\n" } else { b"\n\n" });
            match extent(&held) {
                Extent::Whole(_) => self.entry(&held, length, self.offset, output),
                Extent::Broken(at) => refuse(at, &held[..length], self.offset, output),
                Extent::Open => {
                    let refusal = Refusal::new("cut_off", "the export ends within an entry");
                    output.quarantine(refusal, None, self.offset, &held[..length]);
                }
            }
        }
        output.advance(end);
    }

    /// Takes an entry, of which `length` bytes were in the input.
    fn entry(&mut self, bytes: &[u8], length: usize, offset: u64, output: &mut Output) {
        let fields = fields(bytes);
        if fields.is_empty() {
            return;
        }
        let raw = String::from_utf8_lossy(bytes);
        output.contain(offset, &bytes[..length], |output| {
            if let Err(refusal) = write(&fields, raw.trim_end_matches('\n'), &mut self.mapper, output) {
                output.quarantine(refusal, output.options.table.clone(), offset, &bytes[..length]);
            }
        });
    }
}

fn refuse(at: usize, bytes: &[u8], offset: u64, output: &mut Output) {
    let refusal = Refusal::new("invalid_field", format!("no field of an entry at byte {at} of it"));
    output.quarantine(refusal, None, offset, bytes);
}

fn extent(bytes: &[u8]) -> Extent {
    let mut at = 0;
    loop {
        let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else {
            return if bytes.len() - at > RECORD_BYTES_MAX { Extent::Broken(at) } else { Extent::Open };
        };
        let line = &bytes[at..at + end];
        at += end + 1;
        if line.is_empty() {
            return Extent::Whole(at);
        }
        if memchr::memchr(b'=', line).is_some() {
            continue;
        }
        if line.len() > NAME_BYTES_MAX
            || !line.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
        {
            return Extent::Broken(at - end - 1);
        }
        let Some(length) = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes) else {
            return Extent::Open;
        };
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= RECORD_BYTES_MAX) else {
            return Extent::Broken(at);
        };
        match bytes.get(at + 8 + length) {
            None => return Extent::Open,
            Some(b'\n') => at += 8 + length + 1,
            Some(_) => return Extent::Broken(at),
        }
    }
}

/// The fields of a whole entry.
fn fields(bytes: &[u8]) -> Entry {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = Entry::new();
    let mut at = 0;
    while let Some(end) = memchr::memchr(b'\n', &bytes[at..]) {
        let line = &bytes[at..at + end];
        at += end + 1;
        if line.is_empty() || fields.len() >= RECORD_FIELDS_MAX {
            break;
        }
        if let Some(mark) = memchr::memchr(b'=', line) {
            fields.push((text(&line[..mark]), text(&line[mark + 1..])));
            continue;
        }
        let length = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        let length = usize::try_from(length).unwrap_or(0);
        fields.push((text(line), text(bytes.get(at + 8..at + 8 + length).unwrap_or_default())));
        at = (at + 8 + length + 1).min(bytes.len());
    }
    fields
}

/// Writes an entry that `journalctl -o json` printed.
pub(crate) fn write_json(item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    let mut fields = Entry::new();
    for (name, member) in item.members().take(RECORD_FIELDS_MAX) {
        match member.kind() {
            Kind::Array if member.elements().all(|element| element.kind() == Kind::Number) => {
                let bytes: Vec<u8> = member.elements().filter_map(|b| b.scalar()?.parse().ok()).collect();
                fields.push((name.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
            }
            Kind::Array => {
                let values = member.elements().filter_map(Item::scalar);
                fields.extend(values.map(|value| (name.to_owned(), value.to_owned())));
            }
            _ => fields.extend(member.scalar().map(|value| (name.to_owned(), value.to_owned()))),
        }
    }
    write(&fields, raw, &mut SyslogMapper::default(), output)
}

/// Fields that columns hold.
const IN_COLUMNS: [&str; 10] = [
    "MESSAGE",
    "_HOSTNAME",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_PID",
    "SYSLOG_FACILITY",
    "PRIORITY",
    "MESSAGE_ID",
    "_COMM",
    "_PID",
    "__REALTIME_TIMESTAMP",
];

fn write(fields: &Entry, raw: &str, mapper: &mut SyslogMapper, output: &mut Output) -> Result<(), Refusal> {
    let get = |name: &str| fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let first = |names: [&str; 2]| names.into_iter().map(get).find(|value| !value.is_empty()).unwrap_or_default();
    let time_of = |name: &str| {
        let micros: i64 = get(name).parse().ok()?;
        micros.checked_mul(1_000).map(Timestamp::from_nanos)
    };
    let time = time_of("_SOURCE_REALTIME_TIMESTAMP").or_else(|| time_of("__REALTIME_TIMESTAMP"));
    let time = time.or_else(|| clock_text::parse_any(get("SYSLOG_TIMESTAMP"), output.options.zone_offset_seconds));
    let facility = get("SYSLOG_FACILITY").parse::<u8>().ok().filter(|number| *number < 24);
    let facility = facility.or((get("_TRANSPORT") == "kernel").then_some(0));
    let severity = get("PRIORITY").parse::<u8>().ok().filter(|number| *number < 8);
    let message = Message {
        priority: severity.map(|severity| facility.unwrap_or(1) << 3 | severity),
        time,
        host: get("_HOSTNAME"),
        process: first(["SYSLOG_IDENTIFIER", "_COMM"]),
        process_id: first(["SYSLOG_PID", "_PID"]),
        message_id: get("MESSAGE_ID"),
        structured_data: String::new(),
        text: get("MESSAGE"),
    };
    let others = fields.iter().filter(|(name, _)| !IN_COLUMNS.contains(&name.as_str()));
    let others: Vec<(&str, &str)> = others.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    mapper.message(&message, &others, raw, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_and_taken_apart() {
        let mut bytes = b"__REALTIME_TIMESTAMP=1\nMESSAGE\n".to_vec();
        bytes.extend_from_slice(&5u64.to_le_bytes());
        bytes.extend_from_slice(b"a\n\nbc\nPRIORITY=6\n\n");
        assert!(matches!(extent(&bytes), Extent::Whole(length) if length == bytes.len()));
        assert!((0..bytes.len()).all(|end| matches!(extent(&bytes[..end]), Extent::Open)));
        let fields = fields(&bytes);
        assert_eq!(fields[1], ("MESSAGE".to_owned(), "a\n\nbc".to_owned()));
        assert_eq!(fields.len(), 3);
        assert!(matches!(extent(b"not a field\n"), Extent::Broken(0)));
        let mut long = b"MESSAGE\n".to_vec();
        long.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(extent(&long), Extent::Broken(_)));
    }
}
