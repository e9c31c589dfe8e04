//! Voice quality reports of SIP phones (`application/vq-rtcpxr`), as rows of `CallQuality_CL`: one row per block of
//! metrics, that of the reporter (`LocalMetrics`) and that of its peer (`RemoteMetrics`).
//!
//! Layout: `VQSessionReport[: CallTerm]`, `VQIntervalReport` or `VQAlertReport: ...` begins a report; lines `Name: value`
//! follow, values of metrics as `KEY=value` apart by blanks, quoted where they hold blanks. Names count whatever their
//! case. Headers of the SIP message that carries a report are passed over. Delays are milliseconds, losses percent.
//!
//! # Source
//! RFC 6035 section 4; the metrics are those of RFC 3611 section 4.7.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};
use serde_json::Map;

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::mapping::Slots;
use crate::output::{Output, Refusal, TableId};

/// Bytes of one report at most.
const REPORT_BYTES_MAX: usize = 64 << 10;
/// Blocks of metrics in one report at most.
const BLOCKS_MAX: usize = 16;

/// Keys of metrics, by their line, with their columns.
const METRICS: [(&str, &str, &str); 24] = [
    ("packetloss", "NLR", "PacketLossRateAvg"),
    ("packetloss", "JDR", "PacketDiscardRate"),
    ("burstgaploss", "BLD", "BurstDensity"),
    ("burstgaploss", "BD", "BurstDuration"),
    ("burstgaploss", "GLD", "BurstGapDensity"),
    ("burstgaploss", "GD", "BurstGapDuration"),
    ("delay", "RTD", "RoundTripTimeAvg"),
    ("delay", "ESD", "EndSystemDelay"),
    ("delay", "IAJ", "JitterAvg"),
    ("delay", "MAJ", "JitterMax"),
    ("qualityest", "RLQ", "RFactorListening"),
    ("qualityest", "RCQ", "RFactorConversational"),
    ("qualityest", "MOSLQ", "MosListening"),
    ("qualityest", "MOSCQ", "MosConversational"),
    ("sessiondesc", "PD", "CodecName"),
    ("localaddr", "IP", "LocalAddress"),
    ("localaddr", "SSRC", "StreamId"),
    ("localaddr", "PORT", "LocalPort"),
    ("remoteaddr", "IP", "RemoteAddress"),
    ("remoteaddr", "PORT", "RemotePort"),
    ("remoteaddr", "SSRC", "RemoteStreamId"),
    ("sessiondesc", "SR", "SampleRate"),
    ("timestamps", "START", "StartTime"),
    ("timestamps", "STOP", "EndTime"),
];

/// Decodes voice quality reports.
#[derive(Default)]
pub(crate) struct CallReports {
    report: Option<Report>,
    slots: Slots,
}

#[derive(Default)]
struct Report {
    offset: u64,
    raw: String,
    kind: String,
    /// Names and values that hold for the whole report.
    common: Vec<(String, String)>,
    blocks: Vec<Block>,
}

struct Block {
    direction: &'static str,
    lines: Vec<(String, String)>,
}

/// Whether a line begins a report.
pub(crate) fn is_record(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["vqsessionreport", "vqintervalreport", "vqalertreport"].contains(&name.as_str())
}

impl LineFormat for CallReports {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                // What is held back must not go on behind a line that does not belong to it.
                self.end_report(output);
                return output.quarantine(Refusal::invalid_utf8(error), None, offset, bytes);
            }
        };
        if is_record(text) {
            self.end_report(output);
            let kind = text.trim_end_matches([':', ' ']).to_owned();
            self.report = Some(Report { offset, kind, ..Report::default() });
        }
        let Some(report) = &mut self.report else {
            // The request line and headers of the SIP message stand before the report.
            let is_header = text.contains(": ") || text.ends_with("SIP/2.0");
            if !is_header {
                let refusal = Refusal::new("no_record", "not part of a report: none began with VQSessionReport");
                output.quarantine(refusal, output.options.table.clone(), offset, bytes);
            }
            return;
        };
        if report.raw.len() + text.len() > REPORT_BYTES_MAX {
            self.end_report(output);
            let refusal = Refusal::new("too_long", format!("a report of more than {REPORT_BYTES_MAX} bytes"));
            return output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
        report.line(text);
    }

    fn finish(&mut self, output: &mut Output) {
        self.end_report(output);
    }

    fn pending_offset(&self) -> Option<u64> {
        self.report.as_ref().map(|report| report.offset)
    }

    fn forget_order(&mut self, output: &mut Output) {
        self.end_report(output);
    }
}

