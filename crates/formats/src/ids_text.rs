//! Alerts of intrusion detection as text.
//!
//! Layouts:
//! - Snort and Suricata "fast": `MM/DD[/YY[YY]]-hh:mm:ss.ffffff [**] [gid:sid:rev] text [**] [Classification: c]
//!   [Priority: n] {PROTO} address:port -> address:port`, one a line, local times; rows of `SuricataAlert_CL`
//! - OSSEC and Wazuh `alerts.log`: blocks that begin with `** Alert seconds.position: - groups`, then time, host and
//!   location, `Rule: id (level n) -> 'text'`, `Src IP:`, `User:`, then the log lines, up to a blank line; rows of
//!   `HostIntrusion_CL`

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::mapping::Slots;
use crate::output::{Output, Refusal, TableId};

/// Bytes of one block at most.
const BLOCK_BYTES_MAX: usize = moneta_base::limits::RECORD_BYTES_MAX;
const BLOCK: &str = "** Alert ";

/// Decodes alerts in text.
#[derive(Default)]
pub(crate) struct IdsText {
    block: String,
    block_offset: u64,
    slots: Slots,
}

/// Whether a line begins an alert.
pub(crate) fn is_record(line: &str) -> bool {
    line.starts_with(BLOCK) || Fast::read(line).is_some()
}

impl LineFormat for IdsText {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                // What was refused may not stand within what is kept of an alert.
                self.end_block(output);
                return output.quarantine(Refusal::invalid_utf8(error), None, offset, bytes);
            }
        };
        if text.starts_with(BLOCK) {
            self.end_block(output);
            self.block_offset = offset;
            self.block.push_str(text);
            return;
        }
        if !self.block.is_empty() {
            if self.block.len() + text.len() < BLOCK_BYTES_MAX {
                self.block.push('\n');
                self.block.push_str(text);
                return;
            }
            self.end_block(output);
        }
        let result = match Fast::read(text) {
            Some(fast) => fast.write(text, &mut self.slots, output),
            None => Err(Refusal::new("no_record", "neither a fast alert nor part of a block of alerts")),
        };
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
    }

    fn blank(&mut self, output: &mut Output) {
        self.end_block(output);
    }

    fn finish(&mut self, output: &mut Output) {
        self.end_block(output);
    }

    fn rest(&mut self, output: &mut Output) {
        self.end_block(output);
    }

    fn pending_offset(&self) -> Option<u64> {
        (!self.block.is_empty()).then_some(self.block_offset)
    }
}

impl IdsText {
    fn end_block(&mut self, output: &mut Output) {
        if self.block.is_empty() {
            return;
        }
        let block = std::mem::take(&mut self.block);
        if let Err(refusal) = write_block(&block, &mut self.slots, output) {
            output.quarantine(refusal, output.options.table.clone(), self.block_offset, block.as_bytes());
        }
    }
}

/// An alert of one line.
struct Fast<'a> {
    stamp: &'a str,
    drop: bool,
    ids: &'a str,
    signature: &'a str,
    tail: &'a str,
}

impl<'a> Fast<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (stamp, rest) = line.split_once(' ')?;
        let bytes = stamp.as_bytes();
        let is_stamp = bytes.get(2) == Some(&b'/') && stamp.contains('-') && stamp.len() <= 32 && stamp.is_ascii();
        let (before, rest) = rest.split_once("[**]").filter(|_| is_stamp)?;
        let (ids, rest) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
        let (signature, tail) = rest.rsplit_once("[**]")?;
        let drop = before.to_ascii_lowercase().contains("drop");
        (ids.split(':').count() == 3).then_some(Self { stamp, drop, ids, signature: signature.trim(), tail })
    }

    fn time(&self, output: &Output) -> Option<Timestamp> {
        let (date, clock) = self.stamp.split_once('-')?;
        let clock = clock_text::parse_clock(clock)?;
        let mut parts = date.split('/').map(|part| part.parse::<u32>().ok());
        let (month, day) = (parts.next()??, parts.next()??);
        let zone = output.options.zone_offset_seconds;
        let at = |year: i64| {
            let start = Timestamp::from_civil(year, month, day, 0, 0, 0, 0)?;
            Some(Timestamp::from_nanos(start.as_nanos().checked_add(clock)?))
        };
        let time = match parts.next().flatten() {
            Some(year) if year < 100 => clock_text::shifted(at(2000 + i64::from(year))?, zone),
            Some(year) => clock_text::shifted(at(i64::from(year))?, zone),
            None => clock_text::infer_year(output.origin.received, zone, at)?,
        };
        Some(time.truncated_to_ticks())
    }

    fn write(&self, raw: &str, slots: &mut Slots, output: &mut Output) -> Result<(), Refusal> {
        let time = self.time(output).ok_or_else(|| Refusal::new("invalid_time", "the time cannot be read"))?;
        output.check_time(time)?;
        let own = || TableName::new("SuricataAlert_CL").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        let mut ids = self.ids.split(':');
        for name in ["alert_gid", "alert_signature_id", "alert_rev"] {
            slots.text(table, name, ids.next().unwrap_or_default(), output);
        }
        slots.text(table, "alert_signature", self.signature, output);
        slots.text(table, "alert_action", if self.drop { "blocked" } else { "allowed" }, output);
        slots.text(table, "event_type", "alert", output);
        for (mark, name) in [("[Classification: ", "alert_category"), ("[Priority: ", "alert_severity")] {
            if let Some((text, _)) = self.tail.split_once(mark).and_then(|(_, rest)| rest.split_once(']')) {
                slots.text(table, name, text, output);
            }
        }
        if let Some((protocol, ends)) = self.tail.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            slots.text(table, "proto", protocol, output);
            if let Some((source, destination)) = ends.split_once("->") {
                end(source.trim(), ["src_ip", "src_port"], table, slots, output);
                end(destination.trim(), ["dest_ip", "dest_port"], table, slots, output);
            }
        }
        output.finish_row(table, RecordClass::Processed, time, raw);
        Ok(())
    }
}

