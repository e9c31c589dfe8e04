//! Lengths of time as rules write them: `5m`, `1h`, `14d`, `PT5M`, `P1DT12H`.

use std::time::Duration;

/// Reads a length of time: a KQL timespan in whole units (`30s`, `5m`, `1h`, `14d`) or ISO 8601 (`PT5M`, `P14D`).
///
/// # Source
/// Kusto's timespan literals; ISO 8601-1:2019, 5.5.2, without years and months, whose length depends on the date.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.strip_prefix(['P', 'p']) {
        Some(rest) => iso(rest)?,
        None => kusto(text)?,
    };
    Some(Duration::from_secs(seconds))
}

fn kusto(text: &str) -> Option<u64> {
    let unit = text.chars().last().filter(char::is_ascii_alphabetic)?;
    amount(&text[..text.len() - 1])?.checked_mul(seconds_of(unit, false)?)
}

/// What follows the `P`: days or weeks, then perhaps `T` and hours, minutes, seconds.
fn iso(text: &str) -> Option<u64> {
    let text = text.to_ascii_uppercase();
    let (date, time) = text.split_once('T').map_or((text.as_str(), None), |(date, time)| (date, Some(time)));
    if time.is_some_and(str::is_empty) || (date.is_empty() && time.is_none()) {
        return None;
    }
    parts(date, "WD")?.checked_add(parts(time.unwrap_or_default(), "HMS")?)
}

/// Numbers, each with a unit; the units in their order, each once at most.
fn parts(mut text: &str, units: &str) -> Option<u64> {
    let (mut total, mut next) = (0_u64, 0);
    while !text.is_empty() {
        let at = text.find(|c: char| !c.is_ascii_digit())?;
        let unit = text[at..].chars().next()?;
        let position = units.find(unit).filter(|position| *position >= next)?;
        total = total.checked_add(amount(&text[..at])?.checked_mul(seconds_of(unit, true)?)?)?;
        next = position + 1;
        text = &text[at + unit.len_utf8()..];
    }
    Some(total)
}

fn amount(digits: &str) -> Option<u64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn seconds_of(unit: char, is_iso: bool) -> Option<u64> {
    match unit.to_ascii_lowercase() {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        'w' if is_iso => Some(604_800),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_and_nothing_else() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        for (text, expected) in [
            ("5m", 300),
            ("1h", 3_600),
            ("14d", 1_209_600),
            ("30s", 30),
            ("PT5M", 300),
            ("P1D", 86_400),
            ("P1DT12H", 129_600),
            ("p2w", 1_209_600),
            ("PT1H30M5S", 5_405),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in
            ["", "5", "m", "5 m", "1.5h", "-1h", "5x", "P", "PT", "P1M", "PT1D", "PT5M1H", "1w", "9999999999999999999d"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
