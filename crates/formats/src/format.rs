//! The formats by name, and their recognition from content.

use crate::{
    Error, aide, auditd, call_report, client_log, delimited, encoding, event_xml, ids_text, journal_export, logfmt,
    metrics_text, postgres_log, rtcp_xr, sql_error_log, storage_log, syslog, unified2, vpc_flow, web_log, zeek,
};

/// Bytes of the beginning of a file that [`recognise`] looks at.
pub const HEAD_BYTES: usize = 8 << 10;

/// Lines of a text file that are tried as syslog before another guess is made.
const LINES_TRIED: usize = 5;

/// A log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Windows event log file.
    Evtx,
    /// Syslog text, one message a line: RFC 5424, RFC 3164, and both without priority as files hold them.
    Syslog,
    /// W3C extended log, as IIS writes it.
    W3c,
    /// One JSON object a line: Windows events as nxlog, Winlogbeat and others ship them, or rows of any table.
    Ndjson,
    /// JSON objects one after another or in an array, with any line breaks.
    Json,
    /// Log of the Linux audit daemon.
    Auditd,
    /// Zeek log as tab-separated values.
    Zeek,
    /// Comma-, semicolon- or tab-separated values with a header, counters of Windows, calls of Asterisk.
    Csv,
    /// Access and error logs of web servers: NCSA, combined, nginx, Apache.
    WebLog,
    /// ERRORLOG of SQL Server.
    SqlErrorLog,
    /// Log of PostgreSQL as text.
    PostgresLog,
    /// Logs of Configuration Manager and Windows servicing: CMTrace, CBS, DISM, ReportingEvents.
    ClientLog,
    /// Azure Storage Analytics log.
    StorageLog,
    /// AWS VPC flow log.
    VpcFlow,
    /// Windows events as XML, one after another or within other elements.
    EventXml,
    /// Alerts of intrusion detection as text: Snort and Suricata fast alerts, OSSEC and Wazuh `alerts.log`.
    IdsText,
    /// Metrics in Prometheus' text format.
    MetricsText,
    /// Lines of `key=value`.
    Logfmt,
    /// Reports of AIDE about files that changed.
    Aide,
    /// Voice quality reports of SIP phones (RFC 6035).
    CallReport,
    /// Extended reports of RTCP about voice calls (RFC 3611), a packet a line in hexadecimal digits.
    RtcpXr,
    /// The systemd journal as it is exported.
    JournalExport,
    /// Binary logs of Snort.
    Unified2,
    /// Zip archive of files in any of these formats.
    Zip,
    /// Gzip-compressed file in any of these formats.
    Gzip,
    /// Zstd-compressed file in any of these formats.
    Zstd,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 26] = [
        Self::Evtx,
        Self::Syslog,
        Self::W3c,
        Self::Ndjson,
        Self::Json,
        Self::Auditd,
        Self::Zeek,
        Self::Csv,
        Self::WebLog,
        Self::SqlErrorLog,
        Self::PostgresLog,
        Self::ClientLog,
        Self::StorageLog,
        Self::VpcFlow,
        Self::EventXml,
        Self::IdsText,
        Self::MetricsText,
        Self::Logfmt,
        Self::Aide,
        Self::CallReport,
        Self::RtcpXr,
        Self::JournalExport,
        Self::Unified2,
        Self::Zip,
        Self::Gzip,
        Self::Zstd,
    ];

    /// The format's name, as on the command line and in counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evtx => "evtx",
            Self::Syslog => "syslog",
            Self::W3c => "w3c",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Auditd => "auditd",
            Self::Zeek => "zeek",
            Self::Csv => "csv",
            Self::WebLog => "weblog",
            Self::SqlErrorLog => "sql-errorlog",
            Self::PostgresLog => "postgresql",
            Self::ClientLog => "cmtrace",
            Self::StorageLog => "storage-analytics",
            Self::VpcFlow => "vpc-flow",
            Self::EventXml => "event-xml",
            Self::IdsText => "ids-text",
            Self::MetricsText => "prometheus",
            Self::Logfmt => "logfmt",
            Self::Aide => "aide",
            Self::CallReport => "vq-rtcpxr",
            Self::RtcpXr => "rtcp-xr",
            Self::JournalExport => "journal-export",
            Self::Unified2 => "unified2",
            Self::Zip => "zip",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Evtx => "Windows event log file.",
            Self::Syslog => {
                "Syslog text, one message a line: RFC 5424, RFC 3164, and both without priority as files hold them."
            }
            Self::W3c => "W3C extended log, as IIS writes it.",
            Self::Ndjson => {
                "One JSON object a line: Windows events as nxlog, Winlogbeat and others ship them, or rows of any table."
            }
            Self::Json => "JSON objects one after another or in an array, with any line breaks.",
            Self::Auditd => "Log of the Linux audit daemon.",
            Self::Zeek => "Zeek log as tab-separated values.",
            Self::Csv => {
                "Comma-, semicolon- or tab-separated values with a header, counters of Windows, calls of Asterisk, log of PostgreSQL."
            }
            Self::WebLog => "Access and error logs of web servers: NCSA, combined, nginx, Apache.",
            Self::SqlErrorLog => "ERRORLOG of SQL Server.",
            Self::PostgresLog => "Log of PostgreSQL as text (`log_destination = 'stderr'`).",
            Self::ClientLog => {
                "Logs of Configuration Manager and Windows servicing: CMTrace, CBS, DISM, ReportingEvents."
            }
            Self::StorageLog => "Azure Storage Analytics log.",
            Self::VpcFlow => "AWS VPC flow log.",
            Self::EventXml => {
                "Windows events as XML, and extended events of SQL Server, one after another or within other elements."
            }
            Self::IdsText => {
                "Alerts of intrusion detection as text: Snort and Suricata fast alerts, OSSEC and Wazuh `alerts.log`."
            }
            Self::MetricsText => "Metrics in Prometheus' text format.",
            Self::Logfmt => "Lines of `key=value`.",
            Self::Aide => "Reports of AIDE about files that changed.",
            Self::CallReport => "Voice quality reports of SIP phones (RFC 6035, `application/vq-rtcpxr`).",
            Self::RtcpXr => {
                "Extended reports of RTCP about voice calls (RFC 3611): a packet a line, in hexadecimal digits."
            }
            Self::JournalExport => {
                "The systemd journal as `journalctl -o export` and `systemd-journal-upload` give it."
            }
            Self::Unified2 => "Binary logs of Snort (unified2).",
            Self::Zip => "Zip archive of files in any of these formats.",
            Self::Gzip => "Gzip-compressed file in any of these formats.",
            Self::Zstd => "Zstd-compressed file in any of these formats.",
        }
    }

    /// The tables its records go to.
    #[must_use]
    pub const fn tables(self) -> &'static str {
        match self {
            Self::Evtx => "SecurityEvent, Event, SQLSecurityAuditEvents",
            Self::Syslog => "Syslog, CommonSecurityLog",
            Self::W3c => "W3CIISLog",
            Self::Ndjson => "as the record's shape says (below)",
            Self::Json => "as the record's shape says (below)",
            Self::Auditd => "LinuxAudit_CL",
            Self::Zeek => "Zeek{path}_CL",
            Self::Csv => "as the columns say (below), Perf, CallDetailRecord_CL, InsightsMetrics, PostgreSqlLog_CL",
            Self::WebLog => "WebAccessLog_CL",
            Self::SqlErrorLog => "SqlErrorLog_CL",
            Self::PostgresLog => "PostgreSqlLog_CL",
            Self::ClientLog => "ConfigurationManagerLog_CL",
            Self::StorageLog => "StorageBlobLogs, StorageFileLogs, StorageQueueLogs, StorageTableLogs",
            Self::VpcFlow => "AWSVPCFlow",
            Self::EventXml => "SecurityEvent, Event, SQLSecurityAuditEvents, SqlExtendedEvent_CL",
            Self::IdsText => "SuricataAlert_CL, HostIntrusion_CL",
            Self::MetricsText => "InsightsMetrics",
            Self::Logfmt => "AppTraces",
            Self::Aide => "HostIntrusion_CL",
            Self::CallReport | Self::RtcpXr => "CallQuality_CL",
            Self::JournalExport => "Syslog",
            Self::Unified2 => "SuricataAlert_CL",
            Self::Zip => "those of its members",
            Self::Gzip | Self::Zstd => "those of its content",
        }
    }

    /// Whether files of this format grow by lines, so that they can be followed while they are written.
    #[must_use]
    pub const fn grows_by_lines(self) -> bool {
        !matches!(
            self,
            Self::Evtx
                | Self::Json
                | Self::EventXml
                | Self::JournalExport
                | Self::Unified2
                | Self::Zip
                | Self::Gzip
                | Self::Zstd
        )
    }

    /// Whether the beginning of a file says what its later lines mean: a follower must have read it.
    #[must_use]
    pub const fn needs_beginning(self) -> bool {
        matches!(self, Self::W3c | Self::Zeek | Self::Csv | Self::VpcFlow)
    }

    /// The format of a name, in any case, with the other names people use (`iis`, `jsonl`, `winlogbeat`, ...).
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] with the names that exist.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let lower = name.to_ascii_lowercase();
        let known = match lower.as_str() {
            "iis" | "w3c-extended" => Some(Self::W3c),
            "jsonl" | "jsonlines" | "winlogbeat" | "nxlog" => Some(Self::Ndjson),
            "audit" | "linux-audit" => Some(Self::Auditd),
            "bro" | "zeek-tsv" => Some(Self::Zeek),
            "tsv" | "pdh-csv" | "perfmon" | "typeperf" | "relog" | "asterisk" | "csvlog" => Some(Self::Csv),
            "ncsa" | "combined" | "nginx" | "apache" | "access" => Some(Self::WebLog),
            "errorlog" | "mssql" => Some(Self::SqlErrorLog),
            "postgres" => Some(Self::PostgresLog),
            "sccm" | "cbs" | "dism" | "reportingevents" => Some(Self::ClientLog),
            "wef" | "xml" => Some(Self::EventXml),
            "snort" | "fast" | "ossec" | "wazuh" => Some(Self::IdsText),
            "openmetrics" => Some(Self::MetricsText),
            "gz" => Some(Self::Gzip),
            "zst" => Some(Self::Zstd),
            "journald" | "export" => Some(Self::JournalExport),
            "rfc6035" => Some(Self::CallReport),
            "rfc3611" => Some(Self::RtcpXr),
            "text" | "lines" => Some(Self::Syslog),
            "rfc3164" | "rfc5424" => Some(Self::Syslog),
            other => Self::ALL.into_iter().find(|format| format.name() == other),
        };
        known.ok_or_else(|| Error::UnknownFormat {
            name: name.chars().take(64).collect(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// Recognises a format from the beginning of a file and, where that decides nothing, from its name.
///
/// # Shapes
/// `head`: the first [`HEAD_BYTES`] bytes, or the whole file when it is shorter. Returns `None` for anything unknown.
#[must_use]
pub fn recognise(name: &str, head: &[u8]) -> Option<Format> {
    if head.starts_with(b"ElfFile\0") {
        return Some(Format::Evtx);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(Format::Zip);
    }
    if head.starts_with(&[0x1f, 0x8b, 8]) {
        return Some(Format::Gzip);
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Some(Format::Zstd);
    }
    if unified2::is_unified2(head) {
        return Some(Format::Unified2);
    }
    if journal_export::is_export(head) {
        return Some(Format::JournalExport);
    }
    if let Some(text) = encoding::decoded_head(head) {
        return recognise(name, text.as_bytes());
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match text.first()? {
        b'{' if is_reporting(text) => Some(Format::ClientLog),
        b'{' => Some(recognise_objects(name, text)),
        b'[' if matches!(text[1..].trim_ascii_start().first(), Some(b'{' | b']')) => Some(Format::Json),
        b'<' if event_xml::is_events(text) => Some(Format::EventXml),
        _ if zeek::is_zeek(text) => Some(Format::Zeek),
        b'#' if is_w3c(text) => Some(Format::W3c),
        _ => recognise_lines(name, text),
    }
}

/// As [`recognise`], but lines whose form a mapping declares are recognised first: as syslog, which reads them.
#[must_use]
pub fn recognise_with(mappings: &crate::Mappings, name: &str, head: &[u8]) -> Option<Format> {
    let lines = || head.split(|b| *b == b'\n').take(LINES_TRIED).filter_map(|line| std::str::from_utf8(line).ok());
    if mappings.has_lines() && lines().any(|line| mappings.choose_line(line.trim_end()).is_some()) {
        return Some(Format::Syslog);
    }
    recognise(name, head)
}

/// Windows Update's reports begin with an identifier in braces, and values apart by tabs.
fn is_reporting(text: &[u8]) -> bool {
    let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
    line.get(37..39) == Some(b"}\t") && std::str::from_utf8(line).is_ok_and(client_log::is_record)
}

/// Tells objects that each fill one line from objects laid out over several.
fn recognise_objects(name: &str, text: &[u8]) -> Format {
    if opens_envelope(text) {
        return Format::Json;
    }
    let first_line = match memchr::memchr(b'\n', text) {
        Some(end) => text[..end].trim_ascii_end(),
        // One line longer than the head: laid-out JSON would have shown a line break by now.
        None if text.len() >= HEAD_BYTES / 2 => return Format::Ndjson,
        None => text.trim_ascii_end(),
    };
    let named_lines = [".ndjson", ".jsonl"].iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
    if first_line.ends_with(b"}") || named_lines { Format::Ndjson } else { Format::Json }
}

/// Whether an object begins with scalars and then a list of objects that makes it an envelope: its records are found
/// one by one, however long its line is.
fn opens_envelope(text: &[u8]) -> bool {
    let Some(second) = memchr::memchr_iter(b'{', text).nth(1) else { return false };
    let head = text[..second].trim_ascii_end();
    let named = head.strip_suffix(b"[").map(|rest| rest.trim_ascii_end().strip_suffix(b":").unwrap_or_default());
    let named = named.unwrap_or_default().trim_ascii_end();
    let is_graph = named.ends_with(b"\"value\"") && memchr::memmem::find(head, b"\"@odata.").is_some();
    named.ends_with(b"\"records\"") || named.ends_with(b"\"Records\"") || is_graph
}

fn is_w3c(text: &[u8]) -> bool {
    let directive = |line: &[u8]| {
        [b"#Fields:".as_slice(), b"#Version:", b"#Software:", b"#Start-Date:"].iter().any(|d| line.starts_with(d))
    };
    text.split(|b| *b == b'\n').take(LINES_TRIED).any(directive)
}

/// Says whether a line is a record of a format.
type IsRecord = fn(&str) -> bool;

/// Formats whose lines say what they are, those first that nothing else can be mistaken for.
const LINE_FORMATS: [(Format, IsRecord); 13] = [
    (Format::Aide, aide::is_record),
    (Format::CallReport, call_report::is_record),
    (Format::RtcpXr, rtcp_xr::is_record),
    (Format::Auditd, auditd::is_record),
    (Format::ClientLog, client_log::is_record),
    (Format::StorageLog, storage_log::is_record),
    (Format::VpcFlow, vpc_flow::is_record),
    (Format::SqlErrorLog, sql_error_log::is_record),
    (Format::PostgresLog, postgres_log::is_record),
    (Format::WebLog, web_log::is_record),
    (Format::IdsText, ids_text::is_record),
    (Format::MetricsText, metrics_text::is_record),
    (Format::Logfmt, logfmt::is_record),
];

fn recognise_lines(name: &str, text: &[u8]) -> Option<Format> {
    let tried = || text.split(|b| *b == b'\n').take(LINES_TRIED).filter_map(|line| std::str::from_utf8(line).ok());
    if let Some((format, _)) = LINE_FORMATS.iter().find(|(_, is_record)| tried().any(|line| is_record(line.trim_end())))
    {
        return Some(*format);
    }
    let is_syslog = text
        .split(|b| *b == b'\n')
        .take(LINES_TRIED)
        .any(|line| std::str::from_utf8(line).is_ok_and(syslog::has_header));
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let named_syslog =
        ["syslog", "messages", "auth.log", "kern.log", "daemon.log", "secure"].iter().any(|n| base.starts_with(n));
    let is_text = !text.contains(&0);
    if is_syslog || (named_syslog && is_text) {
        return Some(Format::Syslog);
    }
    (is_text && delimited::is_delimited(text)).then_some(Format::Csv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, head: &[u8], expected: Option<Format>) {
        assert_eq!(recognise(name, head), expected, "{name} {:?}", String::from_utf8_lossy(head));
    }

    #[test]
    fn content_decides_before_the_name() {
        check("x.log", b"ElfFile\0rest", Some(Format::Evtx));
        check("x", b"PK\x03\x04", Some(Format::Zip));
        check("x", b"\x1f\x8b\x08\x00", Some(Format::Gzip));
        check("x", b"\x28\xb5\x2f\xfd\x04", Some(Format::Zstd));
        check("x", b"{\"a\":1}\n{\"a\":2}\n", Some(Format::Ndjson));
        check("x", b"\xef\xbb\xbf{\"a\":1}", Some(Format::Ndjson));
        check("x", b"{\n  \"a\": 1\n}", Some(Format::Json));
        check("x", b" [ {\"a\":1}]", Some(Format::Json));
        check("x", b"#Software: Microsoft Internet Information Services 10.0\r\n", Some(Format::W3c));
        check("x", b"<34>1 2026-01-02T03:04:05Z host app - - - hello", Some(Format::Syslog));
        check("x", b"<34>Jan  2 03:04:05 host app: hello", Some(Format::Syslog));
        check("x", b"2026-01-02T03:04:05.123456+01:00 host app[1]: hello", Some(Format::Syslog));
        check("x", b"type=LOGIN msg=audit(1700000000.123:7): pid=1", Some(Format::Auditd));
        check("x", b"#separator \\x09\n#fields\tts\tuid\n", Some(Format::Zeek));
        check("x", b"Header: abc\nJan  2 03:04:05 host app: hello", Some(Format::Syslog));
    }

    #[test]
    fn unknown_bytes_stay_unknown_unless_the_name_helps() {
        check("x.bin", &[0, 1, 2, 3], None);
        check("x.txt", b"some words", None);
        check("x", b"", None);
        check("/var/log/messages.1", b"words without a header\n", Some(Format::Syslog));
        check("notes", b"[section]\n", None);
    }

    #[test]
    fn every_name_parses_back_and_a_wrong_one_lists_them() {
        for format in Format::ALL {
            assert_eq!(Format::parse(&format.name().to_uppercase()).unwrap(), format);
        }
        assert!(Format::parse("excel").unwrap_err().to_string().contains("evtx, syslog"));
    }
}
