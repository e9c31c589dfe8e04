//! Functions over `datetime` and `timespan`. UTC; weeks start on Sunday; bins count from 0001-01-01.

use moneta_base::{IngestDay, Timestamp};
use moneta_event::ColumnType;

use super::arithmetic::remainder;
use super::row::{Answer, Call, Cell, long_to_real, real_to_long};
use super::{Function, Naming};

const NANOS_PER_DAY: i64 = moneta_base::time::NANOS_PER_DAY;
const NANOS_PER_HOUR: i64 = 3_600_000_000_000;
const NANOS_PER_MINUTE: i64 = 60_000_000_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Days from 0001-01-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_162;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("bin", &["(value: summable, size: summable) -> long"], bin)
        .aliases(&["floor"])
        .naming(Naming::First)
        .doc(
            "Rounds a value down to a multiple of a size.",
            &[
                ("bin(4.5, 1)", "real(4)"),
                ("bin(-3, 2)", "-4"),
                ("bin(datetime(2020-01-01 12:34), 1h)", "datetime(2020-01-01T12:00:00.0000000Z)"),
            ],
        ),
    Function::row("bin_at", &["(value: summable, size: summable, fixed: summable) -> promoted"], bin_at)
        .naming(Naming::First)
        .doc("Rounds a value down to a bin counted from a fixed point.", &[("bin_at(6.5, 2.5, 7)", "real(4.5)")]),
    Function::row("startofday", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Day, false)
    })
    .naming(Naming::First)
    .doc(
        "The start of the day.",
        &[("startofday(datetime(2020-01-02 10:00))", "datetime(2020-01-02T00:00:00.0000000Z)")],
    ),
    Function::row("startofweek", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Week, false)
    })
    .doc(
        "The start of the week, a Sunday.",
        &[("startofweek(datetime(2020-01-02))", "datetime(2019-12-29T00:00:00.0000000Z)")],
    ),
    Function::row("startofmonth", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Month, false)
    })
    .doc(
        "The start of the month.",
        &[("startofmonth(datetime(2020-01-15), 1)", "datetime(2020-02-01T00:00:00.0000000Z)")],
    ),
    Function::row("startofyear", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Year, false)
    })
    .doc("The start of the year.", &[("startofyear(datetime(2020-05-15))", "datetime(2020-01-01T00:00:00.0000000Z)")]),
    Function::row("endofday", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Day, true)
    })
    .doc(
        "The last tick of the day.",
        &[("endofday(datetime(2020-01-02 10:00))", "datetime(2020-01-02T23:59:59.9999999Z)")],
    ),
    Function::row("endofweek", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Week, true)
    })
    .doc("The last tick of the week.", &[]),
    Function::row("endofmonth", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Month, true)
    })
    .doc(
        "The last tick of the month.",
        &[("endofmonth(datetime(2020-02-02))", "datetime(2020-02-29T23:59:59.9999999Z)")],
    ),
    Function::row("endofyear", &["(date: datetime, [offset: integer]) -> datetime"], |a, _| {
        start_of(a, Unit::Year, true)
    })
    .doc("The last tick of the year.", &[]),
    Function::row("dayofweek", &["(date: datetime) -> timespan"], |a, _| {
        a[0].long().map_or(Answer::Null, |nanos| Answer::Time(weekday(nanos) * NANOS_PER_DAY))
    })
    .doc(
        "The days since the last Sunday, as a timespan.",
        &[("dayofweek(datetime(2020-01-06))", "timespan(1.00:00:00)")],
    ),
    Function::row("dayofmonth", &["(date: datetime) -> int"], |a, _| part(a[0], "day").into())
        .doc("The day of the month.", &[("dayofmonth(datetime(2020-01-06))", "int(6)")]),
    Function::row("dayofyear", &["(date: datetime) -> int"], |a, _| part(a[0], "dayofyear").into())
        .doc("The day of the year, from 1.", &[("dayofyear(datetime(2020-02-01))", "int(32)")]),
    Function::row("hourofday", &["(date: datetime) -> int"], |a, _| part(a[0], "hour").into())
        .doc("The hour of the day.", &[("hourofday(datetime(2020-01-06 13:05))", "int(13)")]),
    Function::row("monthofyear", &["(date: datetime) -> int"], |a, _| part(a[0], "month").into())
        .aliases(&["getmonth"])
        .doc("The month of the year.", &[("monthofyear(datetime(2020-03-06))", "int(3)")]),
    Function::row("getyear", &["(date: datetime) -> int"], |a, _| part(a[0], "year").into())
        .doc("The year.", &[("getyear(datetime(2020-03-06))", "int(2020)")]),
    Function::row("week_of_year", &["(date: datetime) -> int"], |a, _| part(a[0], "week_of_year").into())
        .aliases(&["weekofyear"])
        .doc("The week of the year after ISO 8601.", &[("week_of_year(datetime(2020-01-01))", "int(1)")]),
    Function::row("datetime_part", &["(part: string, date: datetime) -> int"], |a, _| {
        part(a[1], &a[0].text().to_ascii_lowercase()).into()
    })
    .aliases(&["datepart"])
    .doc("A part of a date by name.", &[("datetime_part('year', datetime(2017-10-30))", "int(2017)")]),
    Function::row("datetime_diff", &["(period: string, end: datetime, start: datetime) -> long"], |a, _| {
        diff(&a[0].text().to_ascii_lowercase(), a[1].long(), a[2].long()).into()
    })
    .doc(
        "Counts the boundaries of a period between two times.",
        &[
            ("datetime_diff('year', datetime(2017-01-01), datetime(2000-12-31))", "17"),
            ("datetime_diff('hour', datetime(2017-10-31 01:00), datetime(2017-10-30 23:59))", "2"),
        ],
    ),
    Function::row("datetime_add", &["(period: string, amount: integer, date: datetime) -> datetime"], |a, _| {
        add(&a[0].text().to_ascii_lowercase(), a[1].long(), a[2].long()).map_or(Answer::Null, Answer::Time)
    })
    .doc(
        "Adds a number of periods to a time.",
        &[("datetime_add('month', 1, datetime(2020-01-31))", "datetime(2020-02-29T00:00:00.0000000Z)")],
    ),
    Function::row(
        "make_datetime",
        &[
            "(year: number, month: number, day: number) -> datetime",
            "(year: number, month: number, day: number, hour: number, minute: number) -> datetime",
            "(year: number, month: number, day: number, hour: number, minute: number, second: number) -> datetime",
        ],
        make_datetime,
    )
    .doc(
        "A time from its parts; null if there is no such time.",
        &[("make_datetime(2017, 10, 1, 12, 10)", "datetime(2017-10-01T12:10:00.0000000Z)")],
    ),
    Function::row(
        "make_timespan",
        &[
            "(hours: integer, minutes: integer) -> timespan",
            "(hours: integer, minutes: integer, seconds: number) -> timespan",
            "(days: integer, hours: integer, minutes: integer, seconds: number) -> timespan",
        ],
        make_timespan,
    )
    .doc("A timespan from its parts.", &[("make_timespan(1, 12, 30, 55.123)", "timespan(1.12:30:55.1230000)")]),
    Function::row("unixtime_seconds_todatetime", &["(seconds: number) -> datetime"], |a, _| unix(a[0], 1_000_000_000))
        .doc(
            "A time from seconds since 1970.",
            &[("unixtime_seconds_todatetime(1546300800)", "datetime(2019-01-01T00:00:00.0000000Z)")],
        ),
    Function::row("unixtime_milliseconds_todatetime", &["(milliseconds: number) -> datetime"], |a, _| {
        unix(a[0], 1_000_000)
    })
    .doc("A time from milliseconds since 1970.", &[]),
    Function::row("unixtime_microseconds_todatetime", &["(microseconds: number) -> datetime"], |a, _| {
        unix(a[0], 1_000)
    })
    .doc("A time from microseconds since 1970.", &[]),
    Function::row("unixtime_nanoseconds_todatetime", &["(nanoseconds: number) -> datetime"], |a, _| unix(a[0], 1))
        .doc("A time from nanoseconds since 1970.", &[]),
    Function::row("format_datetime", &["(date: datetime, format: string) -> string"], |a, _| {
        a[0].long().map(|nanos| format_datetime(nanos, a[1].text())).into()
    })
    .naming(Naming::First)
    .doc(
        "Writes a time after a pattern.",
        &[("format_datetime(datetime(2017-01-29 09:00:05), 'yy-MM-dd [HH:mm:ss]')", "\"17-01-29 [09:00:05]\"")],
    ),
    Function::row("format_timespan", &["(timespan: timespan, format: string) -> string"], |a, _| {
        a[0].long().map(|nanos| format_timespan(nanos, a[1].text())).into()
    })
    .naming(Naming::First)
    .doc(
        "Writes a timespan after a pattern.",
        &[("format_timespan(time(29.09:00:05.12345), 'dd.hh:mm:ss [FF]')", "\"29.09:00:05 [12]\"")],
    ),
];

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

