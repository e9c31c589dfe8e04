//! Times as logs print them: zones that are missing, numbers since the epoch, years that are not there.
//!
//! Pure functions of text and the time of receipt; no clock is read.

use moneta_base::time::{NANOS_PER_DAY, NANOS_PER_SECOND};
use moneta_base::{Timestamp, limits};

/// How far after receipt a time without year may lie and still belong to the same year: clocks run fast, zones are
/// set wrongly.
const YEARLESS_FUTURE_NANOS_MAX: i64 = NANOS_PER_DAY;

/// Years tried backwards for a date without year: 29 February needs up to eight (across 2100 and the like).
const YEARS_TRIED: i64 = 9;

/// Whether an event time is neither a clock fault of the past nor one of the future.
pub(crate) fn in_range(time: Timestamp, received: Timestamp) -> bool {
    let latest = received.as_nanos().saturating_add(limits::EVENT_TIME_FUTURE_DAYS_MAX * NANOS_PER_DAY);
    time >= limits::EVENT_TIME_MIN && time.as_nanos() <= latest
}

/// Parses an ISO 8601 time; one without zone is taken to be `zone_offset_seconds` east of UTC.
pub(crate) fn parse_iso(text: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    let time = Timestamp::parse(text)?;
    let zone_part = text.as_bytes().get(10..).unwrap_or_default();
    let has_zone = zone_part.iter().any(|b| matches!(b, b'Z' | b'z' | b'+' | b'-'));
    if has_zone { Some(time) } else { Some(shifted(time, zone_offset_seconds)) }
}

/// Names of months as logs in English print them.
pub(crate) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Parses a time in any of the forms that records print: ISO 8601, `9/28/2020, 9:35:41.000 PM`, `10/Oct/2026:13:55:36
/// +0200`, `Thu Mar 16 03:08:58 2023 UTC`, `Thu, 16 Mar 2023 03:08:58 GMT`, a number since 1970. Without zone it is taken
/// to be `zone_offset_seconds` east of UTC.
pub(crate) fn parse_any(text: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.get(4) == Some(&b'-') {
        return parse_iso(text, zone_offset_seconds).or_else(|| parse_loose_zone(text));
    }
    if let Some(time) = parse_access_time(bytes, zone_offset_seconds) {
        return Some(time);
    }
    // `20220407-12:11:06` and `2011.11.21 14:29:16` are ISO but for what stands between.
    let iso = match bytes {
        [digits @ .., _, _, b':', _, _, b':', _, _] if digits.len() == 9 && digits[8] == b'-' => {
            text.is_ascii().then(|| format!("{}-{}-{} {}", &text[..4], &text[4..6], &text[6..8], &text[9..]))
        }
        // The hour of a row of Storage Analytics: `20140522T1100`.
        [digits @ .., b'T', _, _, _, _] if digits.len() == 8 && text.is_ascii() => {
            let (date, clock) = text.split_at(9);
            Some(format!("{}-{}-{} {}:{}:00", &date[..4], &date[4..6], &date[6..8], &clock[..2], &clock[2..]))
        }
        [_, _, _, _, b'.', _, _, b'.', _, _, b' ', ..] if text.is_ascii() => {
            Some(format!("{}-{}-{} {}", &text[..4], &text[5..7], &text[8..10], &text[11..]))
        }
        _ => None,
    };
    if let Some(iso) = iso {
        return parse_iso(&iso, zone_offset_seconds);
    }
    let is_number = bytes.iter().all(|b| b.is_ascii_digit() || *b == b'.') && text.matches('.').count() < 2;
    if !bytes.is_empty() && is_number {
        // Fewer digits are a count of something else: seconds since the machine started, a serial number.
        return parse_epoch(text).filter(|_| bytes.iter().take_while(|b| **b != b'.').count() >= 9);
    }
    if text.len() > 64 || !text.is_ascii() {
        return None;
    }
    if let (Some(b':'), Some(b':'), Some(b'-')) = (bytes.get(4), bytes.get(7), bytes.get(10)) {
        let iso = format!("{}-{}-{} {}", &text[..4], &text[5..7], &text[8..10], &text[11..]);
        return parse_iso(&iso, zone_offset_seconds);
    }
    parse_words(text, zone_offset_seconds)
}