/// `address:port`, or an address alone. An IPv6 address written out has eight parts before its port.
fn end(text: &str, names: [&str; 2], table: TableId, slots: &mut Slots, output: &mut Output) {
    let colons = text.matches(':').count();
    let (address, port) = match text.rsplit_once(':') {
        Some((address, port)) if colons == 1 || colons == 8 || address.ends_with(']') => (address, port),
        _ => (text, ""),
    };
    slots.text(table, names[0], address, output);
    slots.text(table, names[1], port, output);
}

fn write_block(block: &str, slots: &mut Slots, output: &mut Output) -> Result<(), Refusal> {
    let mut lines = block.lines();
    let head = lines.next().and_then(|line| line.strip_prefix(BLOCK)).unwrap_or_default();
    let (stamp, rest) = head.split_once(':').unwrap_or((head, ""));
    let seconds = stamp.split('.').next().unwrap_or_default();
    let time = clock_text::parse_epoch(seconds);
    let time = time.ok_or_else(|| Refusal::new("invalid_time", "the alert's time cannot be read"))?;
    output.check_time(time)?;
    let own = || TableName::new("HostIntrusion_CL").expect("the names of built-in tables are valid");
    let table = output.table(&output.options.table.clone().unwrap_or_else(own));
    slots.text(table, "Product", "OSSEC", output);
    let groups = rest.split_once("- ").map_or(rest, |(_, groups)| groups);
    let list: Vec<String> = groups
        .split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty())
        .map(|group| serde_json::Value::from(group).to_string())
        .collect();
    slots.set(table, "Tags", Value::Json(&format!("[{}]", list.join(","))), output);
    let mut message = Vec::new();
    for (index, line) in lines.enumerate() {
        if index == 0 {
            // `2026 Jun 01 10:00:00 (agent) address->location`, or `host->location`.
            let place = line.splitn(5, ' ').nth(4).unwrap_or_default();
            let (host, location) = place.split_once("->").unwrap_or((place, ""));
            let host = host.strip_prefix('(').and_then(|inner| inner.split_once(')')).map_or(host, |(name, _)| name);
            slots.text(table, "Computer", host, output);
            slots.text(table, "Location", location, output);
        } else if let Some(rule) = line.strip_prefix("Rule: ").filter(|_| index == 1) {
            let (id, rest) = rule.split_once(' ').unwrap_or((rule, ""));
            slots.text(table, "RuleId", id, output);
            if let Some((level, text)) = rest.strip_prefix("(level ").and_then(|rest| rest.split_once(')')) {
                slots.text(table, "Level", level, output);
                slots.text(table, "RuleName", text.trim_start_matches([' ', '-', '>']).trim_matches('\''), output);
            }
        } else if let Some((name, text)) = field(line) {
            slots.text(table, name, text, output);
        } else {
            message.push(line);
        }
    }
    slots.text(table, "Message", &message.join("\n"), output);
    output.finish_row(table, RecordClass::Processed, time, block);
    Ok(())
}

/// A line that names one field.
fn field(line: &str) -> Option<(&'static str, &str)> {
    const FIELDS: [(&str, &str); 6] = [
        ("Src IP: ", "SourceIP"),
        ("Src Port: ", "SourcePort"),
        ("Dst IP: ", "DestinationIP"),
        ("Dst Port: ", "DestinationPort"),
        ("User: ", "UserName"),
        ("Src Location: ", "SourceLocation"),
    ];
    FIELDS.iter().find_map(|(mark, name)| line.strip_prefix(mark).map(|text| (*name, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_alerts_are_recognised() {
        assert!(is_record(
            "10/20-20:43:32.334621  [**] [1:1000:0] a test [**] [Priority: 0] {TCP} 192.0.2.1:1 -> 192.0.2.2:80"
        ));
        assert!(is_record("** Alert 1700000000.1: - syslog,sshd,"));
        assert!(!is_record("10/20 words [**] x") && !is_record(""));
    }
}
