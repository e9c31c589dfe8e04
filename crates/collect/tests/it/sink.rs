//! A sink that keeps what it is given, and fails or waits when told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use moneta_base::{ErrorKind, Timestamp};
use moneta_collect::{Intake, ResumePoint, ResumePoints};
use moneta_event::TableCatalog;
use moneta_ports::{
    BoxFuture, EventSink, IdempotencyKey, IngestReceipt, KeyLife, Metrics, NoRoomToRemember, PortError, Submission,
};
use moneta_testkit::FixedClock;
use tokio::sync::{Notify, watch};

/// Longest wait for a collector to do what it must: far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    batches: Vec<(String, RecordBatch)>,
    quarantined: Vec<moneta_event::QuarantinedRecord>,
    keys: HashMap<(String, u128, u64), Vec<String>>,
    marks: HashMap<String, ResumePoint>,
    refuse: u32,
    refuse_for_good: u32,
    submissions: usize,
    producers_max: Option<usize>,
}

pub struct RecordingSink {
    state: Mutex<State>,
    open: watch::Sender<bool>,
    changed: Notify,
}

impl RecordingSink {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), open: watch::Sender::new(true), changed: Notify::new() })
    }

    /// Refuses the next submissions as a busy store does.
    pub fn refuse(&self, count: u32) {
        self.state.lock().unwrap().refuse = count;
    }

    /// Refuses the next submissions as what can never be stored.
    pub fn refuse_for_good(&self, count: u32) {
        self.state.lock().unwrap().refuse_for_good = count;
    }

    /// Has room for so many producers.
    pub fn remember_at_most(&self, producers: usize) {
        self.state.lock().unwrap().producers_max = Some(producers);
    }

    /// Makes submissions wait, or lets them through.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    pub fn submissions(&self) -> usize {
        self.state.lock().unwrap().submissions
    }

    /// A text column of a table, in order of arrival.
    pub fn column(&self, table: &str, column: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let batches = state.batches.iter().filter(|(name, _)| name == table).map(|(_, rows)| rows);
        batches.flat_map(|rows| texts(rows, column)).collect()
    }

    pub fn tables(&self) -> Vec<String> {
        let mut names: Vec<_> = self.state.lock().unwrap().batches.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    pub fn quarantined(&self) -> Vec<moneta_event::QuarantinedRecord> {
        self.state.lock().unwrap().quarantined.clone()
    }

    pub fn num_records(&self) -> usize {
        let state = self.state.lock().unwrap();
        state.batches.iter().map(|(_, rows)| rows.num_rows()).sum::<usize>() + state.quarantined.len()
    }

    pub fn mark(&self, producer: &str) -> Option<ResumePoint> {
        self.state.lock().unwrap().marks.get(producer).copied()
    }

    pub fn marks_beginning_with(&self, prefix: &str) -> Vec<(String, ResumePoint)> {
        let state = self.state.lock().unwrap();
        let own = state.marks.iter().filter(|(producer, _)| producer.starts_with(prefix));
        own.map(|(producer, point)| (producer.clone(), *point)).collect()
    }

    /// Waits until the condition holds.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                panic!("{what}: {} records, quarantined {:?}", self.num_records(), self.quarantined());
            }
        }
    }

    pub async fn until_records(&self, count: usize) {
        self.until(&format!("{count} records"), |sink| sink.num_records() >= count).await;
    }

    fn take(&self, submission: Submission) -> Result<IngestReceipt, PortError> {
        let mut state = self.state.lock().unwrap();
        state.submissions += 1;
        if state.refuse > 0 {
            state.refuse -= 1;
            return Err(PortError::new(ErrorKind::RETRY, "busy"));
        }
        if state.refuse_for_good > 0 {
            state.refuse_for_good -= 1;
            drop(state);
            self.changed.notify_waiters();
            return Err(PortError::new(ErrorKind::Caller, "never"));
        }
        if let Some(key) = submission.key.as_ref().filter(|key| key.life == KeyLife::Forgotten) {
            assert_eq!(state.marks.remove(&key.producer), Some((key.epoch, key.sequence)));
            state.keys.retain(|(producer, _, _), _| *producer != key.producer);
            drop(state);
            self.changed.notify_waiters();
            return Ok(IngestReceipt { ranges: Vec::new(), duplicate: false, stored_at: Timestamp::from_seconds(0) });
        }
        let is_new = |key: &IdempotencyKey| !state.marks.contains_key(&key.producer);
        if state.producers_max.is_some_and(|max| state.marks.len() >= max)
            && submission.key.as_ref().is_some_and(is_new)
        {
            return Err(PortError::caused_by(ErrorKind::OPERATOR, "full", NoRoomToRemember));
        }
        if let Some(key) = &submission.key {
            assert!(key.producer.len() <= 256, "{}", key.producer);
        }
        let content: Vec<String> = submission.batches.iter().flat_map(|batch| texts(&batch.rows, "_Raw")).collect();
        let mut duplicate = false;
        if let Some(key) = submission.key {
            state.marks.insert(key.producer.clone(), (key.epoch, key.sequence));
            if let Some(before) = state.keys.insert((key.producer, key.epoch, key.sequence), content.clone()) {
                assert_eq!(before, content, "a key was used for other content");
                duplicate = true;
            }
        }
        if !duplicate {
            let batches = submission.batches.into_iter().map(|batch| (batch.table.to_string(), batch.rows));
            state.batches.extend(batches);
            state.quarantined.extend(submission.quarantined);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(IngestReceipt { ranges: Vec::new(), duplicate, stored_at: Timestamp::from_seconds(0) })
    }
}

impl ResumePoints for RecordingSink {
    fn resume_point<'a>(&'a self, producer: &'a str) -> BoxFuture<'a, Option<ResumePoint>> {
        Box::pin(async move { self.mark(producer) })
    }

    fn remembered<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Vec<(String, ResumePoint)>> {
        Box::pin(async move { self.marks_beginning_with(prefix) })
    }
}

impl EventSink for RecordingSink {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<IngestReceipt, PortError>> {
        Box::pin(async move {
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            self.take(submission)
        })
    }
}

fn texts(rows: &RecordBatch, column: &str) -> Vec<String> {
    let Some(array) = rows.column_by_name(column) else { return vec![String::new(); rows.num_rows()] };
    let array = arrow::compute::cast(array, &DataType::Utf8).unwrap();
    array.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

pub fn intake(sink: &Arc<RecordingSink>) -> Intake {
    Intake {
        sink: sink.clone(),
        clock: Arc::new(FixedClock::new(Timestamp::parse("2026-06-15T12:00:00Z").unwrap())),
        catalog: Arc::new(TableCatalog::built_in()),
        mappings: moneta_formats::Mappings::built_in(),
        metrics: Arc::new(Metrics::new()),
        senders: Arc::default(),
    }
}
