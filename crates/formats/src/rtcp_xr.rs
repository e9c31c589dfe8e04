//! Extended reports of RTCP (XR) about voice calls, as rows of `CallQuality_CL`: one row per block of VoIP metrics.
//!
//! Layout: one compound packet a line, in hexadecimal digits, colons between bytes or not. Before it, apart by blanks and
//! each left out or not: the time (an epoch or any common form), the address that sent it and the address it went to, with
//! their ports (`192.0.2.1:5005`, or the port behind a blank). That is what `tshark -T fields -e frame.time_epoch -e ip.src
//! -e udp.srcport -e ip.dst -e udp.dstport -e udp.payload` prints. Without a time that of receipt stands.
//!
//! Delays and durations are milliseconds, losses and densities percent, levels decibels. A value that the phone did not
//! know, which the protocol writes as 127, is left out. Packets without VoIP metrics are quarantined; other blocks
//! stay in `_Raw`.
//!
//! # Source
//! RFC 3550 section 6.1 for compound packets, RFC 3611 sections 2, 3 and 4.7 for reports and their metrics.

use std::net::{IpAddr, SocketAddr};

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};
use serde_json::{Map, Value as Json};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::mapping::Slots;
use crate::output::{Output, Refusal};

/// Bytes of a packet at most: those of a datagram.
const PACKET_BYTES_MAX: usize = 64 << 10;
/// Blocks of metrics of one packet at most: a call has a few streams.
const BLOCKS_MAX: usize = 100;
/// Kind of the packets of extended reports.
const XR: u8 = 207;
/// Kinds that packets of RTCP have.
const KINDS: std::ops::RangeInclusive<u8> = 192..=223;
/// Kind of the blocks with VoIP metrics.
const VOIP_METRICS: u8 = 7;
/// Bytes of such a block behind its header.
const VOIP_BYTES: usize = 32;
/// What is written where a value is not known.
const UNKNOWN: u8 = 127;

/// Decodes extended reports.
#[derive(Default)]
pub(crate) struct ExtendedReports {
    slots: Slots,
}

/// Whether a line holds a compound packet with an extended report.
pub(crate) fn is_record(line: &str) -> bool {
    let Some(word) = line.split_ascii_whitespace().next_back() else { return false };
    packet_of(word).is_some_and(|bytes| packets(&bytes).is_some_and(|packets| packets.iter().any(|p| p.kind == XR)))
}

impl LineFormat for ExtendedReports {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| self.map(text, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
    }
}

impl ExtendedReports {
    fn map(&mut self, line: &str, output: &mut Output) -> Result<(), Refusal> {
        let (before, word) = line.trim().rsplit_once([' ', '\t']).unwrap_or(("", line.trim()));
        let no_packet =
            || Refusal::new("no_record", "the last word of the line is no RTCP packet in hexadecimal digits");
        let bytes = packet_of(word).ok_or_else(no_packet)?;
        let packets = packets(&bytes).ok_or_else(no_packet)?;
        let way = Way::read(before, output.options.zone_offset_seconds)?;
        let time = way.time.unwrap_or(output.origin.received);
        output.check_time(time)?;
        let reports: Vec<(u32, &[u8])> = packets.iter().filter(|packet| packet.kind == XR).flat_map(blocks).collect();
        if reports.is_empty() {
            return Err(Refusal::new("no_metrics", "an RTCP packet without VoIP metrics"));
        }
        if reports.len() > BLOCKS_MAX {
            return Err(Refusal::new("too_many", format!("more than {BLOCKS_MAX} blocks of metrics in one packet")));
        }
        for (sender, block) in reports {
            self.row(line, &way, time, sender, block, output);
        }
        Ok(())
    }

    fn row(&mut self, line: &str, way: &Way, time: Timestamp, sender: u32, block: &[u8], output: &mut Output) {
        let own = || TableName::new("CallQuality_CL").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        let slots = &mut self.slots;
        slots.text(table, "Source", "rtcp-xr", output);
        slots.text(table, "StreamId", &format!("{:08x}", be32(&block[..4])), output);
        for (end, column, port) in [(&way.from, "LocalAddress", "LocalPort"), (&way.to, "RemoteAddress", "RemotePort")]
        {
            if let Some((address, number)) = end {
                slots.text(table, column, &address.to_string(), output);
                if let Some(number) = number {
                    slots.set(table, port, Value::Long(i64::from(*number)), output);
                }
            }
        }
        for (column, value) in metrics(block).into_iter().filter_map(|(column, value)| Some((column, value?))) {
            slots.set(table, column, Value::Real(value), output);
        }
        let others = Json::Object(others(sender, block)).to_string();
        slots.set(table, "OtherMetrics", Value::Json(&others), output);
        output.finish_row(table, RecordClass::Data, time, line);
    }
}

/// What stands before a packet.
#[derive(Debug, Default, PartialEq)]
struct Way {
    time: Option<Timestamp>,
    from: Option<(IpAddr, Option<u16>)>,
    to: Option<(IpAddr, Option<u16>)>,
}

