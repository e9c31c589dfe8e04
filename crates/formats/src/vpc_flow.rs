//! AWS VPC flow logs as rows of `AWSVPCFlow`.
//!
//! Layout: values apart by blanks, `-` for none. A first line of field names (`version account-id ...`) says which;
//! without it the fields are those of version 2. Times are seconds since 1970.

use moneta_base::TableName;
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::mapping::Slots;
use crate::output::{Output, Refusal};

/// Fields of version 2, in order.
const DEFAULT: [&str; 14] = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
];

/// Columns whose names do not follow from those of fields.
const COLUMNS: [(&str, &str); 8] = [
    ("srcaddr", "SrcAddr"),
    ("dstaddr", "DstAddr"),
    ("srcport", "SrcPort"),
    ("dstport", "DstPort"),
    ("pkt-srcaddr", "PktSrcAddr"),
    ("pkt-dstaddr", "PktDstAddr"),
    ("type", "TrafficType"),
    ("start", "StartTime"),
];
const FIELDS_MAX: usize = 100;

/// Decodes VPC flow logs.
#[derive(Default)]
pub(crate) struct VpcFlowLog {
    fields: Vec<String>,
    slots: Slots,
}

/// Whether a line is a header or a record of a flow log.
pub(crate) fn is_record(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').take(FIELDS_MAX).collect();
    is_header(&words)
        || (words.len() == DEFAULT.len()
            && words[0].parse::<u8>().is_ok()
            && words[2].starts_with("eni-")
            && ["OK", "NODATA", "SKIPDATA"].contains(&words[13]))
}

fn is_header(words: &[&str]) -> bool {
    words.len() > 4 && words.contains(&"interface-id") && words.contains(&"srcaddr") && words.contains(&"dstaddr")
}

impl LineFormat for VpcFlowLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| self.map(text, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
    }
}

impl VpcFlowLog {
    fn map(&mut self, line: &str, output: &mut Output) -> Result<(), Refusal> {
        let words: Vec<&str> = line.split_ascii_whitespace().take(FIELDS_MAX + 1).collect();
        if is_header(&words) {
            self.fields = words.iter().map(|word| (*word).to_owned()).collect();
            output.set_head(line);
            return Ok(());
        }
        if self.fields.is_empty() {
            self.fields = DEFAULT.map(str::to_owned).to_vec();
        }
        if words.len() != self.fields.len() {
            let reason = format!("{} values for {} fields", words.len(), self.fields.len());
            return Err(Refusal::new("wrong_field_count", reason));
        }
        let at = |name: &str| self.fields.iter().position(|field| field == name).map_or("-", |index| words[index]);
        let time = clock_text::parse_epoch(at("start")).or_else(|| clock_text::parse_epoch(at("end")));
        let time = time.ok_or_else(|| Refusal::new("invalid_time", "neither start nor end can be read"))?;
        output.check_time(time)?;
        let own = || TableName::new("AWSVPCFlow").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        for (field, value) in
            self.fields.iter().zip(&words).filter(|(field, value)| **value != "-" && *field != "start")
        {
            let known = COLUMNS.iter().find(|(name, _)| name == field).map(|(_, column)| *column);
            // `account-id` is `AccountId`.
            let column = known.map_or_else(|| crate::mapping::in_capitals(field), str::to_owned);
            match (column.as_str(), clock_text::parse_epoch(value)) {
                ("End", Some(time)) => self.slots.set(table, "End", Value::Time(time), output),
                _ => self.slots.text(table, &column, value, output),
            }
        }
        output.finish_row(table, RecordClass::Data, time, line);
        Ok(())
    }
}
