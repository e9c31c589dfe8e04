//! Events of security devices inside syslog messages: CEF, LEEF, and the key=value lines of FortiGate, as rows of
//! `CommonSecurityLog`.
//!
//! Layout:
//! - `CEF:0|vendor|product|version|class|name|severity|key=value key=value ...`; in the head `\|` and `\\`, in values
//!   `\=`, `\\`, `\n` and `\r` are escapes; a value goes on up to the blank before the next key
//! - `LEEF:1.0|vendor|product|version|event|key=value<TAB>key=value ...`; version 2.0 names its separator behind the event
//! - `date=... time=... devid="..." logid="..." key=value ...`, values with blanks in quotes
//!
//! # Source
//! ArcSight CEF implementation standard; IBM LEEF guide; FortiOS log message reference (`eventtime`, `tz`); Azure's field
//! mapping of `CommonSecurityLog`.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use moneta_base::{TableName, Timestamp};
use moneta_event::RecordClass;

use super::{Message, pattern_time};
use crate::clock_text;
use crate::mapping::Slots;
use crate::output::{Output, Refusal};

/// Keys of one event at most; what stands behind them stays in the original.
const KEYS_MAX: usize = moneta_base::limits::RECORD_FIELDS_MAX;

/// CEF keys, and those of the others that mean the same, with their columns.
#[rustfmt::skip]
const COLUMNS: [(&str, &str); 127] = [
    ("act", "DeviceAction"), ("action", "DeviceAction"), ("app", "ApplicationProtocol"), ("cat", "DeviceEventCategory"),
    ("cnt", "EventCount"), ("c6a1", "DeviceCustomIPv6Address1"), ("c6a1Label", "DeviceCustomIPv6Address1Label"),
    ("c6a2", "DeviceCustomIPv6Address2"), ("c6a2Label", "DeviceCustomIPv6Address2Label"),
    ("c6a3", "DeviceCustomIPv6Address3"), ("c6a3Label", "DeviceCustomIPv6Address3Label"),
    ("c6a4", "DeviceCustomIPv6Address4"), ("c6a4Label", "DeviceCustomIPv6Address4Label"),
    ("cfp1", "DeviceCustomFloatingPoint1"), ("cfp1Label", "DeviceCustomFloatingPoint1Label"),
    ("cfp2", "DeviceCustomFloatingPoint2"), ("cfp2Label", "DeviceCustomFloatingPoint2Label"),
    ("cfp3", "DeviceCustomFloatingPoint3"), ("cfp3Label", "DeviceCustomFloatingPoint3Label"),
    ("cfp4", "DeviceCustomFloatingPoint4"), ("cfp4Label", "DeviceCustomFloatingPoint4Label"),
    ("cn1", "FieldDeviceCustomNumber1"), ("cn1Label", "DeviceCustomNumber1Label"),
    ("cn2", "FieldDeviceCustomNumber2"), ("cn2Label", "DeviceCustomNumber2Label"),
    ("cn3", "FieldDeviceCustomNumber3"), ("cn3Label", "DeviceCustomNumber3Label"),
    ("cs1", "DeviceCustomString1"), ("cs1Label", "DeviceCustomString1Label"),
    ("cs2", "DeviceCustomString2"), ("cs2Label", "DeviceCustomString2Label"),
    ("cs3", "DeviceCustomString3"), ("cs3Label", "DeviceCustomString3Label"),
    ("cs4", "DeviceCustomString4"), ("cs4Label", "DeviceCustomString4Label"),
    ("cs5", "DeviceCustomString5"), ("cs5Label", "DeviceCustomString5Label"),
    ("cs6", "DeviceCustomString6"), ("cs6Label", "DeviceCustomString6Label"),
    ("destinationDnsDomain", "DestinationDnsDomain"), ("destinationServiceName", "DestinationServiceName"),
    ("destinationTranslatedAddress", "DestinationTranslatedAddress"),
    ("destinationTranslatedPort", "DestinationTranslatedPort"), ("deviceCustomDate1", "DeviceCustomDate1"),
    ("deviceCustomDate1Label", "DeviceCustomDate1Label"), ("deviceCustomDate2", "DeviceCustomDate2"),
    ("deviceCustomDate2Label", "DeviceCustomDate2Label"), ("deviceDirection", "CommunicationDirection"),
    ("deviceDnsDomain", "DeviceDnsDomain"), ("deviceExternalId", "DeviceExternalID"),
    ("deviceFacility", "DeviceFacility"), ("deviceInboundInterface", "DeviceInboundInterface"),
    ("deviceNtDomain", "DeviceNtDomain"), ("deviceOutboundInterface", "DeviceOutboundInterface"),
    ("devicePayloadId", "DevicePayloadId"), ("deviceProcessName", "ProcessName"),
    ("deviceTranslatedAddress", "DeviceTranslatedAddress"), ("dhost", "DestinationHostName"),
    ("dmac", "DestinationMACAddress"), ("dntdom", "DestinationNTDomain"), ("dpid", "DestinationProcessId"),
    ("dpriv", "DestinationUserPrivileges"), ("dproc", "DestinationProcessName"), ("dpt", "DestinationPort"),
    ("dst", "DestinationIP"), ("dstPort", "DestinationPort"), ("dstip", "DestinationIP"), ("dstport", "DestinationPort"),
    ("dtz", "DeviceTimeZone"), ("duid", "DestinationUserID"), ("duser", "DestinationUserName"),
    ("dvc", "DeviceAddress"), ("dvchost", "DeviceName"), ("devname", "DeviceName"), ("devid", "DeviceExternalID"),
    ("dvcmac", "DeviceMacAddress"), ("dvcpid", "ProcessID"), ("end", "EndTime"), ("externalId", "ExtID"),
    ("fileCreateTime", "FileCreateTime"), ("fileHash", "FileHash"), ("fileId", "FileID"),
    ("fileModificationTime", "FileModificationTime"), ("filePath", "FilePath"), ("filePermission", "FilePermission"),
    ("fileType", "FileType"), ("fname", "FileName"), ("fsize", "FileSize"), ("in", "ReceivedBytes"),
    ("rcvdbyte", "ReceivedBytes"), ("msg", "Message"), ("oldFileHash", "OldFileHash"), ("oldFileName", "OldFileName"),
    ("oldFilePath", "OldFilePath"), ("oldFileSize", "OldFileSize"), ("out", "SentBytes"), ("sentbyte", "SentBytes"),
    ("outcome", "EventOutcome"), ("proto", "Protocol"), ("reason", "Reason"), ("request", "RequestURL"),
    ("requestClientApplication", "RequestClientApplication"), ("requestContext", "RequestContext"),
    ("requestCookies", "RequestCookies"), ("requestMethod", "RequestMethod"), ("rt", "ReceiptTime"),
    ("shost", "SourceHostName"), ("smac", "SourceMACAddress"), ("sntdom", "SourceNTDomain"),
    ("sourceDnsDomain", "SourceDnsDomain"), ("sourceServiceName", "SourceServiceName"),
    ("sourceTranslatedAddress", "SourceTranslatedAddress"), ("spid", "SourceProcessId"),
    ("spt", "SourcePort"), ("srcPort", "SourcePort"), ("srcport", "SourcePort"), ("src", "SourceIP"),
    ("srcip", "SourceIP"), ("start", "StartTime"), ("suid", "SourceUserID"), ("suser", "SourceUserName"),
    ("usrName", "SourceUserName"), ("sev", "LogSeverity"), ("srcMAC", "SourceMACAddress"),
    ("dstMAC", "DestinationMACAddress"), ("srcBytes", "SentBytes"), ("dstBytes", "ReceivedBytes"),
];