/// `10/Oct/2026:13:55:36 +0200`, the form of every line of an access log, with or without the zone.
fn parse_access_time(text: &[u8], zone_offset_seconds: i32) -> Option<Timestamp> {
    let (stamp, zone) = text.split_at_checked(20)?;
    let number = |from: usize, to: usize| {
        let digits = &stamp[from..to];
        digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
    };
    if [2, 6, 11, 14, 17].map(|at| stamp[at]) != *b"//:::" {
        return None;
    }
    let month = (1..).zip(MONTHS).find(|(_, name)| stamp[3..6] == *name.as_bytes())?.0;
    let zone = match zone {
        [] => zone_offset_seconds,
        [b' ', sign @ (b'+' | b'-'), digits @ ..] if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) => {
            let [h, i, m, n] = [0, 1, 2, 3].map(|at| i32::from(digits[at] - b'0'));
            let (hours, minutes) = (h * 10 + i, m * 10 + n);
            if hours > 14 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let year = i64::from(number(7, 11)?);
    let local =
        Timestamp::from_civil(year, month, number(0, 2)?, number(12, 14)?, number(15, 17)?, number(18, 20)?, 0)?;
    Some(shifted(local, zone))
}

/// Words at the beginning of a line that a time may consist of.
const LEADING_WORDS_MAX: usize = 6;

/// The time that a line begins with, in brackets or not.
pub(crate) fn leading_time(text: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    // A level or a letter may stand in front: `<W>2026-01-02 ...`, `L 01/02/2026 - ...`.
    let text = match text.as_bytes() {
        [b'<', _, b'>', ..] => text.get(3..)?,
        [b'L', b' ', ..] => text.get(2..)?,
        _ => text,
    };
    let text = text.trim_start_matches(['[', '<', '(', '"', ' ']);
    if let Some(time) = tai64(text) {
        return Some(time);
    }
    let mut ends = text.match_indices([' ', ']', '>', ')', '\t', '|']).map(|(at, _)| at).take(LEADING_WORDS_MAX + 2);
    let mut found = None;
    let mut at = ends.next();
    while let Some(end) = at {
        let candidate = text[..end].trim_end_matches([']', ':', ',', '>', ')', ' ', '-']);
        if end > 64 {
            break;
        }
        // The longest text that is a time wins: a zone may follow.
        found = parse_any(candidate, zone_offset_seconds).or(found);
        at = ends.next();
    }
    found
}

/// Bytes of a line in which a time is looked for.
const SEARCHED_BYTES: usize = 300;

/// The first time within a line that does not begin with one: a date and a clock as ISO 8601 writes them, or a time in
/// square brackets.
pub(crate) fn inner_time(text: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    let head = text.get(..SEARCHED_BYTES).unwrap_or_else(|| text.get(..text.len().min(64)).unwrap_or_default());
    let bytes = head.as_bytes();
    let dated = memchr::memchr_iter(b':', bytes).find_map(|colon| {
        // `yyyy-mm-ddThh` stands before the first colon of a clock.
        let start = colon.checked_sub(13)?;
        let is_date = bytes[start + 4] == b'-' && bytes[start + 7] == b'-' && matches!(bytes[start + 10], b'T' | b' ');
        let is_apart = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        if !is_date || !is_apart {
            return None;
        }
        let rest = head.get(start..)?;
        let length = 11 + rest[11..].bytes().take_while(|b| b.is_ascii_digit() || b"Z.:+-".contains(b)).count();
        let whole = rest[..length].trim_end_matches(['.', ':', '-', '+']);
        parse_any(whole, zone_offset_seconds).or_else(|| parse_iso(rest.get(..19)?, zone_offset_seconds))
    });
    dated.or_else(|| {
        memchr::memchr_iter(b'[', bytes).take(4).find_map(|open| {
            let inner = &head[open + 1..];
            parse_any(&inner[..inner.find(']')?], zone_offset_seconds)
        })
    })
}

/// The time of a line that begins with a clock and no date: the latest such time not more than an hour after receipt.
pub(crate) fn leading_clock(text: &str, received: Timestamp, zone_offset_seconds: i32) -> Option<Timestamp> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(text.len());
    let clock = parse_clock(text[..end].trim_end_matches([':', '.', ',']))?;
    let latest = received.as_nanos().checked_add(i64::from(zone_offset_seconds) * NANOS_PER_SECOND)?;
    let today = latest.div_euclid(NANOS_PER_DAY) * NANOS_PER_DAY + clock;
    // Clocks run fast by minutes, not by hours.
    let local = if today > latest + NANOS_PER_DAY / 24 { today - NANOS_PER_DAY } else { today };
    Some(shifted(Timestamp::from_nanos(local), zone_offset_seconds).truncated_to_ticks())
}