impl CallReports {
    fn end_report(&mut self, output: &mut Output) {
        let Some(report) = self.report.take() else { return };
        if let Err(refusal) = report.write(&mut self.slots, output) {
            output.quarantine(refusal, output.options.table.clone(), report.offset, report.raw.as_bytes());
        }
    }
}

impl Report {
    fn line(&mut self, text: &str) {
        if !self.raw.is_empty() {
            self.raw.push('\n');
        }
        self.raw.push_str(text);
        let Some((name, value)) = text.split_once(':') else { return };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        let direction = match name.as_str() {
            "localmetrics" => Some("local"),
            "remotemetrics" => Some("remote"),
            _ => None,
        };
        if let Some(direction) = direction.filter(|_| self.blocks.len() < BLOCKS_MAX) {
            self.blocks.push(Block { direction, lines: Vec::new() });
            return;
        }
        // Behind the metrics only DialogID holds for the whole report.
        match self.blocks.last_mut().filter(|_| name != "dialogid") {
            Some(block) => block.lines.push((name, value)),
            None => self.common.push((name, value)),
        }
    }

    fn write(&self, slots: &mut Slots, output: &mut Output) -> Result<(), Refusal> {
        if self.blocks.is_empty() {
            return Err(Refusal::new("no_metrics", "a report without LocalMetrics or RemoteMetrics"));
        }
        let zone = output.options.zone_offset_seconds;
        let time_of = |block: &Block| {
            let stamps = block.get("timestamps")?;
            let stop = values(stamps).find(|(key, _)| *key == "STOP").or_else(|| values(stamps).next())?.1;
            clock_text::parse_any(stop, zone)
        };
        let time = self.blocks.iter().find_map(time_of).unwrap_or(output.origin.received);
        output.check_time(time)?;
        for block in &self.blocks {
            self.row(block, time, slots, output);
        }
        Ok(())
    }

    fn row(&self, block: &Block, time: Timestamp, slots: &mut Slots, output: &mut Output) {
        let own = || TableName::new("CallQuality_CL").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        slots.text(table, "Source", "vq-rtcpxr", output);
        slots.text(table, "StreamDirection", block.direction, output);
        slots.text(table, "ReportKind", &self.kind, output);
        let mut others = Map::new();
        for (name, value) in self.common.iter().chain(&block.lines) {
            match name.as_str() {
                "callid" => slots.text(table, "CallId", value, output),
                "localid" => slots.text(table, "LocalId", value, output),
                "remoteid" => slots.text(table, "RemoteId", value, output),
                _ if is_record(&self.kind) && name.starts_with("vq") => {}
                _ => metrics(name, value, table, slots, &mut others, output),
            }
        }
        if !others.is_empty() {
            let json = serde_json::Value::Object(others).to_string();
            slots.set(table, "OtherMetrics", Value::Json(&json), output);
        }
        output.finish_row(table, RecordClass::Data, time, &self.raw);
    }
}

impl Block {
    fn get(&self, name: &str) -> Option<&str> {
        self.lines.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sets the columns of the metrics of a line; those without column are collected.
fn metrics(
    line: &str,
    text: &str,
    table: TableId,
    slots: &mut Slots,
    others: &mut Map<String, serde_json::Value>,
    output: &mut Output,
) {
    let mut is_plain = true;
    for (key, value) in values(text) {
        is_plain = false;
        match METRICS.iter().find(|(name, known, _)| *name == line && known.eq_ignore_ascii_case(key)) {
            Some((_, _, column)) => slots.text(table, column, value, output),
            None => {
                others.insert(format!("{line}.{key}"), value.into());
            }
        }
    }
    if is_plain && !text.is_empty() {
        others.insert(line.to_owned(), text.into());
    }
}

/// `KEY=value KEY="value with blanks"`.
fn values(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, behind) = rest.split_once('=')?;
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => behind.split_once([' ', '\t']).unwrap_or((behind, "")),
        };
        rest = next;
        Some((key.trim().rsplit([' ', ';']).next().unwrap_or_default(), value.trim_end_matches(';')))
    })
}