/// Rounds down; null for a size that is not positive.
fn bin<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    match call.return_type {
        ColumnType::Real => match (args[0].real(), args[1].real()) {
            (Some(value), Some(size)) if size > 0.0 => Answer::Real((value / size).floor() * size),
            _ => Answer::Null,
        },
        ColumnType::Decimal => {
            let scaled = |cell: Cell<'_>| match cell {
                Cell::Decimal(value) => Some(value),
                other => moneta_event::decimal::parse_decimal(&other.real()?.to_string()),
            };
            match (scaled(args[0]), scaled(args[1])) {
                (Some(value), Some(size)) if size.is_positive() => {
                    remainder(value, size).and_then(|above| value.checked_sub(above)).into()
                }
                _ => Answer::Null,
            }
        }
        ColumnType::DateTime => match (args[0].long(), args[1].long()) {
            (Some(value), Some(size)) if size > 0 => Answer::Time(floor_datetime(value, size)),
            _ => Answer::Null,
        },
        _ => match (args[0].long(), args[1].long()) {
            (Some(value), Some(size)) if size > 0 => {
                let floored = value.saturating_sub(value.rem_euclid(size));
                if matches!(args[0], Cell::Time(_)) { Answer::Time(floored) } else { Answer::Long(floored) }
            }
            _ => Answer::Null,
        },
    }
}

