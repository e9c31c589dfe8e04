//! Snort's binary logs (unified2), as rows of `SuricataAlert_CL`.
//!
//! Layout: records of type u32, length u32 and so many bytes, all numbers in network order. Events (types 7, 72, 104, 105)
//! hold sensor id, event id, seconds, microseconds, signature, generator, revision, classification, priority, the two
//! addresses (4 or 16 bytes each), the two ports (u16), protocol, impact flag, impact and blocked (u8 each), and from
//! 104 on an MPLS label u32, a VLAN u16 and a policy u16. Packets (type 2) and extra data (type 110) belong to the event
//! before them: they are counted in its row (`packets`) and their bytes stay in the original, in hexadecimal. Where a
//! record's length cannot be, the next event or packet whose length fits its type is looked for.
//!
//! # Source
//! Snort manual, section "Unified2".

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use moneta_base::limits::RECORD_BYTES_MAX;
use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::mapping::Slots;
use crate::output::{Output, Refusal};

const HEAD_BYTES: usize = 8;
const PACKET: u32 = 2;
const EXTRA: u32 = 110;
/// Bytes that show whether a record is an event or a packet.
const RECOGNISED_BYTES: usize = 28;
/// Bytes of an event up to its addresses.
const BEFORE_ADDRESSES: usize = 36;
/// Bytes of packets kept in the original of an event.
const PACKET_BYTES_KEPT: usize = 4 << 10;

/// Decodes unified2 as it arrives.
#[derive(Default)]
pub(crate) struct Unified2Stream {
    held: Vec<u8>,
    /// Stream position of what is held.
    offset: u64,
    /// Bytes held that are known to be no record: they are kept once a record follows, or there are many.
    strange: usize,
    event: Option<Event>,
    slots: Slots,
}

struct Event {
    offset: u64,
    kind: u32,
    bytes: Vec<u8>,
    packets: i64,
    packet_bytes: Vec<u8>,
    /// The event and what belongs to it as they came, [`RECORD_BYTES_MAX`] at most.
    original: Vec<u8>,
}

/// Whether a file begins with a record of an event or a packet whose length fits its type.
pub(crate) fn is_unified2(head: &[u8]) -> bool {
    let (Some(kind), Some(length)) = (number(head, 0), number(head, 4)) else { return false };
    match kind {
        PACKET => (28..65_600).contains(&length) && number(head, 24).is_some_and(|packet| packet + 28 == length),
        _ => event_bytes(kind) == Some(length as usize),
    }
}

