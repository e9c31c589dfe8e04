//! Texts of datetimes and timespans, both ways. Pure: no clock, no time zone but what the text says.
//!
//! # Units
//! Everything counts ticks of 100 ns; datetimes from 0001-01-01T00:00:00Z (proleptic Gregorian, years 1 to 9999).

use crate::lexer::TIME_UNITS;

/// Ticks of 100 ns in a second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;
/// Ticks of 100 ns in a day.
pub const TICKS_PER_DAY: i64 = 864_000_000_000;
/// The greatest datetime: 9999-12-31T23:59:59.9999999Z.
pub const DATETIME_TICKS_MAX: i64 = 3_155_378_975_999_999_999;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads a datetime as the language accepts it in `datetime(...)` and `todatetime("...")`.
///
/// Accepted: `2014-05-25T08:20:03.123456Z` and every shorter form down to the year, `/` for `-`, a space for `T`,
/// an offset for `Z`; `2014, 5, 25`; `20140525`; `5/25/2014 8:20 PM`; `Sun, 25 May 2014 08:20:03 GMT` and its shorter forms.
pub fn parse_datetime(text: &str) -> Option<i64> {
    let text = unquote(text.trim());
    let mut cursor = Cursor { rest: text };
    let (year, month, day) = date(&mut cursor)?;
    let mut ticks = days_from_date(year, month, day)?.checked_mul(TICKS_PER_DAY)?;
    cursor.spaces();
    if cursor.eat("T") || cursor.eat("t") {
        cursor.spaces();
    }
    if cursor.rest.starts_with(|c: char| c.is_ascii_digit()) {
        ticks += time_of_day(&mut cursor)?;
        cursor.spaces();
    }
    ticks -= zone(&mut cursor)?;
    cursor.spaces();
    (cursor.rest.is_empty() && (0..=DATETIME_TICKS_MAX).contains(&ticks)).then_some(ticks)
}

/// Reads a time without a date, as `datetime(8:00)` has it, in ticks since midnight.
pub fn parse_time_of_day(text: &str) -> Option<i64> {
    let mut cursor = Cursor { rest: unquote(text.trim()) };
    if !cursor.rest.contains(':') {
        return None;
    }
    let ticks = time_of_day(&mut cursor)?;
    cursor.rest.is_empty().then_some(ticks)
}

/// Reads a timespan as the language accepts it in `timespan(...)` and `totimespan("...")`.
///
/// Accepted: `[-][d.]hh:mm[:ss[.fffffff]]`, a number with a unit (`1.5h`, `15 seconds`), a bare number of days.
/// Values beyond 64 bits of ticks saturate.
pub fn parse_timespan(text: &str) -> Option<i64> {
    let text = unquote(text.trim());
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanoseconds = if text.contains(':') { clock_nanoseconds(text)? } else { unit_nanoseconds(text)? };
    let ticks = if is_negative { -(nanoseconds / 100) } else { nanoseconds / 100 };
    Some(i64::try_from(ticks).unwrap_or(if is_negative { i64::MIN } else { i64::MAX }))
}

/// Writes a datetime the way the language shows it: `2014-05-25T08:20:03.1234560Z`.
pub fn format_datetime(ticks: i64) -> String {
    let ticks = ticks.clamp(0, DATETIME_TICKS_MAX);
    let (year, month, day) = date_from_days(ticks / TICKS_PER_DAY);
    let rest = ticks % TICKS_PER_DAY;
    let (hours, minutes, seconds) = split_clock(rest / TICKS_PER_SECOND);
    let fraction = rest % TICKS_PER_SECOND;
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{fraction:07}Z")
}

/// Writes a timespan the way the language shows it: `-1.02:03:04.5000000`, without what is zero at both ends.
pub fn format_timespan(ticks: i64) -> String {
    let magnitude = ticks.unsigned_abs();
    let day = TICKS_PER_DAY.unsigned_abs();
    let second = TICKS_PER_SECOND.unsigned_abs();
    let seconds_of_day = (magnitude % day) / second;
    let sign = if ticks < 0 { "-" } else { "" };
    let days = if magnitude >= day { format!("{}.", magnitude / day) } else { String::new() };
    let fraction = match magnitude % second {
        0 => String::new(),
        fraction => format!(".{fraction:07}"),
    };
    let (hours, minutes, seconds) = (seconds_of_day / 3600, seconds_of_day / 60 % 60, seconds_of_day % 60);
    format!("{sign}{days}{hours:02}:{minutes:02}:{seconds:02}{fraction}")
}

fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner.trim();
        }
    }
    text
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// One of the separators, with spaces around it.
    fn separator(&mut self, separators: &[&'static str]) -> Option<&'static str> {
        let rest = self.rest.trim_start();
        let found = separators.iter().find(|separator| rest.starts_with(**separator))?;
        self.rest = rest[found.len()..].trim_start();
        Some(found)
    }

    /// At least one digit and at most `max`.
    fn digits(&mut self, max: usize) -> Option<&'a str> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 || length > max {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(digits)
    }

    fn number(&mut self, max: usize) -> Option<i64> {
        self.digits(max)?.parse().ok()
    }

    fn letters(&mut self) -> &'a str {
        let length = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (letters, rest) = self.rest.split_at(length);
        self.rest = rest;
        letters
    }
}

