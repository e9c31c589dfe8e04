//! Local times of named time zones.

use std::str::FromStr as _;

use chrono::{DateTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use serde_json::Value as Json;

use super::Function;
use super::row::{Answer, Cell};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("datetime_utc_to_local", &["(from: datetime, timezone: text) -> datetime"], |a, _| {
        zoned(a, to_local)
    })
    .doc(
        "A time as the clocks of a time zone show it.",
        &[
            ("datetime_utc_to_local(datetime(2022-07-01 12:00), 'US/Pacific')", "datetime(2022-07-01 05:00)"),
            ("datetime_utc_to_local(datetime(2022-07-01 12:00), 'Nowhere')", "datetime(null)"),
        ],
    ),
    Function::row("datetime_local_to_utc", &["(from: datetime, timezone: text) -> datetime"], |a, _| zoned(a, to_utc))
        .doc(
            "The time at which the clocks of a time zone show a time.",
            &[
                ("datetime_local_to_utc(datetime(2022-01-01 12:00), 'Europe/Brussels')", "datetime(2022-01-01 11:00)"),
                ("datetime_local_to_utc(datetime(2022-03-27 02:00), 'Europe/Brussels')", "datetime(2022-03-27 00:00)"),
            ],
        ),
    Function::row("datetime_list_timezones", &["() -> dynamic"], |_, _| {
        Json::from(TZ_VARIANTS.iter().map(|zone| zone.name()).collect::<Vec<_>>()).into()
    })
    .doc("The names of all time zones.", &[("array_length(datetime_list_timezones()) > 400", "true")]),
];

fn zoned<'a>(args: &[Cell<'a>], convert: fn(i64, Tz) -> Option<i64>) -> Answer<'a> {
    let (Cell::Time(nanos), Ok(zone)) = (args[0], Tz::from_str(args[1].text())) else { return Answer::Null };
    convert(nanos, zone).map_or(Answer::Null, Answer::Time)
}

/// What the clocks show at a time.
fn to_local(nanos: i64, zone: Tz) -> Option<i64> {
    nanos.checked_add(offset_nanos(nanos, zone))
}

/// When the clocks show a time: of two such times the earlier. A time they skip counts as the moment of the jump.
fn to_utc(nanos: i64, zone: Tz) -> Option<i64> {
    const DAY_NANOS: i64 = 86_400_000_000_000;
    let before = offset_nanos(nanos.checked_sub(DAY_NANOS)?, zone);
    let after = offset_nanos(nanos.checked_add(DAY_NANOS)?, zone);
    let candidates = [nanos.checked_sub(before.max(after))?, nanos.checked_sub(before.min(after))?];
    let shown = candidates.iter().copied().find(|utc| to_local(*utc, zone) == Some(nanos));
    // Clocks that are put forward show the hour after the jump where they would have shown the one before.
    shown.or(Some(candidates[0]))
}

fn offset_nanos(nanos: i64, zone: Tz) -> i64 {
    let utc: DateTime<Utc> = DateTime::from_timestamp_nanos(nanos);
    i64::from(zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()) * 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_there_and_back_is_the_same() {
        for zone in TZ_VARIANTS {
            let noon = 1_700_000_000_000_000_000;
            assert_eq!(to_utc(to_local(noon, zone).unwrap(), zone), Some(noon), "{zone}");
        }
    }
}