/// Columns of the head, in order.
const HEAD: [&str; 6] =
    ["DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID", "Activity", "LogSeverity"];

/// An event within a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// Behind `CEF:`.
    Cef(&'a str),
    /// Behind `LEEF:`.
    Leef(&'a str),
    /// Keys and values all along.
    KeyValue(&'a str),
}

/// What both marks end with: most messages have neither.
static MARK: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("EF:"));

/// The event that the text of a message holds, if any.
pub(super) fn find(text: &str) -> Option<Event<'_>> {
    // Some senders put words of their own in front.
    let head = text.get(..256.min(text.len())).unwrap_or(text);
    let has_mark = MARK.find(head.as_bytes()).is_some();
    has_mark.then(|| marked(text, head)).flatten().or_else(|| {
        let is_fortinet = text.contains("logid=") && text.contains("devid=") && text.contains("type=");
        is_fortinet.then(|| Event::KeyValue(text.find("date=").map_or(text, |at| &text[at..])))
    })
}

fn marked<'a>(text: &'a str, head: &str) -> Option<Event<'a>> {
    for (mark, make) in [("CEF:", Event::Cef as fn(_) -> _), ("LEEF:", Event::Leef as fn(_) -> _)] {
        let at = head.find(mark);
        if let Some(at) = at.filter(|at| *at == 0 || text.as_bytes()[at - 1] == b' ')
            && text[at + mark.len()..].starts_with(|c: char| c.is_ascii_digit())
            && text[at..].matches('|').nth(3).is_some()
        {
            return Some(make(&text[at + mark.len()..]));
        }
    }
    None
}