/// Reads a date in any of the accepted orders.
fn date(cursor: &mut Cursor<'_>) -> Option<(i64, i64, i64)> {
    if cursor.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let day_name = cursor.letters().to_ascii_lowercase();
        DAYS.iter().find(|day| day_name.starts_with(**day))?;
        cursor.eat(",");
        cursor.spaces();
    }
    let first = cursor.digits(14)?;
    let value = |digits: &str| digits.parse::<i64>().ok();
    match (first.len(), cursor.rest.chars().next()) {
        (8, _) => Some((value(&first[..4])?, value(&first[4..6])?, value(&first[6..])?)),
        (3..=4, None) => Some((value(first)?, 1, 1)),
        (3..=4, _) => {
            let separator = cursor.separator(&["-", "/", ".", ","])?;
            let month = cursor.number(2)?;
            let day = if cursor.separator(&[separator]).is_some() { cursor.number(2)? } else { 1 };
            Some((value(first)?, month, day))
        }
        (1..=2, _) => {
            let separator = cursor.separator(&["/", "-"]);
            if let Some(separator) = separator
                && cursor.rest.starts_with(|c: char| c.is_ascii_digit())
            {
                let day = cursor.number(2)?;
                cursor.separator(&[separator])?;
                return Some((full_year(cursor.digits(4)?)?, value(first)?, day));
            }
            cursor.spaces();
            let name = cursor.letters().to_ascii_lowercase();
            let month = MONTHS.iter().position(|month| name.starts_with(month))?;
            let _ = cursor.eat("-");
            cursor.spaces();
            Some((full_year(cursor.digits(4)?)?, i64::try_from(month).ok()? + 1, value(first)?))
        }
        _ => None,
    }
}

/// Two digits mean 1950 to 2049.
fn full_year(digits: &str) -> Option<i64> {
    let year: i64 = digits.parse().ok()?;
    Some(match (digits.len(), year) {
        (1..=2, 0..=49) => 2000 + year,
        (1..=2, _) => 1900 + year,
        _ => year,
    })
}

/// `hh`, `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fffffff`, with `AM` or `PM`.
fn time_of_day(cursor: &mut Cursor<'_>) -> Option<i64> {
    let mut hours = cursor.number(2)?;
    let minutes = if cursor.eat(":") { cursor.number(2)? } else { 0 };
    let seconds = if cursor.eat(":") { cursor.number(2)? } else { 0 };
    let fraction = if cursor.eat(".") { fraction_nanoseconds(cursor.digits(30)?)? / 100 } else { 0 };
    cursor.spaces();
    let lower = cursor.rest.get(..2).map(str::to_ascii_lowercase);
    if let Some("am" | "pm") = lower.as_deref() {
        if !(1..=12).contains(&hours) {
            return None;
        }
        hours = hours % 12 + if lower.as_deref() == Some("pm") { 12 } else { 0 };
        cursor.rest = &cursor.rest[2..];
    }
    // 24:00 is the end of the day, as ISO 8601 allows.
    let is_valid = minutes < 60 && seconds < 60 && (hours < 24 || (hours == 24 && minutes + seconds == 0));
    let ticks = ((hours * 60 + minutes) * 60 + seconds) * TICKS_PER_SECOND + i64::try_from(fraction).ok()?;
    is_valid.then_some(ticks)
}

/// Returns the offset from UTC in ticks.
fn zone(cursor: &mut Cursor<'_>) -> Option<i64> {
    let sign = if cursor.eat("+") {
        1
    } else if cursor.eat("-") {
        -1
    } else {
        let name = cursor.letters().to_ascii_uppercase();
        return matches!(name.as_str(), "" | "Z" | "UTC" | "GMT" | "UT").then_some(0);
    };
    let digits = cursor.digits(4)?;
    let (hours, minutes) = match digits.len() {
        1..=2 => (digits.parse::<i64>().ok()?, if cursor.eat(":") { cursor.number(2)? } else { 0 }),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60 * TICKS_PER_SECOND)
}

/// Reads digits after a decimal point as nanoseconds; what is below one is cut.
fn fraction_nanoseconds(digits: &str) -> Option<i128> {
    format!("{digits:0<9}").get(..9)?.parse().ok()
}

/// `[d.]hh:mm[:ss[.fffffff]]` or `d:hh:mm:ss`.
fn clock_nanoseconds(text: &str) -> Option<i128> {
    let mut cursor = Cursor { rest: text };
    let mut parts = vec![cursor.number(10)?];
    let mut has_days = cursor.eat(".");
    if has_days {
        parts.push(cursor.number(2)?);
    }
    while parts.len() < 4 && cursor.eat(":") {
        parts.push(cursor.number(2)?);
    }
    let fraction = if cursor.eat(".") { fraction_nanoseconds(cursor.digits(9)?)? } else { 0 };
    if parts.len() == 4 {
        has_days = true;
    }
    if !cursor.rest.is_empty() || parts.len() < 2 {
        return None;
    }
    let days = if has_days { parts.remove(0) } else { 0 };
    let [hours, minutes] = [*parts.first()?, *parts.get(1)?];
    let seconds = parts.get(2).copied().unwrap_or(0);
    let total = ((i128::from(days) * 24 + i128::from(hours)) * 60 + i128::from(minutes)) * 60 + i128::from(seconds);
    (hours < 24 && minutes < 60 && seconds < 60).then_some(total * 1_000_000_000 + fraction)
}

