//! Reads the forms in which clients write a duration.

use std::time::Duration;

/// Parses `[d.]hh:mm:ss[.fffffff]`, Python's `d day[s], h:mm:ss`, a KQL literal such as `4m`, or whole seconds.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let text = text.strip_prefix("time(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(text).trim();
    let (days, clock) = match text.split_once(" day") {
        Some((days, rest)) => (days, rest.trim_start_matches('s').trim_start_matches(',').trim()),
        None => match text.split_once('.') {
            Some((days, rest)) if rest.contains(':') => (days, rest),
            _ => ("0", text),
        },
    };
    if !clock.contains(':') {
        return literal(text);
    }
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let number = |text: &str| text.parse::<u32>().ok().map(f64::from);
    let seconds: f64 = seconds.parse().ok()?;
    let total = number(days)? * 86_400.0 + number(hours)? * 3600.0 + number(minutes)? * 60.0 + seconds;
    Duration::try_from_secs_f64(total).ok()
}

fn literal(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let seconds = match &text[digits..] {
        "" | "s" | "sec" | "second" | "seconds" => 1.0,
        "d" | "day" | "days" => 86_400.0,
        "h" | "hour" | "hours" => 3600.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "ms" => 0.001,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let check = |text: &str, seconds: Option<f64>| {
            assert_eq!(parse(text).map(|span| span.as_secs_f64()), seconds, "{text}");
        };
        check("00:04:00", Some(240.0));
        check("0:04:00", Some(240.0));
        check("1.02:00:00.5000000", Some(93_600.5));
        check("1 day, 2:00:00", Some(93_600.0));
        check("2 days, 0:00:01", Some(172_801.0));
        check("4m", Some(240.0));
        check("time(1h)", Some(3600.0));
        check("30", Some(30.0));
        check("soon", None);
        check("1:2", None);
        check("-00:01:00", None);
    }
}
