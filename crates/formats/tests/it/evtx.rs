//! EVTX files made here, byte by byte: whole, damaged and cut short.

use moneta_formats::Format;

use crate::support::{Whole, decode_pieces, options};

const CHUNK_BYTES: usize = 65_536;

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Binary XML under construction, placed at `base` of its chunk.
struct BinaryXml {
    bytes: Vec<u8>,
    base: usize,
}

impl BinaryXml {
    fn new(base: usize) -> Self {
        Self { bytes: vec![0x0f, 1, 1, 0], base }
    }

    /// A name: its offset, then the name itself at that offset.
    fn name(&mut self, name: &str) {
        let offset = u32::try_from(self.base + self.bytes.len() + 4).unwrap();
        self.bytes.extend(offset.to_le_bytes());
        self.bytes.extend(0u32.to_le_bytes());
        let hash = name.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(65_599).wrapping_add(u32::from(unit)));
        self.bytes.extend(u16::try_from(hash & 0xffff).unwrap().to_le_bytes());
        self.bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        self.bytes.extend(utf16(name));
        self.bytes.extend([0, 0]);
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend([0x05, 0x01]);
        self.bytes.extend(u16::try_from(text.encode_utf16().count()).unwrap().to_le_bytes());
        self.bytes.extend(utf16(text));
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], content: impl FnOnce(&mut Self)) {
        self.bytes.push(if attributes.is_empty() { 0x01 } else { 0x41 });
        let size_at = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.name(name);
        if !attributes.is_empty() {
            let list_at = self.bytes.len();
            self.bytes.extend([0; 4]);
            for (index, (name, value)) in attributes.iter().enumerate() {
                self.bytes.push(if index + 1 < attributes.len() { 0x46 } else { 0x06 });
                self.name(name);
                self.text(value);
            }
            self.fill_size(list_at);
        }
        self.bytes.push(0x02);
        content(self);
        self.bytes.push(0x04);
        self.fill_size(size_at);
    }

    fn fill_size(&mut self, at: usize) {
        let size = u32::try_from(self.bytes.len() - at - 4).unwrap();
        self.bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
}

fn event(base: usize, record_id: u64, channel: &str, time: &str) -> Vec<u8> {
    let mut xml = BinaryXml::new(base);
    xml.element("Event", &[], |event| {
        event.element("System", &[], |system| {
            system.element("Provider", &[("Name", "Test-Provider")], |_| {});
            system.element("EventID", &[], |id| id.text("4688"));
            system.element("TimeCreated", &[("SystemTime", time)], |_| {});
            system.element("EventRecordID", &[], |id| id.text(&record_id.to_string()));
            if !channel.is_empty() {
                system.element("Channel", &[], |c| c.text(channel));
            }
            system.element("Computer", &[], |c| c.text("host.example"));
        });
        event.element("EventData", &[], |data| {
            data.element("Data", &[("Name", "NewProcessName")], |d| d.text("C:\\tools\\run & go.exe"));
            data.element("Data", &[("Name", "Threat Name")], |d| d.text("none"));
        });
    });
    xml.bytes.push(0);
    xml.bytes
}

