//! Sources as their operators see them: what is received from whom, and how complete it is.

use serde::Serialize;

/// What comes from one machine through one source into one table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SourceStatus {
    /// Where it is received, such as `syslog/tcp/192.0.2.7` or `file/var/log/auth.log`.
    pub source: String,
    /// The machine the records name; empty where they name none.
    pub computer: String,
    /// The table; empty for a source of which nothing is known but what was dropped or quarantined.
    pub table: String,
    /// `learning` for the first day, `ok`, or what is wrong, joined by `+`: `silent`, `thinned`, `late`, `clock`, `gapped`.
    pub state: String,
    /// Since when that is wrong, RFC 3339.
    pub trouble_since: Option<String>,
    /// Records since it was first seen.
    pub num_records: u64,
    /// Records per minute over about the last hour.
    pub records_per_minute: f64,
    /// Records per minute that its history lets expect now; `None` while that is not known.
    pub expected_per_minute: Option<f64>,
    /// When the first record came, RFC 3339.
    pub first_seen: Option<String>,
    /// When the last record came, RFC 3339.
    pub last_seen: Option<String>,
    /// Seconds since then.
    pub silent_seconds: Option<u64>,
    /// Seconds from the newest event to its receipt in the last minute with records: how far behind the source is.
    pub lag_seconds: Option<f64>,
    /// Seconds from an event to its receipt, the mean of the last minute with records.
    pub lateness_seconds: Option<f64>,
    /// Seconds by which events are ahead of the time of receipt: how far its clock is fast at least; 0 when it is not.
    pub clock_ahead_seconds: Option<f64>,
    /// Records that are missing by their own numbering.
    pub num_missing: u64,
    /// Records of the source that could not be parsed, all tables and machines together.
    pub num_quarantined: u64,
    /// Records of the source that were lost before they were stored, all tables and machines together.
    pub num_dropped: u64,
    /// When the last of those lost was noted, RFC 3339; `None` where none was.
    pub last_dropped: Option<String>,
}

/// How often the records of a source say what an audit record must say, from 0 to 1.
///
/// # Source
/// NIST SP 800-53 revision 5, AU-3.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SourceQuality {
    /// As [`SourceStatus::source`].
    pub source: String,
    /// As [`SourceStatus::computer`].
    pub computer: String,
    /// As [`SourceStatus::table`].
    pub table: String,
    /// The records looked at: those of the last seven days, today included.
    pub num_records: u64,
    /// The identity of a person, account or other subject.
    pub who: f64,
    /// The kind of event.
    pub what: f64,
    /// When it happened.
    pub when: f64,
    /// The machine, resource or address where it happened.
    #[serde(rename = "where")]
    pub place: f64,
    /// The program, product or service it comes from.
    #[serde(rename = "source_of_event")]
    pub origin: f64,
    /// How it ended.
    pub outcome: f64,
}
