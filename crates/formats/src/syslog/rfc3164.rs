//! RFC 3164 headers and those in use beside them: `Mmm dd hh:mm:ss`, with a year, a fraction or the abbreviation of a zone,
//! or an ISO 8601 time, then a host and a tag.

use moneta_base::Timestamp;

use super::Message;
use crate::clock_text;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Numbers behind a clock that are a year.
const YEARS: std::ops::Range<u32> = 1990..2100;

/// Longest tag: RFC 3164 says 32 characters, programs write paths.
const TAG_BYTES_MAX: usize = 128;

/// Reads the text behind the priority; `None` when it does not begin with a time.
///
/// # Source
/// RFC 3164 sections 4.1.2 and 4.1.3; ISO times as rsyslog writes files.
pub(super) fn parse(text: &str, received: Timestamp, zone_offset_seconds: i32) -> Option<Message<'_>> {
    let named_month = || {
        let (time, rest) = named_month_time(text, received, zone_offset_seconds)?;
        Some(named_zone(time, rest.trim_start_matches(' '), zone_offset_seconds))
    };
    let (time, rest) = iso_time(text, zone_offset_seconds).or_else(named_month)?;
    let rest = rest.trim_start_matches(' ');
    // Without a host the tag follows at once: "Jun  1 22:14:15 su[230]: ...".
    let (host, rest) = match rest.split_once(' ') {
        Some((host, rest)) if !host.ends_with(':') => (host, rest.trim_start_matches(' ')),
        _ => ("", rest),
    };
    let (process, process_id, text) = tag(rest);
    Some(Message { time: Some(time), host, process, process_id, text, ..Message::default() })
}

/// `host program[pid]: text` without a time, as `journalctl` prints it on demand.
pub(super) fn host_and_tag(text: &str) -> Option<Message<'_>> {
    let (host, rest) = text.split_once(' ')?;
    let (process, process_id, text) = tag(rest);
    let is_number = !process_id.is_empty() && process_id.bytes().all(|b| b.is_ascii_digit());
    let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    (is_number && is_host).then(|| Message { host, process, process_id, text, ..Message::default() })
}

fn iso_time(text: &str, zone_offset_seconds: i32) -> Option<(Timestamp, &str)> {
    if text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (stamp, rest) = text.split_once(' ')?;
    if stamp.len() > 10 {
        return Some((clock_text::parse_iso(stamp, zone_offset_seconds)?, rest));
    }
    // Date and time apart: "2026-01-02 03:04:05 host ...".
    let clock = rest.split(' ').next()?;
    let whole = text.get(..stamp.len() + 1 + clock.len())?;
    let time = clock_text::parse_iso(whole, zone_offset_seconds)?;
    Some((time, text[whole.len()..].trim_start_matches(' ')))
}

/// The time in the zone whose abbreviation follows it, and what stands behind that. A name that is followed by nothing is
/// no zone.
fn named_zone(time: Timestamp, rest: &str, zone_offset_seconds: i32) -> (Timestamp, &str) {
    let zone = rest.split_once(' ').and_then(|(word, behind)| Some((clock_text::zone_of_name(word)?, behind)));
    match zone {
        Some((offset, behind)) => {
            (clock_text::shifted(time, offset - zone_offset_seconds), behind.trim_start_matches(' '))
        }
        None => (time, rest),
    }
}

/// `Mmm dd [yyyy] hh:mm:ss[.fraction]`, or the year behind the clock.
pub(super) fn named_month_time(text: &str, received: Timestamp, zone_offset_seconds: i32) -> Option<(Timestamp, &str)> {
    let bytes = text.as_bytes();
    let month = MONTHS.iter().position(|name| bytes.get(..3).is_some_and(|b| b.eq_ignore_ascii_case(*name)))?;
    let month = u32::try_from(month + 1).ok()?;
    let rest = text.get(3..)?.strip_prefix(' ')?.trim_start_matches(' ');
    let (day, rest) = number(rest, 2)?;
    let rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
    let (year, rest) = match number(rest, 4) {
        Some((year, after)) if after.starts_with(' ') => (Some(year), after.trim_start_matches(' ')),
        _ => (None, rest),
    };
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (nanos, rest) = fraction(rest);
    let (year, rest) = match rest.strip_prefix(' ').and_then(|rest| number(rest, 4)) {
        // A host may be an address that begins like a year: `2001:db8::1`.
        Some((behind, after))
            if year.is_none()
                && YEARS.contains(&behind)
                && (after.starts_with(' ') || after.strip_prefix(':').is_some_and(|rest| rest.starts_with(' '))) =>
        {
            (Some(behind), after)
        }
        _ => (year, rest),
    };
    let at_year = |year: i64| Timestamp::from_civil(year, month, day, hour, minute, second, nanos);
    let time = match year {
        Some(year) => clock_text::shifted(at_year(i64::from(year))?, zone_offset_seconds),
        None => clock_text::infer_year(received, zone_offset_seconds, at_year)?,
    };
    // Some senders put a colon behind the time.
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix([' ', ']'])? };
    Some((time.truncated_to_ticks(), rest))
}

/// Up to `digits_max` digits.
fn number(text: &str, digits_max: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
    Some((text[..length].parse().ok()?, &text[length..]))
}

fn fraction(text: &str) -> (u32, &str) {
    let Some(digits) = text.strip_prefix(['.', ',']) else { return (0, text) };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let kept = &digits[..length.min(9)];
    let scale = 10u32.pow(9 - u32::try_from(kept.len()).unwrap_or(9));
    (kept.parse::<u32>().unwrap_or(0) * scale, &digits[length..])
}

/// `program[pid]: text` or `program: text`; anything else is text only.
fn tag(rest: &str) -> (&str, &str, &str) {
    let untagged = ("", "", rest);
    let end = rest.bytes().take(TAG_BYTES_MAX).position(|b| matches!(b, b' ' | b'[' | b':'));
    let Some(end) = end.filter(|end| *end > 0) else { return untagged };
    let (process, after) = rest.split_at(end);
    if let Some(inner) = after.strip_prefix('[')
        && let Some((process_id, text)) = inner.split_once(']')
        && process_id.len() <= TAG_BYTES_MAX
        && !process_id.contains(' ')
    {
        let text = text.strip_prefix(':').unwrap_or(text);
        return (process, process_id, text.strip_prefix(' ').unwrap_or(text));
    }
    match after.strip_prefix(':') {
        Some(text) if text.is_empty() || text.starts_with(' ') => (process, "", text.trim_start_matches(' ')),
        _ => untagged,
    }
}
