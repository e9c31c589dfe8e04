//! Times by a pattern that their sender names, such as `dd/MM/yyyy HH:mm:ss`.
//!
//! Layout of a pattern: a run of a letter stands for a part (`y` year, `M` month, `d` day, `H` hour, `h` with `a` an hour
//! of twelve, `m` minute, `s` second, `S` fraction, `E` weekday, `z`, `Z` and `X` zone), text in `'` and everything else
//! for itself. Other letters are not read: the time is unknown then.
//!
//! # Source
//! Java's `SimpleDateFormat`, which LEEF's `devTimeFormat` refers to.

use moneta_base::Timestamp;

use crate::clock_text;

/// What was read so far.
#[derive(Default)]
struct Parts {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    fraction: String,
    is_afternoon: Option<bool>,
    zone: Option<i32>,
}

/// Reads a time; one without a zone that is known is taken to be `zone_offset_seconds` east of UTC.
pub(super) fn parse(pattern: &str, text: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    let mut parts = Parts::default();
    let (mut pattern, mut text) = (pattern, text.trim());
    while let Some(letter) = pattern.chars().next() {
        if let Some(quoted) = pattern.strip_prefix('\'') {
            let (literal, rest) = quoted.split_once('\'')?;
            text = text.strip_prefix(if literal.is_empty() { "'" } else { literal })?;
            pattern = rest;
            continue;
        }
        let rest = pattern.trim_start_matches(letter);
        let run = pattern.len() - rest.len();
        text = match letter {
            letter if letter.is_ascii_alphabetic() => parts.read(letter, run, text)?,
            ' ' => text.trim_start(),
            _ => text.strip_prefix(&pattern[..run])?,
        };
        pattern = rest;
    }
    let hour = match parts.is_afternoon {
        Some(is_afternoon) => parts.hour % 12 + if is_afternoon { 12 } else { 0 },
        None => parts.hour,
    };
    let Parts { year, month, day, minute, second, fraction, zone, .. } = parts;
    let year = if year < 100 { 2_000 + year } else { year };
    let fraction = if fraction.is_empty() { "0" } else { &fraction };
    let iso = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction}");
    clock_text::parse_iso(&iso, zone.unwrap_or(zone_offset_seconds))
}

impl Parts {
    /// Reads a part; what stands behind it.
    fn read<'a>(&mut self, letter: char, run: usize, text: &'a str) -> Option<&'a str> {
        let digits_max = if letter == 'y' { 4 } else { 2 };
        let of = |test: fn(&char) -> bool, max: usize| {
            let length: usize = text.chars().take(max).take_while(test).map(char::len_utf8).sum();
            text.split_at(length)
        };
        let (number, behind) = of(char::is_ascii_digit, digits_max);
        let slot = match letter {
            'y' => &mut self.year,
            'M' if run < 3 => &mut self.month,
            'd' => &mut self.day,
            'H' | 'h' => &mut self.hour,
            'm' => &mut self.minute,
            's' => &mut self.second,
            _ => return self.read_words(letter, text, of),
        };
        *slot = number.parse().ok()?;
        Some(behind)
    }

    fn read_words<'a>(
        &mut self,
        letter: char,
        text: &'a str,
        of: impl Fn(fn(&char) -> bool, usize) -> (&'a str, &'a str),
    ) -> Option<&'a str> {
        let (word, behind) = of(char::is_ascii_alphabetic, 32);
        match letter {
            'M' => self.month = clock_text::month_of(word.get(..3)?)?,
            'E' => {}
            'a' => self.is_afternoon = Some(word.eq_ignore_ascii_case("pm")),
            'S' => {
                let (digits, behind) = of(char::is_ascii_digit, 9);
                digits.clone_into(&mut self.fraction);
                return Some(behind);
            }
            'z' | 'Z' | 'X' => {
                let (zone, behind) = text.split_at(text.find(' ').unwrap_or(text.len()));
                self.zone = clock_text::parse_zone(zone.strip_prefix("GMT").filter(|z| !z.is_empty()).unwrap_or(zone));
                return Some(behind);
            }
            _ => return None,
        }
        Some(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_their_pattern() {
        for (pattern, text, expected) in [
            ("dd/MM/yyyy HH:mm", "01/06/2026 09:00", Some("2026-06-01T09:00:00.0000000Z")),
            ("MM/dd/yyyy hh:mm:ss a", "06/01/2026 09:00:05 PM", Some("2026-06-01T21:00:05.0000000Z")),
            ("MMM dd yyyy HH:mm:ss.SSS z", "Jun 01 2026 09:00:00.123 GMT+02:00", Some("2026-06-01T07:00:00.1230000Z")),
            ("EEE MMM d HH:mm:ss Z yyyy", "Mon Jun 1 09:00:00 +0200 2026", Some("2026-06-01T07:00:00.0000000Z")),
            ("yyyy-MM-dd'T'HH:mm:ss", "2026-06-01T09:00:00", Some("2026-06-01T09:00:00.0000000Z")),
            ("dd/MM/yy", "01/06/26", Some("2026-06-01T00:00:00.0000000Z")),
            ("dd/MM/yyyy", "31/13/2026", None),
            ("D yyyy", "152 2026", None),
            ("dd", "größe", None),
        ] {
            let found = parse(pattern, text, 0).map(|time| time.to_string());
            assert_eq!(found.as_deref(), expected, "{pattern} {text}");
        }
    }
}