/// Writes the row of an event.
pub(super) fn write(
    event: Event<'_>,
    message: &Message<'_>,
    raw: &str,
    slots: &mut Slots,
    output: &mut Output,
) -> Result<(), Refusal> {
    let (head, pairs) = match event {
        Event::Cef(text) => cef(text),
        Event::Leef(text) => leef(text),
        Event::KeyValue(text) => (fortinet_head(text), key_values(text)),
    };
    let zone = output.options.zone_offset_seconds;
    let stamp = |names: &[&str]| {
        let found = names.iter().find_map(|name| pairs.iter().find(|(key, _)| key == name));
        found.and_then(|(_, value)| clock_text::parse_any(value, zone))
    };
    let own_time = match event {
        Event::KeyValue(_) => fortinet_time(&pairs, output),
        Event::Cef(_) => stamp(&["rt", "end", "start"]),
        Event::Leef(_) => leef_time(&pairs, zone).or_else(|| stamp(&["devTime", "rt", "end", "start"])),
    };
    let time = own_time.or(message.time).unwrap_or(output.origin.received);
    output.check_time(time)?;
    let own = || TableName::new("CommonSecurityLog").expect("the names of built-in tables are valid");
    let table = output.table(&output.options.table.clone().unwrap_or_else(own));
    for (column, text) in HEAD.into_iter().zip(&head) {
        slots.text(table, column, text, output);
    }
    slots.text(table, "Computer", message.host, output);
    let mut others = String::new();
    for (key, value) in &pairs {
        let column = COLUMNS.iter().find(|(known, _)| known == key).map(|(_, column)| *column);
        match column {
            Some(column) if output.is_unset_column(table, column) => slots.text(table, column, value, output),
            _ => {
                if !others.is_empty() {
                    others.push(';');
                }
                others.push_str(key);
                others.push('=');
                others.push_str(value);
            }
        }
    }
    slots.text(table, "AdditionalExtensions", &others, output);
    let class = RecordClass::Data;
    output.finish_row(table, class, time, raw);
    Ok(())
}

type Pairs<'a> = Vec<(&'a str, Cow<'a, str>)>;

fn cef(text: &str) -> (Vec<Cow<'_, str>>, Pairs<'_>) {
    // The version of the format stands first.
    let mut parts = split_head(text, 8);
    let extension = if parts.len() > 7 { parts.pop().unwrap_or_default() } else { "" };
    let head = parts.into_iter().skip(1).map(|part| unescaped(part, false)).collect();
    (head, cef_extension(extension))
}

/// Parts between bars that no backslash stands before; the last of `parts_max` is the rest.
fn split_head(text: &str, parts_max: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'|' => {
                parts.push(&text[start..at]);
                start = at + 1;
                if parts.len() + 1 == parts_max {
                    break;
                }
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `key=value key=value`: a key is the word before a `=` that no backslash stands before.
fn cef_extension(text: &str) -> Pairs<'_> {
    let bytes = text.as_bytes();
    let mut pairs: Pairs<'_> = Vec::new();
    // Where the key and value in hand begin.
    let mut open: Option<(&str, usize)> = None;
    for at in memchr::memchr_iter(b'=', bytes) {
        let backslashes = bytes[..at].iter().rev().take_while(|b| **b == b'\\').count();
        let start = bytes[..at].iter().rposition(|b| *b == b' ').map_or(0, |blank| blank + 1);
        let key = &text[start..at];
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-[]".contains(&b));
        let is_within = open.is_some_and(|(_, value)| start < value);
        if backslashes % 2 == 1 || !is_key || is_within {
            continue;
        }
        if let Some((key, value)) = open.take() {
            pairs.push((key, unescaped(text[value..start].trim_end_matches(' '), true)));
        }
        if pairs.len() >= KEYS_MAX {
            return pairs;
        }
        open = Some((key, at + 1));
    }
    if let Some((key, value)) = open {
        pairs.push((key, unescaped(text[value..].trim_end(), true)));
    }
    pairs
}

fn unescaped(text: &str, is_value: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') if is_value => plain.push('\n'),
            Some('r') if is_value => plain.push('\r'),
            Some(other @ ('\\' | '|' | '=')) => plain.push(other),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    Cow::Owned(plain)
}

fn leef(text: &str) -> (Vec<Cow<'_, str>>, Pairs<'_>) {
    let is_second = text.starts_with("2.");
    let mut parts = split_head(text, if is_second { 7 } else { 6 });
    let attributes = parts.pop().unwrap_or_default();
    let separator = if is_second && parts.len() == 6 { leef_separator(parts.pop().unwrap_or_default()) } else { '\t' };
    let head = parts.into_iter().skip(1).map(|part| unescaped(part, false)).collect();
    let pairs = attributes.split(separator).take(KEYS_MAX).filter_map(|part| part.split_once('='));
    (head, pairs.map(|(key, value)| (key.trim(), Cow::Borrowed(value.trim_end()))).collect())
}

/// A character, or its code (`0x09`, `x5E`).
fn leef_separator(text: &str) -> char {
    let code = text.strip_prefix("0x").or_else(|| text.strip_prefix('x'));
    let coded = code.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
    coded.or_else(|| text.chars().next()).unwrap_or('\t')
}

/// The time of a LEEF event by the pattern that it names.
fn leef_time(pairs: &Pairs<'_>, zone_offset_seconds: i32) -> Option<Timestamp> {
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value);
    pattern_time::parse(get("devTimeFormat")?, get("devTime")?, zone_offset_seconds)
}