/// Rounds a time down to a multiple of `size` counted from 0001-01-01.
#[must_use]
pub fn floor_datetime(nanos: i64, size: i64) -> i64 {
    let origin = i128::from(EPOCH_DAYS) * i128::from(NANOS_PER_DAY);
    let since = i128::from(nanos) + origin;
    let floored = since - since.rem_euclid(i128::from(size)) - origin;
    i64::try_from(floored).unwrap_or(i64::MIN)
}

/// How far into a bin of `size` above zero the year 1970 begins.
pub(super) fn origin_within(size: i64) -> i64 {
    let origin = i128::from(EPOCH_DAYS) * i128::from(NANOS_PER_DAY);
    i64::try_from(origin.rem_euclid(i128::from(size))).expect("a remainder is below the size")
}

fn bin_at<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    if matches!(call.return_type, ColumnType::Real | ColumnType::Decimal) {
        return match (args[0].real(), args[1].real(), args[2].real()) {
            (Some(value), Some(size), Some(fixed)) if size > 0.0 => {
                Answer::Real(fixed + ((value - fixed) / size).floor() * size)
            }
            _ => Answer::Null,
        };
    }
    match (args[0].long(), args[1].long(), args[2].long()) {
        (Some(value), Some(size), Some(fixed)) if size > 0 => {
            let binned = value.saturating_sub(value.saturating_sub(fixed).rem_euclid(size));
            if matches!(args[0], Cell::Time(_)) { Answer::Time(binned) } else { Answer::Long(binned) }
        }
        _ => Answer::Null,
    }
}

