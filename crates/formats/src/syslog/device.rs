//! Messages of routers and switches: what happened stands as a mnemonic, `%FACILITY-SEVERITY-NAME`.
//!
//! Layout: `[sequence: ][origin: ][sequence: ]stamp: %FACILITY-SEVERITY-NAME: text`, also behind the header of a relay. The
//! stamp is `[*|.]Mmm dd [yyyy] hh:mm:ss[.mmm][ ZONE]`, with the year in front on some systems (`2026 Jun  1 ...`), or the
//! time since the start (`1w2d`, `00:01:07`), which says nothing about when. `*` and `.` say that the clock was not set by
//! a server. Some systems write the host behind the stamp.
//!
//! The mnemonic is the process, as other programs are, and stays in the text, where rules look for it.
//!
//! # Source
//! Cisco IOS, "System Message Logging" (`service timestamps`, `service sequence-numbers`, `logging origin-id`); Cisco NX-OS
//! and ASA, "System Messages".

use moneta_base::Timestamp;

use super::{Message, rfc3164};
use crate::clock_text;

/// Bytes of a mnemonic at most.
const MNEMONIC_BYTES_MAX: usize = 96;
/// Bytes in front of a mnemonic at most.
const HEAD_BYTES_MAX: usize = 256;

/// Reads the text behind the priority; `None` when no mnemonic stands behind a stamp.
pub(super) fn parse(text: &str, received: Timestamp, zone_offset_seconds: i32) -> Option<Message<'_>> {
    let at = memchr::memchr(b'%', text.as_bytes()).filter(|at| *at <= HEAD_BYTES_MAX)?;
    let head = text[..at].strip_suffix(": ")?.trim_start_matches([':', ' ']);
    let process = mnemonic(&text[at..])?;
    let (origin, stamp) = head.rsplit_once(": ").unwrap_or(("", head));
    let (time, behind) = match stamp_time(stamp.trim_start_matches(['*', '.', ' ']), received, zone_offset_seconds) {
        Some((time, behind)) => (Some(time), behind),
        None if is_uptime(stamp) => (None, ""),
        None => return None,
    };
    let host = if behind.is_empty() { host_of(origin, received) } else { behind };
    Some(Message { time, host, process, text: &text[at..], ..Message::default() })
}

/// The mnemonic that a text begins with: parts of capitals and digits apart by dashes, one of them the severity.
fn mnemonic(text: &str) -> Option<&str> {
    let end = text.bytes().take(MNEMONIC_BYTES_MAX).position(|b| b == b':')?;
    let known = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'/');
    let name = text[1..end].trim_end();
    let mut parts = name.split('-').skip(1);
    let has_severity = parts.any(|part| matches!(part.as_bytes(), [b'0'..=b'7']));
    (has_severity && parts.next().is_some() && name.bytes().all(known)).then(|| &text[..=name.len()])
}

/// The time of a stamp, and the host behind it.
fn stamp_time(stamp: &str, received: Timestamp, zone_offset_seconds: i32) -> Option<(Timestamp, &str)> {
    let is_word = |word: &str| !word.contains(':') && word.starts_with(|c: char| c.is_ascii_alphabetic());
    // Behind the clock stand the zone or the host.
    // A blank before the colon marks a host.
    let marks_host = stamp.ends_with(' ');
    let (stamp, word) = stamp.trim_end().rsplit_once(' ').filter(|(_, word)| is_word(word)).unwrap_or((stamp, ""));
    let named = clock_text::zone_of_name(word);
    let looks_so = named.is_some() || (2..=5).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase());
    let is_zone = looks_so && !marks_host;
    let zone = named.filter(|_| is_zone).unwrap_or(zone_offset_seconds);
    let year_first =
        stamp.split_once(' ').filter(|(year, _)| year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()));
    let (time, rest) = match year_first {
        // The same with the year behind, where it can stand as well.
        Some((year, rest)) => {
            let turned = format!("{} {year} ", rest.trim());
            (rfc3164::named_month_time(&turned, received, zone)?.0, "")
        }
        None => rfc3164::named_month_time(stamp.trim_end(), received, zone)?,
    };
    rest.is_empty().then_some((time, if is_zone { "" } else { word }))
}