impl Way {
    fn read(text: &str, zone: i32) -> Result<Self, Refusal> {
        let mut way = Self::default();
        let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
        // A time may consist of two words.
        let is_address = |word: &&str| word.parse::<IpAddr>().is_ok() || word.parse::<SocketAddr>().is_ok();
        let time_words = words.iter().position(is_address).unwrap_or(words.len());
        if time_words > 0 {
            let said = words[..time_words].join(" ");
            let time = clock_text::parse_epoch(&said).or_else(|| clock_text::parse_any(&said, zone));
            let wrong =
                || Refusal::new("invalid_time", "what stands before the packet is neither a time nor an address");
            way.time = Some(time.ok_or_else(wrong)?);
            words.drain(..time_words);
        }
        for word in words {
            let end = match (word.parse::<SocketAddr>(), word.parse::<IpAddr>(), word.parse::<u16>()) {
                (Ok(socket), ..) => Some((socket.ip(), Some(socket.port()))),
                (_, Ok(address), _) => Some((address, None)),
                (_, _, Ok(port)) => {
                    let last = if way.to.is_some() { &mut way.to } else { &mut way.from };
                    match last {
                        Some((_, known @ None)) => *known = Some(port),
                        _ => return Err(Refusal::new("invalid_address", "a port stands behind no address")),
                    }
                    None
                }
                _ => return Err(Refusal::new("invalid_address", "a word is neither an address nor a port")),
            };
            match (end, &way.from, &way.to) {
                (None, ..) => {}
                (end, None, _) => way.from = end,
                (end, Some(_), None) => way.to = end,
                _ => return Err(Refusal::new("invalid_address", "there are more than two addresses")),
            }
        }
        Ok(way)
    }
}

/// The bytes of a packet; `None` when the word is none.
fn packet_of(word: &str) -> Option<Vec<u8>> {
    if word.len() < 16 || word.len() > 3 * PACKET_BYTES_MAX {
        return None;
    }
    let byte = |digits: &[u8]| match digits {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let word = word.as_bytes();
    match word.contains(&b':') {
        true => word.split(|letter| *letter == b':').map(byte).collect(),
        false => word.chunks(2).map(byte).collect(),
    }
}

fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A packet of a compound one, without its header.
struct Packet<'a> {
    kind: u8,
    body: &'a [u8],
}

/// The packets of a compound one; `None` unless they fill it.
fn packets(mut bytes: &[u8]) -> Option<Vec<Packet<'_>>> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = bytes.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]])) * 4;
        if header[0] >> 6 != 2 || !KINDS.contains(&header[1]) {
            return None;
        }
        let (body, rest) = rest.split_at_checked(length)?;
        packets.push(Packet { kind: header[1], body });
        bytes = rest;
    }
    Some(packets)
}

/// The blocks of VoIP metrics of a report, and who made it.
fn blocks<'a>(packet: &Packet<'a>) -> Vec<(u32, &'a [u8])> {
    let mut found = Vec::new();
    let Some((sender, mut rest)) = packet.body.split_at_checked(4) else { return found };
    while let Some((header, behind)) = rest.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([header[2], header[3]])) * 4;
        let Some((block, next)) = behind.split_at_checked(length) else { break };
        if header[0] == VOIP_METRICS && block.len() == VOIP_BYTES {
            found.push((be32(sender), block));
        }
        rest = next;
    }
    found
}

/// The metrics with columns of their own.
fn metrics(block: &[u8]) -> [(&'static str, Option<f64>); 11] {
    let percent = |at: usize| Some(f64::from(block[at]) * 100.0 / 256.0);
    let millis = |at: usize| Some(f64::from(u16::from_be_bytes([block[at], block[at + 1]])));
    let known = |at: usize| (block[at] != UNKNOWN).then(|| f64::from(block[at]));
    [
        ("PacketLossRateAvg", percent(4)),
        ("PacketDiscardRate", percent(5)),
        ("BurstDensity", percent(6)),
        ("BurstGapDensity", percent(7)),
        ("BurstDuration", millis(8)),
        ("BurstGapDuration", millis(10)),
        ("RoundTripTimeAvg", millis(12)),
        ("EndSystemDelay", millis(14)),
        // Delay and echo are in it, as in RFC 6035's RCQ.
        ("RFactorConversational", known(20)),
        ("MosListening", known(22).map(|tenths| tenths / 10.0)),
        ("MosConversational", known(23).map(|tenths| tenths / 10.0)),
    ]
}

/// The metrics without, and who made the report.
fn others(sender: u32, block: &[u8]) -> Map<String, Json> {
    let known = |at: usize| (block[at] != UNKNOWN).then_some(block[at]);
    let level = |at: usize| known(at).map_or(Json::Null, |byte| Json::from(i8::from_be_bytes([byte])));
    let millis = |at: usize| Json::from(u16::from_be_bytes([block[at], block[at + 1]]));
    let mut others = Map::new();
    for (name, value) in [
        ("ReporterStreamId", Json::from(format!("{sender:08x}"))),
        ("SignalLevel", level(16)),
        ("NoiseLevel", level(17)),
        ("ResidualEchoReturnLoss", known(18).map_or(Json::Null, Json::from)),
        ("Gmin", Json::from(block[19])),
        ("ExternalRFactor", known(21).map_or(Json::Null, Json::from)),
        ("PacketLossConcealment", Json::from(block[24] >> 6)),
        ("JitterBufferAdaptive", Json::from(block[24] >> 4 & 0b11)),
        ("JitterBufferRate", Json::from(block[24] & 0b1111)),
        ("JitterBufferNominal", millis(26)),
        ("JitterBufferMaximum", millis(28)),
        ("JitterBufferAbsoluteMaximum", millis(30)),
    ] {
        if !value.is_null() {
            others.insert(name.to_owned(), value);
        }
    }
    others
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}