/// `@` and 24 hexadecimal digits: seconds of international atomic time from 2^62 on, and nanoseconds. It is ten seconds
/// ahead of the civil time that the daemons using it count from.
fn tai64(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('@')?.get(..24)?;
    let seconds = u64::from_str_radix(&digits[..16], 16).ok()?.checked_sub((1 << 62) + 10)?;
    let nanos = i64::from_str_radix(&digits[16..], 16).ok()?;
    let whole = i64::try_from(seconds).ok()?.checked_mul(NANOS_PER_SECOND)?;
    whole.checked_add(nanos).map(|nanos| Timestamp::from_nanos(nanos).truncated_to_ticks())
}

/// ISO 8601 with a zone written without colon (`+0000`), or behind a blank (`UTC`, `+02`).
fn parse_loose_zone(text: &str) -> Option<Timestamp> {
    let at = text.get(10..)?.rfind([' ', '+', '-'])? + 10;
    let (stamp, zone) = (text.get(..at)?.trim_end(), text.get(at..)?.trim_start());
    if stamp.len() < 16 {
        return None;
    }
    let local = parse_iso(stamp, 0)?;
    Some(shifted(local, parse_zone(zone)?))
}

/// A zone: `Z`, `UTC`, `GMT`, `+hh:mm`, `-hhmm`, `+hh`; seconds east of UTC.
#[must_use]
pub fn parse_zone(text: &str) -> Option<i32> {
    if ["Z", "z", "UTC", "GMT"].contains(&text) {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let number: i32 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let (hours, minutes) = match digits.len() {
        1 | 2 => (number, 0),
        4 => (number / 100, number % 100),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A zone by its abbreviation, where that means one zone to all who write logs; seconds east of UTC. `CST` is also China's
/// and `PST` that of the Philippines: there the zone that is configured counts.
///
/// # Source
/// RFC 5322 section 4.3 (the names of North America); IANA time zone database (the others).
pub(crate) fn zone_of_name(name: &str) -> Option<i32> {
    let hours = match name {
        "Z" | "UTC" | "GMT" | "WET" => 0,
        "CET" | "WEST" | "MEZ" => 1,
        "CEST" | "EET" | "MESZ" => 2,
        "EEST" | "MSK" => 3,
        "SGT" | "HKT" | "AWST" => 8,
        "JST" | "KST" => 9,
        "AEST" => 10,
        "AEDT" => 11,
        "NZST" => 12,
        "NZDT" => 13,
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "MDT" => -6,
        "MST" | "PDT" => -7,
        _ => return None,
    };
    Some(hours * 3600)
}

/// Dates whose parts stand in another order than in ISO 8601.
fn parse_words(text: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    let mut date: (Option<u32>, Option<u32>, Option<i64>) = (None, None, None);
    let (mut clock, mut zone, mut half) = (None, None, None);
    // `10/Oct/2026:13:55:36`: the first colon ends the date.
    let apache = text.as_bytes().get(2) == Some(&b'/') && text.matches(':').count() == 3;
    let spread = if apache { text.replacen(':', " ", 1) } else { text.to_owned() };
    for word in spread.split([' ', ',']).filter(|word| !word.is_empty() && *word != "-") {
        if let Some(month) = month_of(word) {
            date.0 = Some(month);
        } else if word.contains(':') && !word.starts_with(['+', '-']) {
            clock = Some(parse_loose_clock(word)?);
        } else if word.contains('/') || (word.contains('-') && word.len() >= 8) {
            date = slashed_date(word)?;
        } else if word.eq_ignore_ascii_case("am") || word.eq_ignore_ascii_case("pm") {
            half = Some(word.eq_ignore_ascii_case("pm"));
        } else if let Some(offset) = parse_zone(word).or_else(|| zone_of_name(word)) {
            zone = Some(offset);
        } else if let Ok(number) = word.parse::<u32>() {
            match word.len() {
                4 => date.2 = Some(i64::from(number)),
                _ => date.1 = Some(number),
            }
        } else if !is_weekday(word) {
            return None;
        }
    }
    let day_start = Timestamp::from_civil(date.2?, date.0?, date.1?, 0, 0, 0, 0)?;
    let nanos = with_half(clock?, half)?;
    let local = Timestamp::from_nanos(day_start.as_nanos().checked_add(nanos)?);
    Some(shifted(local, zone.unwrap_or(zone_offset_seconds)).truncated_to_ticks())
}

/// The month that a name or its beginning says.
pub(crate) fn month_of(word: &str) -> Option<u32> {
    let position =
        MONTHS.iter().position(|name| word.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
    // Some languages end a short name with a point: `sept.`.
    let is_name = word.trim_end_matches('.').bytes().all(|b| b.is_ascii_alphabetic());
    u32::try_from(position + 1).ok().filter(|_| is_name && !is_weekday(word))
}

fn is_weekday(word: &str) -> bool {
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].iter().any(|day| word.starts_with(day)) && !word.contains('/')
}

/// `9/28/2020`, `10/Oct/2026` or `2026/10/28` as month, day, year.
fn slashed_date(word: &str) -> Option<(Option<u32>, Option<u32>, Option<i64>)> {
    let mut parts = word.split(['/', '-']);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let number = |text: &str| text.parse::<u32>().ok();
    let year = |text: &str| Some(i64::from(number(text)?) + if text.len() == 2 { 2000 } else { 0 });
    if first.len() == 4 {
        return Some((number(second), number(third), year(first)));
    }
    // Dashes are Europe's: the day stands first.
    let is_day_first = word.contains('-') && number(second).is_some_and(|month| month <= 12) && third.len() == 4;
    match (month_of(first), month_of(second)) {
        (Some(month), _) => Some((Some(month), number(second), year(third))),
        (None, Some(month)) => Some((Some(month), number(first), year(third))),
        (None, None) if is_day_first => Some((number(second), number(first), year(third))),
        (None, None) => Some((number(first), number(second), year(third))),
    }
}

/// A time of day whose hour may have one digit, in nanoseconds.
pub(crate) fn parse_loose_clock(text: &str) -> Option<i64> {
    if text.as_bytes().get(1) == Some(&b':') {
        return parse_clock(&format!("0{text}"));
    }
    // Without seconds: `13:55`.
    if text.len() == 5 { parse_clock(&format!("{text}:00")) } else { parse_clock(text) }
}

/// A time on a clock of twelve hours.
fn with_half(nanos: i64, is_afternoon: Option<bool>) -> Option<i64> {
    let hour = 3600 * NANOS_PER_SECOND;
    match is_afternoon {
        None => Some(nanos),
        Some(_) if nanos >= 13 * hour => None,
        Some(true) if nanos < 12 * hour => Some(nanos + 12 * hour),
        Some(false) if nanos >= 12 * hour => Some(nanos - 12 * hour),
        Some(_) => Some(nanos),
    }
}

/// A span: ISO 8601 (`PT1H2M3.5S`, `P1DT2H`) or `[d.]hh:mm:ss[.fraction]`, in nanoseconds.
pub(crate) fn parse_span(text: &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix('P') {
        return parse_iso_span(rest);
    }
    let (days, clock) = match text.split_once('.') {
        Some((days, rest)) if rest.contains(':') => (days.parse::<i64>().ok()?, rest),
        _ => (0, text),
    };
    // `Timestamp` forms have at most nine digits behind the point, as Windows' seven.
    days.checked_mul(NANOS_PER_DAY)?.checked_add(parse_clock(clock)?)
}

fn parse_iso_span(text: &str) -> Option<i64> {
    let mut total = 0.0;
    let mut number = String::new();
    let mut is_time = false;
    for character in text.chars().take(64) {
        let unit = match character {
            '0'..='9' | '.' => {
                number.push(character);
                continue;
            }
            'T' => {
                is_time = true;
                continue;
            }
            'W' => 604_800.0,
            'D' => 86_400.0,
            'H' => 3_600.0,
            'M' if is_time => 60.0,
            'S' => 1.0,
            _ => return None,
        };
        total += std::mem::take(&mut number).parse::<f64>().ok()? * unit;
    }
    let nanos = (total * 1e9).round();
    #[expect(clippy::cast_possible_truncation, reason = "checked: within the range of i64")]
    (number.is_empty() && nanos < 9e18).then_some(nanos as i64)
}

/// A time of day (`hh:mm:ss` with or without a fraction) in nanoseconds since midnight.
pub(crate) fn parse_clock(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let pair = |at: usize| -> Option<i64> {
        let digits = bytes.get(at..at + 2)?;
        digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let (hour, minute, second) = (pair(0)?, pair(3)?, pair(6)?);
    let separated = bytes[2] == b':' && bytes[5] == b':';
    if !separated || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = match bytes.get(8) {
        None => 0,
        Some(b'.' | b',') => {
            let digits = &bytes[9..];
            let known = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let scale = 10i64.pow(9u32.checked_sub(u32::try_from(digits.len()).ok()?)?);
            known.then(|| digits.iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0')) * scale)?
        }
        Some(_) => return None,
    };
    Some((hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND + fraction)
}

/// A local time as UTC.
pub(crate) fn shifted(local: Timestamp, zone_offset_seconds: i32) -> Timestamp {
    Timestamp::from_nanos(local.as_nanos().saturating_sub(i64::from(zone_offset_seconds) * NANOS_PER_SECOND))
}

/// A number since the epoch in seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude: each unit
/// is unambiguous between 1973 and 5138.
pub(crate) fn parse_epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    let unit = match number.unsigned_abs() {
        0..100_000_000_000 => NANOS_PER_SECOND,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let digits = fraction.bytes().take(9).take_while(u8::is_ascii_digit);
    let (nanos, scale) =
        digits.fold((0, NANOS_PER_SECOND), |(sum, scale), b| (sum * 10 + i64::from(b - b'0'), scale / 10));
    let fraction_nanos = if unit == NANOS_PER_SECOND && whole.len() < 12 { nanos * scale } else { 0 };
    number.checked_mul(unit)?.checked_add(fraction_nanos).map(Timestamp::from_nanos)
}

/// The time of a date without year: the latest one not more than a day after receipt.
///
/// # Source
/// RFC 3164 section 4.1.2 has no year; the rule is ours and holds across New Year in both directions.
pub(crate) fn infer_year(
    received: Timestamp,
    zone_offset_seconds: i32,
    at_year: impl Fn(i64) -> Option<Timestamp>,
) -> Option<Timestamp> {
    let latest = received.as_nanos().saturating_add(YEARLESS_FUTURE_NANOS_MAX);
    let first_year = received.civil().0 + 1;
    (0..YEARS_TRIED)
        .filter_map(|back| at_year(first_year - back))
        .map(|local| shifted(local, zone_offset_seconds))
        .find(|time| time.as_nanos() <= latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_zone_is_the_configured_one() {
        let check = |text: &str, zone: i32, expected: &str| {
            assert_eq!(parse_iso(text, zone).unwrap().to_string(), expected, "{text}");
        };
        check("2026-01-02 03:04:05", 3600, "2026-01-02T02:04:05.0000000Z");
        check("2026-01-02T03:04:05Z", 3600, "2026-01-02T03:04:05.0000000Z");
        check("2026-01-02T03:04:05-05:00", 3600, "2026-01-02T08:04:05.0000000Z");
    }

    #[test]
    fn times_in_the_forms_of_many_logs_are_read() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_any(text, 0).unwrap_or_else(|| panic!("{text}")).to_string(), expected, "{text}");
        };
        check("11/16/2020, 11:00:47.500 PM", "2020-11-16T23:00:47.5000000Z");
        check("9/28/2020, 12:35:41.000 AM", "2020-09-28T00:35:41.0000000Z");
        check("10/Oct/2026:13:55:36 +0200", "2026-10-10T11:55:36.0000000Z");
        check("Thu Mar 16 03:08:58 2023 UTC", "2023-03-16T03:08:58.0000000Z");
        check("Monday, 03-Jan-22 20:34:54 GMT", "2022-01-03T20:34:54.0000000Z");
        check("Thu, 16 Mar 2023 03:08:58 GMT", "2023-03-16T03:08:58.0000000Z");
        check("Mar 16 2023 03:08:58.250 EST", "2023-03-16T08:08:58.2500000Z");
        check("2016-06-08T20:01:52.875791+0000", "2016-06-08T20:01:52.8757910Z");
        check("2016-06-08 20:01:52 -0500", "2016-06-09T01:01:52.0000000Z");
        check("2026-11-30 04:28:44.662 UTC", "2026-11-30T04:28:44.6620000Z");
        check("2026-11-30 04:28:44.662 +02", "2026-11-30T02:28:44.6620000Z");
        check("11-06-2013 02:09:40 +0300", "2013-06-10T23:09:40.0000000Z");
        check("Apr-07-13 07:08:36", "2013-04-07T07:08:36.0000000Z");
        check("2014:07:02-00:17:45", "2014-07-02T00:17:45.0000000Z");
        check("20220407-12:11:06", "2022-04-07T12:11:06.0000000Z");
        check("2011.11.21 14:29:16", "2011-11-21T14:29:16.0000000Z");
        check("01/02/2014 - 01:25:17", "2014-01-02T01:25:17.0000000Z");
        check("1700000000.5", "2023-11-14T22:13:20.5000000Z");
        for wrong in [
            "2026-11-30 04:28:44 CET",
            "2026-11-30 UTC",
            "",
            "soon",
            "12",
            "13/13/2020 10:00:00",
            "1/2/2020 25:00:00",
            "Mars 12:00:00",
            "2020/1",
        ] {
            assert_eq!(parse_any(wrong, 0), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_may_begin_with_a_time() {
        let check = |text: &str, expected: &str| {
            assert_eq!(leading_time(text, 0).unwrap_or_else(|| panic!("{text}")).to_string(), expected, "{text}");
        };
        check("<W>2015-11-29 16:38:01.818 1 => x", "2015-11-29T16:38:01.8180000Z");
        check("[Sat May 07 03:17:27 2011] x y", "2011-05-07T03:17:27.0000000Z");
        check("@400000004c91b044077a9e94 imap-login: x", "2010-09-16T05:50:50.1254765Z");
        assert_eq!(leading_time("no time in here at all", 0), None);
        assert_eq!(leading_time("ä", 0), None);
    }

    #[test]
    fn a_time_is_found_within_a_line() {
        let check = |text: &str, expected: &str| {
            assert_eq!(inner_time(text, 0).unwrap_or_else(|| panic!("{text}")).to_string(), expected, "{text}");
        };
        check("<x at=\"2026-01-02T03:04:05.99\" b>", "2026-01-02T03:04:05.9900000Z");
        check("a b -- - 2026-01-02T03:04:05+01:00 WARN", "2026-01-02T02:04:05.0000000Z");
        check("192.0.2.1 -  - [02/sept./2026:00:11:31 +0200] x", "2026-09-01T22:11:31.0000000Z");
        for without in ["a:b", "x2026-01-02T03:04:05", "[a] [b] ä:", "2026-01-02", ""] {
            assert_eq!(inner_time(without, 0), None, "{without}");
        }
    }

    #[test]
    fn a_clock_without_date_is_of_the_day_of_receipt() {
        let received = Timestamp::parse("2026-06-15T10:00:00Z").unwrap();
        let check = |text: &str, zone: i32, expected: &str| {
            assert_eq!(leading_clock(text, received, zone).unwrap().to_string(), expected, "{text}");
        };
        check("09:59:58.5 [a] b", 0, "2026-06-15T09:59:58.5000000Z");
        check("10:30:00: b", 0, "2026-06-15T10:30:00.0000000Z");
        check("23:00:00 b", 0, "2026-06-14T23:00:00.0000000Z");
        check("11:59:00 b", 7200, "2026-06-15T09:59:00.0000000Z");
        assert_eq!(leading_clock("10:30 b", received, 0), None);
    }

    #[test]
    fn spans_are_read() {
        assert_eq!(parse_span("PT0.016S"), Some(16_000_000));
        assert_eq!(parse_span("P1DT2H"), Some(93_600 * NANOS_PER_SECOND));
        assert_eq!(parse_span("00:00:01.5000000"), Some(1_500_000_000));
        assert_eq!(parse_span("1.00:00:00"), Some(NANOS_PER_DAY));
        assert_eq!(parse_span("PX"), None);
    }

    #[test]
    fn a_time_of_day_is_read_or_refused() {
        assert_eq!(parse_clock("01:02:03.5"), Some(3_723_500_000_000));
        for wrong in
            ["", "1:02:03", "24:00:00", "01-02-03", "01:02:03x", "01:02:03.", "01:02:03.1234567890", "é1:02:03"]
        {
            assert_eq!(parse_clock(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_unit_of_an_epoch_number_follows_from_its_size() {
        for text in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000", "1700000000.0"] {
            assert_eq!(parse_epoch(text).unwrap(), Timestamp::from_seconds(1_700_000_000), "{text}");
        }
        assert_eq!(parse_epoch("1700000000.25").unwrap().as_nanos(), 1_700_000_000_250_000_000);
        assert_eq!(parse_epoch("soon"), None);
    }

    #[test]
    fn a_missing_year_is_the_latest_that_is_not_in_the_future() {
        let check = |received: &str, month: u32, day: u32, expected: &str| {
            let received = Timestamp::parse(received).unwrap();
            let time = infer_year(received, 0, |year| Timestamp::from_civil(year, month, day, 12, 0, 0, 0));
            assert_eq!(time.unwrap().day().to_string(), expected);
        };
        check("2026-06-15T00:00:00Z", 6, 14, "2026-06-14");
        check("2026-06-15T00:00:00Z", 11, 3, "2025-11-03");
        check("2026-01-01T00:05:00Z", 12, 31, "2025-12-31");
        check("2025-12-31T23:59:00Z", 1, 1, "2026-01-01");
        check("2026-06-15T00:00:00Z", 2, 29, "2024-02-29");
    }

    #[test]
    fn times_beyond_the_limits_are_out_of_range() {
        let received = Timestamp::parse("2026-06-15").unwrap();
        let check = |text: &str, expected: bool| {
            assert_eq!(in_range(Timestamp::parse(text).unwrap(), received), expected, "{text}");
        };
        check("2026-06-17T00:00:00Z", true);
        check("2026-06-17T00:00:01Z", false);
        check("1990-01-01", true);
        check("1989-12-31T23:59:59Z", false);
    }
}