/// `1w2d`, `3d04h`, `00:01:07`.
fn is_uptime(stamp: &str) -> bool {
    let is_clock = clock_text::parse_clock(stamp.split('.').next().unwrap_or(stamp)).is_some();
    let is_count = stamp.starts_with(|c: char| c.is_ascii_digit())
        && stamp.ends_with(['y', 'w', 'd', 'h', 'm', 's'])
        && stamp.bytes().all(|b| b.is_ascii_digit() || b"ywdhms".contains(&b));
    is_clock || is_count
}

/// The host among what stands in front of a stamp: that of a relay's header, else the last word that is no sequence.
fn host_of(origin: &str, received: Timestamp) -> &str {
    if let Some(relayed) = rfc3164::parse(origin, received, 0).filter(|relayed| !relayed.host.is_empty()) {
        return relayed.host;
    }
    let is_host = |word: &&str| !word.contains(' ') && !word.bytes().all(|b| b.is_ascii_digit());
    origin.split(": ").filter(is_host).last().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time, host, process.
    fn check(text: &str, expected: (&str, &str, &str)) {
        let received = Timestamp::parse("2026-06-15T12:00:00Z").unwrap();
        let read = parse(text, received, 7200).unwrap_or_else(|| panic!("{text}"));
        let time = read.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        assert_eq!((time.as_str(), read.host, read.process), expected, "{text}");
        assert!(read.text.starts_with(read.process) && text.ends_with(read.text), "{text}");
    }

    #[test]
    fn stamps_of_routers_switches_and_firewalls_are_read() {
        let config = "%SYS-5-CONFIG_I";
        check("29: *Jun  1 10:00:00.123: %SYS-5-CONFIG_I: by vty2", ("2026-06-01T08:00:00.1230000Z", "", config));
        check("29: Jun  1 10:00:00 UTC: %SYS-5-CONFIG_I: x: %y", ("2026-06-01T10:00:00.0000000Z", "", config));
        check(
            "29: router1: 000027: .Jun  1 2025 10:00:00.123 CEST: %SYS-5-CONFIG_I: x",
            ("2025-06-01T08:00:00.1230000Z", "router1", config),
        );
        check(
            "Jun  1 10:00:02 core-sw 31: *Jun  1 10:00:00 XYZ: %LINEPROTO-SP-5-UPDOWN: x",
            ("2026-06-01T08:00:00.0000000Z", "core-sw", "%LINEPROTO-SP-5-UPDOWN"),
        );
        check(
            ": 2025 Jun  1 10:00:00.5 UTC: %ETHPORT-5-IF_UP: x",
            ("2025-06-01T10:00:00.5000000Z", "", "%ETHPORT-5-IF_UP"),
        );
        check("Jun 01 2026 10:00:00: %ASA-6-302013: x", ("2026-06-01T08:00:00.0000000Z", "", "%ASA-6-302013"));
        check("Jun 01 2026 10:00:00 fw1 : %ASA-6-302013: x", ("2026-06-01T08:00:00.0000000Z", "fw1", "%ASA-6-302013"));
        check(
            "Jun 01 2026 10:00:00 EDGE : %ASA-6-302013: x",
            ("2026-06-01T08:00:00.0000000Z", "EDGE", "%ASA-6-302013"),
        );
        check("29: 1w2d: %SYS-5-CONFIG_I: x", ("-", "", config));
        check("00:00:46: %SYS-5-CONFIG_I: x", ("-", "", config));
    }

    #[test]
    fn a_percent_sign_alone_is_no_mnemonic() {
        let received = Timestamp::parse("2026-06-15T12:00:00Z").unwrap();
        for text in [
            "Jun  1 10:00:00 web1 app: %d of 5: x",
            "Jun  1 10:00:00 web1 app: %A-B-C: x",
            "Jun  1 10:00:00: 50% of 5-5-5: x",
            "words: %SYS-5-CONFIG_I: x",
            "%SYS-5-CONFIG_I: x",
            "",
        ] {
            assert_eq!(parse(text, received, 0), None, "{text}");
        }
    }
}
