//! Points in time and ingest days. UTC only; one precision: nanoseconds held, ticks of 100 ns meant.
//!
//! Civil-calendar arithmetic is proleptic Gregorian. This module never reads a clock.

use std::fmt;
use std::time::Duration;

/// Nanoseconds in one tick, the unit of Kusto's `datetime` and of Windows' FILETIME.
pub const NANOS_PER_TICK: i64 = 100;
/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Nanoseconds in one day.
pub const NANOS_PER_DAY: i64 = 86_400 * NANOS_PER_SECOND;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z.
///
/// # Units
/// Nanoseconds, covering 1677-09-21 to 2262-04-11.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time that can be held, in whole ticks.
    pub const MIN: Self = Self(i64::MIN / NANOS_PER_TICK * NANOS_PER_TICK);
    /// The latest time that can be held, in whole ticks.
    pub const MAX: Self = Self(i64::MAX / NANOS_PER_TICK * NANOS_PER_TICK);

    /// A time from nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// A time from whole seconds since the epoch, saturating at the ends of the range.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// A time from milliseconds since the epoch, saturating.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// This time with everything below one tick (100 ns) cut off, towards the past.
    #[must_use]
    pub const fn truncated_to_ticks(self) -> Self {
        Self(self.0 - self.0.rem_euclid(NANOS_PER_TICK))
    }

    /// A UTC calendar time.
    ///
    /// Returns `None` for a date that does not exist or lies outside the range. A leap second (`:60`) is the first
    /// moment of the next minute.
    #[must_use]
    pub fn from_civil(
        year: i64,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
        nanos: u32,
    ) -> Option<Self> {
        let date_ok = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
        let time_ok = hour <= 23 && minute <= 59 && second <= 60 && nanos < 1_000_000_000;
        if !date_ok || !time_ok || !(1..=9999).contains(&year) {
            return None;
        }
        let seconds = days_from_civil(year, month, day) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
        seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(i64::from(nanos)).map(Self)
    }

    /// The calendar parts: year, month, day, hour, minute, second, nanoseconds.
    #[must_use]
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32, u32) {
        let (year, month, day) = self.day().civil();
        let within = self.0.rem_euclid(NANOS_PER_DAY);
        let part = |value: i64| u32::try_from(value).expect("a part of a day fits 32 bits");
        let seconds = within / NANOS_PER_SECOND;
        let time = (part(seconds / 3600), part(seconds / 60 % 60), part(seconds % 60));
        (year, month, day, time.0, time.1, time.2, part(within % NANOS_PER_SECOND))
    }

    /// The UTC day this time falls on.
    #[must_use]
    pub fn day(self) -> IngestDay {
        IngestDay(
            i32::try_from(self.0.div_euclid(NANOS_PER_DAY)).expect("days of a 64-bit nanosecond count fit 32 bits"),
        )
    }

    /// Parses RFC 3339 and its ISO 8601 relatives: `T` or blank, any number of fraction digits, `Z`, an offset, or
    /// nothing (taken as UTC). Digits below one tick are cut.
    ///
    /// # Source
    /// RFC 3339 section 5.6; the missing offset is ours, because many logs print UTC without saying so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, len: usize| -> Option<u32> {
            let digits = bytes.get(from..from + len)?;
            digits.iter().try_fold(0u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
        };
        let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
        if !(is(4, b"-") && is(7, b"-")) {
            return None;
        }
        let (year, month, day) = (i64::from(number(0, 4)?), number(5, 2)?, number(8, 2)?);
        if bytes.len() == 10 {
            return Self::from_civil(year, month, day, 0, 0, 0, 0);
        }
        if !(is(10, b"Tt ") && is(13, b":")) {
            return None;
        }
        let (hour, minute) = (number(11, 2)?, number(14, 2)?);
        let (second, mut at) = if is(16, b":") { (number(17, 2)?, 19) } else { (0, 16) };
        let mut nanos = 0;
        if is(at, b".,") {
            at += 1;
            let len = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
            let kept = number(at, len.min(9))?;
            nanos = kept * 10u32.pow(9 - u32::try_from(len.min(9)).expect("at most 9"));
            at += len;
        }
        let offset_seconds = parse_offset(&bytes[at..])?;
        let local = Self::from_civil(year, month, day, hour, minute, second, nanos)?;
        local.0.checked_sub(offset_seconds * NANOS_PER_SECOND).map(|nanos| Self(nanos).truncated_to_ticks())
    }

    /// This time plus a duration, saturating.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This time minus a duration, saturating.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How much later this time is than `earlier`; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Parses `Z`, `z`, nothing, `+hh:mm`, `+hhmm` or `+hh` (also with `-`) into seconds east of UTC.
fn parse_offset(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let digits: Vec<i64> = bytes[1..].iter().filter(|b| **b != b':').map(|b| i64::from(*b) - 48).collect();
    if !digits.iter().all(|digit| (0..=9).contains(digit)) {
        return None;
    }
    let (hours, minutes) = match digits[..] {
        [a, b] => (a * 10 + b, 0),
        [a, b, c, d] => (a * 10 + b, c * 10 + d),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

impl fmt::Display for Timestamp {
    /// `yyyy-MM-ddTHH:mm:ss.fffffffZ`: seven fraction digits, as Kusto prints a `datetime`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second, nanos) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:07}Z", nanos / 100)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A UTC day, counted from 1970-01-01: the unit of shards and retention.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IngestDay(pub i32);

impl IngestDay {
    /// Year, month and day.
    #[must_use]
    pub fn civil(self) -> (i64, u32, u32) {
        civil_from_days(i64::from(self.0))
    }

    /// Parses `yyyy-MM-dd`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 10).then(|| Timestamp::parse(text)).flatten().map(Timestamp::day)
    }

    /// The first moment of the day.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.0) * 86_400)
    }
}

impl fmt::Display for IngestDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a Gregorian date; March is the first month so that the leap day comes last.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let part = |value: i64| u32::try_from(value).expect("a calendar part is small and positive");
    (year, part(month), part(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn parses_rfc_3339_and_relatives() {
        check("2026-01-02T03:04:05.1234567Z", Some("2026-01-02T03:04:05.1234567Z"));
        check("2026-01-02 03:04:05", Some("2026-01-02T03:04:05.0000000Z"));
        check("2026-01-02T03:04:05.123456789+02:00", Some("2026-01-02T01:04:05.1234567Z"));
        check("2026-01-02T03:04-0530", Some("2026-01-02T08:34:00.0000000Z"));
        check("2026-01-02", Some("2026-01-02T00:00:00.0000000Z"));
        check("1969-12-31T23:59:59.9999999Z", Some("1969-12-31T23:59:59.9999999Z"));
    }

    #[test]
    fn rejects_times_that_do_not_exist() {
        for bad in [
            "",
            "2026-02-29",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+99",
            "2026-01-01T0a:00",
            "9999-01-01",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_survives_the_calendar() {
        for days in -80_000..200_000 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