/// The day of the week, Sunday being 0.
fn weekday(nanos: i64) -> i64 {
    (nanos.div_euclid(NANOS_PER_DAY) + 4).rem_euclid(7)
}

fn start_of<'a>(args: &[Cell<'a>], unit: Unit, end: bool) -> Answer<'a> {
    let Some(nanos) = args[0].long() else { return Answer::Null };
    let offset = args.get(1).and_then(|cell| cell.long()).unwrap_or(0) + i64::from(end);
    let day = nanos.div_euclid(NANOS_PER_DAY);
    let start = match unit {
        Unit::Day => day.checked_add(offset),
        Unit::Week => offset.checked_mul(7).and_then(|days| (day - weekday(nanos)).checked_add(days)),
        Unit::Month | Unit::Year => {
            let (year, month, _) = civil(nanos);
            let months = if matches!(unit, Unit::Year) { offset.checked_mul(12) } else { Some(offset) };
            let base = if matches!(unit, Unit::Year) { year * 12 } else { year * 12 + i64::from(month) - 1 };
            months.and_then(|months| base.checked_add(months)).and_then(first_of_month)
        }
    };
    let nanos = start.and_then(|days| days.checked_mul(NANOS_PER_DAY));
    nanos.map_or(Answer::Null, |nanos| Answer::Time(if end { nanos - 100 } else { nanos }))
}

/// The start of the `week`, `month` or `year` of a time, some of them later.
#[must_use]
pub(crate) fn calendar_start(nanos: i64, unit: &str, offset: i64) -> Option<i64> {
    let unit = match unit {
        "week" => Unit::Week,
        "month" => Unit::Month,
        "year" => Unit::Year,
        _ => return None,
    };
    match start_of(&[Cell::Time(nanos), Cell::Long(offset)], unit, false) {
        Answer::Time(start) => Some(start),
        _ => None,
    }
}

/// Days since 1970 of the first day of a month counted from year 0.
fn first_of_month(months: i64) -> Option<i64> {
    let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
    let midnight = Timestamp::from_civil(months.div_euclid(12), month, 1, 0, 0, 0, 0)?;
    Some(midnight.as_nanos().div_euclid(NANOS_PER_DAY))
}

fn civil(nanos: i64) -> (i64, u32, u32) {
    let day = i32::try_from(nanos.div_euclid(NANOS_PER_DAY)).unwrap_or(0);
    IngestDay(day).civil()
}

fn part(cell: Cell<'_>, name: &str) -> Option<i64> {
    let nanos = cell.long()?;
    let (year, month, day) = civil(nanos);
    let within = nanos.rem_euclid(NANOS_PER_DAY);
    Some(match name {
        "year" => year,
        "quarter" => i64::from((month - 1) / 3 + 1),
        "month" => i64::from(month),
        "week_of_year" | "weekofyear" | "week" => iso_week(nanos),
        "day" => i64::from(day),
        "dayofyear" => nanos.div_euclid(NANOS_PER_DAY) - first_of_month(year * 12)? + 1,
        "hour" => within / NANOS_PER_HOUR,
        "minute" => within / NANOS_PER_MINUTE % 60,
        "second" => within / NANOS_PER_SECOND % 60,
        "millisecond" => within / 1_000_000 % 1_000,
        "microsecond" => within / 1_000 % 1_000_000,
        "nanosecond" => within % NANOS_PER_SECOND,
        _ => return None,
    })
}

