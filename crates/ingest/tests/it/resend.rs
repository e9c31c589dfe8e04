//! Senders that send a fifth of everything again, out of order and side by side, over restarts: each record is stored
//! once, none is missing and none is there that was not sent.
//!
//! They keep to what is promised to them: a producer has five submissions under way and repeats none that is more than
//! sixteen behind, a request with a key of its own is repeated soon. `MONETA_RESENT_RECORDS` sets how many records there
//! are.

use std::sync::Arc;

use arrow::array::AsArray;
use moneta_base::{SourceName, Timestamp};
use moneta_event::{BatchBuilder, Column, Delivery, RecordClass, TableCatalog, Value};
use moneta_ingest::Ingest;
use moneta_ports::{EventSink, IdempotencyKey, KeyLife, Submission};
use moneta_testkit::Random;

use crate::{Fixture, START, syslog};

/// Senders: half of them producers that go on, half of them requests with keys.
const SENDERS: usize = 8;
/// Submissions that a sender has under way.
const IN_FLIGHT: usize = 5;
/// Lives of the server.
const LIVES: usize = 4;

/// A submission of a sender, by its place among all of the sender.
#[derive(Debug, Clone, Copy)]
struct Sent {
    sender: usize,
    sequence: usize,
}

struct Plan {
    rows_per_submission: usize,
    submissions_per_sender: usize,
}

impl Plan {
    fn num_records(&self) -> usize {
        self.rows_per_submission * self.submissions_per_sender * SENDERS
    }

    fn submission(&self, sent: Sent) -> Submission {
        let schema = TableCatalog::built_in().get("Syslog").unwrap().clone();
        let mut rows = BatchBuilder::new(schema, RecordClass::Data, Delivery::ExactlyOnce);
        let first = (sent.sender * self.submissions_per_sender + sent.sequence) * self.rows_per_submission;
        for record in first..first + self.rows_per_submission {
            let text = record.to_string();
            rows.set_field("SyslogMessage", Value::Text(&text));
            rows.finish_row(Timestamp::from_seconds(START), &SourceName::lossy("test"), &text);
        }
        let (epoch, sequence) = (u128::from(sent.sender as u64), sent.sequence as u64);
        let key = match sent.sender % 2 {
            0 => {
                IdempotencyKey { producer: format!("agent/{}", sent.sender), epoch, sequence, life: KeyLife::Producer }
            }
            _ => IdempotencyKey { producer: "api".to_owned(), epoch, sequence, life: KeyLife::Request },
        };
        Submission { batches: vec![rows.finish().unwrap()], quarantined: Vec::new(), key: Some(key) }
    }
}

/// What all senders send next: their next submissions, in any order, and a fifth of those before and of these again.
fn round(random: &mut Random, from: usize, to: usize) -> Vec<Sent> {
    let mut sent = Vec::new();
    for sender in 0..SENDERS {
        for sequence in from.saturating_sub(IN_FLIGHT)..to {
            let again = random.chance(10);
            if sequence >= from {
                sent.push(Sent { sender, sequence });
            }
            if again {
                sent.push(Sent { sender, sequence });
            }
        }
    }
    for place in (1..sent.len()).rev() {
        sent.swap(place, random.below(place + 1));
    }
    sent
}

/// Sends side by side; returns how many were answered as stored before.
async fn send(ingest: &Arc<Ingest>, plan: &Plan, round: Vec<Sent>) -> usize {
    let waiting: Vec<_> = round
        .into_iter()
        .map(|sent| {
            let (ingest, submission) = (ingest.clone(), plan.submission(sent));
            tokio::spawn(async move { ingest.submit(submission).await.unwrap().duplicate })
        })
        .collect();
    let mut duplicates = 0;
    for answer in waiting {
        duplicates += usize::from(answer.await.unwrap());
    }
    duplicates
}

/// How often each record is stored.
fn stored(ingest: &Ingest, num_records: usize) -> Vec<u8> {
    let mut counts = vec![0u8; num_records];
    let snapshot = ingest.store().snapshot(&syslog()).unwrap();
    assert!(snapshot.hot.is_empty(), "everything was sealed");
    let columns: Vec<Column> =
        snapshot.schema.columns().iter().filter(|column| &*column.name == "SyslogMessage").cloned().collect();
    for segment in &snapshot.segments {
        for batch in ingest.store().scan_segment(segment, &columns, &[]).unwrap() {
            let batch = batch.unwrap();
            let messages =
                arrow::compute::cast(batch.column_by_name("SyslogMessage").unwrap(), &arrow::datatypes::DataType::Utf8);
            for message in messages.unwrap().as_string::<i32>().iter() {
                let record: usize = message.unwrap().parse().unwrap();
                counts[record] = counts[record].saturating_add(1);
            }
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_sent_again_and_out_of_order_over_restarts_leaves_each_record_once() {
    let wanted: usize = std::env::var("MONETA_RESENT_RECORDS").ok().map_or(40_000, |records| records.parse().unwrap());
    let rows_per_submission = (wanted / 1_600).clamp(1, 5_000);
    let submissions_per_sender = wanted.div_ceil(rows_per_submission * SENDERS).next_multiple_of(IN_FLIGHT * LIVES);
    let plan = Plan { rows_per_submission, submissions_per_sender };
    let fixture = Fixture::new();
    let mut random = Random::new(10);
    let (mut num_sent, mut num_duplicates) = (0, 0);
    let per_life = submissions_per_sender / LIVES;
    for life in 0..LIVES {
        let (ingest, _) = fixture.open();
        for from in (life * per_life..(life + 1) * per_life).step_by(IN_FLIGHT) {
            let round = round(&mut random, from, from + IN_FLIGHT);
            num_sent += round.len();
            num_duplicates += send(&ingest, &plan, round).await;
        }
        ingest.seal_all().unwrap();
        // An end without goodbye, except for the last.
        if life + 1 == LIVES {
            ingest.shut_down().unwrap();
        }
    }
    let num_submissions = submissions_per_sender * SENDERS;
    assert_eq!(num_sent - num_duplicates, num_submissions, "each is stored the first time and recognised afterwards");
    assert!(num_duplicates * 100 >= 15 * num_submissions, "{num_duplicates} of {num_submissions} were sent again");
    let (ingest, _) = fixture.open();
    let counts = stored(&ingest, plan.num_records());
    let (missing, doubled) =
        (counts.iter().filter(|count| **count == 0).count(), counts.iter().filter(|count| **count > 1).count());
    ingest.shut_down().unwrap();
    println!(
        "{} records in {num_submissions} submissions, {num_duplicates} sent again: missing {missing}, doubled {doubled}",
        plan.num_records()
    );
    assert_eq!((missing, doubled), (0, 0));
    fixture.assert_verifies(plan.num_records() as u64);
}
