//! Tests of the journal's frame codec.

use std::sync::Arc;

use moneta_base::{IngestDay, SourceName, TableName, TenantId, Timestamp};
use moneta_merkle::Hash;

use super::*;
use crate::block::BlockPosition;
use crate::{BatchBuilder, Block, Delivery, RecordClass, ShardId, TableCatalog, Value};

fn block(first_seq: u64, num_rows: usize) -> Block {
    let schema = TableCatalog::built_in().get("Syslog").cloned().unwrap();
    let mut rows = BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::ExactlyOnce);
    for row in 0..num_rows {
        rows.set_field("SyslogMessage", Value::Text(&format!("message {row}")));
        rows.finish_row(Timestamp::from_seconds(1_700_000_000), &SourceName::lossy("s"), "raw");
    }
    let position = BlockPosition {
        tenant: TenantId::from_random([7; 16]),
        shard: ShardId { table: schema.name().clone(), day: IngestDay(20_000) },
        shard_index: 3,
        first_seq,
        ingest_time: Timestamp::from_seconds(1_728_000_001),
        token_key: 1,
        previous: Hash([9; 32]),
    };
    Block::new(position, rows.finish().unwrap().rows).unwrap()
}

fn mark() -> StoredMark {
    let range = SeqRange { table: TableName::new("Syslog").unwrap(), first: 40, end: 43 };
    StoredMark {
        mark: ProducerMark {
            kind: MarkKind::Producer,
            producer: "agent-1".to_owned(),
            epoch: u128::MAX - 5,
            sequence: 12,
            hash: Hash([3; 32]),
        },
        receipt: Receipt { ingest_time: Timestamp::from_seconds(1_728_000_001), ranges: vec![range] },
    }
}

fn commit_frame() -> Vec<u8> {
    FrameBody::Commit(Commit { blocks: vec![block(40, 3), block(43, 2)], marks: vec![mark()] }).encode(17).unwrap()
}

#[test]
fn a_commit_survives_its_bytes() {
    let bytes = commit_frame();
    let view = FrameView::read(&bytes).unwrap();
    assert_eq!((view.number, view.len()), (17, bytes.len()));
    let FrameBody::Commit(commit) = view.decode().unwrap() else { panic!("a commit") };
    assert_eq!(commit.marks, [mark()]);
    assert_eq!(commit.blocks[0].header, block(40, 3).header);
    assert_eq!(commit.blocks[1].rows, block(43, 2).rows);
    commit.blocks.iter().for_each(|block| block.check().unwrap());
}

#[test]
fn a_snapshot_and_an_end_survive_their_bytes() {
    let table = TableName::new("Syslog").unwrap();
    let state = TableState { table, next_seq: 9, last_header: Hash([1; 32]), day: IngestDay(20_000), next_index: 4 };
    let snapshot = Snapshot { ingest_time: Timestamp::from_seconds(5), tables: vec![state], marks: vec![mark()] };
    let bytes = FrameBody::Snapshot(snapshot.clone()).encode(0).unwrap();
    let FrameBody::Snapshot(read) = FrameView::read(&bytes).unwrap().decode().unwrap() else { panic!("a snapshot") };
    assert_eq!(read, snapshot);
    let bytes = FrameBody::End.encode(3).unwrap();
    assert!(matches!(FrameView::read(&bytes).unwrap().decode().unwrap(), FrameBody::End));
}

#[test]
fn every_cut_or_changed_byte_of_a_frame_is_refused() {
    let bytes = commit_frame();
    for cut in 0..bytes.len() {
        assert!(FrameView::read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(FrameView::read(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn damage_under_a_valid_frame_checksum_is_an_error_and_never_a_panic() {
    let bytes = commit_frame();
    let expected = block(40, 3).rows;
    for at in FRAME_HEADER_BYTES..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut body = bytes[FRAME_HEADER_BYTES..].to_vec();
            body[at - FRAME_HEADER_BYTES] ^= bit;
            let view = FrameView { number: 17, kind: KIND_COMMIT, body: &body };
            // What still decodes differs in a mark or a header: those have no checksum of their own.
            if let Ok(FrameBody::Commit(commit)) = view.decode() {
                assert_eq!(commit.blocks[0].rows, expected, "byte {at}");
            }
        }
    }
}

#[test]
fn file_headers_survive_their_bytes_and_no_change() {
    let header = FileHeader { file_number: 3, first_frame: 99 };
    let bytes = header.encode();
    assert_eq!(FileHeader::decode(&bytes).unwrap(), header);
    for at in 0..bytes.len() {
        let mut changed = bytes;
        changed[at] ^= 1;
        assert!(FileHeader::decode(&changed).is_err(), "byte {at}");
    }
    assert_eq!(FileHeader::decode(&bytes[..27]), Err(FrameError::Short));
}

#[test]
fn a_stated_count_beyond_the_bytes_reserves_nothing() {
    let view = FrameView { number: 0, kind: KIND_COMMIT, body: &[0xff, 0xff, 0xff, 0xff] };
    assert_eq!(view.decode().unwrap_err(), FrameError::Short);
}