fn iso_week(nanos: i64) -> i64 {
    let day = nanos.div_euclid(NANOS_PER_DAY);
    // The week belongs to the year of its Thursday.
    let thursday = day - (day + 3).rem_euclid(7) + 3;
    let (year, _, _) = civil(thursday.saturating_mul(NANOS_PER_DAY));
    first_of_month(year * 12).map_or(0, |first| (thursday - first) / 7 + 1)
}

fn diff(period: &str, end: Option<i64>, start: Option<i64>) -> Option<i64> {
    let (end, start) = (end?, start?);
    let units = |size: i64| end.div_euclid(size) - start.div_euclid(size);
    let months = |nanos: i64| {
        let (year, month, _) = civil(nanos);
        year * 12 + i64::from(month) - 1
    };
    Some(match period {
        "year" => civil(end).0 - civil(start).0,
        "quarter" => months(end).div_euclid(3) - months(start).div_euclid(3),
        "month" => months(end) - months(start),
        "week" | "week_of_year" => {
            let week = |nanos: i64| (nanos.div_euclid(NANOS_PER_DAY) + 4).div_euclid(7);
            week(end) - week(start)
        }
        "day" | "dayofyear" => units(NANOS_PER_DAY),
        "hour" => units(NANOS_PER_HOUR),
        "minute" => units(NANOS_PER_MINUTE),
        "second" => units(NANOS_PER_SECOND),
        "millisecond" => units(1_000_000),
        "microsecond" => units(1_000),
        "nanosecond" => end.saturating_sub(start),
        _ => return None,
    })
}

fn add(period: &str, amount: Option<i64>, nanos: Option<i64>) -> Option<i64> {
    let (amount, nanos) = (amount?, nanos?);
    let months = |count: i64| {
        let (year, month, day) = civil(nanos);
        let target = (year * 12 + i64::from(month) - 1).checked_add(count)?;
        let first = first_of_month(target)?;
        let length = first_of_month(target + 1)? - first;
        let day = first + (i64::from(day) - 1).min(length - 1);
        day.checked_mul(NANOS_PER_DAY)?.checked_add(nanos.rem_euclid(NANOS_PER_DAY))
    };
    let size = match period {
        "year" => return months(amount.checked_mul(12)?),
        "quarter" => return months(amount.checked_mul(3)?),
        "month" => return months(amount),
        "week" => NANOS_PER_DAY * 7,
        "day" => NANOS_PER_DAY,
        "hour" => NANOS_PER_HOUR,
        "minute" => NANOS_PER_MINUTE,
        "second" => NANOS_PER_SECOND,
        "millisecond" => 1_000_000,
        "microsecond" => 1_000,
        "nanosecond" => 1,
        _ => return None,
    };
    nanos.checked_add(amount.checked_mul(size)?)
}

fn make_datetime<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let number = |position: usize| args.get(position).map_or(Some(0), |cell| cell.long());
    let small = |position: usize| number(position).and_then(|n| u32::try_from(n).ok());
    let made = (|| {
        let seconds = args.get(5).map_or(Some(0.0), |cell| cell.real())?;
        let whole = real_to_long(seconds)?;
        let ticks = real_to_long(((seconds - long_to_real(whole)) * 1e7).round())?;
        let second = u32::try_from(whole).ok().filter(|s| *s < 60)?;
        let nanos = u32::try_from(ticks * 100).ok()?;
        Timestamp::from_civil(number(0)?, small(1)?, small(2)?, small(3)?, small(4)?, second, nanos)
    })();
    made.map_or(Answer::Null, |time| Answer::Time(time.as_nanos()))
}

fn make_timespan<'a>(args: &[Cell<'a>], _: &Call<'_>) -> Answer<'a> {
    let days = if args.len() == 4 { args[0].long() } else { Some(0) };
    let rest = if args.len() == 4 { &args[1..] } else { args };
    let made = (|| {
        let (days, hours, minutes) = (days?, rest[0].long()?, rest[1].long()?);
        let seconds = rest.get(2).map_or(Some(0.0), |cell| cell.real())?;
        if !(0..24).contains(&hours) || !(0..60).contains(&minutes) || !(0.0..60.0).contains(&seconds) {
            return None;
        }
        let ticks = real_to_long((seconds * 1e7).round())?;
        let whole = days.checked_mul(NANOS_PER_DAY)? + hours * NANOS_PER_HOUR + minutes * NANOS_PER_MINUTE;
        whole.checked_add(ticks * 100)
    })();
    made.map_or(Answer::Null, Answer::Time)
}