/// A chunk of events; returns it with the offset of each record.
pub fn chunk(events: &[(&str, &str)]) -> (Vec<u8>, Vec<usize>) {
    let mut chunk = vec![0; 512];
    let mut offsets = Vec::new();
    for (index, (channel, time)) in events.iter().enumerate() {
        let offset = chunk.len();
        let xml = event(offset + 24, index as u64 + 1, channel, time);
        let size = u32::try_from(24 + xml.len() + 4).unwrap();
        chunk.extend(b"**\0\0");
        chunk.extend(size.to_le_bytes());
        chunk.extend((index as u64 + 1).to_le_bytes());
        chunk.extend(133_000_000_000_000_000u64.to_le_bytes());
        chunk.extend(xml);
        chunk.extend(size.to_le_bytes());
        offsets.push(offset);
    }
    let end = u32::try_from(chunk.len()).unwrap();
    let last = events.len() as u64;
    chunk[..8].copy_from_slice(b"ElfChnk\0");
    for (at, value) in [(8, 1), (16, last), (24, 1), (32, last)] {
        chunk[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    let last_offset = u32::try_from(*offsets.last().unwrap()).unwrap();
    for (at, value) in [(40, 128u32), (44, last_offset), (48, end)] {
        chunk[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    chunk.resize(CHUNK_BYTES, 0);
    (chunk, offsets)
}

pub fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![0; 4096];
    file[..8].copy_from_slice(b"ElfFile\0");
    chunks.iter().for_each(|chunk| file.extend(chunk));
    file
}

fn decode(bytes: &[u8]) -> Whole {
    decode_pieces(Format::Evtx, options("x.evtx"), bytes, 1000)
}

const NOON: &str = "2026-06-01T12:00:00.1234567Z";

#[test]
fn events_become_rows_of_the_table_of_their_channel() {
    let whole = decode(&file(&[chunk(&[("Security", NOON), ("System", NOON), ("", NOON)]).0]));
    assert_eq!(whole.reasons(), Vec::<&str>::new());
    let rows = whole.rows();
    let types: Vec<_> = rows.iter().map(|row| row["Type"].as_str().unwrap()).collect();
    assert_eq!(types, ["SecurityEvent", "Event", "Event"]);
    assert_eq!(rows[0]["Process"], "run & go.exe");
    assert_eq!(rows[0]["Activity"], "4688 - A new process has been created.");
    assert_eq!(rows[0]["TimeGenerated"], NOON);
    assert_eq!(rows[0]["_Extra"], serde_json::json!({"Threat Name": "none"}));
    assert_eq!(rows[1]["Source"], "Test-Provider");
    assert_eq!(rows[1]["EventLog"], "System");
    assert!(
        rows[1]["EventData"]
            .as_str()
            .unwrap()
            .contains("<Data Name=\"NewProcessName\">C:\\tools\\run &amp; go.exe</Data>")
    );
    assert_eq!(rows[2].get("Channel"), None);
}

#[test]
fn a_damaged_record_is_kept_with_its_offset_and_the_rest_is_read() {
    let (mut damaged, offsets) = chunk(&[("System", NOON); 3]);
    damaged[offsets[1] + 30..offsets[1] + 40].fill(0xee);
    let whole = decode(&file(&[damaged, chunk(&[("System", NOON)]).0]));
    assert_eq!(whole.num_rows(), 3);
    assert_eq!(whole.reasons(), ["bad_record"]);
    assert_eq!(whole.quarantined[0].offset, 4096 + offsets[1] as u64);
    assert!(whole.quarantined[0].bytes.starts_with(b"**\0\0"));
}

#[test]
fn a_damaged_chunk_is_kept_whole_and_the_next_is_read() {
    let mut damaged = chunk(&[("System", NOON)]).0;
    damaged[..8].fill(b'x');
    let whole = decode(&file(&[damaged.clone(), vec![0; CHUNK_BYTES], chunk(&[("System", NOON)]).0]));
    assert_eq!((whole.num_rows(), whole.reasons()), (1, vec!["bad_chunk"]));
    assert_eq!((whole.quarantined[0].offset, &whole.quarantined[0].bytes), (4096, &damaged));
}

#[test]
fn a_file_cut_short_yields_its_whole_events() {
    let (last, offsets) = chunk(&[("System", NOON); 3]);
    let bytes = file(&[chunk(&[("System", NOON)]).0, last]);
    let whole = decode(&bytes[..4096 + CHUNK_BYTES + offsets[2] + 50]);
    assert_eq!(whole.num_rows(), 3);
    assert_eq!(whole.reasons(), ["bad_record"]);
    assert_eq!(whole.quarantined[0].offset, (4096 + CHUNK_BYTES + offsets[2]) as u64);
}

#[test]
fn a_file_without_header_is_searched_for_chunks_all_the_same() {
    let mut bytes = file(&[chunk(&[("System", NOON)]).0]);
    bytes[..8].fill(0);
    let whole = decode(&bytes);
    assert_eq!((whole.num_rows(), whole.reasons()), (1, vec!["bad_file_header"]));
}

#[test]
fn an_impossible_time_is_quarantined_with_the_record() {
    let whole = decode(&file(&[chunk(&[("System", "2090-01-01T00:00:00Z")]).0]));
    assert_eq!(whole.reasons(), ["time_out_of_range"]);
    assert!(whole.quarantined[0].bytes.starts_with(b"**\0\0"));
}