/// Bytes of an event of a type.
fn event_bytes(kind: u32) -> Option<usize> {
    Some(match kind {
        7 => 52,
        72 => 76,
        104 => 60,
        105 => 84,
        _ => return None,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

impl Unified2Stream {
    pub fn new(first_offset: u64) -> Self {
        Self { offset: first_offset, ..Self::default() }
    }

    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut done = 0;
        while let Some(at) = self.next_record(&held, &mut done, output) {
            let length = number(&held, at + 4).unwrap_or_default() as usize;
            let Some(record) = held.get(at..at + HEAD_BYTES + length) else { break };
            self.record(record, self.offset + at as u64, output);
            done = at + record.len();
            let pending = self.event.as_ref().map_or(self.offset + done as u64, |event| event.offset);
            output.advance(pending);
        }
        self.offset += done as u64;
        self.held = held[done..].to_vec();
    }

    /// Where the next record begins whose length can be read. Bytes before it that are no record are quarantined, and
    /// `done` moves over them.
    fn next_record(&mut self, held: &[u8], done: &mut usize, output: &mut Output) -> Option<usize> {
        loop {
            let at = *done + self.strange;
            let is_record = match self.strange {
                0 => number(held, at + 4)? as usize <= RECORD_BYTES_MAX,
                _ => is_unified2(held.get(at..at + RECOGNISED_BYTES)?),
            };
            let is_much = self.strange >= RECORD_BYTES_MAX;
            if self.strange > 0 && (is_record || is_much) {
                self.refuse_strange(&held[*done..at], self.offset + *done as u64, output);
                *done = at;
            }
            if is_record {
                return Some(at);
            }
            if self.strange == 0 {
                self.end_event(output);
            }
            self.strange += 1;
        }
    }

    fn refuse_strange(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        self.strange = 0;
        let length = number(bytes, 4).unwrap_or_default();
        let reason = format!("a record of {length} bytes cannot be: passed over up to the next event or packet");
        output.quarantine(Refusal::new("bad_record", reason), None, offset, bytes);
    }

    pub fn finish(&mut self, output: &mut Output) {
        self.end_event(output);
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            output.quarantine(Refusal::new("cut_off", "the file ends within a record"), None, self.offset, &held);
        }
        output.advance(self.offset + held.len() as u64);
    }

    fn record(&mut self, record: &[u8], offset: u64, output: &mut Output) {
        let (kind, body) = (number(record, 0).unwrap_or_default(), &record[HEAD_BYTES..]);
        if let Some(event) = self.event.as_mut().filter(|_| kind == PACKET || kind == EXTRA) {
            event.packets += i64::from(kind == PACKET);
            let room = PACKET_BYTES_KEPT.saturating_sub(event.packet_bytes.len());
            event.packet_bytes.extend_from_slice(&body[..body.len().min(room)]);
            let room = RECORD_BYTES_MAX.saturating_sub(event.original.len());
            event.original.extend_from_slice(&record[..record.len().min(room)]);
            return;
        }
        self.end_event(output);
        match event_bytes(kind) {
            Some(needed) if body.len() >= needed => {
                let (bytes, original) = (body.to_vec(), record.to_vec());
                self.event = Some(Event { offset, kind, bytes, packets: 0, packet_bytes: Vec::new(), original });
            }
            Some(needed) => {
                let reason = format!("an event of {} bytes where type {kind} has {needed}", body.len());
                output.quarantine(Refusal::new("bad_record", reason), None, offset, record);
            }
            None => {
                let reason = format!("a record of type {kind} without an event before it, or of an unknown type");
                output.quarantine(Refusal::new("unknown_record", reason), None, offset, record);
            }
        }
    }

    fn end_event(&mut self, output: &mut Output) {
        let Some(event) = self.event.take() else { return };
        output.contain(event.offset, &event.original, |output| {
            if let Err(refusal) = event.write(&mut self.slots, output) {
                output.quarantine(refusal, output.options.table.clone(), event.offset, &event.original);
            }
        });
    }
}

impl Event {
    fn number(&self, at: usize) -> u32 {
        number(&self.bytes, at).unwrap_or_default()
    }

    fn short(&self, at: usize) -> u16 {
        short(&self.bytes, at).unwrap_or_default()
    }

    fn address(&self, at: usize) -> String {
        let bytes = self.bytes.get(at..).unwrap_or_default();
        if self.is_ipv6() {
            bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).to_string()).unwrap_or_default()
        } else {
            bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).to_string()).unwrap_or_default()
        }
    }

    fn is_ipv6(&self) -> bool {
        matches!(self.kind, 72 | 105)
    }

    fn write(&self, slots: &mut Slots, output: &mut Output) -> Result<(), Refusal> {
        let micros = i64::from(self.number(8)) * 1_000_000 + i64::from(self.number(12));
        let time = Timestamp::from_nanos(micros * 1_000);
        output.check_time(time)?;
        let own = || TableName::new("SuricataAlert_CL").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        let size = if self.is_ipv6() { 16 } else { 4 };
        let ports = BEFORE_ADDRESSES + 2 * size;
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or_default();
        let protocol = match byte(ports + 4) {
            1 => "ICMP".to_owned(),
            6 => "TCP".to_owned(),
            17 => "UDP".to_owned(),
            58 => "IPv6-ICMP".to_owned(),
            other => other.to_string(),
        };
        slots.text(table, "event_type", "alert", output);
        slots.text(table, "src_ip", &self.address(BEFORE_ADDRESSES), output);
        slots.text(table, "dest_ip", &self.address(BEFORE_ADDRESSES + size), output);
        slots.text(table, "proto", &protocol, output);
        slots.text(table, "alert_action", if byte(ports + 7) == 1 { "blocked" } else { "allowed" }, output);
        // For ICMP they are type and code.
        for (name, value) in [
            ("src_port", i64::from(self.short(ports))),
            ("dest_port", i64::from(self.short(ports + 2))),
            ("sensor_id", i64::from(self.number(0))),
            ("event_id", i64::from(self.number(4))),
            ("alert_signature_id", i64::from(self.number(16))),
            ("alert_gid", i64::from(self.number(20))),
            ("alert_rev", i64::from(self.number(24))),
            ("classification_id", i64::from(self.number(28))),
            ("alert_severity", i64::from(self.number(32))),
            ("impact_flag", i64::from(byte(ports + 5))),
            ("packets", self.packets),
        ] {
            slots.set(table, name, Value::Long(value), output);
        }
        if self.kind >= 104 {
            slots.set(table, "mpls_label", Value::Long(i64::from(self.number(ports + 8))), output);
            slots.set(table, "vlan", Value::Long(i64::from(self.short(ports + 12))), output);
        }
        output.finish_row(table, RecordClass::Processed, time, &self.original());
        Ok(())
    }

    /// The bytes of the event and of its packets in hexadecimal: rows hold text.
    fn original(&self) -> String {
        let mut text = String::with_capacity(2 * (self.bytes.len() + self.packet_bytes.len()) + 1);
        for (index, part) in [&self.bytes, &self.packet_bytes].into_iter().filter(|part| !part.is_empty()).enumerate() {
            if index > 0 {
                text.push(' ');
            }
            for byte in part {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
        }
        text
    }
}