fn unix<'a>(cell: Cell<'_>, nanos_per_unit: i64) -> Answer<'a> {
    let nanos = match cell {
        Cell::Long(value) => value.checked_mul(nanos_per_unit),
        other => other
            .real()
            .and_then(|value| real_to_long((value * long_to_real(nanos_per_unit) / 100.0).round()))
            .and_then(|t| t.checked_mul(100)),
    };
    nanos.map_or(Answer::Null, |nanos| Answer::Time(nanos.div_euclid(100) * 100))
}

/// The runs of equal letters of a pattern.
fn runs(pattern: &str) -> Vec<(char, usize)> {
    let mut all: Vec<(char, usize)> = Vec::new();
    for c in pattern.chars() {
        match all.last_mut() {
            Some((last, count)) if *last == c && c.is_ascii_alphabetic() => *count += 1,
            _ => all.push((c, 1)),
        }
    }
    all
}

fn fraction(ticks: i64, digits: usize, trimmed: bool) -> String {
    let mut text = format!("{ticks:07}");
    text.truncate(digits.min(7));
    if trimmed { text.trim_end_matches('0').to_owned() } else { text }
}

/// Writes a time after Kusto's `format_datetime` pattern.
#[must_use]
pub fn format_datetime(nanos: i64, pattern: &str) -> String {
    let (year, month, day) = civil(nanos);
    let within = nanos.rem_euclid(NANOS_PER_DAY);
    let hour = within / NANOS_PER_HOUR;
    let mut out = String::new();
    for (letter, count) in runs(pattern) {
        let padded = |value: i64| if count >= 2 { format!("{value:02}") } else { value.to_string() };
        match letter {
            'y' if count <= 2 => out.push_str(&padded(year % 100)),
            'y' => out.push_str(&format!("{year:04}")),
            'M' => out.push_str(&padded(month.into())),
            'd' => out.push_str(&padded(day.into())),
            'H' => out.push_str(&padded(hour)),
            'h' => out.push_str(&padded(if hour % 12 == 0 { 12 } else { hour % 12 })),
            'm' => out.push_str(&padded(within / NANOS_PER_MINUTE % 60)),
            's' => out.push_str(&padded(within / NANOS_PER_SECOND % 60)),
            'f' | 'F' => out.push_str(&fraction(within % NANOS_PER_SECOND / 100, count, letter == 'F')),
            't' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            other => (0..count).for_each(|_| out.push(other)),
        }
    }
    out
}

/// Writes a timespan after Kusto's `format_timespan` pattern.
#[must_use]
pub fn format_timespan(nanos: i64, pattern: &str) -> String {
    let total = nanos.unsigned_abs().cast_signed().max(0);
    let mut out = String::new();
    for (letter, count) in runs(pattern) {
        let padded = |value: i64| format!("{value:0count$}");
        match letter {
            'd' => out.push_str(&padded(total / NANOS_PER_DAY)),
            'H' | 'h' => out.push_str(&padded(total / NANOS_PER_HOUR % 24)),
            'm' => out.push_str(&padded(total / NANOS_PER_MINUTE % 60)),
            's' => out.push_str(&padded(total / NANOS_PER_SECOND % 60)),
            'f' | 'F' => out.push_str(&fraction(total % NANOS_PER_SECOND / 100, count, letter == 'F')),
            other => (0..count).for_each(|_| out.push(other)),
        }
    }
    if nanos < 0 { format!("-{out}") } else { out }
}
