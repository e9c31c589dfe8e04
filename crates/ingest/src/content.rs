//! What a submission holds, as its sender sent it: by this an equal resend is told from other content under a used key.
//!
//! Only originals count, before anything is scrubbed: columns may say when a record came, and tokens depend on a key that
//! changes.

use arrow::array::{AsArray, StringArray};
use moneta_event::ParsedBatch;
use moneta_event::schema::standard;
use moneta_journal::{MarkKind, ProducerMark};
use moneta_merkle::{Hash, sha256};
use moneta_ports::{IdempotencyKey, KeyLife, Submission};

/// The journal's mark for the key of a submission, if it has one.
pub(crate) fn mark(submission: &Submission) -> Option<ProducerMark> {
    let IdempotencyKey { producer, epoch, sequence, life } = submission.key.clone()?;
    let kind = match life {
        KeyLife::Producer => MarkKind::Producer,
        KeyLife::Cursor => MarkKind::Cursor,
        KeyLife::Request => MarkKind::IdempotencyKey,
        KeyLife::Forgotten => MarkKind::Forgotten,
    };
    Some(ProducerMark { kind, producer, epoch, sequence, hash: content_hash(submission) })
}

/// Bytes of the originals of a submission.
pub(crate) fn raw_bytes(submission: &Submission) -> u64 {
    let of_rows = submission.batches.iter().filter_map(originals).map(|originals| bytes_of(originals).len());
    let of_quarantined = submission.quarantined.iter().map(|record| record.bytes.len());
    of_rows.chain(of_quarantined).sum::<usize>() as u64
}

/// A hash of tables, of the originals of their rows, and of where each begins and ends.
fn content_hash(submission: &Submission) -> Hash {
    let mut content = Vec::new();
    for batch in &submission.batches {
        content.extend_from_slice(batch.table.as_str().as_bytes());
        content.extend_from_slice(&(batch.rows.num_rows() as u64).to_le_bytes());
        if let Some(originals) = originals(batch) {
            let lengths: Vec<u8> = originals.iter().flat_map(|text| length(text.map(str::as_bytes))).collect();
            content.extend_from_slice(sha256(&lengths).as_bytes());
            content.extend_from_slice(sha256(bytes_of(originals)).as_bytes());
        }
    }
    for record in &submission.quarantined {
        content.extend_from_slice(&length(Some(&record.bytes)));
        content.extend_from_slice(sha256(&record.bytes).as_bytes());
    }
    sha256(&content)
}

fn originals(batch: &ParsedBatch) -> Option<&StringArray> {
    batch.rows.column_by_name(standard::RAW)?.as_string_opt()
}

/// The bytes of all texts, one behind the other.
fn bytes_of(originals: &StringArray) -> &[u8] {
    let offset = |offset: Option<&i32>| offset.map_or(0, |offset| usize::try_from(*offset).unwrap_or(0));
    let offsets = originals.value_offsets();
    &originals.value_data()[offset(offsets.first())..offset(offsets.last())]
}

/// A length, or the greatest number for a text that is not there.
fn length(bytes: Option<&[u8]>) -> [u8; 8] {
    bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use moneta_base::{SourceName, Timestamp};
    use moneta_event::{BatchBuilder, Delivery, QuarantinedRecord, RecordClass, RecordContext, TableCatalog};

    use super::*;

    fn batch(table: &str, originals: &[&str]) -> ParsedBatch {
        let schema = TableCatalog::built_in().get(table).expect("a built-in table").clone();
        let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::ExactlyOnce);
        for original in originals {
            rows.finish_row(Timestamp::from_seconds(1), &SourceName::lossy("test"), original);
        }
        rows.finish().expect("it has rows")
    }

    fn quarantined(bytes: &[u8]) -> QuarantinedRecord {
        QuarantinedRecord {
            source: SourceName::lossy("test"),
            format: "json",
            table: None,
            reason_code: "invalid_json",
            reason: "it is none".to_owned(),
            offset: 0,
            bytes: bytes.to_vec(),
            context: RecordContext::default(),
        }
    }

    fn submission(batches: Vec<ParsedBatch>, quarantined: Vec<QuarantinedRecord>) -> Submission {
        Submission { batches, quarantined, key: None }
    }

    #[test]
    fn equal_originals_have_one_hash_and_all_others_another() {
        let rows = |originals: &[&str]| content_hash(&submission(vec![batch("Syslog", originals)], Vec::new()));
        let records = |bytes: &[&[u8]]| {
            content_hash(&submission(Vec::new(), bytes.iter().map(|bytes| quarantined(bytes)).collect()))
        };
        assert_eq!(rows(&["ab", "c"]), rows(&["ab", "c"]));
        let different = [
            rows(&["ab", "c"]),
            rows(&["a", "bc"]),
            rows(&["abc"]),
            rows(&["ab", "d"]),
            content_hash(&submission(vec![batch("Event", &["ab", "c"])], Vec::new())),
            records(&[b"ab", b"c"]),
            records(&[b"a", b"bc"]),
            records(&[b"abc"]),
        ];
        for (index, hash) in different.iter().enumerate() {
            assert!(!different[..index].contains(hash), "{index}");
        }
    }

    #[test]
    fn a_part_of_a_batch_has_the_hash_of_its_rows_alone() {
        let mut part = batch("Syslog", &["before", "ab", "c"]);
        part.rows = part.rows.slice(1, 2);
        let whole = submission(vec![batch("Syslog", &["ab", "c"])], Vec::new());
        let part = submission(vec![part], Vec::new());
        assert_eq!(content_hash(&part), content_hash(&whole));
        assert_eq!((raw_bytes(&part), raw_bytes(&whole)), (3, 3));
    }
}
