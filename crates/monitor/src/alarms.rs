//! Alarms about Moneta itself: stored in `SecurityAlert` and delivered like alerts of rules.
//!
//! A matter that goes on is told once and then every hour. Delivery does not wait for the store: the disk may be what
//! the alarm is about. Nothing here decides what is wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moneta_base::{Clock, Timestamp};
use moneta_event::TableSchema;
use moneta_ports::{
    Alarm, AlarmKind, AlarmSink, AlertDelivery, EventSink, IdempotencyKey, KeyLife, Metric, Metrics, Submission,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::alert;

/// How long a matter that goes on is not told again.
const QUIET: Duration = Duration::from_secs(3600);
/// Alarms waiting to be stored at most: there are few kinds, and each matter is told once an hour.
const QUEUE_MAX: usize = 256;
/// Matters remembered at most; beyond that the oldest may be told twice.
const MATTERS_MAX: usize = 4_096;
/// How long storing one may take before it is delivered unstored.
const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// Beginning of the producer of an alarm's row; the id of the alert follows.
const PRODUCER_PREFIX: &str = "monitor/#alarm/";

/// What alarms are made of.
pub struct AlarmParts {
    /// Where they are stored.
    pub events: Arc<dyn EventSink>,
    /// Where they go.
    pub delivery: Arc<dyn AlertDelivery>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The columns of `SecurityAlert`.
    pub alert_schema: Arc<TableSchema>,
}

/// Takes alarms from any thread. Share it in an `Arc`.
pub struct Alarms {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    told: Mutex<BTreeMap<(AlarmKind, String), Timestamp>>,
    queue: Mutex<Option<mpsc::Sender<Alarm>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Alarms {
    /// Starts the task that stores and delivers.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(parts: AlarmParts) -> Arc<Self> {
        let (queue, mut inbox) = mpsc::channel(QUEUE_MAX);
        let (clock, metrics) = (parts.clock.clone(), parts.metrics.clone());
        let worker = tokio::spawn(async move {
            while let Some(alarm) = inbox.recv().await {
                parts.tell(&alarm).await;
            }
        });
        let (queue, worker) = (Mutex::new(Some(queue)), Mutex::new(Some(worker)));
        Arc::new(Self { clock, metrics, told: Mutex::default(), queue, worker })
    }

    /// Takes no more alarms and finishes those it has.
    pub async fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the alarm worker did not end in order");
        }
    }

    /// Whether people are to hear of it now.
    fn is_due(&self, alarm: &Alarm) -> bool {
        let now = self.clock.now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let matter = (alarm.kind, alarm.subject.clone());
        if told.get(&matter).is_some_and(|last| now.since(*last) < QUIET) {
            return false;
        }
        if told.len() >= MATTERS_MAX {
            told.retain(|_, last| now.since(*last) < QUIET);
        }
        if told.len() >= MATTERS_MAX
            && let Some(oldest) = told.iter().min_by_key(|(_, last)| **last).map(|(matter, _)| matter.clone())
        {
            told.remove(&oldest);
        }
        told.insert(matter, now);
        true
    }
}

impl AlarmSink for Alarms {
    fn raise(&self, alarm: Alarm) {
        self.metrics.add_labelled(Metric::MonitorAlarms, alarm.kind.name(), 1);
        if !self.is_due(&alarm) {
            return;
        }
        tracing::error!(kind = alarm.kind.name(), subject = alarm.subject, text = alarm.text, "alarm");
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if queue.is_none_or(|queue| queue.try_send(alarm).is_err()) {
            tracing::error!("the alarm above is only in this log: the queue of alarms is full or closed");
        }
    }
}

impl AlarmParts {
    async fn tell(&self, alarm: &Alarm) {
        let raised = [alert::raise_alarm(alarm, self.clock.now())];
        if let Some(rows) = alert::rows(&self.alert_schema, &raised) {
            // By its producer it is Moneta's own, which is stored on a full disk, too.
            let producer = format!("{PRODUCER_PREFIX}{}", raised[0].alert.id);
            let key = IdempotencyKey { producer, epoch: 0, sequence: 1, life: KeyLife::Request };
            let submission = Submission { batches: vec![rows], key: Some(key), ..Submission::default() };
            match tokio::time::timeout(STORE_TIMEOUT, self.events.submit(submission)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::error!(error = %error, "an alarm could not be stored; it is delivered all the same")
                }
                Err(_) => tracing::error!("an alarm is not stored yet; it is delivered all the same"),
            }
        }
        let [raised] = raised;
        self.metrics.add_labelled(Metric::MonitorAlerts, &raised.alert.level, 1);
        if let Err(error) = self.delivery.deliver(raised.alert).await {
            tracing::error!(error = %error, "an alarm could not be handed to delivery");
        }
    }
}