/// A number with a unit, or a bare number of days.
fn unit_nanoseconds(text: &str) -> Option<i128> {
    let mut cursor = Cursor { rest: text };
    let whole: i128 = cursor.digits(19)?.parse().ok()?;
    let fraction = if cursor.eat(".") { cursor.digits(18).unwrap_or("") } else { "" };
    cursor.spaces();
    let unit = match cursor.letters() {
        "" => 86_400_000_000_000,
        name => TIME_UNITS.iter().find(|(unit, _)| *unit == name)?.1,
    };
    if !cursor.rest.is_empty() {
        return None;
    }
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
    Some(whole * unit + part * unit / scale)
}

fn split_clock(seconds: i64) -> (i64, i64, i64) {
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Returns the days since 0001-01-01, or `None` if there is no such day.
fn days_from_date(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day last; 306 days lie between 0000-03-01 and 0001-01-01.
    let shifted = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    Some(
        shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (month_from_march * 306 + 5) / 10 + day - 1 - 306,
    )
}

/// Returns the date of a day counted from 0001-01-01.
fn date_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 306;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_datetimes_in_every_accepted_form() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_datetime(text).map(format_datetime).as_deref(), Some(expected), "{text}");
        };
        check("2014-05-25T08:20:03.123456Z", "2014-05-25T08:20:03.1234560Z");
        check("2014-05-25 08:20:03.1234567", "2014-05-25T08:20:03.1234567Z");
        check("2014-05-25T08:20+02:00", "2014-05-25T06:20:00.0000000Z");
        check("2014-05-25", "2014-05-25T00:00:00.0000000Z");
        check("2014-5-2", "2014-05-02T00:00:00.0000000Z");
        check("2014-11", "2014-11-01T00:00:00.0000000Z");
        check("2014", "2014-01-01T00:00:00.0000000Z");
        check("20140525", "2014-05-25T00:00:00.0000000Z");
        check("2020/02/29 12", "2020-02-29T12:00:00.0000000Z");
        check("2017 - 08 - 01", "2017-08-01T00:00:00.0000000Z");
        check("2025, 6, 14", "2025-06-14T00:00:00.0000000Z");
        check("'10-01-2018 10:00'", "2018-10-01T10:00:00.0000000Z");
        check("12/31/2019 11:59 PM", "2019-12-31T23:59:00.0000000Z");
        check("Sat, 8 Nov 14 15:05:02 GMT", "2014-11-08T15:05:02.0000000Z");
        check("8 Nov 2014 15:05", "2014-11-08T15:05:00.0000000Z");
        check("\"2020-01-01\"", "2020-01-01T00:00:00.0000000Z");
        check("0001-01-01", "0001-01-01T00:00:00.0000000Z");
        check("9999-12-31 23:59:59.9999999", "9999-12-31T23:59:59.9999999Z");
        check("2014-05-25T24:00", "2014-05-26T00:00:00.0000000Z");
    }

    #[test]
    fn refuses_what_is_no_datetime() {
        for text in [
            "",
            "x",
            "2014-13-01",
            "2014-02-29",
            "2014-01-01T25:00",
            "2014-01-01 x",
            "0000-01-01",
            "12",
            "9999999999",
            "é",
        ] {
            assert_eq!(parse_datetime(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_survives_the_calendar() {
        for days in (0..3_652_059).step_by(17) {
            let (year, month, day) = date_from_days(days);
            assert_eq!(days_from_date(year, month, day), Some(days));
        }
    }

    #[test]
    fn reads_timespans_in_every_accepted_form() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_timespan(text).map(format_timespan).as_deref(), Some(expected), "{text}");
        };
        check("1.02:03:04.5", "1.02:03:04.5000000");
        check("02:03", "02:03:00");
        check("-00:00:01", "-00:00:01");
        check("1:02:03:04", "1.02:03:04");
        check("2", "2.00:00:00");
        check("1.5h", "01:30:00");
        check("15 seconds", "00:00:15");
        check("1tick", "00:00:00.0000001");
        check("10us", "00:00:00.0000100");
        check("150nanoseconds", "00:00:00.0000001");
        check("9999999999999999d", "10675199.02:48:05.4775807");
    }

    #[test]
    fn refuses_what_is_no_timespan() {
        for text in ["", "x", "25:00:00x", "24:00", "1:60", "5 parsecs", "1.2.3", "--1d", "1:2:3:4:5"] {
            assert_eq!(parse_timespan(text), None, "{text}");
        }
    }
}
