//! What senders do not say themselves: the zone of times that name none, and the encoding of text that is no UTF-8.
//!
//! Both are set for the sources whose names (`_Source`) meet a pattern; the first setting that says the one or the other
//! counts. A zone by name has the offset that is in force when a record is received, summer time included: what is read
//! long after it was written, from the other half of the year, is an hour off.
//!
//! # Source
//! IANA time zone database, by the `chrono-tz` crate; WHATWG Encoding Standard, by the `encoding_rs` crate.

use std::borrow::Cow;

use chrono::{Offset, TimeZone};
use encoding_rs::Encoding;
use moneta_base::Timestamp;
use moneta_event::RawRecord;
use moneta_formats::parse_zone;

use crate::Error;
use crate::files::matches;

/// Settings of sources.
#[derive(Debug, Clone, Default)]
pub struct Senders {
    settings: Vec<Setting>,
    /// Zone of the sources without a setting, in seconds east of UTC.
    zone_offset_seconds: i32,
}

#[derive(Debug, Clone)]
struct Setting {
    /// The name of sources, with `*` for any text.
    source: String,
    zone: Option<Zone>,
    encoding: Option<&'static Encoding>,
}

#[derive(Debug, Clone, Copy)]
enum Zone {
    /// Seconds east of UTC.
    Offset(i32),
    Named(chrono_tz::Tz),
}

impl Senders {
    /// Settings of no source: times without zone are so many seconds east of UTC.
    #[must_use]
    pub fn new(zone_offset_seconds: i32) -> Self {
        Self { settings: Vec::new(), zone_offset_seconds }
    }

    /// Adds a setting behind those there are. `source` is the name of sources, with `*` for any text; `zone` a name of the
    /// IANA database or an offset such as `+02:00`; `encoding` a label of the WHATWG Encoding Standard.
    ///
    /// # Errors
    /// [`Error::Zone`] and [`Error::Encoding`] for names that there are not.
    pub fn add(&mut self, source: &str, zone: Option<&str>, encoding: Option<&str>) -> Result<(), Error> {
        let zone = zone.map(|text| Zone::parse(text).ok_or_else(|| Error::Zone(text.to_owned()))).transpose()?;
        let labelled = |label: &str| {
            let found = Encoding::for_label_no_replacement(label.as_bytes());
            found.ok_or_else(|| Error::Encoding(label.to_owned()))
        };
        let encoding = encoding.map(labelled).transpose()?;
        self.settings.push(Setting { source: source.to_owned(), zone, encoding });
        Ok(())
    }

    /// The offset of times of a source that name no zone, in seconds east of UTC, for records received at a time.
    pub(crate) fn zone_offset_seconds(&self, source: &str, received: Timestamp) -> i32 {
        self.find(source, |setting| setting.zone).map_or(self.zone_offset_seconds, |zone| zone.offset_seconds(received))
    }

    /// The encoding of text of a source that is no UTF-8.
    pub(crate) fn encoding(&self, source: &str) -> Option<&'static Encoding> {
        self.find(source, |setting| setting.encoding)
    }

    /// A record whose bytes are UTF-8, where they can be made so.
    pub(crate) fn in_utf8<'a>(&self, record: &'a RawRecord) -> Cow<'a, RawRecord> {
        match self.encoding(record.source.as_str()) {
            Some(encoding) if std::str::from_utf8(&record.bytes).is_err() => {
                let bytes = encoding.decode_without_bom_handling(&record.bytes).0.into_owned().into_bytes();
                Cow::Owned(RawRecord { bytes, ..record.clone() })
            }
            _ => Cow::Borrowed(record),
        }
    }

    fn find<T>(&self, source: &str, of: impl Fn(&Setting) -> Option<T>) -> Option<T> {
        self.settings.iter().filter(|setting| matches(&setting.source, source)).find_map(of)
    }
}

impl Zone {
    fn parse(text: &str) -> Option<Self> {
        parse_zone(text).map(Self::Offset).or_else(|| text.parse().ok().map(Self::Named))
    }

    fn offset_seconds(self, at: Timestamp) -> i32 {
        match self {
            Self::Offset(seconds) => seconds,
            Self::Named(zone) => {
                let at = chrono::DateTime::from_timestamp_nanos(at.as_nanos()).naive_utc();
                zone.offset_from_utc_datetime(&at).fix().local_minus_utc()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use moneta_base::SourceName;
    use moneta_event::Delivery;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_first_setting_that_says_a_zone_counts_and_summer_time_is_kept() {
        let mut senders = Senders::new(60);
        senders.add("syslog/*/192.0.2.7", None, Some("latin1")).unwrap();
        senders.add("syslog/*/192.0.2.*", Some("Europe/Berlin"), None).unwrap();
        senders.add("syslog/*", Some("-05:30"), Some("shift_jis")).unwrap();
        let offset = |source: &str, time: &str| senders.zone_offset_seconds(source, at(time));
        assert_eq!(offset("syslog/udp/192.0.2.7", "2026-06-01T00:00:00Z"), 7_200);
        assert_eq!(offset("syslog/udp/192.0.2.7", "2026-12-01T00:00:00Z"), 3_600);
        assert_eq!(offset("syslog/tcp/198.51.100.1", "2026-06-01T00:00:00Z"), -19_800);
        assert_eq!(offset("file//var/log/a.log", "2026-06-01T00:00:00Z"), 60);
        assert_eq!(senders.encoding("syslog/udp/192.0.2.7").unwrap().name(), "windows-1252");
        assert_eq!(senders.encoding("syslog/udp/192.0.2.8").unwrap().name(), "Shift_JIS");
        assert!(senders.encoding("file//var/log/a.log").is_none());
    }

    #[test]
    fn text_in_a_code_page_becomes_utf_8_and_utf_8_stays() {
        let mut senders = Senders::default();
        senders.add("syslog/*", None, Some("windows-1252")).unwrap();
        let record = |source: &str, bytes: &[u8]| RawRecord {
            bytes: bytes.to_vec(),
            source: SourceName::lossy(source),
            received: at("2026-06-01T00:00:00Z"),
            delivery: Delivery::BestEffort,
        };
        let check = |source: &str, bytes: &[u8], expected: &[u8]| {
            assert_eq!(senders.in_utf8(&record(source, bytes)).bytes, expected);
        };
        check("syslog/udp/192.0.2.7", b"Gr\xfc\xdfe \x80", "Grüße €".as_bytes());
        check("syslog/udp/192.0.2.7", "Grüße".as_bytes(), "Grüße".as_bytes());
        check("gelf/udp/192.0.2.7", b"Gr\xfc\xdfe", b"Gr\xfc\xdfe");
    }

    #[test]
    fn names_that_there_are_not_are_refused() {
        let mut senders = Senders::default();
        assert!(senders.add("*", Some("Europe/Atlantis"), None).unwrap_err().to_string().contains("Europe/Atlantis"));
        assert!(senders.add("*", None, Some("klingon")).unwrap_err().to_string().contains("klingon"));
    }
}