fn key_values(text: &str) -> Pairs<'_> {
    let mut pairs: Pairs<'_> = Vec::new();
    let mut rest = text.trim_start();
    while let Some((key, behind)) = rest.split_once('=') {
        if pairs.len() >= KEYS_MAX {
            break;
        }
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => behind.split_once(' ').unwrap_or((behind, "")),
        };
        let key = key.rsplit(' ').next().unwrap_or(key);
        pairs.push((key, Cow::Borrowed(value)));
        rest = next.trim_start();
    }
    pairs
}

/// When a FortiGate saw what it reports: `eventtime` since 1970, in seconds or nanoseconds by its version; where there is
/// none, or one that cannot be, `date` and `time` in the zone `tz`.
fn fortinet_time(pairs: &Pairs<'_>, output: &Output) -> Option<Timestamp> {
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value);
    let possible = |time: &Timestamp| output.check_time(*time).is_ok();
    let local = || {
        let zone = get("tz").and_then(clock_text::parse_zone).unwrap_or(output.options.zone_offset_seconds);
        clock_text::parse_iso(&format!("{}T{}", get("date")?, get("time")?), zone)
    };
    get("eventtime").and_then(clock_text::parse_epoch).filter(possible).or_else(local)
}

/// The head that a FortiGate's own CEF output has.
fn fortinet_head(text: &str) -> Vec<Cow<'_, str>> {
    let pairs = key_values(text);
    let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value).to_owned();
    let kind = [get("type"), get("subtype")].join(":");
    ["Fortinet".to_owned(), "Fortigate".to_owned(), String::new(), get("logid"), kind, get("level")]
        .map(Cow::Owned)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cef_event_is_taken_apart() {
        let text = r"0|V\|x|P|1.0|100|name|5|src=192.0.2.1 msg=a b\=c d\\ cs1Label=L cs1=x=y end=1";
        let (head, pairs) = cef(text);
        assert_eq!(head, ["V|x", "P", "1.0", "100", "name", "5"]);
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, &**value)).collect();
        let expected = [("src", "192.0.2.1"), ("msg", "a b=c d\\"), ("cs1Label", "L"), ("cs1", "x=y"), ("end", "1")];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_leef_event_is_taken_apart() {
        let (head, pairs) = leef("1.0|V|P|1|E|src=192.0.2.1\tmsg=a b");
        assert_eq!(head, ["V", "P", "1", "E"]);
        assert_eq!(pairs[1], ("msg", Cow::Borrowed("a b")));
        let (_, pairs) = leef("2.0|V|P|1|E|x5E|a=1^b=2");
        assert_eq!(pairs, [("a", Cow::Borrowed("1")), ("b", Cow::Borrowed("2"))]);
    }

    #[test]
    fn events_are_found_where_they_begin() {
        assert!(matches!(find("CEF:0|a|b|c|d|e|f|"), Some(Event::Cef(_))));
        assert!(matches!(find("x LEEF:1.0|a|b|c|d|"), Some(Event::Leef(_))));
        assert!(matches!(find("date=1 devid=\"x\" logid=1 type=\"t\""), Some(Event::KeyValue(_))));
        assert_eq!(find("about CEF: and others"), None);
    }
}
