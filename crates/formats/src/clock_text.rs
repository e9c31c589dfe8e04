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
    let digits: String = fraction.chars().take(9).take_while(char::is_ascii_digit).collect();
    let fraction_nanos = if unit == NANOS_PER_SECOND && !digits.is_empty() && whole.len() < 12 {
        format!("{digits:0<9}").parse::<i64>().ok()?
    } else {
        0
    };
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
