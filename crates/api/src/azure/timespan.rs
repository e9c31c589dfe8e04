//! The times a query is about: ISO 8601 durations and intervals.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_ports::TimeScope;

/// Reads `duration`, `start/end`, `start/duration` or `duration/end`; a duration alone ends now.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<TimeScope, String> {
    let bad = || {
        let shown: String = text.chars().take(64).collect();
        format!("timespan {shown:?} must be a duration such as PT1H, or two times with a slash between them")
    };
    let text = text.trim();
    let (from, to) = match text.split_once('/') {
        None => (now.saturating_sub(duration(text).ok_or_else(bad)?), now),
        Some((start, end)) => match (duration(start), duration(end)) {
            (None, None) => (time(start).ok_or_else(bad)?, time(end).ok_or_else(bad)?),
            (None, Some(length)) => {
                let from = time(start).ok_or_else(bad)?;
                (from, from.saturating_add(length))
            }
            (Some(length), None) => {
                let to = time(end).ok_or_else(bad)?;
                (to.saturating_sub(length), to)
            }
            (Some(_), Some(_)) => return Err(bad()),
        },
    };
    Ok(TimeScope { column: None, from: Some(from), to: Some(to) })
}

fn time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text.trim())
}

/// `P[nW][nD][T[nH][nM][nS]]`; the last number may have a fraction. Years and months have no fixed length and are
/// refused.
fn duration(text: &str) -> Option<Duration> {
    let rest = text.trim().strip_prefix('P')?;
    let (days, clock) = rest.split_once('T').unwrap_or((rest, ""));
    let units = [
        (days, [('W', 604_800.0), ('D', 86_400.0), ('D', 86_400.0)]),
        (clock, [('H', 3600.0), ('M', 60.0), ('S', 1.0)]),
    ];
    let mut seconds = 0.0;
    let mut is_empty = true;
    for (mut part, units) in units {
        while !part.is_empty() {
            let end = part.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let unit = part[end..].chars().next()?;
            let (_, length) = units.iter().find(|(name, _)| *name == unit)?;
            seconds += part[..end].parse::<f64>().ok()? * length;
            part = &part[end + 1..];
            is_empty = false;
        }
    }
    if is_empty { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("PT3600.0S", Some(3600.0)),
            ("P1D", Some(86_400.0)),
            ("P1DT2H3M4.5S", Some(93_784.5)),
            ("P2W", Some(1_209_600.0)),
            ("PT0S", Some(0.0)),
            ("P1M", None),
            ("P", None),
            ("PT", None),
            ("PT1", None),
            ("1H", None),
            ("PT1ä", None),
        ] {
            assert_eq!(duration(text).map(|length| length.as_secs_f64()), seconds, "{text}");
        }
    }

    #[test]
    fn intervals_have_two_ends() {
        let now = Timestamp::parse("2026-01-02T00:00:00Z").unwrap();
        let ends = |text: &str| parse(text, now).map(|scope| (scope.from.unwrap(), scope.to.unwrap()));
        let day = |text: &str| Timestamp::parse(text).unwrap();
        let expected = (day("2026-01-01"), day("2026-01-02"));
        for text in
            ["P1D", "2026-01-01T00:00:00Z/2026-01-02T00:00:00.000Z", "2026-01-01/P1D", "PT24H/2026-01-02T00:00:00Z"]
        {
            assert_eq!(ends(text).unwrap(), expected, "{text}");
        }
        for text in ["yesterday", "P1D/P1D", "2026-01-01/later", ""] {
            assert!(ends(text).unwrap_err().contains("timespan"), "{text}");
        }
    }
}
